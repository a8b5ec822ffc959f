import { assertEquals, assertThrows } from "@std/assert";
import { AdaptiveSync } from "../../../lib/disk/adaptive_sync.ts";
import { rejectsWith } from "../../helpers/errors.ts";
import { P2PError } from "../../../lib/errors.ts";

/** A disk that takes `ms` for each sync, and notes how it was asked for them. */
class Disk {
  ms = 0.01;
  now = 0;
  asked: string[] = [];
  full = false;

  /** What a {@linkcode AdaptiveSync} sees of a file there. */
  get file(): Deno.FsFile {
    const sync = (how: string) => {
      this.asked.push(how);
      if (this.full) throw new P2PError("no-space", "full");
      this.now += this.ms;
    };
    const aside = (how: string) => Promise.resolve().then(() => sync(how));
    const file = {
      sync: () => aside("sync"),
      syncData: () => aside("syncData"),
      syncSync: () => sync("syncSync"),
      syncDataSync: () => sync("syncDataSync"),
    };
    return file as unknown as Deno.FsFile;
  }

  /** How the next `count` syncs are asked for, one word for those that are the same. */
  async ways(syncer: AdaptiveSync, count: number): Promise<string[]> {
    this.asked = [];
    for (let i = 0; i < count; i++) await syncer.sync(this.file);
    return [...new Set(this.asked)].map((how) =>
      `${this.asked.filter((other) => other === how).length} ${how}`
    );
  }
}

Deno.test("where a sync takes no time it is done at once, after one that was aside", async () => {
  const disk = new Disk();
  const syncer = new AdaptiveSync("all", () => disk.now);
  assertEquals(await disk.ways(syncer, 10), ["1 sync", "9 syncSync"]);
  assertEquals(await disk.ways(new AdaptiveSync("data", () => disk.now), 3), [
    "1 syncData",
    "2 syncDataSync",
  ]);
});

Deno.test("a slow disk is never waited for", async () => {
  const disk = new Disk();
  disk.ms = 20;
  assertEquals(await disk.ways(new AdaptiveSync("all", () => disk.now), 1000), ["1000 sync"]);
});

Deno.test("a disk that becomes slow is tried less and less often", async () => {
  const disk = new Disk();
  const syncer = new AdaptiveSync("all", () => disk.now);
  await disk.ways(syncer, 2);
  disk.ms = 1;
  assertEquals(await disk.ways(syncer, 1 + 64), ["1 syncSync", "64 sync"]);
  assertEquals(await disk.ways(syncer, 1 + 128), ["1 syncSync", "128 sync"]);
  disk.ms = 0.01;
  assertEquals(await disk.ways(syncer, 1000), ["1000 syncSync"]);
});

Deno.test("a failure is told, at once or aside", async () => {
  const disk = new Disk();
  const syncer = new AdaptiveSync("data", () => disk.now);
  disk.full = true;
  await rejectsWith("no-space", async () => await syncer.sync(disk.file));
  disk.full = false;
  await disk.ways(syncer, 2);
  disk.full = true;
  assertThrows(() => void syncer.sync(disk.file), P2PError);
});

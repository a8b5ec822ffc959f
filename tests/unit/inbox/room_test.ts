import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { join } from "@std/path";
import { Inbox } from "../../../lib/inbox/inbox.ts";
import { type Claim, Room } from "../../../lib/inbox/room.ts";
import { rejectsWith } from "../../helpers/errors.ts";
import { FakeClock } from "../../helpers/fake_clock.ts";
import { offerOf, PROOF } from "../../helpers/partials.ts";
import { NO_LINUX, permitted } from "../../helpers/permissions.ts";
import { bytesOf } from "../../helpers/random.ts";
import { type TempDir, tempDir } from "../../helpers/temp_dir.ts";
import { Mount, whyNoMount } from "../../helpers/mount.ts";
import { transferOf } from "../../helpers/tree.ts";

const NEEDS: Deno.PermissionName[] = ["read", "write", "sys", "run"];
const ID = "A".repeat(43);
const KIB = 1024;
const MIB = 1024 * KIB;

/** A folder with a file in it and one below it, 5 KiB in all. */
async function folderIn(dir: TempDir): Promise<string> {
  await Deno.mkdir(dir.at("in", "sub"), { recursive: true });
  await Deno.writeFile(dir.at("in", "a"), bytesOf(2 * KIB));
  await Deno.writeFile(dir.at("in", "sub", ".b"), bytesOf(3 * KIB));
  return dir.at("in");
}

function claimOf(bytes: number, entries = 1): Claim {
  return { bytes, entries, present: () => 0, base: undefined };
}

function roomOf(folder: string, quota: number, notices: string[] = []): Room {
  return new Room({ folder, quota, notice: (text) => notices.push(text) });
}

permitted("what is there counts, wherever it lies, and each file once", NEEDS, async () => {
  await using dir = await tempDir();
  const folder = await folderIn(dir);
  await Deno.link(dir.at("in", "a"), dir.at("in", "sub", "a"));
  await Deno.writeFile(dir.at("large"), bytesOf(100 * KIB));
  await Deno.symlink(dir.at("large"), dir.at("in", "link"));
  const room = roomOf(folder, 8 * KIB);
  const error = await rejectsWith("quota", () => room.take(claimOf(3 * KIB + 1)));
  assertEquals(
    error.message,
    "Cannot receive 3073 bytes: the receiver's quota of 8192 leaves 3072; " +
      "make room in its inbox and send again",
  );
  await room.take(claimOf(3 * KIB));
});

permitted("what was granted counts until it is dropped", NEEDS, async () => {
  await using dir = await tempDir();
  const room = roomOf(await folderIn(dir), 8 * KIB);
  const first = claimOf(2 * KIB);
  await room.take(first);
  await rejectsWith("quota", () => room.take(claimOf(2 * KIB)));
  await room.take(claimOf(KIB));
  await rejectsWith("quota", () => room.take(claimOf(1)));
  room.drop(first);
  await room.take(claimOf(2 * KIB));
});

permitted("requests at once do not get the same room", NEEDS, async () => {
  await using dir = await tempDir();
  const room = roomOf(await folderIn(dir), 8 * KIB);
  const results = await Promise.allSettled(
    [2 * KIB, 2 * KIB, KIB].map((bytes) => room.take(claimOf(bytes))),
  );
  assertEquals(results.map(({ status }) => status), ["fulfilled", "rejected", "fulfilled"]);
});

permitted(
  "folders, empty files and small ones take blocks and inodes of a quota",
  NEEDS,
  async () => {
    await using dir = await tempDir();
    await Deno.mkdir(dir.at("in"));
    const room = roomOf(dir.at("in"), MIB);
    const error = await rejectsWith("quota", () => room.take(claimOf(0, 300)));
    assertStringIncludes(error.message, "300 files and folders of at least 4096 bytes each");
    for (let i = 0; i < 100; i++) await Deno.mkdir(dir.at("in", `folder ${i}`));
    for (let i = 0; i < 100; i++) {
      await Deno.writeFile(
        dir.at("in", `file ${i}`),
        new Uint8Array(0),
      );
    }
    for (let i = 0; i < 60; i++) await Deno.symlink("nowhere", dir.at("in", `link ${i}`));
    await rejectsWith("quota", () => roomOf(dir.at("in"), MIB).take(claimOf(100 * KIB)));
    for (let i = 0; i < 60; i++) await Deno.remove(dir.at("in", `link ${i}`));
    await roomOf(dir.at("in"), MIB).take(claimOf(100 * KIB));
  },
);

permitted("a folder of many entries is turned down before they are made", NEEDS, async () => {
  await using dir = await tempDir();
  using inbox = await Inbox.open(dir.at("in"), ID, { quota: MIB });
  const entries = Array.from({ length: 400 }, (_, i) => [`${i}`, { content: bytesOf(0) }] as const);
  const { table, bytes } = await transferOf(Object.fromEntries(entries));
  const item = await inbox.begin({ ...offerOf(bytes.length, MIB), table: table.length });
  await rejectsWith("quota", () => item.write(0, bytes, PROOF));
  const made = [...Deno.readDirSync(`${item.base}.part`)];
  assertEquals(made, []);
  await inbox.release(item, false);
});

permitted("streams at once share a quota as they grow", NEEDS, async () => {
  await using dir = await tempDir();
  using inbox = await Inbox.open(dir.at("in"), ID, { quota: 4 * MIB });
  const offers = [1, 2, 3].map((i) => ({ ...offerOf(null, MIB), name: `stream ${i}` }));
  const items = await Promise.all(offers.map((offer) => inbox.begin(offer)));
  let written = 0;
  for (let index = 0; index < 4; index++) {
    const results = await Promise.allSettled(
      items.map((item) => item.write(index, bytesOf(MIB), PROOF)),
    );
    written += results.filter(({ status }) => status === "fulfilled").length;
  }
  assertEquals(written, 4);
  await rejectsWith("quota", () => inbox.begin(offerOf(1, MIB)));
  for (const item of items) await inbox.release(item, false);
  await inbox.release(await inbox.begin(offerOf(4 * MIB, MIB)), false);
});

permitted("what arrives while the folder is counted is counted", NEEDS, async () => {
  await using dir = await tempDir();
  using inbox = await Inbox.open(dir.at("in"), ID, { quota: 64 * MIB });
  const item = await inbox.begin(offerOf(60 * MIB, MIB));
  const piece = bytesOf(MIB);
  for (let index = 0; index < 60; index++) {
    const asked = inbox.begin({ ...offerOf(8 * MIB, MIB), name: "other" });
    await Promise.all([rejectsWith("quota", () => asked), item.write(index, piece, PROOF)]);
  }
  await inbox.release(item, false);
});

/** Makes each count of a folder take so long by the clock, and counts the counts. */
function slowly(folder: string, clock: FakeClock, ms: number) {
  const { readDir } = Deno;
  const counting = {
    counts: 0,
    [Symbol.dispose]: () => void (Deno.readDir = readDir),
  };
  Deno.readDir = (path) => {
    if (path === folder) {
      counting.counts++;
      clock.advance(ms);
    }
    return readDir(path);
  };
  return counting;
}

for (const took of [10, 100, 2_000, 60_000]) {
  permitted(
    `offers over the quota do not have an inbox counted that takes ${took} ms`,
    NEEDS,
    async () => {
      await using dir = await tempDir();
      const folder = await folderIn(dir);
      const clock = new FakeClock();
      using counting = slowly(folder, clock, took);
      const room = new Room({ folder, quota: 8 * KIB, notice: () => {}, clock });
      await rejectsWith("quota", () => room.take(claimOf(4 * KIB)));
      const seconds = 100;
      const [began, first] = [clock.now(), counting.counts];
      while (clock.now() < began + seconds * 1000) {
        await rejectsWith("quota", () => room.take(claimOf(4 * KIB)));
        clock.advance(50);
      }
      const perSecond = (counting.counts - first) / ((clock.now() - began) / 1000);
      const most = Math.max(0.2, 200 / took) * 1.2 + 1_000 / took / seconds;
      assert(perSecond <= most, `${perSecond} counts in a second`);
      // What was deleted is room again after some seconds, and what fits takes no count.
      await Deno.remove(dir.at("in", "a"));
      await room.take(claimOf(KIB));
      clock.advance(5_000);
      await room.take(claimOf(4 * KIB));
    },
  );
}

permitted("what was deleted is room at once when nobody asked in vain before", NEEDS, async () => {
  await using dir = await tempDir();
  const folder = await folderIn(dir);
  const clock = new FakeClock();
  using counting = slowly(folder, clock, 500);
  const room = new Room({ folder, quota: 8 * KIB, notice: () => {}, clock });
  await room.take(claimOf(KIB));
  await Deno.remove(dir.at("in", "a"));
  await room.take(claimOf(4 * KIB));
  assertEquals(counting.counts, 2);
});

permitted("what fits into no folder has none counted", NEEDS, async () => {
  await using dir = await tempDir();
  const folder = await folderIn(dir);
  const clock = new FakeClock();
  using counting = slowly(folder, clock, 100);
  const room = new Room({ folder, quota: 8 * KIB, notice: () => {}, clock });
  await room.take(claimOf(KIB));
  await rejectsWith("quota", () => room.take(claimOf(9 * KIB)));
  assertEquals(counting.counts, 1);
});

permitted("what cannot be counted is left out, and said once", NEEDS, async () => {
  await using dir = await tempDir();
  const folder = await folderIn(dir);
  const notices: string[] = [];
  const room = roomOf(folder, 8 * KIB, notices);
  using _ = unreadable(dir.at("in", "sub"));
  await rejectsWith("quota", () => room.take(claimOf(7 * KIB)));
  await rejectsWith("quota", () => room.take(claimOf(7 * KIB)));
  await room.take(claimOf(6 * KIB));
  assertEquals(notices, [
    `Cannot count ${dir.at("in", "sub")} for --quota: permission denied; it is left out`,
  ]);
});

/** A folder that nobody can list; root may list every one, so that the call is what fails. */
function unreadable(path: string): Disposable {
  const { readDir } = Deno;
  Deno.readDir = (folder) => {
    if (folder !== path) return readDir(folder);
    throw new Deno.errors.PermissionDenied(`Permission denied (os error 13): readdir '${path}'`);
  };
  return { [Symbol.dispose]: () => void (Deno.readDir = readDir) };
}

permitted("a folder that is not there yet holds nothing", NEEDS, async () => {
  await using dir = await tempDir();
  const notices: string[] = [];
  await roomOf(dir.at("none"), 8 * KIB, notices).take(claimOf(KIB));
  assertEquals(notices.length, 1);
  assertStringIncludes(notices[0] as string, "files are received until it is full");
});

permitted(
  "a disk that says 0 of itself is not a full one, and that is said once",
  NEEDS,
  async () => {
    await using dir = await tempDir();
    await using disk = await Mount.ramfs(dir.at("disk"));
    const path = join(disk.path, "in");
    const notices: string[] = [];
    const notice = (text: string) => void notices.push(text);
    using inbox = await Inbox.open(path, ID, { quota: MIB, notice });
    for (const name of ["a", "b"]) {
      const item = await inbox.begin(offerOf(10, MIB));
      await item.write(0, bytesOf(10), PROOF);
      await item.publish(name);
      assertEquals(await Deno.readFile(join(path, name)), bytesOf(10));
    }
    assertEquals(notices, [
      `Cannot tell how much is free on the disk of ${path}: it says 0; ` +
      "files are received until it is full",
    ]);
  },
  { ignore: NO_LINUX || await whyNoMount((folder) => Mount.ramfs(join(folder, "disk"))) },
);

permitted("a quota of the disk that is used up is not told as a full disk", NEEDS, async () => {
  await using dir = await tempDir();
  await using disk = await Mount.withQuota(dir.at(), 8);
  using inbox = await Inbox.open(join(disk.path, "in"), ID);
  const item = await inbox.begin(offerOf(64 * MIB, MIB));
  const error = await rejectsWith("quota", async () => {
    for (let i = 0; i < 64; i++) await item.write(i, randomBytes(), PROOF);
  });
  assertStringIncludes(error.message, "the user's quota on the disk is used up");
  await inbox.release(item, false);
}, { ignore: NO_LINUX || await whyNoMount((folder) => Mount.withQuota(folder, 8)) });

/** A piece that no file system makes smaller. */
function randomBytes(): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(MIB);
  for (let at = 0; at < MIB; at += 65536) crypto.getRandomValues(bytes.subarray(at, at + 65536));
  return bytes;
}

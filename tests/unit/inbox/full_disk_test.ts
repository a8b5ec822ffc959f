/** A disk that is full, on a tmpfs of a few MiB; root alone may mount one. */

import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { statfs } from "node:fs/promises";
import { Inbox } from "../../../lib/inbox/inbox.ts";
import { rejectsWith } from "../../helpers/errors.ts";
import { permitted } from "../../helpers/permissions.ts";
import { bytesOf } from "../../helpers/random.ts";
import { tempDir } from "../../helpers/temp_dir.ts";
import { Tmpfs, whyNoTmpfs } from "../../helpers/tmpfs.ts";
import { offerOf, PROOF } from "../../helpers/partials.ts";
import { transferOf } from "../../helpers/tree.ts";

const NEEDS: Deno.PermissionName[] = ["read", "write", "sys", "run"];
const ID = "A".repeat(43);
const MIB = 1024 * 1024;

permitted(
  "a disk that fills up while it receives is said so, and nothing stays",
  NEEDS,
  async () => {
    await using dir = await tempDir();
    await using disk = await Tmpfs.mount(dir.at("disk"), 20);
    using inbox = await Inbox.open(dir.at("disk", "inbox"), ID);
    await rejectsWith("no-space", () => inbox.begin(offerOf(19 * MIB, MIB)));
    const partial = await inbox.begin(offerOf(3 * MIB, MIB));
    await disk.fill();
    const error = await rejectsWith("no-space", async () => {
      for (let i = 0; i < 3; i++) await partial.write(i, new Uint8Array(MIB), PROOF);
    });
    assertStringIncludes(error.message, "the disk is full");
    await inbox.release(partial, false);
    assertEquals([...Deno.readDirSync(inbox.path)].map(({ name }) => name), [".partial"]);
    await disk.empty();
    await inbox.release(await inbox.begin(offerOf(MIB, MIB)), false);
  },
  { ignore: await whyNoTmpfs() },
);

permitted("streams at once leave the reserve of a disk free", NEEDS, async () => {
  await using dir = await tempDir();
  await using _disk = await Tmpfs.mount(dir.at("disk"), 24);
  using inbox = await Inbox.open(dir.at("disk", "inbox"), ID);
  const items = await Promise.all(
    ["a", "b", "c"].map((name) => inbox.begin({ ...offerOf(null, MIB), name })),
  );
  let written = 0;
  for (let i = 0; i < 10; i++) {
    const writes = items.map((item) => item.write(i, new Uint8Array(MIB), PROOF));
    const results = await Promise.allSettled(writes);
    written += results.filter(({ status }) => status === "fulfilled").length;
  }
  assert(written >= 6 && written <= 8, `${written} MiB were written beside a reserve of 16`);
  for (const item of items) await inbox.release(item, false);
}, { ignore: await whyNoTmpfs() });

permitted("what has no end, or comes from strangers, leaves a tenth free", NEEDS, async () => {
  await using dir = await tempDir();
  await using disk = await Tmpfs.mount(dir.at("disk"), 400);
  const free = async () => {
    const { bavail, bsize } = await statfs(disk.path);
    return bavail * bsize / MIB;
  };
  const first = await free();
  {
    using inbox = await Inbox.open(dir.at("disk", "inbox"), ID);
    const stream = await inbox.begin(offerOf(null, 4 * MIB));
    await rejectsWith("no-space", async () => {
      for (let i = 0; i < 100; i++) await stream.write(i, new Uint8Array(4 * MIB), PROOF);
    });
    const left = await free();
    assert(left >= first / 10 && left < first / 10 + 8, `${left} MiB are free`);
    await inbox.release(stream, false);
    // Of a size that was said, by a member, less stays free.
    const file = await inbox.begin(offerOf((first - 20) * MIB, MIB));
    await inbox.release(file, false);
  }
  const size = (first - 20) * MIB;
  using careful = await Inbox.open(dir.at("disk", "inbox"), ID, { isCareful: true });
  await rejectsWith("no-space", () => careful.begin(offerOf(size, MIB)));
  await careful.release(await careful.begin(offerOf(first / 2 * MIB, MIB)), false);
}, { ignore: await whyNoTmpfs() });

permitted(
  "a disk without inodes takes no folder, and says so before it is made",
  NEEDS,
  async () => {
    await using dir = await tempDir();
    await using _disk = await Tmpfs.mount(dir.at("disk"), 40, 200);
    using inbox = await Inbox.open(dir.at("disk", "inbox"), ID);
    const entries = Array.from(
      { length: 300 },
      (_, i) => [`${i}`, { content: bytesOf(1) }] as const,
    );
    const { table, bytes } = await transferOf(Object.fromEntries(entries));
    const item = await inbox.begin({ ...offerOf(bytes.length, MIB), table: table.length });
    const error = await rejectsWith("no-space", () => item.write(0, bytes, PROOF));
    assertStringIncludes(error.message, "the receiver's disk has room for ");
    await inbox.release(item, false);
    const small = await inbox.begin(offerOf(10, MIB));
    await inbox.release(small, false);
  },
  { ignore: await whyNoTmpfs() },
);

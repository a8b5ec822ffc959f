/** What a file and a folder keep: names, times and permissions, as far as the receiver's disk and umask allow. */

import { assertEquals, assertStringIncludes } from "@std/assert";
import { join } from "@std/path";
import { startPeer, type TestPeer } from "../helpers/peer.ts";
import { NO_LINUX, NO_MODES, permitted, type Reason } from "../helpers/permissions.ts";
import { bytesOf } from "../helpers/random.ts";
import { type TempDir, tempDir } from "../helpers/temp_dir.ts";
import { Tmpfs, whyNoTmpfs } from "../helpers/tmpfs.ts";
import { startTracker } from "../helpers/tracker.ts";
import { LONG_AGO, pictureOf, pictureOfTree, plant, type TestTree } from "../helpers/tree.ts";

const NEEDS: Deno.PermissionName[] = ["net", "read", "write", "sys", "run"];

/** Where a test keeps what it sends. */
function outbox(dir: TempDir): string {
  return dir.at("outbox");
}

/** Names on top of what has arrived. */
function namesIn(folder: string): string[] {
  return [...Deno.readDirSync(folder)].map(({ name }) => name).sort();
}

interface Pair {
  dir: TempDir;
  anna: TestPeer;
  bob: TestPeer;
}

/** Registers a test with two peers. */
function pair(
  name: string,
  play: (pair: Pair) => Promise<void>,
  { ignore }: { ignore: Reason },
): void {
  permitted(name, NEEDS, async () => {
    await using dir = await tempDir();
    await using tracker = startTracker();
    await using anna = await startPeer(tracker, dir, { name: "anna" });
    await using bob = await startPeer(tracker, dir, { name: "bob" });
    await Deno.mkdir(outbox(dir), { recursive: true });
    await play({ dir, anna, bob });
  }, { ignore });
}

/** Names that are legal on Linux, and not on every system. */
const LEGAL = [
  "a:b",
  "CON",
  "con.txt",
  "NUL",
  "COM1.log",
  "aux",
  "dots...",
  "space ",
  " lead",
  "what?",
  "star*",
  "pipe|",
  'quote"',
  "<tag>",
  "e\u0301",
  "\u00e9",
  "zwj\u{1f468}\u200d\u{1f469}",
  "\u0646\u200c\u0647",
  ".hidden.",
  "..two",
  "...",
  "~",
  "-rf",
  "back\\slash",
  "$HOME",
  "\ufffd",
  "UPPER",
  "upper",
  "\u4e2d".repeat(85),
  "l".repeat(255),
];

pair("names inside a folder that are legal where they arrive stay as they are", async (link) => {
  const path = join(outbox(link.dir), "odd");
  const tree: TestTree = {};
  for (const [i, name] of LEGAL.entries()) {
    tree[name] = {};
    tree[`${name}/${name}`] = { content: bytesOf(20, i) };
  }
  await plant(path, tree);
  const { failures } = await link.anna.peer.sendFile(path, ["bob"]);
  assertEquals(failures, []);
  assertEquals(await pictureOf(join(link.bob.inbox, "odd")), pictureOfTree(tree));
  assertEquals(link.anna.all("notice").concat(link.bob.all("notice")), []);
  const again = await link.anna.peer.sendFile(path, ["bob"]);
  assertEquals(again.recipients[0]?.state, "already");
}, { ignore: NO_LINUX });

pair("a name inside a folder that has to change is told at both ends", async (link) => {
  const path = join(outbox(link.dir), "odd");
  await plant(path, {
    "new\nline": { content: bytesOf(1) },
    "..\\back": { content: bytesOf(2) },
  });
  const { failures } = await link.anna.peer.sendFile(path, ["bob"]);
  assertEquals(failures, []);
  assertEquals(namesIn(join(link.bob.inbox, "odd")), [".._back", "new_line"]);
  for (const end of [link.anna, link.bob]) {
    const { message } = await end.until("notice");
    assertStringIncludes(message, "2 names are kept otherwise");
    assertStringIncludes(message, "..\\back as .._back");
    assertStringIncludes(message, "new?line as new_line");
  }
}, { ignore: NO_LINUX });

/** Permissions below the root of what arrived, the root's own first. */
async function modesOf(root: string, paths: string[]): Promise<string[]> {
  const stats = await Promise.all(["", ...paths].map((path) => Deno.lstat(join(root, path))));
  return stats.map(({ mode }) => ((mode ?? 0) & 0o777).toString(8));
}

pair("what only some may read arrives for no more than those", async (link) => {
  const umask = Deno.umask();
  assertEquals(umask, 0o022, "the test goes by the usual umask");
  const path = join(outbox(link.dir), "private");
  await plant(path, {
    "d": {},
    "d/own": { content: bytesOf(1) },
    "d/tool": { content: bytesOf(300_000), executable: true },
    "group": { content: bytesOf(3) },
    "public": { content: bytesOf(4) },
  });
  const paths = ["d", "d/own", "d/tool", "group", "public"];
  const modes = [0o700, 0o750, 0o600, 0o700, 0o640, 0o666];
  for (const [i, below] of ["", ...paths].entries()) {
    await Deno.chmod(join(path, below), modes[i] ?? 0);
  }
  const { failures } = await link.anna.peer.sendFile(path, ["bob"]);
  assertEquals(failures, []);
  assertEquals(await modesOf(join(link.bob.inbox, "private"), paths), [
    "700",
    "750",
    "600",
    "700",
    "640",
    "644",
  ]);
}, { ignore: NO_MODES });

pair("a single file keeps its time, and its modes within those of new files", async (link) => {
  const folder = outbox(link.dir);
  await Deno.mkdir(folder, { recursive: true });
  const times = [LONG_AGO, Date.UTC(1960, 0, 2, 3, 4, 5), Date.UTC(2300, 5, 6)];
  for (const [i, mode] of [0o644, 0o755, 0o600, 0o700, 0o640, 0o666].entries()) {
    const path = join(folder, `file${i}`);
    await Deno.writeFile(path, bytesOf(10 + i * 400_000));
    await Deno.chmod(path, mode);
    const time = times[i % times.length] ?? 0;
    await Deno.utime(path, new Date(), new Date(time));
    const { failures } = await link.anna.peer.sendFile(path, ["bob"]);
    assertEquals(failures, []);
    const there = await Deno.lstat(join(link.bob.inbox, `file${i}`));
    assertEquals([(there.mode ?? 0) & 0o777, there.mtime?.getTime()], [mode & 0o755, time]);
    const again = await link.anna.peer.sendFile(path, ["bob"]);
    assertEquals(again.recipients[0]?.state, "already");
  }
}, { ignore: NO_MODES });

permitted("files of any time are sent, also of one that no date can be", [...NEEDS], async () => {
  await using dir = await tempDir();
  // A file system that takes any time.
  await using disk = await Tmpfs.mount(outbox(dir), 16);
  await using tracker = startTracker();
  await using anna = await startPeer(tracker, dir, { name: "anna" });
  await using bob = await startPeer(tracker, dir, { name: "bob" });
  const folder = join(disk.path, "times");
  const times = ["@-1", "1960-01-01", "@-99999999999999", "2300-01-01", "@99999999999999"];
  await Deno.mkdir(join(folder, "below"), { recursive: true });
  for (const [i, time] of times.entries()) {
    for (const path of [join(folder, `f${i}`), join(disk.path, `f${i}`)]) {
      await Deno.writeFile(path, bytesOf(200_000 * i + 5, i));
      await new Deno.Command("touch", { args: ["-d", time, path] }).output();
    }
    await new Deno.Command("touch", { args: ["-d", time, join(folder, "below")] }).output();
    const { failures } = await anna.peer.sendFile(join(disk.path, `f${i}`), ["bob"]);
    assertEquals(failures, [], time);
    const tree = await anna.peer.sendFile(folder, ["bob"]);
    assertEquals(tree.failures, [], time);
  }
  assertEquals(
    (await Deno.stat(join(bob.inbox, "times (4)", "f1"))).mtime?.getTime(),
    Date.UTC(1960),
  );
}, { ignore: NO_LINUX || await whyNoTmpfs() });

/** Folders and standard input, sent by the real programs. */

import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { join } from "@std/path";
import { NO_LINUX } from "../helpers/permissions.ts";
import { hexHash } from "../helpers/invariants.ts";
import { bytesOf } from "../helpers/random.ts";
import { pictureOf, pictureOfTree, plant, sampleTree, transferOf } from "../helpers/tree.ts";
import { whyNotAsUser, WRAP } from "./as_user.ts";
import { ARE_BINARIES, e2e, last, leftovers, namesIn, sha256Of, type World } from "./helpers.ts";

const MIB = 1024 * 1024;

e2e("the size of a folder is that of its files, wherever it is told", async (world) => {
  await world.tracker();
  const { program } = await world.peer("in", ["--name", "box"]);
  await Deno.mkdir(world.path("docs"));
  await Deno.writeTextFile(world.path("docs", "a"), "12345");
  await Deno.writeTextFile(world.path("docs", "b"), "678");
  const sent = await world.run("peer", ["send", "docs", "--json"]);
  assertEquals(sent.code, 0, sent.stderr);
  await program.until("file-received");
  const sizes = [...sent.lines, ...program.lines].flatMap(({ event, size, bytes }) =>
    [["size", size], ["bytes", bytes]].filter(([, value]) => value !== undefined)
      .map(([field, value]) => `${event} ${field} ${value}`)
  );
  assertEquals([...new Set(sizes)].sort(), [
    "file-received size 8",
    "transfer-finished size 8",
    "transfer-progress bytes 8",
    "transfer-progress size 8",
    "transfer-started size 8",
  ]);
  const history = await world.run("peer", ["history"]);
  assertEquals([...history.stdout.matchAll(/docs \((.*?)\)/g)].map(([, size]) => size), [
    "8 B",
    "8 B",
  ]);
  const shared = await world.start("peer", ["share", "docs", "--host", "127.0.0.1", "--json"]);
  assertEquals((await shared.until("sharing")).items, [{ name: "docs", size: 8, files: 2 }]);

  // What is unfinished, at both ends.
  const paths = { state: world.path("slow"), inbox: world.path("slow-in") };
  const { path } = await world.file("large", 12 * MIB);
  await Deno.rename(path, world.path("docs", "large"));
  const slow = ["--limit-rate", "4M", "--to", "slow", "--json"];
  const join = (await world.run("tracker", ["invite"])).stdout.trim();
  const there = await world.start("peer", [
    "run",
    "--json",
    "--name",
    "slow",
    "--received",
    paths.inbox,
    "--state",
    paths.state,
    "--join",
    join,
  ]);
  await there.until("registered");
  const sending = await world.start("peer", ["send", "docs", ...slow]);
  const size = 12 * MIB + 8;
  const begun = await there.until(({ event, bytes }) =>
    event === "transfer-progress" && bytes > 9 * MIB
  );
  assertEquals(begun.size, size);
  await sending.stop("SIGINT");
  await there.kill();
  for (const from of [[], ["--state", paths.state, "--received", paths.inbox]]) {
    const { lines } = await world.run("peer", ["history", "--json", ...from]);
    const unfinished = lines.filter(({ event }) => event === "unfinished");
    assertEquals(unfinished.map((line) => line.size), [size]);
    // Whole pieces, and no table.
    if (from.length > 0) assert(unfinished[0]?.bytes < size && unfinished[0]?.bytes % 4096 !== 0);
  }
});

e2e("send DIR: a folder arrives as it was, and costs nothing the second time", async (world) => {
  await world.tracker();
  const peer = await world.peer("in");
  await plant(world.path("photos"), sampleTree());
  const { bytes, table } = await transferOf(sampleTree());
  const size = bytes.length - table.length;
  const { code, lines, stderr } = await world.run("peer", ["send", "photos/", "--json"]);
  assertEquals([code, stderr], [0, ""]);
  const started = lines.find(({ event }) => event === "transfer-started");
  assertEquals([started?.name, started?.files, started?.size], ["photos", 5, size]);
  const progress = lines.filter(({ event }) => event === "transfer-progress");
  assertEquals([progress.at(-1)?.bytes, progress.at(-1)?.files], [size, 5]);
  const { files, sha256, bytesSent, recipients: [result] } = last(lines);
  assertEquals([files, sha256, bytesSent], [5, null, bytes.length]);
  assertEquals([result.state, result.savedAs], ["delivered", "photos"]);
  const received = await peer.program.until("file-received");
  assertEquals([received.path, received.files, received.sha256], [
    join(peer.received, "photos"),
    5,
    null,
  ]);
  assertEquals(await pictureOf(received.path), pictureOfTree(sampleTree()));

  // The folder itself, as people write it when they are in it.
  const again = await world.run("peer", ["send", "."], { cwd: world.path("photos") });
  assertEquals(again.code, 0, again.stderr);
  assertStringIncludes(again.stdout, "Sent photos (5 files, ");
  assertStringIncludes(again.stdout, "already there");
  assertEquals(await namesIn(peer.received), [".partial", "photos"]);
  assertEquals(await leftovers(peer.received, peer.id), []);

  const history = await world.run("peer", ["history", "--json"]);
  assertEquals(
    history.lines.map(({ direction, state, name }) => `${direction} ${state} ${name}`).sort(),
    [
      "receive already photos",
      "receive received photos",
      "send already photos",
      "send delivered photos",
    ],
  );
});

e2e("send --follow: links are left out and told, or followed", async (world) => {
  await world.tracker();
  const peer = await world.peer("in");
  await plant(world.path("tree"), { a: { content: bytesOf(3) } });
  await world.file("outside", 1000);
  await Deno.symlink(world.path("outside"), world.path("tree", "link"));
  const without = await world.run("peer", ["send", "tree"]);
  assertEquals(without.code, 0);
  assertStringIncludes(without.stdout + without.stderr, "link");
  assertStringIncludes(without.stdout + without.stderr, "--follow");
  assertEquals(await namesIn(join(peer.received, "tree")), ["a"]);
  const { code } = await world.run("peer", ["send", "tree", "--follow"]);
  assertEquals(code, 0);
  const copy = join(peer.received, "tree (1)");
  assertEquals(await namesIn(copy), ["a", "link"]);
  assert((await Deno.lstat(join(copy, "link"))).isFile);
  assertEquals(await sha256Of(join(copy, "link")), await sha256Of(world.path("outside")));
  await Deno.symlink("..", world.path("tree", "up"));
  const looped = await world.run("peer", ["send", "tree", "--follow"]);
  assertEquals(looped.code, 0);
  assertStringIncludes(looped.stdout + looped.stderr, "1 link or special file (up)");
  assert(!(looped.stdout + looped.stderr).includes("--follow sends"), looped.stderr);
}, { ignore: Deno.build.os === "windows" && "links need a privilege there" });

e2e("send: every argument is looked at first, and the rest arrives", async (world) => {
  await world.tracker();
  const peer = await world.peer("in");
  const names = ["a.bin", "b.bin", "c.bin"];
  for (const name of names) await world.file(name, 1000);
  await new Deno.Command("mkfifo", { args: [world.path("pipe")] }).output();
  const args = ["send", "a.bin", "nothing", "b.bin", "pipe", "c.bin", "--json"];

  const strict = await world.run("peer", [...args, "--strict"]);
  assertEquals([strict.code, last(strict.lines).code], [8, "file-not-found"]);
  assertEquals(await namesIn(peer.received), [".partial"]);

  const { code, lines } = await world.run("peer", args);
  assertEquals(code, 7);
  const [sent, failed] = ["transfer-started", "error"].map((name) =>
    lines.filter(({ event }) => event === name)
  );
  assertEquals(sent?.map(({ name }) => name), names);
  assertEquals(failed?.map((error) => error.code), ["file-not-found", "disk"]);
  assertStringIncludes(failed?.[0]?.message, "nothing");
  assertStringIncludes(failed?.[1]?.message, "peer send - --name NAME < pipe");
  // Before anything was sent.
  assertEquals(lines.slice(0, 2).map(({ event }) => event), ["error", "error"]);
  assertEquals(await namesIn(peer.received), [".partial", ...names]);

  const none = await world.run("peer", ["send", "nothing", "neither", "--json"]);
  assertEquals([none.code, last(none.lines).code], [8, "file-not-found"]);
}, { ignore: NO_LINUX });

e2e("send: what this user may not read is found first, and the rest arrives", async (world) => {
  await world.tracker();
  const peer = await world.peer("in");
  const big = { content: bytesOf(3 * MIB) };
  await plant(world.path("tree"), { "a": big, "b": {}, "b/in": big, "no": big, "z": big });
  await world.file("single", 1000);
  const closed = [world.path("tree", "b"), world.path("tree", "no"), world.path("single")];
  for (const path of closed) await Deno.chmod(path, 0);
  const { code, lines } = await world.run("peer", ["send", "single", "tree", "--json"], {
    wrap: WRAP,
  });
  for (const path of closed) await Deno.chmod(path, 0o700);
  assertEquals([code, last(lines).recipients[0].state], [7, "delivered"]);
  const events = lines.filter(({ event }) => event !== "registered").map(({ event }) => event);
  const told = lines.filter(({ event }) => event === "error").map(({ message }) => message);
  assertEquals(told.length, 3, told.join("\n"));
  assert(told.every((text) => text.endsWith("permission denied")), told.join("\n"));
  assert(events.lastIndexOf("error") < events.indexOf("transfer-progress"), events.join());
  assertEquals(await namesIn(peer.received), [".partial", "tree"]);
  assertEquals(await namesIn(join(peer.received, "tree")), ["a", "z"]);
}, { ignore: await whyNotAsUser() });

e2e("send DIR: what cannot be sent is named, and the rest arrives", async (world) => {
  await world.tracker();
  const peer = await world.peer("in");
  await plant(world.path("tree"), { "a": {}, "a/ok": { content: bytesOf(5) }, "\ufffd": {} });
  const make = `: > "$1/$(printf 'gr\\374n.txt')"`;
  await new Deno.Command("bash", { args: ["-c", make, "-", world.path("tree", "a")] }).output();
  const strict = await world.run("peer", ["send", "tree", "--strict", "--json"]);
  assertEquals([strict.code, last(strict.lines).code], [8, "disk"]);
  assertEquals(await namesIn(peer.received), [".partial"]);
  const { code, lines } = await world.run("peer", ["send", "tree", "--json"]);
  assertEquals([code, last(lines).recipients[0].state], [7, "delivered"]);
  const told = lines.filter(({ event }) => event === "error");
  assertEquals(told.length, 1);
  assertStringIncludes(told[0]?.message, "its name is not UTF-8");
  const copy = join(peer.received, "tree");
  assertEquals([await namesIn(copy), await namesIn(join(copy, "a"))], [["a", "\ufffd"], ["ok"]]);
}, {
  ignore: NO_LINUX ||
    ARE_BINARIES && "the older runtime that binaries are tested with lists no such names",
});

e2e(
  "send --follow: a link to what Deno does not open is left out, and the rest arrives",
  async (world) => {
    await world.tracker();
    const peer = await world.peer("in");
    const dump = `/dev/shm/p2p-test-${crypto.randomUUID()}`;
    const shell = (command: string) =>
      new Deno.Command("bash", { args: ["-c", command, "-", dump] }).output();
    await shell('echo bytes > "$1"');
    try {
      await plant(world.path("tree"), { ok: { content: bytesOf(5) } });
      await Deno.symlink(dump, world.path("tree", "dump"));
      const { code, lines } = await world.run("peer", ["send", "tree", "--follow", "--json"]);
      assertEquals([code, last(lines).recipients[0].state], [7, "delivered"]);
      assertStringIncludes(lines.find(({ event }) => event === "error")?.message, "tree/dump");
      assertEquals(await namesIn(join(peer.received, "tree")), ["ok"]);
    } finally {
      await shell('rm "$1"');
    }
  },
  { ignore: NO_LINUX || ARE_BINARIES && "a binary may be compiled with all permissions" },
);

e2e("send: what Deno does not open is told with the way to send it", async (world) => {
  await world.tracker();
  await world.peer("in");
  const way = "peer send - --name NAME";
  const ways = {
    "/dev/shm/dump": `${way} < /dev/shm/dump`,
    "/dev/fd/63": `COMMAND | ${way}`,
    "/proc/self/status": `${way} < /proc/self/status`,
    "/dev/null": `${way} < /dev/null`,
    "/dev/stdin": `\`${way}\``,
  };
  for (const [path, remedy] of Object.entries(ways)) {
    const { code, lines } = await world.run("peer", ["send", path, "--json"]);
    assertEquals([code, last(lines).code], [8, "disk"], path);
    const { message } = last(lines);
    assertStringIncludes(message, remedy);
    assert(!message.includes("--allow-all"), message);
  }
}, { ignore: NO_LINUX || ARE_BINARIES && "a binary may be compiled with all permissions" });

e2e("send: a log that grows meanwhile arrives as it was, and that is told", async (world) => {
  await world.tracker();
  const peer = await world.peer("in");
  const { path, sha256 } = await world.file("app.log", 8 * MIB);
  const args = ["send", path, "--limit-rate", "4M", "--json"];
  const program = await world.start("peer", args);
  await peer.program.until("transfer-started");
  await Deno.writeTextFile(path, "one more line\n", { append: true });
  await Deno.chmod(path, 0o600);
  const { code, lines } = await program.outcome;
  assertEquals(code, 0);
  const notices = lines.filter(({ event }) => event === "notice").map(({ message }) => message);
  assertEquals(notices.length, 1);
  assertStringIncludes(notices[0], "app.log has grown");
  assertEquals(await sha256Of(join(peer.received, "app.log")), sha256);
}, { ignore: NO_LINUX });

/** Sends bytes through standard input. */
async function pipe(world: World, bytes: Uint8Array, args: string[]) {
  const program = await world.start("peer", ["send", "-", ...args, "--json"], { stdin: true });
  for (let at = 0; at < bytes.length; at += MIB) await program.write(bytes.slice(at, at + MIB));
  await program.closeInput();
  return await program.outcome;
}

e2e("send -: standard input arrives under its name, whatever its length", async (world) => {
  await world.tracker();
  const peer = await world.peer("in", ["--name", "box"]);
  for (const size of [0, 1, MIB, 50 * MIB + 1]) {
    const bytes = bytesOf(size, size);
    const { code, lines, stderr } = await pipe(world, bytes, ["--name", `${size}.log`]);
    assertEquals([code, stderr], [0, ""]);
    const started = lines.find(({ event }) => event === "transfer-started");
    assertEquals([started?.name, started?.size, started?.peers], [`${size}.log`, null, ["box"]]);
    const finished = last(lines);
    assertEquals([finished.size, finished.sha256], [size, hexHash(bytes)]);
    assertEquals(await sha256Of(join(peer.received, `${size}.log`)), hexHash(bytes));
  }
  // Beside a file, in the order in which they stand.
  const { path } = await world.file("file.bin", 1000);
  const both = await pipe(world, bytesOf(10), [path, "--name", "piped", "--to", "box"]);
  assertEquals(both.code, 0);
  assertEquals(
    both.lines.filter(({ event }) => event === "transfer-finished").map(({ name }) => name),
    ["piped", "file.bin"],
  );
  assertEquals(await leftovers(peer.received, peer.id), []);
});

e2e("send -: its name is that of the file, and not of this peer", async (world) => {
  await world.tracker();
  const peer = await world.peer("in", ["--name", "box"]);
  const { code } = await pipe(world, bytesOf(5), ["--name", "../a b/c:d.txt"]);
  assertEquals(code, 0);
  const received = await peer.program.until("file-received");
  assertEquals(received.path, join(peer.received, "c_d.txt"));
  assertEquals(
    (await world.run("peer", ["send", world.path("in", "c_d.txt"), "--name", "all"])).code,
    2,
  );
});

e2e(
  "send -: interrupted while it waits for input, it ends at once and leaves nothing",
  async (world) => {
    await world.tracker();
    const peer = await world.peer("in");
    const args = ["send", "-", "--name", "log", "--json"];
    const program = await world.start("peer", args, { stdin: true });
    await program.write("half a line");
    await peer.program.until("transfer-started");
    assertEquals((await program.stop("SIGINT")).code, 130);
    assertEquals((await peer.program.stop()).code, 0);
    assertEquals(await namesIn(peer.received), [".partial"]);
    assertEquals(await leftovers(peer.received, peer.id), []);
  },
);

const WRONG: Record<string, string[]> = {
  "standard input without a name": ["send", "-"],
  "standard input twice": ["send", "-", "-", "--name", "x"],
  "no name": ["send", "-", "--name", ""],
  "an empty path": ["send", ""],
  "a time that is none": ["send", ".", "--give-up-after", "soon"],
  "links of another command": ["run", "--follow"],
};

e2e("exit 2: wrong usage of send", async (world) => {
  await world.tracker();
  await world.peer("in");
  for (const [what, args] of Object.entries(WRONG)) {
    const { code, stderr, lines } = await world.run("peer", [...args, "--json"]);
    assertEquals([code, last(lines).code], [2, "usage"], `${what}: ${stderr}`);
    assertStringIncludes(stderr, "error: Cannot");
  }
  const { lines } = await world.run("peer", ["send", "-", "--json"]);
  assertStringIncludes(last(lines).message, "--name");
  assertEquals(await namesIn(world.path("in")), [".partial"]);
});

/** Resolves when the tracker lists a peer of that name. */
async function untilListed(world: World, name: string): Promise<void> {
  for (let tries = 0; tries < 100; tries++) {
    const { lines } = await world.run("peer", ["peers", "--json"]);
    if (lines.some((line) => line.name === name)) return;
  }
  throw new Error(`${name} was never listed`);
}

e2e("receive --stdout: one file comes out as it came in, and nothing is kept", async (world) => {
  await world.tracker();
  const text = Array.from({ length: 300_000 }, (_, i) => `line ${i}\n`).join("");
  await Deno.writeTextFile(world.path("lines.txt"), text);
  const args = ["receive", "--stdout", "--name", "out", "--received", world.path("in")];
  const receiver = await world.start("peer", args);
  await untilListed(world, "out");
  await plant(world.path("tree"), sampleTree());
  const folder = await world.run("peer", ["send", "tree", "--to", "out", "--json"]);
  assertEquals([folder.code, last(folder.lines).recipients[0].error.code], [4, "refused"]);
  const sent = await world.run("peer", ["send", "lines.txt", "--to", "out"]);
  assertEquals(sent.code, 0, sent.stderr);
  const { code, stdout, stderr } = await receiver.outcome;
  assertEquals([code, stdout === text], [0, true], stderr);
  assertStringIncludes(stderr, "Received 3.");
  assertEquals(await namesIn(world.path("in")), [".partial"]);
});

e2e("receive --stdout: not together with --json", async (world) => {
  const { code } = await world.run("peer", ["receive", "--stdout", "--json"]);
  assertEquals(code, 2);
});

import { assert, assertEquals } from "@std/assert";
import { join } from "@std/path";
import {
  e2e,
  last,
  type Line,
  peakOf,
  type PeerProcess,
  procFile,
  type Program,
  sha256Of,
  variable,
  type World,
} from "./helpers.ts";
import { grownOld } from "../helpers/file_age.ts";

const MIB = 1024 ** 2;
const GIB = 1024 ** 3;
/** Bytes of memory that each side may take. */
const MOST = 150e6;
/** Longest time in milliseconds from the repeated command to the first new byte. */
const PROMPT = 2_000;

const ignore = variable("P2P_BIG") === undefined
  ? "deno task big runs it"
  : Deno.build.os !== "linux" && "needs /proc";

e2e("20 GiB arrive intact, in little memory", async (world) => {
  await world.tracker();
  const peer = await world.peer("in");
  const path = world.path("big.bin");
  using file = await Deno.open(path, { write: true, createNew: true });
  await file.truncate(20 * GIB);
  const sender = await world.start("peer", ["send", path, "--json"]);
  const most = await peakUntilEnd(sender);
  const { code, lines } = await sender.outcome;
  assertEquals([code, last(lines).bytesSent], [0, 20 * GIB]);
  const receiver = await peakOf(peer.program.pid);
  assertEquals(await sha256Of(join(peer.received, "big.bin")), last(lines).sha256);
  assertModest({ sender: most, receiver });
}, { ignore });

e2e("100 000 small files arrive intact, in little memory", async (world) => {
  await world.tracker();
  const peer = await world.peer("in");
  const path = world.path("tree");
  for (let folder = 0; folder < 100; folder++) {
    await Deno.mkdir(join(path, `${folder}`), { recursive: true });
    for (let file = 0; file < 1000; file++) {
      await Deno.writeTextFile(join(path, `${folder}`, `${file}.txt`), `${folder} ${file}\n`);
    }
  }
  const sender = await world.start("peer", ["send", path, "--json"]);
  const most = await peakUntilEnd(sender);
  assertEquals((await sender.outcome).code, 0);
  const receiver = await peakOf(peer.program.pid);
  const { code, stdout } = await new Deno.Command("diff", {
    args: ["-r", path, join(peer.received, "tree")],
  }).output();
  assertEquals([code, new TextDecoder().decode(stdout)], [0, ""]);
  assertModest({ sender: most, receiver });
}, { ignore });

for (const victims of [["sender"], ["receiver", "sender"]]) {
  const who = victims.join(" and ");
  e2e(`10 GiB go on at once when the ${who} was killed at 90 %`, async (world) => {
    await world.tracker();
    let peer = await world.peer("in");
    const { path, sha256 } = await world.file("big.bin", 10 * GIB);
    // The bytes of a file that was written to lately are compared with what the first one hashed, which takes a while.
    await grownOld(path);
    const first = await world.start("peer", ["send", path, "--json"]);
    await follow(first, ({ event, bytes }) => event === "transfer-progress" && bytes >= 9 * GIB);
    if (victims.includes("receiver")) await peer.program.kill();
    await first.kill();
    if (victims.includes("receiver")) peer = await world.peer("in");

    const before = await bytesReadBy(peer);
    const started = performance.now();
    const { sender, ms } = await goOn({ world, path, peer, started });
    await follow(sender, ({ event }) => event === "transfer-finished");
    const { code, lines } = await sender.outcome;
    assertEquals(code, 0);
    assert(last(lines).bytesSent < GIB + 18 * MIB, `${last(lines).bytesSent} bytes were sent`);
    const read = await bytesReadBy(peer) - before;
    assert(read < 16 * MIB, `the receiver read ${read} bytes`);
    assertEquals(await sha256Of(join(peer.received, "big.bin")), sha256);
    assert(ms < PROMPT, `the first new byte came after ${ms} ms`);
  }, { ignore });
}

/**
 * Repeats the command; resolves with it and the milliseconds until the receiver had verified something
 * new. It says so up to half a second later.
 */
async function goOn({ world, path, peer, started }: {
  world: World;
  path: string;
  peer: PeerProcess;
  started: number;
}): Promise<{ sender: Program; ms: number }> {
  const sender = await world.start("peer", ["send", path, "--json"]);
  const { transfer } = await sender.until("transfer-started");
  await peer.program.until((line) =>
    line.event === "transfer-progress" && line.transfer === transfer
  );
  return { sender, ms: performance.now() - started };
}

/** Waits for an event that is long in coming, while others come. */
async function follow(program: Program, wanted: (line: Line) => boolean): Promise<void> {
  for (let from = 0;; from++) {
    const line = await program.until(() => true, { from });
    if (wanted(line)) return;
  }
}

/** Both sides have to be measured, and below the bound. */
function assertModest(peaks: { sender: number; receiver: number }): void {
  const isModest = Object.values(peaks).every((bytes) => bytes > 0 && bytes < MOST);
  assert(isModest, `the sender took ${peaks.sender} bytes, the receiver ${peaks.receiver}`);
}

/** The most memory that a sender takes from now to its end. */
async function peakUntilEnd(sender: Program): Promise<number> {
  let most = 0;
  for (let from = 0;; from++) {
    const { event } = await sender.until(() => true, { from });
    if (event === "transfer-finished") return most;
    if (event === "transfer-progress") most = Math.max(most, await peakOf(sender.pid));
  }
}

/** Bytes that a peer has read from files (`rchar`); what comes from sockets by recv(2) is not in it. */
async function bytesReadBy({ program }: PeerProcess): Promise<number> {
  return Number(/^rchar: (\d+)$/m.exec(await procFile(program.pid, "io"))?.[1]);
}

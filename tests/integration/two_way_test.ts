/** One link for both directions: neither holds up the other, and what is half there can be served. */

import { assert, assertEquals } from "@std/assert";
import { join } from "@std/path";
import { StreamContent } from "../../lib/content/stream_content.ts";
import { ASKING_ONLY, openSession } from "../../lib/net/open_session.ts";
import { FaultyProxy, NO_PROXY } from "../helpers/faulty_proxy.ts";
import { HeldStream } from "../helpers/held_stream.ts";
import { hashesIn, hexHash, Invariants } from "../helpers/invariants.ts";
import { startPeer } from "../helpers/peer.ts";
import { permitted } from "../helpers/permissions.ts";
import { bytesOf } from "../helpers/random.ts";
import { type TempDir, tempDir } from "../helpers/temp_dir.ts";
import { startTracker } from "../helpers/tracker.ts";

const NEEDS: Deno.PermissionName[] = ["net", "read", "write", "sys", "run"];
const MIB = 1024 * 1024;
const LARGE = 256;

/** A file of `mib` MiB, no two of them alike. */
async function largeFile(dir: TempDir, name: string, mib: number): Promise<string> {
  const folder = dir.at("peer-outbox", "state");
  await Deno.mkdir(folder, { recursive: true });
  const path = join(folder, name);
  using file = await Deno.open(path, { write: true, createNew: true });
  const writer = file.writable.getWriter();
  const block = bytesOf(MIB, name.length);
  for (let i = 0; i < mib; i++) {
    new DataView(block.buffer).setUint32(0, i);
    await writer.write(block.slice());
  }
  writer.releaseLock();
  return path;
}

function permittedWithProxy(name: string, fn: () => Promise<void>): void {
  if (!NO_PROXY) permitted(name, NEEDS, fn);
}

for (const insecure of [false, true]) {
  const how = insecure ? "plain" : "secure";
  permittedWithProxy(`two peers send each other ${LARGE} MiB on one link, ${how}`, async () => {
    await using dir = await tempDir();
    await using tracker = startTracker({ insecure });
    await using before = new FaultyProxy();
    await using behind = new FaultyProxy();
    const keepSessions = 60_000;
    await using anna = await startPeer(tracker, dir, {
      name: "anna",
      keepSessions,
      ...before.behind,
    });
    await using bob = await startPeer(tracker, dir, {
      name: "bob",
      keepSessions,
      ...behind.behind,
    });
    const invariants = await Invariants.of(dir, [anna, bob]);
    const first = await invariants.file("hello", bytesOf(10));
    const dialled = () => before.passed.length + behind.passed.length;
    const atStart = dialled();
    assertEquals((await anna.peer.sendFile(first, ["bob"])).failures, []);
    assertEquals(dialled() - atStart, 1);
    const [there, back] = [
      await largeFile(dir, "there", LARGE),
      await largeFile(dir, "and back", LARGE),
    ];
    const [a, b] = await Promise.all([
      anna.peer.sendFile(there, ["bob"]),
      bob.peer.sendFile(back, ["anna"]),
    ]);
    assertEquals([...a.failures, ...b.failures], []);
    assertEquals([a.bytesSent, b.bytesSent], [LARGE * MIB, LARGE * MIB]);
    assertEquals(dialled() - atStart, 1);
    assertEquals((await hashesIn(bob.inbox))["there"], a.sha256);
    assertEquals((await hashesIn(anna.inbox))["and back"], b.sha256);
    assert(a.sha256 !== b.sha256);
  });
}

permitted("a reader that takes nothing holds up its own direction only", NEEDS, async () => {
  await using dir = await tempDir();
  await using tracker = startTracker();
  const stuck = Promise.withResolvers<void>();
  const taken: Uint8Array[] = [];
  // Whoever reads what anna receives takes one piece, and then nothing until it is told.
  const streamTo = async (bytes: Uint8Array) => {
    taken.push(bytes.slice());
    await stuck.promise;
  };
  const keepSessions = 60_000;
  await using anna = await startPeer(tracker, dir, { name: "anna", streamTo, keepSessions });
  await using bob = await startPeer(tracker, dir, { name: "bob", keepSessions });
  const invariants = await Invariants.of(dir, [anna, bob]);
  const slow = bytesOf(24 * MIB, 1);
  const sending = bob.peer.sendFile(await invariants.file("slow", slow), ["anna"]);
  await anna.until("transfer-started");
  const quick = await largeFile(dir, "quick", 64);
  const { failures, sha256 } = await anna.peer.sendFile(quick, ["bob"]);
  assertEquals(failures, []);
  assertEquals((await hashesIn(bob.inbox))["quick"], sha256);
  assertEquals(taken.length, 1, "the reader has taken more than it was to");
  stuck.resolve();
  assertEquals((await sending).failures, []);
  const all = new Uint8Array(slow.length);
  let at = 0;
  for (const bytes of taken) {
    all.set(bytes, at);
    at += bytes.length;
  }
  assertEquals(hexHash(all), hexHash(slow));
});

permitted(
  "one that declines or breaks off leaves the others on the link alone",
  NEEDS,
  async () => {
    await using dir = await tempDir();
    await using tracker = startTracker();
    await using anna = await startPeer(tracker, dir, { name: "anna" });
    await using bob = await startPeer(tracker, dir, { name: "bob", maxSize: 4 * MIB });
    const invariants = await Invariants.of(dir, [anna, bob]);
    const stop = new AbortController();
    const content = bytesOf(3 * MIB);
    invariants.mayArrive(content);
    const held = new HeldStream(content, MIB);
    const steady = anna.peer.sendStream(new StreamContent(held.stream, "steady"), ["bob"]);
    await bob.until("transfer-started", ({ name }) => name === "steady");
    // So little of it comes that it is not kept for another try.
    const unended = new StreamContent(new HeldStream(bytesOf(MIB), MIB / 2).stream, "broken off");
    const broken = anna.peer.sendStream(unended, ["bob"], { signal: stop.signal });
    await bob.until("transfer-started", ({ name }) => name === "broken off");
    const tooLarge = anna.peer.sendFile(
      await invariants.file("too large", bytesOf(5 * MIB)),
      ["bob"],
    );
    assertEquals((await tooLarge).failures.map(({ code }) => code), ["refused"]);
    stop.abort(new Error("enough"));
    assertEquals((await broken).recipients.map(({ state }) => state), ["failed"]);
    held.release();
    assertEquals((await steady).failures, []);
    assertEquals(anna.all("transfer-retry"), []);
    await invariants.assertAll([await steady]);
  },
);

permitted("a session of a peer that takes no offers on it is not all there is", NEEDS, async () => {
  await using dir = await tempDir();
  await using tracker = startTracker();
  await using anna = await startPeer(tracker, dir, { name: "anna" });
  await using bob = await startPeer(tracker, dir, { name: "bob" });
  const invariants = await Invariants.of(dir, [anna, bob]);
  const { identity } = bob;
  const session = await openSession({
    address: anna.address,
    id: anna.identity.id,
    credentials: { identity, membership: tracker.membership, role: "peer" },
  });
  const running = session.run(ASKING_ONLY);
  await session.request({ verb: "PING" });
  for (const name of ["first", "second"]) {
    const path = await invariants.file(name, bytesOf(100, name.length));
    const report = await anna.peer.sendFile(path, ["bob"]);
    assertEquals(report.failures.map(({ message }) => message), []);
  }
  assertEquals(anna.all("transfer-retry"), []);
  await session.close();
  await running;
});

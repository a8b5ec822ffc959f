/** Transfers that were broken off, by either side, are gone on with: only what is missing is sent. */

import { assert, assertEquals } from "@std/assert";
import { P2PError } from "../../lib/errors.ts";
import { resumable } from "../../lib/peer/share_log.ts";
import { FaultyLink } from "../helpers/faulty_link.ts";
import { NO_PROXY } from "../helpers/faulty_proxy.ts";
import { hashesIn, hexHash, partialsIn } from "../helpers/invariants.ts";
import { startPeer, type TestPeer } from "../helpers/peer.ts";
import { permitted } from "../helpers/permissions.ts";
import { bytesOf } from "../helpers/random.ts";

const NEEDS: Deno.PermissionName[] = ["net", "read", "write", "sys", "run"];
const MIB = 1024 * 1024;
const SIZE = 40 * MIB;
/** How far a transfer gets before it is broken off. */
const STALL = 24 * MIB;
/** What a break may cost: the window that was on its way, and what the journal did not know yet. */
const WASTE = 16 * MIB;

function test(name: string, fn: () => Promise<void>): void {
  permitted(name, NEEDS, fn, { ignore: NO_PROXY });
}

/** Waits until the peer has verified most of what got through. */
async function halfReceived(peer: TestPeer): Promise<void> {
  await peer.until("transfer-progress", ({ bytes }) => bytes > STALL - 2 * MIB);
}

test("a sender that was interrupted and starts again sends what is missing", async () => {
  await using link = await FaultyLink.open();
  link.stallNext(STALL);
  const content = bytesOf(SIZE);
  const stop = new AbortController();
  const first = link.send("big.bin", content, { signal: stop.signal });
  await halfReceived(link.bob);
  stop.abort(new P2PError("interrupted", "Interrupted"));
  link.proxy.release();
  assertEquals((await first).failures.map(({ code }) => code), ["interrupted"]);
  const second = await link.send("big.bin", content);
  assertEquals(second.failures, []);
  assert(second.bytesSent <= SIZE - STALL + WASTE, `${second.bytesSent} bytes were sent again`);
  assertEquals(Object.values(await hashesIn(link.bob.inbox)), [hexHash(content)]);
  assertEquals(await partialsIn(link.bob.inbox), []);
});

test("what was interrupted in its first moments is in the ledger all the same", async () => {
  // The sender's clock stands still: no time has gone by.
  await using link = await FaultyLink.open();
  link.stallNext(STALL);
  const sending = link.send("big.bin", bytesOf(SIZE));
  await halfReceived(link.bob);
  assertEquals(await link.anna.peer.ledger.list(), []);
  await link.anna.peer.stop(AbortSignal.abort());
  // Whoever stops the peer may end the process now.
  const [share] = await link.anna.peer.ledger.list();
  assertEquals([share?.name, share && resumable(share).map(({ name }) => name)], [
    "big.bin",
    ["bob"],
  ]);
  await sending;
  link.proxy.release();
});

test("a receiver that is started again goes on, while the sender keeps trying", async () => {
  await using link = await FaultyLink.open({ ackTimeout: 10_000 });
  const { bob, tracker, dir } = link;
  link.stallNext(STALL);
  const content = bytesOf(SIZE);
  const sending = link.send("big.bin", content);
  await halfReceived(bob);
  await bob[Symbol.asyncDispose]();
  link.proxy.release();
  await using again = await startPeer(tracker, dir, { name: "bob", identity: bob.identity });
  const report = await sending;
  assertEquals(report.failures, []);
  assert(report.bytesSent <= SIZE + WASTE, `${report.bytesSent} bytes were sent in all`);
  assertEquals(Object.values(await hashesIn(again.inbox)), [hexHash(content)]);
  assertEquals(await partialsIn(again.inbox), []);
});

test("of a file that has changed meanwhile the changed pieces come again", async () => {
  await using link = await FaultyLink.open();
  link.stallNext(STALL);
  const content = bytesOf(SIZE);
  const stop = new AbortController();
  const first = link.send("big.bin", content, { signal: stop.signal });
  await halfReceived(link.bob);
  stop.abort(new P2PError("interrupted", "Interrupted"));
  link.proxy.release();
  await first;
  content.fill(7, MIB, 2 * MIB);
  const second = await link.send("big.bin", content);
  assertEquals(second.failures, []);
  assert(
    second.bytesSent <= SIZE - STALL + WASTE + MIB,
    `${second.bytesSent} bytes were sent again`,
  );
  assertEquals(Object.values(await hashesIn(link.bob.inbox)), [hexHash(content)]);
});

test("what was received of a file waits for its sender in the private folder", async () => {
  await using link = await FaultyLink.open();
  link.stallNext(STALL);
  const sending = link.send("big.bin", bytesOf(SIZE), { signal: AbortSignal.timeout(20_000) });
  await halfReceived(link.bob);
  await link.bob[Symbol.asyncDispose]();
  assertEquals(Object.keys(await hashesIn(link.bob.inbox)), []);
  assertEquals((await partialsIn(link.bob.inbox)).map((name) => name.replace(/.*\./, "")).sort(), [
    "journal",
    "part",
  ]);
  await link.anna[Symbol.asyncDispose]();
  await sending;
});

test("a recipient that is away for long is tried again until --give-up-after", async () => {
  // Longer than the pauses add up to, which take no time here.
  await using link = await FaultyLink.open({ giveUpAfter: 1e12 });
  const { anna, bob, tracker, dir } = link;
  link.stallNext(STALL);
  const content = bytesOf(SIZE);
  const sending = link.send("big.bin", content);
  await halfReceived(bob);
  await bob[Symbol.asyncDispose]();
  link.proxy.release();
  // The usual tries are over by then.
  await anna.until("transfer-retry", ({ attempt }) => attempt > 8);
  const { identity } = bob;
  await using again = await startPeer(tracker, dir, {
    name: "bob",
    identity,
    ...link.proxy.behind,
  });
  const report = await sending;
  assertEquals(report.failures, []);
  assert(report.bytesSent <= SIZE + WASTE, `${report.bytesSent} bytes were sent in all`);
  assertEquals(Object.values(await hashesIn(again.inbox)), [hexHash(content)]);
});

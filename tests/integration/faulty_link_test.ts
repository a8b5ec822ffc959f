/** Transfers over a link that damages, cuts, stalls and loses. */

import { assert, assertEquals } from "@std/assert";
import { P2PError } from "../../lib/errors.ts";
import type { SendReport } from "../../lib/peer/send_job.ts";
import { FaultyLink, frameEnds } from "../helpers/faulty_link.ts";
import { type Direction, NO_PROXY } from "../helpers/faulty_proxy.ts";
import { hashesIn, hexHash, partialsIn } from "../helpers/invariants.ts";
import { permitted } from "../helpers/permissions.ts";
import { bytesOf, newSeed, randomFrom } from "../helpers/random.ts";
import { startPeer } from "../helpers/peer.ts";

/** Set it to the number of a failed run to see it again. */
const SEED: number | undefined = undefined;
const seed = newSeed("tests/integration/faulty_link_test.ts", SEED);

const NEEDS: Deno.PermissionName[] = ["net", "read", "write", "sys", "run"];
const PIECE = 256 * 1024;
const DIRECTIONS: Direction[] = ["up", "down"];

function test(name: string, fn: () => Promise<void>): void {
  permitted(name, NEEDS, fn, { ignore: NO_PROXY });
}

/** One file with this content has arrived, and nothing else. */
async function assertOneFile({ bob }: FaultyLink, content: Uint8Array): Promise<void> {
  assertEquals(Object.values(await hashesIn(bob.inbox)), [hexHash(content)]);
}

function assertDelivered({ failures, recipients }: SendReport): void {
  assertEquals(failures.map(({ message }) => message), []);
  assertEquals(recipients.map(({ state }) => state), ["delivered"]);
}

test("a flipped bit in a piece is repaired by asking for it again", async () => {
  await using link = await FaultyLink.open();
  const { proxy } = link;
  const before = proxy.passed.length;
  proxy.faults = (n, direction) =>
    n === before && direction === "up" ? { flipAt: 2 * PIECE } : undefined;
  const content = bytesOf(4 * PIECE);
  const report = await link.send("flipped.bin", content);
  assertDelivered(report);
  assertEquals(report.bytesSent, 5 * PIECE);
  assertEquals(link.anna.all("transfer-retry"), []);
  await assertOneFile(link, content);
  await link.invariants.assertAll([report]);
});

test("what follows at once goes on the session that is there, which is closed then", async () => {
  await using link = await FaultyLink.open({ keepSessions: 1000 });
  const { proxy, clock } = link;
  const before = proxy.passed.length;
  for (const i of [1, 2, 3]) {
    assertDelivered(await link.send(`${i}.bin`, bytesOf(i * PIECE, i)));
    assertEquals(proxy.passed.length - before, 1);
  }
  // Also what is sent at the same time.
  const both = ["4.bin", "5.bin"].map((name, i) => link.send(name, bytesOf(PIECE, 4 + i)));
  for (const report of await Promise.all(both)) assertDelivered(report);
  assertEquals(proxy.passed.length - before, 1);
  // One that has been cut meanwhile is not taken, nor one that has waited for long.
  proxy.cut();
  await link.invariants.assertDescriptors();
  for (const i of [6, 7]) {
    assertDelivered(await link.send(`${i}.bin`, bytesOf(PIECE, i)));
    assertEquals(proxy.passed.length - before, i - 4);
    clock.advance(1000);
    await link.invariants.assertDescriptors();
  }
  assertEquals(link.anna.all("transfer-retry"), []);
  assertEquals(Object.keys(await hashesIn(link.bob.inbox)).length, 7);
});

test("a lost final ACK costs a retry and no second copy", async () => {
  await using link = await FaultyLink.open({ ackTimeout: 500 });
  const { proxy } = link;
  const before = proxy.passed.length;
  proxy.faults = (n, direction) =>
    n === before && direction === "down" ? { dropFrom: '"state":"saved"' } : undefined;
  const content = bytesOf(PIECE + 1);
  const report = await link.send("once.bin", content);
  assertDelivered(report);
  assert(link.anna.all("transfer-retry").length > 0);
  await assertOneFile(link, content);
  await link.invariants.assertAll([report]);
});

/** The ends of the frames of an undisturbed transfer, by direction. */
async function recordedEnds(link: FaultyLink, content: Uint8Array) {
  const { proxy } = link;
  const n = proxy.passed.length;
  proxy.record = true;
  assertDelivered(await link.send("recorded.bin", content));
  proxy.record = false;
  const recorded = proxy.recorded[n] ?? { up: [], down: [] };
  return { up: frameEnds(recorded.up), down: frameEnds(recorded.down) };
}

test("a cut at every boundary of a frame, or beside it, still gives one file", async () => {
  await using link = await FaultyLink.open();
  const { proxy } = link;
  const small = bytesOf(20_000);
  const ends = await recordedEnds(link, small);
  assert(ends.up.length >= 4 && ends.down.length >= 4, `few frames: ${JSON.stringify(ends)}`);
  let cases = 0;
  for (const direction of DIRECTIONS) {
    for (const offset of [0, ...ends[direction]].flatMap((end) => [end - 1, end, end + 1])) {
      if (offset < 0) continue;
      const content = bytesOf(20_000, ++cases);
      const n = proxy.passed.length;
      proxy.faults = (i, d) => i === n && d === direction ? { cutAfter: offset } : undefined;
      const report = await link.send(`cut-${cases}.bin`, content);
      assertDelivered(report);
      assertEquals(report.sha256, hexHash(content), `cut ${direction} after ${offset}`);
    }
  }
  // The recorded one, and one for each cut: no second copies.
  assertEquals(Object.keys(await hashesIn(link.bob.inbox)).length, cases + 1);
  await link.invariants.assertAll();
});

test("cuts anywhere, again and again, still give one file", async () => {
  await using link = await FaultyLink.open();
  const { proxy } = link;
  const random = randomFrom(seed);
  for (let run = 0; run < 8; run++) {
    const content = bytesOf(Math.floor(random() * 6 * PIECE), seed + run);
    const n = proxy.passed.length;
    const cuts = Array.from({ length: 5 }, () => Math.floor(random() * (content.length + 1000)));
    const direction = random() < 0.8 ? "up" : "down";
    proxy.faults = (i, d) => {
      const cutAfter = cuts[i - n];
      return d === direction && cutAfter !== undefined ? { cutAfter } : undefined;
    };
    assertDelivered(await link.send(`run-${run}.bin`, content));
  }
  assertEquals(Object.keys(await hashesIn(link.bob.inbox)).length, 8);
  await link.invariants.assertAll();
});

test("flipped bits anywhere end in an intact file or in none", async () => {
  await using link = await FaultyLink.open({ ackTimeout: 300 });
  const { proxy } = link;
  const random = randomFrom(seed + 1);
  const sends: Promise<SendReport>[] = [];
  const first = proxy.passed.length;
  const flips = new Map<number, [Direction, number]>();
  proxy.faults = (n, direction) => {
    const [where, flipAt] = flips.get(n) ?? [];
    return where === direction && flipAt !== undefined ? { flipAt } : undefined;
  };
  for (let run = 0; run < 24; run++) {
    const up = random() < 0.7;
    // The first thousand bytes are mostly headers, which have no hash here.
    flips.set(first + run, [up ? "up" : "down", Math.floor(random() ** 2 * (up ? 40_000 : 900))]);
    const content = bytesOf(Math.floor(random() * 40_000), seed + run);
    const path = await link.invariants.file(`flip-${run}.bin`, content);
    sends.push(link.anna.peer.sendFile(path, ["bob"]));
  }
  for (const report of await Promise.all(sends)) {
    const [result] = report.recipients;
    if (result?.state === "failed") continue;
    const hashes = Object.values(await hashesIn(link.bob.inbox));
    assert(hashes.includes(report.sha256 ?? ""), "delivered, but not there");
  }
  await link.bob[Symbol.asyncDispose]();
  assertEquals(await partialsIn(link.bob.inbox), []);
});

test("a receiver that stops in the middle is an error, and nothing of the file stays", async () => {
  await using link = await FaultyLink.open();
  const { bob, tracker, dir } = link;
  link.stallNext(2 * PIECE);
  const sending = link.send("stalled.bin", bytesOf(4 * PIECE));
  await bob.until("transfer-started");
  await bob[Symbol.asyncDispose]();
  const { failures, recipients } = await sending;
  assertEquals([recipients[0]?.state, failures[0]?.exitCode], ["failed", 4]);
  assertEquals((await bob.until("receive-failed")).code, "shutting-down");
  assertEquals(await partialsIn(bob.inbox), []);
  const { identity } = bob;
  await using again = await startPeer(tracker, dir, { name: "bob", identity });
  assertEquals([again.inbox, await partialsIn(again.inbox)], [bob.inbox, []]);
  assertEquals(Object.keys(await hashesIn(again.inbox)), []);
});

test("a sender that is interrupted says so, and nothing of the file stays", async () => {
  await using link = await FaultyLink.open();
  const { bob } = link;
  link.stallNext(2 * PIECE);
  const stop = new AbortController();
  const sending = link.send("stalled.bin", bytesOf(4 * PIECE), { signal: stop.signal });
  await bob.until("transfer-started");
  stop.abort(new P2PError("interrupted", "Interrupted"));
  const { failures } = await sending;
  assertEquals(failures.map(({ code }) => code), ["interrupted"]);
  await bob[Symbol.asyncDispose]();
  assertEquals(await partialsIn(bob.inbox), []);
  assertEquals(Object.keys(await hashesIn(bob.inbox)), []);
});

test("a sender that stops altogether does not wait for its transfers", async () => {
  await using link = await FaultyLink.open();
  link.stallNext(2 * PIECE);
  const sending = link.send("stalled.bin", bytesOf(4 * PIECE));
  await link.bob.until("transfer-started");
  await link.anna[Symbol.asyncDispose]();
  assertEquals((await sending).failures.map(({ code }) => code), ["interrupted"]);
  assertEquals(link.anna.all("transfer-retry"), []);
});

test("a link that goes silent is given up after the ACK time-out, and tried again", async () => {
  await using link = await FaultyLink.open({ ackTimeout: 300 });
  link.stallNext(2 * PIECE);
  const content = bytesOf(4 * PIECE);
  const report = await link.send("silent.bin", content);
  assertDelivered(report);
  assertEquals((await link.anna.until("transfer-retry")).attempt, 1);
  await assertOneFile(link, content);
  link.proxy.release();
  await link.invariants.assertAll([report]);
});

test("after five retries that all break the sender gives up", async () => {
  await using link = await FaultyLink.open();
  const { proxy } = link;
  proxy.faults = (_, d) => d === "up" ? { cutAfter: PIECE } : undefined;
  const report = await link.send("never.bin", bytesOf(4 * PIECE));
  assertEquals(report.failures.map(({ code }) => code), ["connection-lost"]);
  assertEquals(link.anna.all("transfer-retry").map(({ attempt }) => attempt), [1, 2, 3, 4, 5]);
  proxy.faults = () => undefined;
  await link.bob[Symbol.asyncDispose]();
  assertEquals(await partialsIn(link.bob.inbox), []);
});

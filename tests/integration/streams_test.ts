/** Streams of unknown length: read once, whoever receives them, and kept whole or not at all. */

import { assertEquals } from "@std/assert";
import { join } from "@std/path";
import { P2PError } from "../../lib/errors.ts";
import { exitCodeOfReports } from "../../lib/peer/send_job.ts";
import { StreamContent } from "../../lib/content/stream_content.ts";
import { assertSameBytes } from "../helpers/bytes.ts";
import { HeldStream } from "../helpers/held_stream.ts";
import { hashesIn, hexHash, Invariants, partialsIn } from "../helpers/invariants.ts";
import { NoPauses } from "../helpers/no_pauses.ts";
import { startPeer, type TestPeer } from "../helpers/peer.ts";
import { permitted } from "../helpers/permissions.ts";
import { bytesOf } from "../helpers/random.ts";
import { tempDir } from "../helpers/temp_dir.ts";
import { startTracker } from "../helpers/tracker.ts";

const NEEDS: Deno.PermissionName[] = ["net", "read", "write", "sys", "run"];
const MIB = 1024 * 1024;
const SIZES = [0, 1, MIB - 1, MIB, MIB + 1, 40 * MIB + 3];

function contentOf(bytes: Uint8Array, name = "log.txt"): StreamContent {
  return new StreamContent(new HeldStream(bytes).stream, name);
}

for (const insecure of [false, true]) {
  const how = insecure ? "without TLS" : "with TLS";
  permitted(`streams of every size arrive as they were, ${how}`, NEEDS, async () => {
    await using dir = await tempDir();
    await using tracker = startTracker({ insecure });
    await using anna = await startPeer(tracker, dir, { name: "anna" });
    await using bob = await startPeer(tracker, dir, { name: "bob" });
    const invariants = await Invariants.of(dir, [anna, bob]);
    const reports = [];
    for (const size of SIZES) {
      const bytes = bytesOf(size, size);
      invariants.mayArrive(bytes);
      const report = await anna.peer.sendStream(contentOf(bytes, `${size}.log`), ["bob"]);
      reports.push(report);
      assertEquals(report.failures, []);
      assertEquals([report.size, report.bytesSent, report.sha256], [size, size, hexHash(bytes)]);
      assertEquals(report.recipients[0]?.savedAs, `${size}.log`);
      const { transfer } = report;
      const started = await anna.until("transfer-started", (it) => it.transfer === transfer);
      assertEquals(started.size, null);
      const received = await bob.until("file-received", (it) => it.transfer === transfer);
      assertEquals([received.size, received.sha256], [size, hexHash(bytes)]);
    }
    await invariants.assertAll(reports);
  });
}

permitted("one reading serves two recipients", NEEDS, async () => {
  await using dir = await tempDir();
  await using tracker = startTracker();
  // A stream goes to all at once, whatever --parallel says.
  await using anna = await startPeer(tracker, dir, { name: "anna", parallel: 1 });
  await using bob = await startPeer(tracker, dir, { name: "bob" });
  await using carl = await startPeer(tracker, dir, { name: "carl" });
  const invariants = await Invariants.of(dir, [anna, bob, carl]);
  const bytes = bytesOf(70 * MIB + 1);
  invariants.mayArrive(bytes);
  const report = await anna.peer.sendStream(contentOf(bytes), ["bob", "carl"]);
  assertEquals([report.failures, report.bytesSent], [[], 2 * bytes.length]);
  await invariants.assertAll([report]);
});

permitted("a recipient that dies does not keep the other from all of it", NEEDS, async () => {
  await using dir = await tempDir();
  await using tracker = startTracker();
  const clock = new NoPauses();
  await using anna = await startPeer(tracker, dir, { name: "anna", clock });
  using _pauses = clock.follow(anna);
  await using bob = await startPeer(tracker, dir, { name: "bob" });
  await using carl = await startPeer(tracker, dir, { name: "carl" });
  const bytes = bytesOf(70 * MIB + 1);
  const pipe = new HeldStream(bytes, 12 * MIB);
  const content = new StreamContent(pipe.stream, "log.txt");
  const sending = anna.peer.sendStream(content, ["bob", "carl"]);
  for (const peer of [bob, carl]) {
    await peer.until("transfer-progress", (progress) => progress.bytes >= 8 * MIB);
  }
  await bob[Symbol.asyncDispose]();
  pipe.release();
  const report = await sending;
  assertEquals(
    report.recipients.map(({ peer, state }) => `${peer} ${state}`).sort(),
    ["bob failed", "carl delivered"],
  );
  assertEquals([exitCodeOfReports([report]), report.size], [7, bytes.length]);
  assertSameBytes(await Deno.readFile(join(carl.inbox, "log.txt")), bytes);
  // Nobody can send the rest of it: nothing waits.
  assertEquals([await hashesIn(bob.inbox), await partialsIn(bob.inbox)], [{}, []]);
});

permitted("a stream that is interrupted leaves nothing", NEEDS, async () => {
  await using dir = await tempDir();
  await using tracker = startTracker();
  await using anna = await startPeer(tracker, dir, { name: "anna" });
  await using bob = await startPeer(tracker, dir, { name: "bob" });
  const pipe = new HeldStream(bytesOf(20 * MIB), 12 * MIB);
  const stop = new AbortController();
  const content = new StreamContent(pipe.stream, "log.txt");
  const sending = anna.peer.sendStream(content, ["bob"], { signal: stop.signal });
  await bob.until("transfer-progress", ({ bytes }) => bytes >= 8 * MIB);
  stop.abort(new P2PError("interrupted", "Interrupted"));
  const { failures } = await sending;
  assertEquals(failures.map(({ code }) => code), ["interrupted"]);
  await bob[Symbol.asyncDispose]();
  assertEquals([await hashesIn(bob.inbox), await partialsIn(bob.inbox)], [{}, []]);
});

permitted("a stream that breaks is an error on both sides, and nothing stays", NEEDS, async () => {
  await using dir = await tempDir();
  await using tracker = startTracker();
  await using anna = await startPeer(tracker, dir, { name: "anna" });
  await using bob = await startPeer(tracker, dir, { name: "bob" });
  let chunks = 0;
  const stream = new ReadableStream<Uint8Array>({
    pull(controller) {
      if (++chunks < 5) controller.enqueue(bytesOf(MIB));
      else controller.error(new Error("the pipe is broken"));
    },
  });
  const report = await anna.peer.sendStream(new StreamContent(stream, "log.txt"), ["bob"]);
  assertEquals(report.failures.map(({ code, exitCode }) => [code, exitCode]), [["disk", 8]]);
  assertEquals((await bob.until("receive-failed")).name, "log.txt");
  await bob[Symbol.asyncDispose]();
  assertEquals([await hashesIn(bob.inbox), await partialsIn(bob.inbox)], [{}, []]);
});

permitted(
  "a name that is taken gets a number; the same again makes no second copy",
  NEEDS,
  async () => {
    await using dir = await tempDir();
    await using tracker = startTracker();
    await using anna = await startPeer(tracker, dir, { name: "anna" });
    await using bob = await startPeer(tracker, dir, { name: "bob" });
    const outcomes: string[] = [];
    for (const seed of [1, 2, 1]) {
      const { recipients } = await anna.peer.sendStream(contentOf(bytesOf(1000, seed)), []);
      outcomes.push(...recipients.map(({ state, savedAs }) => `${state} ${savedAs}`));
    }
    assertEquals(outcomes, ["delivered log.txt", "delivered log (1).txt", "already log.txt"]);
    assertEquals(Object.keys(await hashesIn(bob.inbox)).length, 2);
    assertEquals(await partialsIn(bob.inbox), []);
  },
);

permitted("a receiver takes streams up to its limit, and says so", NEEDS, async () => {
  await using dir = await tempDir();
  await using tracker = startTracker();
  await using anna = await startPeer(tracker, dir, { name: "anna" });
  const limits: Record<string, number> = { small: 1000, larger: 2 * MIB };
  const peers: TestPeer[] = [];
  await using stack = new AsyncDisposableStack();
  for (const [name, maxSize] of Object.entries(limits)) {
    peers.push(stack.use(await startPeer(tracker, dir, { name, maxSize })));
  }
  for (const peer of peers) {
    const { name, inbox } = peer;
    const limit = limits[name] ?? 0;
    const fits = await anna.peer.sendStream(contentOf(bytesOf(limit)), [name]);
    assertEquals(fits.failures, [], name);
    for (const size of [limit + 1, limit + 3 * MIB]) {
      const report = await anna.peer.sendStream(contentOf(bytesOf(size, 2)), [name]);
      assertEquals(report.failures.map(({ code }) => code), ["refused"], `${size} to ${name}`);
      assertEquals(exitCodeOfReports([report]), 4);
      await peer.until("receive-failed", ({ transfer }) => transfer === report.transfer);
    }
    assertEquals(Object.keys(await hashesIn(inbox)), ["log.txt"]);
    assertEquals(await partialsIn(inbox), []);
  }
});

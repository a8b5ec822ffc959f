import { assert, assertEquals } from "@std/assert";
import { MemoryRegistry } from "../../lib/tracker/registry/memory_registry.ts";
import { exitCodeOfReports } from "../../lib/peer/send_job.ts";
import { closedPort } from "../helpers/closed_port.ts";
import { assertSameBytes } from "../helpers/bytes.ts";
import { entryOf, epochs } from "../helpers/entries.ts";
import { rejectsWith } from "../helpers/errors.ts";
import { hashesIn, hexHash, Invariants } from "../helpers/invariants.ts";
import { startPeer } from "../helpers/peer.ts";
import { permitted } from "../helpers/permissions.ts";
import { bytesOf } from "../helpers/random.ts";
import { manifestOf, openRaw } from "../helpers/raw.ts";
import { tempDir } from "../helpers/temp_dir.ts";
import { startTracker } from "../helpers/tracker.ts";
import hostile from "../testdata/hostile_names.json" with { type: "json" };

const NEEDS: Deno.PermissionName[] = ["net", "read", "write", "sys", "run"];
const PIECE = 256 * 1024;
const SIZES = [0, 1, PIECE - 1, PIECE, PIECE + 1, 5 * PIECE, 40 * 1024 * 1024 + 1];

for (const insecure of [false, true]) {
  const how = insecure ? "without TLS" : "with TLS";
  permitted(`files of every size arrive as they were sent, ${how}`, NEEDS, async () => {
    await using dir = await tempDir();
    await using tracker = startTracker({ insecure });
    await using anna = await startPeer(tracker, dir, { name: "anna" });
    await using bob = await startPeer(tracker, dir, { name: "bob" });
    const invariants = await Invariants.of(dir, [anna, bob]);
    const reports = [];
    for (const size of SIZES) {
      const content = bytesOf(size, size);
      const path = await invariants.file(`${size}.bin`, content);
      const report = await anna.peer.sendFile(path, ["bob"]);
      reports.push(report);
      assertEquals(report.failures, []);
      assertEquals([report.size, report.bytesSent, report.sha256], [size, size, hexHash(content)]);
      assertEquals(report.recipients[0]?.savedAs, `${size}.bin`);
      const received = await bob.until(
        "file-received",
        ({ transfer }) => transfer === report.transfer,
      );
      assertEquals([received.size, received.sha256, received.from], [size, report.sha256, "anna"]);
      await Deno.remove(path);
    }
    await invariants.assertAll(reports);
  });
}

permitted("a name that is taken gets a number, and the first file stays", NEEDS, async () => {
  await using dir = await tempDir();
  await using tracker = startTracker();
  await using anna = await startPeer(tracker, dir, { name: "anna" });
  await using bob = await startPeer(tracker, dir, { name: "bob" });
  const invariants = await Invariants.of(dir, [anna, bob]);
  const names = [];
  for (let i = 0; i < 3; i++) {
    const path = await invariants.file("network.png", bytesOf(1000, i));
    names.push((await anna.peer.sendFile(path, [])).recipients[0]?.savedAs);
  }
  assertEquals(names, ["network.png", "network (1).png", "network (2).png"]);
  const first = await Deno.readFile(`${bob.inbox}/network.png`);
  assertSameBytes(first, bytesOf(1000, 0));
  await invariants.assertAll();
});

permitted("whatever name a sender chooses, the file lands in the inbox", NEEDS, async () => {
  await using dir = await tempDir();
  await using tracker = startTracker({ insecure: true });
  await using anna = await startPeer(tracker, dir, { name: "anna" });
  await using bob = await startPeer(tracker, dir, { name: "bob" });
  const invariants = await Invariants.of(dir, [anna, bob]);
  const mallory = await openRaw({ address: bob.address, membership: null, id: bob.identity.id });
  const names = hostile.map(({ name }) => name)
    .filter((name) => name !== "" && name.isWellFormed() && name.length < 4000);
  for (const [i, name] of names.entries()) {
    // Of one content and safe name there would be one file.
    const content = bytesOf(10, i);
    invariants.mayArrive(content);
    const transfer = await mallory.offer({ name, size: content.length });
    const ack = await mallory.serve(transfer, manifestOf(content));
    assertEquals([ack.verb, "state" in ack && ack.state], ["ACK", "saved"]);
  }
  await mallory[Symbol.asyncDispose]();
  assertEquals(Object.keys(await hashesIn(bob.inbox)).length, names.length);
  await invariants.assertAll();
});

permitted("to many at once: a dead recipient does not harm the others", NEEDS, async () => {
  await using dir = await tempDir();
  const registry = new MemoryRegistry(epochs());
  await using tracker = startTracker({ registry });
  await using anna = await startPeer(tracker, dir, { name: "anna", parallel: 2 });
  await using bob = await startPeer(tracker, dir, { name: "bob" });
  await using carl = await startPeer(tracker, dir, { name: "carl" });
  await using dora = await startPeer(tracker, dir, { name: "dora" });
  const invariants = await Invariants.of(dir, [anna, bob, carl, dora]);
  registry.register(entryOf(1, { name: "dead", host: "127.0.0.1", port: closedPort() }));
  const path = await invariants.file("news.txt", bytesOf(3 * PIECE + 1));
  const report = await anna.peer.sendFile(path, ["all"]);
  const states = report.recipients.map(({ peer, state, error }) => [peer, state, error?.code]);
  assertEquals(states.sort(), [
    ["bob", "delivered", undefined],
    ["carl", "delivered", undefined],
    ["dead", "failed", "peer-unreachable"],
    ["dora", "delivered", undefined],
  ]);
  assertEquals(exitCodeOfReports([report]), 7);
  const event = await anna.until("transfer-finished");
  assertEquals(event.recipients.length, 4);
  await invariants.assertAll([report]);
  const alone = await anna.peer.sendFile(path, ["dead"]);
  assertEquals(exitCodeOfReports([alone]), 4);
  assertEquals(exitCodeOfReports([await anna.peer.sendFile(path, ["bob", "carl"])]), 0);
});

permitted("one reading serves all recipients", NEEDS, async () => {
  await using dir = await tempDir();
  await using tracker = startTracker({ insecure: true });
  await using anna = await startPeer(tracker, dir, { name: "anna", parallel: 8 });
  const others = await Promise.all(
    ["b", "c", "d", "e", "f"].map((name) => startPeer(tracker, dir, { name })),
  );
  await using stack = new AsyncDisposableStack();
  for (const other of others) stack.use(other);
  const invariants = await Invariants.of(dir, [anna, ...others]);
  const path = await invariants.file("big.bin", bytesOf(30 * PIECE + 1));
  const report = await anna.peer.sendFile(path, ["all"]);
  assertEquals(report.failures, []);
  assertEquals(report.bytesSent, 5 * (30 * PIECE + 1));
  await invariants.assertAll([report]);
});

permitted("a hundred senders of one name give a hundred files", NEEDS, async () => {
  await using dir = await tempDir();
  await using tracker = startTracker();
  await using anna = await startPeer(tracker, dir, { name: "anna" });
  await using bob = await startPeer(tracker, dir, { name: "bob" });
  const invariants = await Invariants.of(dir, [anna, bob]);
  const paths: string[] = [];
  for (let i = 0; i < 100; i++) {
    await Deno.mkdir(dir.at("peer-outbox", "state", `${i}`), { recursive: true });
    paths.push(await invariants.file(`${i}/same.txt`, bytesOf(1000, i)));
  }
  await anna.peer.ping("bob");
  const reports = await Promise.all(paths.map((path) => anna.peer.sendFile(path, ["bob"])));
  assertEquals(reports.flatMap(({ failures }) => failures), []);
  const hashes = Object.values(await hashesIn(bob.inbox));
  assertEquals([hashes.length, new Set(hashes).size], [100, 100]);
  await invariants.assertAll(reports);
});

permitted("what cannot be sent is said before anything happens", NEEDS, async () => {
  await using dir = await tempDir();
  await using tracker = startTracker();
  await using anna = await startPeer(tracker, dir, { name: "anna" });
  const nobody = await rejectsWith("peer-unknown", () => anna.peer.sendFile(dir.path, []));
  assertEquals(nobody.exitCode, 4);
  await using _bob = await startPeer(tracker, dir, { name: "bob" });
  await rejectsWith("usage", () => anna.peer.sendFile("", []));
  if (Deno.build.os === "linux") {
    await rejectsWith("disk", () => anna.peer.sendFile("/dev/null", []));
  }
  const missing = await rejectsWith("file-not-found", () => anna.peer.sendFile(dir.at("x"), []));
  assertEquals(missing.exitCode, 8);
  await using _carl = await startPeer(tracker, dir, { name: "carl" });
  await rejectsWith("usage", () => anna.peer.sendFile(dir.at("x"), []));
  assert(anna.all("transfer-started").length === 0);
});

permitted("a receiver takes files up to its limit, and says so", NEEDS, async () => {
  await using dir = await tempDir();
  await using tracker = startTracker();
  await using anna = await startPeer(tracker, dir, { name: "anna" });
  await using bob = await startPeer(tracker, dir, { name: "bob", maxSize: 1000 });
  const invariants = await Invariants.of(dir, [anna, bob]);
  const small = await anna.peer.sendFile(await invariants.file("small", bytesOf(1000)), []);
  assertEquals(small.failures, []);
  const large = await anna.peer.sendFile(await invariants.file("large", bytesOf(1001)), []);
  assertEquals(large.failures.map(({ code }) => code), ["refused"]);
  assertEquals(exitCodeOfReports([large]), 4);
  await invariants.assertAll([small, large]);
});

permitted("both directions at once, each its own files", NEEDS, async () => {
  await using dir = await tempDir();
  await using tracker = startTracker();
  await using anna = await startPeer(tracker, dir, { name: "anna" });
  await using bob = await startPeer(tracker, dir, { name: "bob" });
  const invariants = await Invariants.of(dir, [anna, bob]);
  const there = await invariants.file("there", bytesOf(4 * PIECE, 1));
  const back = await invariants.file("back", bytesOf(4 * PIECE + 1, 2));
  const reports = await Promise.all([
    anna.peer.sendFile(there, []),
    bob.peer.sendFile(back, []),
    anna.peer.sendFile(there, []),
  ]);
  assertEquals(reports.flatMap(({ failures }) => failures), []);
  await invariants.assertAll(reports);
});

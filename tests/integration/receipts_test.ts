/** What recipients sign of what they have received, and what of it holds anywhere else. */

import { assert, assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { join } from "@std/path";
import { StreamContent } from "../../lib/content/stream_content.ts";
import { P2PError } from "../../lib/errors.ts";
import { readReceipts, verifyReceipts } from "../../lib/peer/read_receipts.ts";
import { lineOf, receiptsPath } from "../../lib/peer/receipt_book.ts";
import { hexOf } from "../../lib/pieces/hash.ts";
import { hexHash } from "../helpers/invariants.ts";
import { startPeer, type TestPeer } from "../helpers/peer.ts";
import { permitted } from "../helpers/permissions.ts";
import { bytesOf } from "../helpers/random.ts";
import { type TempDir, tempDir } from "../helpers/temp_dir.ts";
import { startTracker } from "../helpers/tracker.ts";

const NEEDS: Deno.PermissionName[] = ["net", "read", "write", "sys", "run"];
const RECIPIENTS = 16;
const MIB = 1024 * 1024;
const encoder = new TextEncoder();

function verify(text: string) {
  return verifyReceipts(encoder.encode(text), "f");
}

/** The receipts that a peer has kept. */
async function receiptsOf({ folder }: TestPeer) {
  return await readReceipts(receiptsPath(join(folder, "state")));
}

async function plant(dir: TempDir, name: string, content: Uint8Array): Promise<string> {
  await Deno.mkdir(dir.at("outbox"), { recursive: true });
  await Deno.writeFile(dir.at("outbox", name), content);
  return dir.at("outbox", name);
}

permitted(
  `${RECIPIENTS} recipients sign what they have, and a byte that is changed anywhere is found`,
  NEEDS,
  async () => {
    await using dir = await tempDir();
    await using tracker = startTracker();
    await using anna = await startPeer(tracker, dir, { name: "anna" });
    await using stack = new AsyncDisposableStack();
    const others: TestPeer[] = [];
    for (let i = 0; i < RECIPIENTS; i++) {
      others.push(stack.use(await startPeer(tracker, dir, { name: `peer-${i}` })));
    }
    const path = await plant(dir, "a.bin", bytesOf(100_000));
    const { transfer, failures } = await anna.peer.sendFile(path, ["all"]);
    assertEquals(failures, []);
    const receipts = await receiptsOf(anna);
    assertEquals(
      receipts.map(({ recipient }) => recipient).sort(),
      others.map(({ identity }) => identity.id).sort(),
    );
    for (const receipt of receipts) {
      assertEquals(receipt.transfer, transfer);
      assertEquals([receipt.name, receipt.size], ["a.bin", 100_000]);
      assertEquals([receipt.sender, receipt.network], [anna.identity.id, tracker.membership?.id]);
    }
    // All that a machine has that has never seen the network.
    const text = receipts.map(lineOf).join("");
    assertEquals(verify(text).length, RECIPIENTS);
    const line = text.indexOf("\n") + 1;
    for (let at = line; at < text.indexOf("\n", line) + 1; at++) {
      const other = text[at] === "A" ? "B" : "A";
      const changed = text.slice(0, at) + other + text.slice(at + 1);
      assertEquals(assertThrows(() => verify(changed), P2PError, "line 2 ").code, "integrity");
      const bytes = encoder.encode(text);
      bytes[at] = 0xff;
      const error = assertThrows(() => verifyReceipts(bytes, "f"), P2PError, "line 2 ");
      assertEquals(error.code, "integrity");
    }
    for (const wrong of ["", "\n", text.slice(0, -1), text + text, `${text}\n`, ` ${text}`]) {
      assertEquals(assertThrows(() => verify(wrong), P2PError).code, "integrity");
    }
  },
);

permitted("what goes to one is signed by its SHA-256, whatever it is", NEEDS, async () => {
  await using dir = await tempDir();
  await using tracker = startTracker();
  await using anna = await startPeer(tracker, dir, { name: "anna" });
  await using bob = await startPeer(tracker, dir, { name: "bob" });
  const content = bytesOf(3_000_000);
  const path = await plant(dir, "a.bin", content);
  await anna.peer.sendFile(path, ["bob"]);
  await Deno.rename(join(bob.inbox, "a.bin"), join(bob.inbox, "b.bin"));
  await anna.peer.sendStream(new StreamContent(new Blob([content]).stream(), "s.bin"), ["bob"]);
  await plant(dir, "c.txt", bytesOf(5));
  await anna.peer.sendFile(dir.at("outbox"), ["bob"]);
  // Is there already, and says so once more.
  await anna.peer.sendFile(dir.at("outbox"), ["bob"]);
  const receipts = await receiptsOf(anna);
  const sha256 = hexHash(content);
  assertEquals(
    receipts.map(({ name, sha256 }) => [name, sha256 && hexOf(sha256)]),
    [["a.bin", sha256], ["s.bin", sha256], ["outbox", undefined], ["outbox", undefined]],
  );
  assertEquals(new Set(receipts.map(({ transfer }) => transfer)).size, 4);
  assertEquals(receipts[2]?.manifest, receipts[3]?.manifest);
  assertEquals(verify(receipts.map(lineOf).join("")).length, 4);
  assertEquals(await receiptsOf(bob), []);
});

permitted(
  "what is gone on with is signed by its manifest: not both know its SHA-256",
  NEEDS,
  async () => {
    await using dir = await tempDir();
    await using tracker = startTracker();
    await using anna = await startPeer(tracker, dir, { name: "anna", limitRate: 2 * MIB });
    const bob = await startPeer(tracker, dir, { name: "bob" });
    const path = await plant(dir, "a.bin", bytesOf(6 * MIB));
    const stop = new AbortController();
    const first = anna.peer.sendFile(path, ["bob"], { signal: stop.signal });
    await bob.until("transfer-progress", ({ bytes }) => bytes >= 2 * MIB);
    stop.abort(new P2PError("interrupted", "Interrupted"));
    assertEquals((await first).failures.map(({ code }) => code), ["interrupted"]);
    await bob[Symbol.asyncDispose]();
    await using _again = await startPeer(tracker, dir, { name: "bob", identity: bob.identity });
    const { failures, bytesSent } = await anna.peer.sendFile(path, ["bob"]);
    assertEquals(failures, []);
    assert(bytesSent < 6 * MIB, "all of it was sent again");
    const [receipt, ...others] = await receiptsOf(anna);
    assert(receipt !== undefined && others.length === 0);
    assertEquals(receipt.sha256, undefined);
    assertEquals(verify(lineOf(receipt)), [receipt]);
  },
);

permitted("a line that a crash cut short takes no other with it", NEEDS, async () => {
  await using dir = await tempDir();
  await using tracker = startTracker();
  await using anna = await startPeer(tracker, dir, { name: "anna" });
  await using _bob = await startPeer(tracker, dir, { name: "bob" });
  const path = receiptsPath(join(anna.folder, "state"));
  await anna.peer.sendFile(await plant(dir, "a.bin", bytesOf(10)), ["bob"]);
  await Deno.truncate(path, (await Deno.stat(path)).size - 5);
  await anna.peer.sendFile(await plant(dir, "b.bin", bytesOf(20)), ["bob"]);
  await anna.peer.sendFile(await plant(dir, "c.bin", bytesOf(30)), ["bob"]);
  assertEquals((await receiptsOf(anna)).map(({ name }) => name), ["b.bin", "c.bin"]);
});

permitted("without keys there are no receipts", NEEDS, async () => {
  await using dir = await tempDir();
  await using tracker = startTracker({ insecure: true });
  await using anna = await startPeer(tracker, dir, { name: "anna" });
  await using _bob = await startPeer(tracker, dir, { name: "bob" });
  const { failures } = await anna.peer.sendFile(await plant(dir, "a.bin", bytesOf(10)), ["bob"]);
  assertEquals(failures, []);
  assertEquals(await receiptsOf(anna), []);
});

permitted("a receipt that cannot be kept is said, and the file is there", NEEDS, async () => {
  await using dir = await tempDir();
  await using tracker = startTracker();
  await using anna = await startPeer(tracker, dir, { name: "anna" });
  await using bob = await startPeer(tracker, dir, { name: "bob" });
  // Not even the superuser writes to a folder.
  await Deno.mkdir(receiptsPath(join(anna.folder, "state")), { recursive: true });
  const { failures } = await anna.peer.sendFile(await plant(dir, "a.bin", bytesOf(10)), ["bob"]);
  assertEquals(failures, []);
  assert((await Deno.stat(join(bob.inbox, "a.bin"))).isFile);
  const { message } = await anna.until("notice", ({ message }) => /receipt/.test(message));
  assertStringIncludes(message, "No receipt from bob: ");
});

/** Senders that break the rules of a transfer: each ends in CANCEL or ERROR, and harms nobody else. */

import { assertEquals, assertNotEquals, assertStringIncludes } from "@std/assert";
import { encodeBase64Url } from "@std/encoding/base64url";
import type { MessageOf } from "../../lib/wire/message.ts";
import { rejectsWith } from "../helpers/errors.ts";
import { FakeClock } from "../helpers/fake_clock.ts";
import { hashesIn, Invariants, partialsIn, untilGivenUp } from "../helpers/invariants.ts";
import { startPeer, type TestPeer } from "../helpers/peer.ts";
import { permitted } from "../helpers/permissions.ts";
import { bytesOf } from "../helpers/random.ts";
import { hashesOf, manifestOf, openRaw, type RawSession } from "../helpers/raw.ts";
import { tempDir } from "../helpers/temp_dir.ts";
import { startTracker } from "../helpers/tracker.ts";

const NEEDS: Deno.PermissionName[] = ["net", "read", "write", "sys", "run"];
const PIECE = 16 * 1024;
const content = bytesOf(3 * PIECE + 5);
const whole = manifestOf(content, PIECE);
const size = content.length;

interface Scene {
  bob: TestPeer;
  mallory: RawSession;
  open: () => Promise<RawSession>;
}

/** A test in which mallory sends to bob; afterwards bob has no file of hers and works as before. */
function scene(name: string, play: (scene: Scene) => Promise<void>, { files = 0 } = {}): void {
  permitted(name, NEEDS, async () => {
    await using dir = await tempDir();
    await using tracker = startTracker({ insecure: true });
    await using anna = await startPeer(tracker, dir, { name: "anna" });
    const clock = new FakeClock();
    await using bob = await startPeer(tracker, dir, { name: "bob", clock });
    const invariants = await Invariants.of(dir, [anna, bob]);
    invariants.mayArrive(content);
    const opened: RawSession[] = [];
    const open = async () => {
      const { address, identity: { id } } = bob;
      const session = await openRaw({ address, membership: null, id });
      opened.push(session);
      return session;
    };
    await play({ bob, mallory: await open(), open });
    for (const session of opened) await session[Symbol.asyncDispose]();
    // What nobody comes back for is given up in the end.
    await untilGivenUp(bob, clock, anna);
    assertEquals(Object.keys(await hashesIn(bob.inbox)).length, files);
    await invariants.assertAll();
  });
}

async function cancelled(mallory: RawSession, transfer: string): Promise<string> {
  return (await mallory.until("CANCEL", (cancel) => cancel.transfer === transfer)).code;
}

function piece(transfer: string, index: number): MessageOf<"PIECE"> {
  return { verb: "PIECE", transfer, index };
}

scene(
  "a sender that keeps lying is given up, and nothing of it stays",
  async ({ bob, mallory }) => {
    const transfer = await mallory.offer({ size });
    await mallory.send({ verb: "HASHES", transfer, start: 0, last: whole.last }, whole.hashes);
    const lies = (async () => {
      for (let seen = 0;; seen++) {
        const { index } = await mallory.until("GET", () => true, seen);
        const length = whole.pieces[index]?.length ?? 0;
        await mallory.send(piece(transfer, index), new Uint8Array(length));
      }
    })().catch(() => {});
    assertEquals(await cancelled(mallory, transfer), "integrity");
    const failed = await bob.until("receive-failed");
    assertEquals([failed.code, failed.name], ["integrity", "raw.bin"]);
    assertEquals(await partialsIn(bob.inbox), []);
    await mallory[Symbol.asyncDispose]();
    await lies;
  },
);

scene("one wrong piece is asked for again, and the file arrives", async ({ bob, mallory }) => {
  const transfer = await mallory.offer({ size });
  await mallory.send({ verb: "HASHES", transfer, start: 0, last: whole.last }, whole.hashes);
  const wrong = bytesOf(PIECE, 99);
  for (const [index, right] of whole.pieces.entries()) {
    const isAsked = (get: MessageOf<"GET">) => get.index === index;
    await mallory.until("GET", isAsked);
    if (index === 1) {
      const from = mallory.frames.length;
      await mallory.send(piece(transfer, index), wrong);
      await mallory.until("GET", isAsked, from);
    }
    await mallory.send(piece(transfer, index), right);
  }
  const { manifest } = await mallory.until("ACK", ({ state }) => state === "saved");
  assertEquals(manifest, whole.id);
  await bob.until("file-received");
}, { files: 1 });

scene("what a sender says of the whole is not passed on", async ({ bob, mallory }) => {
  const transfer = await mallory.offer({ size });
  const last = { size, sha256: encodeBase64Url(new Uint8Array(32)) };
  await mallory.send({ verb: "HASHES", transfer, start: 0, last }, whole.hashes);
  // Out of order, so that bob cannot hash them along.
  for (const [index, right] of [...whole.pieces.entries()].toReversed()) {
    await mallory.until("GET", (get) => get.index === index);
    await mallory.send(piece(transfer, index), right);
  }
  const received = await bob.until("file-received");
  assertEquals(received.sha256, null);
}, { files: 1 });

scene("a piece that nobody asked for ends the transfer", async ({ mallory }) => {
  const transfer = await mallory.offer({ size });
  await mallory.send(piece(transfer, 0), whole.pieces[0]);
  assertEquals(await cancelled(mallory, transfer), "malformed");
});

scene("a piece that comes twice ends the transfer", async ({ mallory }) => {
  const transfer = await mallory.offer({ size });
  const [first = new Uint8Array(32)] = [whole.hashes.slice(0, 32)];
  await mallory.send({ verb: "HASHES", transfer, start: 0 }, first);
  await mallory.until("GET");
  for (let i = 0; i < 2; i++) await mallory.send(piece(transfer, 0), whole.pieces[0]);
  assertEquals(await cancelled(mallory, transfer), "malformed");
});

const BAD_HASHES: Record<string, [start: number, hashes: Uint8Array<ArrayBuffer>]> = {
  "with a gap": [1, whole.hashes.slice(32, 64)],
  "far beyond the end": [1_000_000, whole.hashes.slice(0, 32)],
  "that are not whole": [0, whole.hashes.slice(0, 33)],
  "more than the size allows": [0, new Uint8Array(5 * 32)],
};

for (const [what, [start, hashes]] of Object.entries(BAD_HASHES)) {
  scene(`hashes ${what} end the transfer`, async ({ mallory }) => {
    const transfer = await mallory.offer({ size });
    await mallory.send({ verb: "HASHES", transfer, start }, hashes);
    assertEquals(await cancelled(mallory, transfer), "malformed");
  });
}

scene("hashes of an empty file, too few hashes and too many end it", async ({ mallory }) => {
  const empty = await mallory.offer({ size: 0 });
  await mallory.send({ verb: "HASHES", transfer: empty, start: 0 }, new Uint8Array(32));
  assertEquals(await cancelled(mallory, empty), "malformed");
  const few = await mallory.offer({ size });
  await mallory.send(
    { verb: "HASHES", transfer: few, start: 0, last: whole.last },
    whole.hashes.slice(0, 64),
  );
  assertEquals(await cancelled(mallory, few), "malformed");
});

scene("hashes that change their mind end the transfer", async ({ mallory }) => {
  const transfer = await mallory.offer({ size });
  await mallory.send({ verb: "HASHES", transfer, start: 0 }, whole.hashes.slice(0, 64));
  await mallory.send({ verb: "HASHES", transfer, start: 1 }, new Uint8Array(32));
  assertEquals(await cancelled(mallory, transfer), "source-changed");
});

scene("another size or hash at the end than was offered ends it", async ({ mallory }) => {
  for (const last of [{ ...whole.last, size: size - 1 }, { ...whole.last, size: size + 1 }]) {
    const transfer = await mallory.offer({ size });
    await mallory.send({ verb: "HASHES", transfer, start: 0, last }, whole.hashes);
    assertEquals(await cancelled(mallory, transfer), "source-changed");
  }
  const manifest = encodeBase64Url(new Uint8Array(32));
  const transfer = await mallory.offer({ size, manifest });
  await mallory.send({ verb: "HASHES", transfer, start: 0, last: whole.last }, whole.hashes);
  assertEquals(await cancelled(mallory, transfer), "source-changed");
});

scene(
  "a file whose pieces are right and whose SHA-256 is not is thrown away",
  async ({ mallory }) => {
    const transfer = await mallory.offer({ size });
    const last = { size, sha256: encodeBase64Url(new Uint8Array(32)) };
    await mallory.send({ verb: "HASHES", transfer, start: 0, last }, whole.hashes);
    for (const [index, right] of whole.pieces.entries()) {
      await mallory.until("GET", (get) => get.index === index);
      await mallory.send(piece(transfer, index), right);
    }
    assertEquals(await cancelled(mallory, transfer), "integrity");
  },
);

// The hash alone does not say how long a piece is: the sender of both may agree with itself.
const BAD_LENGTHS: Record<string, Uint8Array<ArrayBuffer>[]> = {
  "too short in the middle": [bytesOf(PIECE), bytesOf(100), bytesOf(PIECE), bytesOf(5)],
  "too short at the end": [bytesOf(PIECE), bytesOf(PIECE), bytesOf(PIECE), bytesOf(4)],
  "too long at the end": [bytesOf(PIECE), bytesOf(PIECE), bytesOf(PIECE), bytesOf(6)],
  "longer than a piece": [bytesOf(PIECE + 1), bytesOf(PIECE), bytesOf(PIECE), bytesOf(5)],
  "empty": [new Uint8Array(0), bytesOf(PIECE), bytesOf(PIECE), bytesOf(5)],
};

for (const [what, pieces] of Object.entries(BAD_LENGTHS)) {
  scene(`a piece that is ${what} is not taken, although its hash fits`, async ({ mallory }) => {
    const transfer = await mallory.offer({ size });
    const { hashes } = hashesOf(pieces, new Uint8Array());
    const joined = new Uint8Array(await new Blob(pieces).arrayBuffer());
    const { last: { sha256 } } = hashesOf([], joined);
    await mallory.send({ verb: "HASHES", transfer, start: 0, last: { size, sha256 } }, hashes);
    const serving = (async () => {
      for (let seen = 0;; seen++) {
        const { index } = await mallory.until("GET", () => true, seen);
        await mallory.send(piece(transfer, index), pieces[index]);
      }
    })().catch(() => {});
    assertNotEquals(await cancelled(mallory, transfer), "saved");
    await mallory[Symbol.asyncDispose]();
    await serving;
  });
}

scene("absurd offers are refused, and the session goes on", async ({ mallory }) => {
  const offer = (changes: Partial<MessageOf<"SEND_FILE">>) => () => mallory.offer(changes);
  const huge = Number.MAX_SAFE_INTEGER;
  await rejectsWith("invalid", offer({ size: huge }));
  await rejectsWith("no-space", offer({ size: 2 ** 42, pieceSize: 4 * 1024 * 1024 }));
  await offer({ size: 0 })();
});

for (
  const [what, fields] of Object.entries({
    "a negative size": { size: -1 },
    "a size that is no integer": { size: 1.5 },
    "a size beyond exact numbers": { size: 2 ** 53 },
    "a piece size of 0": { pieceSize: 0 },
    "a tiny piece size": { pieceSize: 1024 },
    "a huge piece size": { pieceSize: 2 ** 30 },
    "no name": { name: "" },
  })
) {
  scene(`an offer with ${what} is malformed and closes`, async ({ mallory }) => {
    await rejectsWith("malformed", () => mallory.offer(fields));
    assertEquals((await mallory.end())?.code, "malformed");
  });
}

scene("frames of transfers that there are not are passed over", async ({ mallory }) => {
  const transfer = encodeBase64Url(new Uint8Array(16));
  await mallory.send({ verb: "HASHES", transfer, start: 0 }, whole.hashes);
  await mallory.send(piece(transfer, 0), whole.pieces[0]);
  await mallory.send({ verb: "CANCEL", transfer, code: "cancelled", message: "x" });
  await mallory.session.request({ verb: "PING" });
});

scene("a peer that asks a receiver for pieces is refused", async ({ mallory }) => {
  const transfer = await mallory.offer({ size });
  await mallory.send({ verb: "GET", transfer, index: 0 });
  assertEquals((await mallory.end())?.code, "unexpected-verb");
});

scene("another peer with the same transfer id disturbs nobody", async ({ bob, mallory, open }) => {
  const honest = await open();
  const transfer = await honest.offer({ size, name: "honest" });
  await mallory.offer({ transfer, size: 1, name: "evil" });
  await mallory.send({ verb: "CANCEL", transfer, code: "cancelled", message: "stop" });
  await honest.send({ verb: "HASHES", transfer, start: 0, last: whole.last }, whole.hashes);
  for (const [index, right] of whole.pieces.entries()) {
    await honest.until("GET", (get) => get.index === index);
    await honest.send(piece(transfer, index), right);
  }
  const { name } = await honest.until("ACK", ({ state }) => state === "saved");
  assertEquals(name, "honest");
  assertEquals((await bob.until("receive-failed")).name, "evil");
}, { files: 1 });

scene("the same offer twice at once makes one partial", async ({ bob, mallory, open }) => {
  const { identity } = mallory;
  const again = await openRaw({
    address: bob.address,
    membership: null,
    id: bob.identity.id,
    identity,
  });
  const transfer = await mallory.offer({ size: 0, name: "first" });
  await mallory.send({ verb: "CANCEL", transfer, code: "cancelled", message: "x" });
  const id = encodeBase64Url(bytesOf(16, 7));
  const offers = [mallory, again].map((session) => session.offer({ transfer: id, size }));
  const results = await Promise.allSettled(offers);
  const accepted = results.filter(({ status }) => status === "fulfilled").length;
  const partials = (await partialsIn(bob.inbox)).length;
  assertEquals([accepted >= 1, partials], [true, 1]);
  for (const session of [mallory, again]) {
    session.send({ verb: "CANCEL", transfer: id, code: "cancelled", message: "x" }).catch(() => {});
  }
  await bob.until("receive-failed", ({ transfer }) => transfer === id);
  await again[Symbol.asyncDispose]();
  await open();
});

scene("a sender that gives up leaves nothing", async ({ bob, mallory }) => {
  const transfer = await mallory.offer({ size });
  await mallory.send({ verb: "HASHES", transfer, start: 0 }, whole.hashes);
  await mallory.until("GET");
  await mallory.send({ verb: "CANCEL", transfer, code: "source-changed", message: "it \u001b[2J" });
  const failed = await bob.until("receive-failed");
  assertEquals(failed.code, "source-changed");
  assertStringIncludes(failed.message, "\u001b[2J"); // raw: the outputs escape it
  assertEquals(await partialsIn(bob.inbox), []);
});

scene(
  "one sender has so many transfers at once, and others still have theirs",
  async ({ mallory, open }) => {
    const offers: string[] = [];
    for (let i = 0; i < 128; i++) offers.push(await mallory.offer({ size: 1 }));
    await rejectsWith("busy", () => mallory.offer({ size: 1 }));
    await (await open()).offer({ size: 1 });
    const [transfer = ""] = offers;
    await mallory.send({ verb: "CANCEL", transfer, code: "cancelled", message: "x" });
    await mallory.offer({ size: 0 });
  },
);

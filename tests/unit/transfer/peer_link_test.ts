/** Links between two peers: what goes on beside each other, and what passes what. */

import { assert, assertEquals } from "@std/assert";
import { encodeBase64Url } from "@std/encoding/base64url";
import { P2PError } from "../../../lib/errors.ts";
import type { Session } from "../../../lib/net/session.ts";
import type { Pieces } from "../../../lib/pieces/pieces.ts";
import type { BandwidthLane } from "../../../lib/async/bandwidth_limiter.ts";
import { LinkPool } from "../../../lib/transfer/link_pool.ts";
import { PeerLink } from "../../../lib/transfer/peer_link.ts";
import type { PieceServer } from "../../../lib/transfer/piece_server.ts";
import type { Message, MessageOf } from "../../../lib/wire/message.ts";
import { deadline, eventually, turn } from "../../helpers/deadline.ts";
import { entryOf } from "../../helpers/entries.ts";
import { throwsWith } from "../../helpers/errors.ts";
import { FakeClock } from "../../helpers/fake_clock.ts";
import { sessionPair } from "../../helpers/pipes.ts";
import { bytesOf } from "../../helpers/random.ts";

const PIECE = 16 * 1024;
const [ONE, TWO] = [encodeBase64Url(bytesOf(16, 1)), encodeBase64Url(bytesOf(16, 2))];

/** Ten pieces that are all the same. */
const TEN: Pieces = {
  has: (index) => index < 10,
  lengthOf: () => PIECE,
  lend: () => Promise.resolve({ bytes: new Uint8Array(PIECE), release: () => {} }),
};

/** A link whose other end reads one frame when it is told to; the way there holds `capacity` bytes. */
class Scene implements AsyncDisposable {
  readonly clock = new FakeClock();
  readonly link: PeerLink;
  readonly failed: P2PError[] = [];
  readonly #far: Session;

  constructor(capacity = 1024) {
    const [near, far] = sessionPair({ clock: this.clock, capacity });
    this.#far = far;
    this.link = new PeerLink(near);
  }

  serve(transfer: string, pieces = TEN, lane?: BandwidthLane): PieceServer {
    const onFailed = (error: P2PError) => void this.failed.push(error);
    return this.link.serve({ transfer, pieces, lane, clock: this.clock, onFailed });
  }

  async say(message: Message): Promise<void> {
    await this.#far.send(message);
    await turn();
  }

  async read(): Promise<Message> {
    const frame = await deadline(this.#far.connection.read(), "a frame");
    assert(frame && "message" in frame);
    return frame.message;
  }

  /** The next frames, in short: a piece is its transfer and index, anything else its verb. */
  async hear(count: number): Promise<string[]> {
    const heard: string[] = [];
    for (let i = 0; i < count; i++) heard.push(brief(await this.read()));
    return heard;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#far.connection.close();
    await this.link.ended;
  }
}

function brief(message: Message): string {
  if (message.verb !== "PIECE") return message.verb;
  return `${message.transfer === ONE ? "one" : "two"} ${message.index}`;
}

function get(transfer: string, index: number): MessageOf<"GET"> {
  return { verb: "GET", transfer, index };
}

Deno.test("transfers take turns, however much one of them was asked for", async () => {
  await using scene = new Scene();
  scene.serve(ONE);
  scene.serve(TWO);
  for (let index = 0; index < 6; index++) await scene.say(get(ONE, index));
  for (let index = 0; index < 2; index++) await scene.say(get(TWO, index));
  assertEquals(await scene.hear(8), [
    "one 0",
    "two 0",
    "one 1",
    "two 1",
    "one 2",
    "one 3",
    "one 4",
    "one 5",
  ]);
});

Deno.test("control frames pass the pieces that wait, and frames are read meanwhile", async () => {
  await using scene = new Scene();
  scene.serve(ONE);
  for (let index = 0; index < 5; index++) await scene.say(get(ONE, index));
  // Nobody has read a byte of the first piece that is on its way.
  await scene.say({ verb: "PING", seq: 1 });
  scene.link.session.post({ verb: "HAVE", transfer: TWO, pieces: [] });
  const heard = await scene.hear(7);
  assertEquals(heard.slice(0, 3), ["one 0", "PONG", "HAVE"]);
  assertEquals(heard.slice(3), ["one 1", "one 2", "one 3", "one 4"]);
});

Deno.test("a piece waits once, and may be asked for again when it is on its way", async () => {
  await using scene = new Scene();
  const server = scene.serve(ONE);
  for (const index of [0, 1, 1, 0, 2, 1]) await scene.say(get(ONE, index));
  assertEquals(await scene.hear(4), ["one 0", "one 1", "one 0", "one 2"]);
  await eventually(() => !server.isBusy, "an idle server");
});

Deno.test("more GETs than a receiver may keep open end the transfer, and not the link", async () => {
  await using scene = new Scene();
  const many: Pieces = { ...TEN, has: () => true };
  const server = scene.serve(ONE, many);
  for (let index = 0; index < 1026; index++) server.request(index);
  assertEquals(scene.failed.map(({ code }) => code), ["malformed"]);
  assertEquals(scene.link.isOpen, true);
  // None was half out: none goes out.
  await scene.say({ verb: "PING", seq: 1 });
  assertEquals(await scene.hear(1), ["PONG"]);
});

Deno.test("a piece goes out eight times at most, then the transfer ends, and not the link", async () => {
  await using scene = new Scene();
  const server = scene.serve(ONE);
  const heard: string[] = [];
  for (let copy = 0; copy < 8; copy++) {
    // Beside it others are asked for, each as often as it likes up to there.
    for (const index of [9, copy]) {
      await scene.say(get(ONE, index));
      heard.push(...await scene.hear(1));
    }
  }
  assertEquals(heard.filter((piece) => piece === "one 9").length, 8);
  assertEquals(scene.failed, []);
  for (let again = 0; again < 3000; again++) server.request(9);
  assertEquals(scene.failed.map(({ code }) => code), ["malformed"]);
  await scene.say({ verb: "PING", seq: 1 });
  assertEquals([await scene.hear(1), scene.link.isOpen], [["PONG"], true]);
});

Deno.test("what cannot be served is refused", async () => {
  await using scene = new Scene();
  const server = scene.serve(ONE);
  throwsWith("malformed", () => server.request(10));
  await scene.say(get(TWO, 0));
  assertEquals(brief(await scene.read()), "ERROR");
});

Deno.test("a server that is stopped sends nothing that waited", async () => {
  await using scene = new Scene();
  scene.serve(ONE);
  for (let index = 0; index < 3; index++) await scene.say(get(ONE, index));
  scene.link.endServing(ONE);
  // A late GET is no offence.
  await scene.say(get(ONE, 4));
  await scene.say({ verb: "PING", seq: 1 });
  assertEquals(await scene.hear(2), ["one 0", "PONG"]);
});

Deno.test("a transfer that the rate limit holds back leaves the link to the others", async () => {
  await using scene = new Scene();
  const gate = Promise.withResolvers<void>();
  scene.serve(ONE, TEN, { take: () => gate.promise });
  scene.serve(TWO);
  await scene.say(get(ONE, 0));
  await scene.say(get(TWO, 0));
  assertEquals(await scene.hear(1), ["two 0"]);
  gate.resolve();
  assertEquals(await scene.hear(1), ["one 0"]);
});

Deno.test("a piece that cannot be read fails its transfer alone", async () => {
  await using scene = new Scene();
  const lost = () => Promise.reject(new P2PError("disk", "gone"));
  scene.serve(ONE, { ...TEN, lend: lost });
  scene.serve(TWO);
  await scene.say(get(ONE, 0));
  await scene.say(get(TWO, 0));
  assertEquals(await scene.hear(1), ["two 0"]);
  assertEquals(scene.failed.map(({ code }) => code), ["disk"]);
});

Deno.test("no memory is given for what nobody waits for", async () => {
  await using scene = new Scene();
  const piece = { verb: "PIECE", transfer: ONE, index: 0 } as const;
  const hashes = { verb: "HASHES", transfer: ONE, start: 0 } as const;
  const text = { verb: "MESSAGE", id: "", from: "", name: "", time: "", signature: "" } as const;
  for (const message of [piece, hashes, text]) {
    assertEquals(scene.link.allocate(message, 100), null);
  }
});

/** A pool that opens links in memory; the far ends of those that it opened. */
function poolOf(idleTime = 250) {
  const clock = new FakeClock();
  const opened: Session[] = [];
  const open = () => {
    const [near, far] = sessionPair({ clock });
    void far.run({ onMessage: () => {}, onClosed: () => {} });
    opened.push(far);
    return Promise.resolve(near);
  };
  const pool = new LinkPool({
    open,
    locate: (entry) => Promise.resolve(entry),
    services: () => ({}),
    isProven: true,
    idleTime,
    clock,
  });
  return { pool, opened, clock };
}

Deno.test("who is asked for at the same time is dialled once", async () => {
  const { pool, opened } = poolOf();
  const [a, b] = await Promise.all([pool.take(entryOf(1)), pool.take(entryOf(1))]);
  const other = await pool.take(entryOf(2));
  assertEquals([a === b, a === other, opened.length], [true, false, 2]);
  await pool[Symbol.asyncDispose]();
  assertEquals([a.isOpen, other.isOpen], [false, false]);
});

Deno.test("a session that the other side opened is used for what goes there, and not closed here", async () => {
  const { pool, opened, clock } = poolOf();
  const entry = entryOf(1);
  const [near, far] = sessionPair({ clock, ids: [entryOf(2).id, entry.id] });
  void far.run({ onMessage: () => {}, onClosed: () => {} });
  const accepting = pool.accept(near);
  const link = await pool.take(entry);
  assertEquals([link.session, opened.length], [near, 0]);
  clock.advance(10_000);
  assertEquals(link.isOpen, true);
  await pool[Symbol.asyncDispose]();
  assertEquals(link.isOpen, true);
  far.connection.close();
  await accepting;
});

for (const role of ["client", "tracker"] as const) {
  Deno.test(`a session of a ${role} is not used for what goes to its id`, async () => {
    const { pool, opened, clock } = poolOf();
    const entry = entryOf(1);
    const [near, far] = sessionPair({ clock, ids: [entryOf(2).id, entry.id] });
    near.remote.role = role;
    void far.run({ onMessage: () => {}, onClosed: () => {} });
    const accepting = pool.accept(near);
    assertEquals([(await pool.take(entry)).session === near, opened.length], [false, 1]);
    far.connection.close();
    await accepting;
    await pool[Symbol.asyncDispose]();
  });
}

Deno.test("a link that is closing is not handed out any more", async () => {
  const { pool, opened } = poolOf(0);
  const link = await pool.take(entryOf(1));
  const closing = link.close();
  const next = await pool.take(entryOf(1));
  assertEquals([next === link, opened.length], [false, 2]);
  await closing;
  await pool[Symbol.asyncDispose]();
});

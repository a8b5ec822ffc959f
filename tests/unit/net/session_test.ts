import { assert, assertEquals } from "@std/assert";
import { P2PError } from "../../../lib/errors.ts";
import { Connection } from "../../../lib/net/connection.ts";
import { Session, type SessionHandler, type WithoutSeq } from "../../../lib/net/session.ts";
import type { Frame } from "../../../lib/wire/frame.ts";
import {
  type MessageOf,
  REPLIES,
  type ReplyMessage,
  type RequestMessage,
} from "../../../lib/wire/message.ts";
import { eventually, turn } from "../../helpers/deadline.ts";
import { rejectsWith } from "../../helpers/errors.ts";
import { FakeClock } from "../../helpers/fake_clock.ts";
import { sessionPair, socketPair } from "../../helpers/pipes.ts";

const ID = "A".repeat(43);
const TOKEN = "A".repeat(22);
const encoder = new TextEncoder();

/** A handler that answers every request with OK, and notes everything. */
class Recorder implements SessionHandler {
  readonly frames: Frame[] = [];
  readonly closed = Promise.withResolvers<P2PError | null>();
  answer: (frame: Frame, session: Session) => void | Promise<void> = (frame, session) => {
    const { message } = frame;
    if ("seq" in message && message.seq) session.post({ verb: "OK", re: message.seq });
  };

  onMessage(frame: Frame, session: Session): void | Promise<void> {
    this.frames.push(frame);
    return this.answer(frame, session);
  }

  onClosed(error: P2PError | null): void {
    this.closed.resolve(error);
  }
}

/** Two running sessions; `end` closes both. */
function running(setting: { clock?: FakeClock; capacity?: number } = {}) {
  const [a, b] = sessionPair(setting);
  const [forA, forB] = [new Recorder(), new Recorder()];
  const ends = [a.run(forA), b.run(forB)];
  return { a, b, forA, forB, end: () => Promise.all([a.close(), b.close(), ...ends]) };
}

/** A running session whose other end is bytes. */
function againstBytes() {
  const [raw, conn] = socketPair();
  const session = new Session(new Connection(conn), { id: ID, role: "peer" });
  const recorder = new Recorder();
  const ended = session.run(recorder);
  const send = (text: string) => raw.write(encoder.encode(text));
  const lines = linesOf(raw);
  const line = async () => (await lines.next()).value ?? "";
  return { raw, session, recorder, ended, send, line };
}

async function* linesOf(conn: Deno.Conn): AsyncGenerator<string> {
  let text = "";
  const buffer = new Uint8Array(4096);
  while (true) {
    const n = await conn.read(buffer);
    if (n === null) return;
    text += new TextDecoder().decode(buffer.subarray(0, n));
    const parts = text.split("\n");
    text = parts.pop() ?? "";
    yield* parts;
  }
}

Deno.test("both sides ask at once and get their own answers", async () => {
  const { a, b, forA, forB, end } = running();
  forA.answer = ({ message }, session) => {
    if (message.verb === "UNREGISTER") {
      session.post({ verb: "OK", re: message.seq, name: "from a" });
    }
  };
  forB.answer = ({ message }, session) => {
    if (message.verb === "UNREGISTER") {
      session.post({ verb: "OK", re: message.seq, name: "from b" });
    }
  };
  const asked = [a, a, b, b, a].map((side) => side.request({ verb: "UNREGISTER" }));
  const names = (await Promise.all(asked)).map(({ message }) => message.name);
  assertEquals(names, ["from b", "from b", "from a", "from a", "from b"]);
  await end();
});

Deno.test("answers may come in another order than the questions", async () => {
  const { a, forB, end } = running();
  const waiting: number[] = [];
  forB.answer = ({ message }, session) => {
    if (message.verb !== "UNREGISTER") return;
    waiting.push(message.seq);
    if (waiting.length < 3) return;
    for (const re of waiting.reverse()) session.post({ verb: "OK", re, delivered: re });
  };
  const answers = await Promise.all([1, 2, 3].map(() => a.request({ verb: "UNREGISTER" })));
  assertEquals(answers.map(({ message }) => message.delivered), [1, 2, 3]);
  await end();
});

const OFFER = {
  transfer: TOKEN,
  name: "a",
  size: 0,
  pieceSize: 16 * 1024,
  scheme: "independent",
};
const TEXT = { id: TOKEN, name: "a", time: "now", signature: "A".repeat(86) };
/** One request of each verb. */
const REQUESTS: WithoutSeq<RequestMessage>[] = [
  { verb: "PING" },
  { verb: "REGISTER", name: "a", port: 1 },
  { verb: "UNREGISTER" },
  { verb: "PEERS", since: 0 },
  { verb: "BROADCAST", ...TEXT },
  { verb: "MESSAGE", from: ID, ...TEXT },
  { verb: "CONNECT", peer: ID, port: 1, token: TOKEN },
  { verb: "RELAY", peer: ID, token: TOKEN },
  { verb: "JOIN", peer: ID, token: TOKEN },
  { verb: "REMOVE", id: ID },
  { verb: "RESTORE", id: ID },
  { verb: "ROTATE" },
  { verb: "SEND_FILE", ...OFFER },
  { verb: "SEND_TREE", table: 0, ...OFFER },
  { verb: "REPORT", share: "s", name: "a", size: 0, at: "now", total: 0, recipients: [] },
  { verb: "SHARES", start: 0 },
  {
    verb: "EVIDENCE",
    ...{ transfer: TOKEN, sharer: ID, server: ID, block: 0, index: 0, pieces: 1 },
    ...{ blockSignature: TEXT.signature, servedSignature: TEXT.signature },
  },
];
const LIST = {
  epoch: TOKEN,
  revision: 0,
  full: true,
  more: false,
  peers: [],
  gone: [],
  barred: [],
};
/** What may answer a request, if it is the right one. */
const REPLY: { [V in ReplyMessage["verb"]]?: MessageOf<V> } = {
  OK: { verb: "OK", re: 0 },
  PONG: { verb: "PONG" },
  PEER_LIST: { verb: "PEER_LIST", ...LIST },
  SHARE_LIST: { verb: "SHARE_LIST", re: 0, shares: [], recipients: [], more: false },
  ACK: { verb: "ACK", transfer: TOKEN, state: "saved", name: "a", manifest: ID },
};

Deno.test("a reply of the wrong verb fails the request, whichever it is, and nothing else", async () => {
  assertEquals(REQUESTS.map(({ verb }) => verb).sort(), Object.keys(REPLIES).sort());
  const { raw, session, ended, send, line } = againstBytes();
  let re = 0;
  for (const request of REQUESTS) {
    for (const reply of Object.values(REPLY)) {
      const { verb, ...fields } = reply;
      const asked = session.request(request);
      await line();
      await send(`${verb} ${JSON.stringify({ ...fields, re: ++re })}\n`);
      if (verb === REPLIES[request.verb]) {
        assertEquals((await asked).message, { ...reply, re });
      } else {
        const error = await rejectsWith("unexpected-verb", () => asked);
        assertEquals(error.remote, false);
      }
    }
  }
  assertEquals(session.connection.closed, undefined);
  raw.close();
  await ended;
});

Deno.test("PING is answered by the session itself", async () => {
  const { a, forB, end } = running();
  const { message } = await a.request({ verb: "PING" });
  assertEquals(message.verb, "PONG");
  assertEquals(forB.frames, []);
  await end();
});

Deno.test("a throw of the handler answers the request, and the session goes on", async () => {
  const { a, forB, end } = running();
  forB.answer = () => {
    throw new P2PError("invalid", "Cannot do that");
  };
  const error = await rejectsWith("invalid", () => a.request({ verb: "UNREGISTER" }));
  assertEquals([error.remote, error.message], [true, "Cannot do that"]);
  assertEquals((await a.request({ verb: "PING" })).message.verb, "PONG");
  await end();
});

Deno.test("any error of the handler is one the other side can read", async () => {
  const { a, forB, end } = running();
  forB.answer = () => {
    throw new Error("\ud800" + "x".repeat(100_000));
  };
  const error = await rejectsWith("unexpected", () => a.request({ verb: "UNREGISTER" }));
  assert(error.message.length < 2048);
  assertEquals((await a.request({ verb: "PING" })).message.verb, "PONG");
  await end();
});

Deno.test("a throw without a question closes the session and says why", async () => {
  const { a, forA, forB, end } = running();
  forB.answer = () => {
    throw new P2PError("unauthorised", "Cannot take it");
  };
  a.post({ verb: "DIAL", peer: ID, host: "x", port: 1, token: TOKEN });
  const [atA, atB] = await Promise.all([forA.closed.promise, forB.closed.promise]);
  assertEquals([atA?.code, atA?.remote], ["unauthorised", true]);
  assertEquals([atB?.code, atB?.remote], ["unauthorised", false]);
  await end();
});

Deno.test("an unknown verb is answered, its body dropped, and the session goes on", async () => {
  const { raw, session, send, line, ended } = againstBytes();
  await send('FOO {"seq":7,"body":5}\nPING\nBAR\nPING {"seq":3}\n');
  const error = JSON.parse((await line()).slice("ERROR ".length));
  assertEquals([error.code, error.re], ["unknown-verb", 7]);
  const second = JSON.parse((await line()).slice("ERROR ".length));
  assertEquals([second.code, second.re], ["unknown-verb", undefined]);
  assertEquals(await line(), 'PONG {"re":3}');
  await session.close();
  await ended;
  raw.close();
});

Deno.test("a malformed frame is answered with ERROR and closes the session", async () => {
  for (const bad of ["ping\n", "PING {]\n", "PING []\n", 'GET {"transfer":1}\n', "\n"]) {
    const { raw, recorder, send, line, ended } = againstBytes();
    await send(bad);
    assertEquals(JSON.parse((await line()).slice("ERROR ".length)).code, "malformed", bad);
    assertEquals(await line(), "");
    assertEquals((await recorder.closed.promise)?.code, "malformed");
    await ended;
    raw.close();
  }
});

Deno.test("an oversized body is refused before it comes", async () => {
  const { raw, recorder, send, line, ended } = againstBytes();
  await send(`PIECE {"transfer":"${TOKEN}","index":0,"body":4194305}\n`);
  assertEquals(JSON.parse((await line()).slice("ERROR ".length)).code, "too-long");
  assertEquals((await recorder.closed.promise)?.code, "too-long");
  await ended;
  raw.close();
});

Deno.test("BYE is a goodbye on both sides, and an end without it is a failure", async () => {
  const { a, forA, forB, end } = running();
  await a.close();
  assertEquals(await forA.closed.promise, null);
  assertEquals(await forB.closed.promise, null);
  await end();
  const { raw, recorder, ended } = againstBytes();
  raw.close();
  assertEquals((await recorder.closed.promise)?.code, "connection-lost");
  await ended;
});

Deno.test("what is asked when the connection goes is rejected with the reason", async () => {
  const clock = new FakeClock();
  const { a, forA, forB, end } = running({ clock });
  forB.answer = () => {};
  const asked = rejectsWith("timeout", () => a.request({ verb: "UNREGISTER" }));
  a.abort(new P2PError("timeout", "enough"));
  await asked;
  assertEquals((await forA.closed.promise)?.message, "enough");
  await rejectsWith("timeout", () => a.request({ verb: "UNREGISTER" }));
  await end();
  assertEquals(clock.pending, []);
});

Deno.test("a question that cannot be sent leaves nothing behind", async () => {
  const clock = new FakeClock();
  const { a, end } = running({ clock });
  await rejectsWith(
    "too-long",
    () => a.request({ verb: "REGISTER", name: "x".repeat(70_000), port: 1 }),
  );
  a.post({ verb: "OK", re: 1, name: "x".repeat(70_000) });
  assertEquals((await a.request({ verb: "PING" })).message.verb, "PONG");
  await end();
  assertEquals(clock.pending, []);
});

Deno.test("a question times out, and its late answer is nobody's", async () => {
  const clock = new FakeClock();
  const { a, b, forB, end } = running({ clock });
  forB.answer = () => {};
  const asked = rejectsWith("timeout", () => a.request({ verb: "UNREGISTER" }, { timeout: 500 }));
  await a.request({ verb: "PING" });
  clock.advance(500);
  await asked;
  b.post({ verb: "OK", re: 1 });
  assertEquals((await b.request({ verb: "PING" })).message.verb, "PONG");
  await end();
  assertEquals(clock.pending, []);
});

Deno.test("any frame counts as a sign of life, also one that is refused", async () => {
  const clock = new FakeClock();
  const { a, b, end } = running({ clock });
  clock.advance(5000);
  await a.request({ verb: "PING" });
  assertEquals([a.lastHeard, b.lastHeard], [clock.now(), clock.now()]);
  await end();
});

Deno.test("a slow handler slows the sender", async () => {
  const { a, forB, end } = running({ capacity: 1000 });
  const gate = Promise.withResolvers<void>();
  forB.answer = () => gate.promise;
  const transfer = TOKEN;
  const body = new Uint8Array(10_000);
  await a.send({ verb: "HAVE", transfer, pieces: [] });
  let taken = false;
  const sending = a.send({ verb: "PIECE", transfer, index: 0 }, body).then(() => taken = true);
  await turn();
  assert(!taken && forB.frames.length === 1);
  gate.resolve();
  await sending;
  await end();
});

Deno.test("a side that asks and does not read is closed at the cap", async () => {
  const [raw, conn] = socketPair();
  const session = new Session(new Connection(conn), { id: ID, role: "peer" });
  const recorder = new Recorder();
  const ended = session.run(recorder);
  const pings = encoder.encode('PING {"seq":1}\n'.repeat(4096));
  const flood = (async () => {
    for (let at = 0;; at %= pings.length) at += await raw.write(pings.subarray(at));
  })().catch(() => {});
  const closed = await recorder.closed.promise;
  assertEquals(closed?.code, "busy");
  await ended;
  raw.close();
  await flood;
});

Deno.test("whoever does not read its answers is not listened to, and gets all of them in the end", async () => {
  const [a, b] = sessionPair({ capacity: 1000 });
  const text = "x".repeat(1000);
  let most = 0;
  let asked = 0;
  const recorder = new Recorder();
  const ended = b.run({
    maxUnread: 10_000,
    onMessage: ({ message }, session) => {
      asked++;
      if (message.verb === "PEERS") {
        session.post({ verb: "OK", re: message.seq, reason: text });
      }
      most = Math.max(most, session.connection.queuedBytes);
    },
    onClosed: (error) => recorder.onClosed(error),
  });
  let sent = 0;
  const sending = (async () => {
    for (let seq = 1; seq <= 300; seq++, sent++) await a.send({ verb: "PEERS", seq, since: 0 });
  })();
  // All that the two pipes hold, and no more.
  await eventually(() => sent > asked && asked > 5, "requests that are not looked at");
  for (let seq = 1; seq <= 300; seq++) {
    const frame = await a.connection.read();
    assert(frame && "message" in frame && frame.message.verb === "OK");
    assertEquals(frame.message.re, seq);
  }
  await sending;
  assert(most < 10_000 + 2_000, `${most} bytes waited`);
  await a.close();
  await ended;
});

Deno.test("a session is alive when anything comes of it in time, also a part of a frame", async () => {
  const clock = new FakeClock();
  const [raw, conn] = socketPair();
  const session = new Session(new Connection(conn, { clock }), { id: ID, role: "peer" }, clock);
  const ended = session.run(new Recorder());
  const silent = session.isAlive(1000);
  clock.advance(1000);
  assertEquals(await silent, false);
  const slow = session.isAlive(1000);
  clock.advance(500);
  await raw.write(encoder.encode("PIECE {"));
  await eventually(() => session.lastHeard === clock.now(), "half a frame");
  clock.advance(500);
  assertEquals(await slow, true);
  raw.close();
  await ended;
  assertEquals(await session.isAlive(1000), false);
  assertEquals(clock.pending, []);
});

Deno.test("a session whose PONGs were slow has more time for the next", async () => {
  const clock = new FakeClock();
  const { a, b, end } = running({ clock });
  const gate = Promise.withResolvers<void>();
  const { post } = b;
  b.post = (message) => void gate.promise.then(() => post.call(b, message));
  const first = a.isAlive(10_000);
  await turn();
  clock.advance(8000);
  gate.resolve();
  assertEquals(await first, true);
  b.post = () => {};
  const second = a.isAlive(10_000);
  assertEquals(await clock.timer((ms) => ms > 10_000), 24_000);
  clock.advance(24_000);
  assertEquals(await second, false);
  b.post = post;
  await end();
});

Deno.test("who puts off each PONG for as long as it may has a minute for the next, and no more", async () => {
  const clock = new FakeClock();
  const { a, b, end } = running({ clock });
  const { post } = b;
  for (let asked = 1; asked <= 6; asked++) {
    const gate = Promise.withResolvers<void>();
    b.post = (message) => void gate.promise.then(() => post.call(b, message));
    const alive = a.isAlive(10_000);
    const limit = Math.max(...clock.pending);
    assert(limit <= 60_000, `${limit} ms`);
    await turn();
    clock.advance(limit - 1);
    gate.resolve();
    assertEquals(await alive, true);
  }
  b.post = post;
  await end();
});

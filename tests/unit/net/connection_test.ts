import { assert, assertEquals } from "@std/assert";
import { P2PError } from "../../../lib/errors.ts";
import { Connection } from "../../../lib/net/connection.ts";
import type { Frame } from "../../../lib/wire/frame.ts";
import type { Message } from "../../../lib/wire/message.ts";
import { eventually, turn } from "../../helpers/deadline.ts";
import { rejectsWith } from "../../helpers/errors.ts";
import { FakeClock } from "../../helpers/fake_clock.ts";
import { connectionPair, socketPair } from "../../helpers/pipes.ts";

const TRANSFER = "A".repeat(22);
const PIECE = (index: number): Message => ({ verb: "PIECE", transfer: TRANSFER, index });

Deno.test("a connection carries frames and their bodies in order", async () => {
  const [a, b] = connectionPair({ capacity: 1000 });
  const bodies = [1, 40_000, 31_999, 3].map((length, i) => new Uint8Array(length).fill(i + 1));
  const written = bodies.map((body, i) => a.write(PIECE(i), body));
  for (const [i, body] of bodies.entries()) {
    const frame = await b.read() as Frame;
    assertEquals(frame.message, PIECE(i));
    assertEquals(frame.body, body);
  }
  await Promise.all(written);
  await a.end();
  assertEquals(await b.read(), null);
  b.close();
});

Deno.test("a connection goes on byte by byte after it starts to stream", async () => {
  const [a, b] = connectionPair();
  const body = new Uint8Array(100_000).fill(7);
  const writing = (async () => {
    await a.write({ verb: "PING" });
    await a.write(PIECE(0), body);
    await a.write({ verb: "PONG" });
    await a.end();
  })();
  assertEquals((await b.read() as Frame).message, { verb: "PING" });
  b.startStreaming();
  b.startStreaming();
  assertEquals((await b.read() as Frame).body, body);
  assertEquals((await b.read() as Frame).message, { verb: "PONG" });
  assertEquals(await b.read(), null);
  await writing;
  b.close();
});

Deno.test("a frame that was handed back is read next", async () => {
  const [a, b] = connectionPair();
  await a.write({ verb: "PING", seq: 1 });
  const frame = await b.read() as Frame;
  b.unread(frame);
  assertEquals(await b.read(), frame);
  a.close();
  b.close();
});

Deno.test("the first reason of a close stays, and rejects what was going on", async () => {
  const [a, b] = connectionPair({ capacity: 100 });
  const reading = rejectsWith("timeout", () => a.read());
  const writing = [rejectsWith("timeout", () => a.write(PIECE(0), new Uint8Array(1000)))];
  writing.push(rejectsWith("timeout", () => a.write({ verb: "PING" })));
  a.close(new P2PError("timeout", "too late"));
  a.close(new P2PError("busy", "second"));
  await Promise.all([reading, ...writing]);
  await rejectsWith("timeout", () => a.write({ verb: "PING" }));
  assertEquals(a.closed?.message, "too late");
  b.close();
});

Deno.test("a connection that ends inside a frame is lost, not ended", async () => {
  const [a, b] = socketPair();
  const connection = new Connection(b);
  await a.write(new TextEncoder().encode("PIN"));
  a.close();
  await rejectsWith("connection-lost", () => connection.read());
  connection.close();
});

Deno.test("a side that does not read is cut off at the cap of the queue", async () => {
  const [a, b] = connectionPair({ capacity: 10 });
  const body = new Uint8Array(4 * 1024 * 1024);
  const writes = [a.write(PIECE(0), body), a.write({ verb: "PING" })];
  const ends = Promise.allSettled(writes);
  assertEquals(a.closed, undefined);
  await rejectsWith("busy", () => a.write(PIECE(1), body));
  assertEquals(a.closed?.code, "busy");
  for (const end of await ends) assertEquals(end.status, "rejected");
  b.close();
});

Deno.test("a frame over its cap is refused without harm to the connection", async () => {
  const [a, b] = connectionPair();
  const message: Message = { verb: "OK", re: 1, name: "x".repeat(70_000) };
  await rejectsWith("too-long", () => a.write(message));
  await a.write({ verb: "PING" });
  assertEquals((await b.read() as Frame).message, { verb: "PING" });
  a.close();
  b.close();
});

Deno.test("a side that takes no byte for 30 s is given up", async () => {
  const clock = new FakeClock();
  const [a, b] = connectionPair({ clock, capacity: 10 });
  const stuck = rejectsWith("timeout", () => a.write(PIECE(0), new Uint8Array(1000)));
  await clock.timer((ms) => ms === 30_000);
  clock.advance(29_999);
  assertEquals(a.closed, undefined);
  clock.advance(1);
  await stuck;
  assertEquals(clock.pending, []);
  b.close();
});

Deno.test("any byte that is taken puts the stall off", async () => {
  const clock = new FakeClock();
  const [a, b] = socketPair(10);
  const writer = new Connection(a, { clock });
  const stuck = rejectsWith("timeout", () => writer.write(PIECE(0), new Uint8Array(100)));
  for (let read = 0; read < 150;) {
    await clock.timer(() => true);
    clock.advance(20_000);
    assertEquals(writer.closed, undefined);
    read += await b.read(new Uint8Array(10)) ?? 0;
    await turn();
  }
  // The last byte was taken now.
  clock.advance(29_999);
  assertEquals(writer.closed, undefined);
  clock.advance(1);
  await stuck;
  assertEquals(clock.pending, []);
  b.close();
});

Deno.test("ending waits for a slow reader, but not for ever", async () => {
  const clock = new FakeClock();
  const [a, b] = connectionPair({ clock, capacity: 10 });
  const writing = a.write(PIECE(0), new Uint8Array(1000)).catch((error) => error);
  const ending = a.end();
  const patience = await clock.timer((ms) => ms < 30_000);
  assertEquals(a.closed, undefined);
  clock.advance(patience);
  await ending;
  assert(await writing instanceof P2PError);
  assertEquals(clock.pending, []);
  b.close();
});

for (const [firstByte, what] of [[0x15, "an alert"], [0x16, "a handshake"]] as const) {
  Deno.test(`${what} of TLS is told from a broken frame`, async () => {
    const [a, b] = socketPair();
    const connection = new Connection(b);
    await a.write(Uint8Array.of(firstByte, 3, 3, 0, 2, 2, 40));
    const error = await rejectsWith("insecure-mismatch", () => connection.read());
    assert(error.message.includes("--insecure"));
    a.close();
    connection.close();
  });
}

Deno.test("a side that takes no byte for long, but is heard, is slow and not gone", async () => {
  const clock = new FakeClock();
  const [a, b] = socketPair(10);
  const near = new Connection(a, { clock });
  const stuck = rejectsWith("timeout", () => near.write(PIECE(0), new Uint8Array(1000)));
  await clock.timer((ms) => ms === 30_000);
  let heard = 0;
  const reading = (async () => {
    while (await near.read().catch(() => null)) heard++;
  })();
  // A third of a large buffer takes a slow line minutes; a side that lives says so meanwhile.
  for (let signs = 1; signs < 15; signs++) {
    clock.advance(20_000);
    assertEquals(near.closed, undefined);
    await b.write(new TextEncoder().encode("PING\n"));
    await eventually(() => heard === signs, "a sign of life");
  }
  assertEquals(near.isSlow, true);
  // It says that it lives for ever, and reads nothing.
  clock.advance(20_000);
  await stuck;
  await reading;
  assertEquals(near.isSlow, false);
  assertEquals(clock.pending, []);
  b.close();
});

Deno.test("a body that has been coming for long shows a slow line, for as long as it comes", async () => {
  const clock = new FakeClock();
  const [a, b] = socketPair();
  const near = new Connection(a, { clock });
  const reading = near.read();
  const header = `PIECE ${JSON.stringify({ transfer: TRANSFER, index: 0, body: 5000 })}\n`;
  await b.write(new TextEncoder().encode(header));
  await eventually(() => near.isReceivingBody, "the body");
  assertEquals(near.isSlowlySent, false);
  const send = async (bytes: number) => {
    await b.write(new Uint8Array(bytes));
    await eventually(() => near.lastHeard === clock.now(), "its next part");
  };
  clock.advance(2_000);
  await send(1000);
  assertEquals(near.isSlowlySent, true);
  // One that has stopped is no line, but gone.
  clock.advance(10_000);
  assertEquals(near.isSlowlySent, false);
  await send(1000);
  assertEquals(near.isSlowlySent, true);
  await b.write(new Uint8Array(3000));
  assertEquals(((await reading) as Frame).body.length, 5000);
  assertEquals([near.isSlowlySent, near.isReceivingBody], [false, false]);
  near.close();
  b.close();
});

Deno.test("a connection is quiet when nothing comes for longer than its line explains, and it is read", async () => {
  const clock = new FakeClock();
  const [a, b] = socketPair();
  const near = new Connection(a, { clock });
  clock.advance(10_000);
  // Nobody reads it.
  assertEquals(near.isQuiet, false);
  const reading = near.read();
  await turn();
  assertEquals(near.isQuiet, false);
  clock.advance(2_000);
  assertEquals(near.isQuiet, true);
  const header = `PIECE ${JSON.stringify({ transfer: TRANSFER, index: 0, body: 5000 })}\n`;
  await b.write(new TextEncoder().encode(header));
  await eventually(() => near.isReceivingBody, "the body");
  assertEquals(near.isQuiet, false);
  // The body shows how long it takes from one part to the next.
  clock.advance(4_000);
  await b.write(new Uint8Array(1000));
  await eventually(() => near.lastHeard === clock.now(), "its next part");
  clock.advance(11_999);
  assertEquals(near.isQuiet, false);
  clock.advance(1);
  assertEquals(near.isQuiet, true);
  await b.write(new Uint8Array(4000));
  await reading;
  near.close();
  b.close();
});

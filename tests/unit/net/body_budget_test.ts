/** What is being received in all of a process: who waits, and who is closed for it. */

import { assert, assertEquals } from "@std/assert";
import { Connection } from "../../../lib/net/connection.ts";
import { BodyBudget } from "../../../lib/net/body_budget.ts";
import type { Frame } from "../../../lib/wire/frame.ts";
import { turn } from "../../helpers/deadline.ts";
import { rejectsWith } from "../../helpers/errors.ts";
import { FakeClock } from "../../helpers/fake_clock.ts";
import { socketPair } from "../../helpers/pipes.ts";

const MIB = 1024 * 1024;

/** Connections with one budget of 4 MiB, and their other ends. */
class Scene implements AsyncDisposable {
  readonly clock = new FakeClock();
  readonly budget = new BodyBudget(4 * MIB);
  readonly #all: Connection[] = [];

  /** A connection on which somebody announces a body of `bytes`, and sends `sent` of them. */
  async announce(bytes: number, sent = 0): Promise<Announced> {
    const [far, socket] = socketPair(8 * MIB);
    const near = new Connection(socket, { clock: this.clock, bodies: this.budget });
    this.#all.push(near);
    const seen = { near, far, allocated: false };
    const reading = near.read((_message, length) => {
      seen.allocated = true;
      return new Uint8Array(length);
    });
    reading.catch(() => {});
    const header = { transfer: "A".repeat(22), index: 0, body: bytes };
    await send(far, new TextEncoder().encode(`PIECE ${JSON.stringify(header)}\n`));
    await send(far, new Uint8Array(sent));
    await turn();
    return Object.assign(seen, { reading: reading as Promise<Frame> });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const connection of this.#all) connection.close();
    await turn();
    assertEquals([this.budget.bytes, this.clock.pending], [0, []]);
  }
}

interface Announced {
  near: Connection;
  far: Deno.Conn;
  /** Whether it was given memory. */
  allocated: boolean;
  reading: Promise<Frame>;
}

async function send(far: Deno.Conn, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length;) at += await far.write(bytes.subarray(at));
}

Deno.test("bodies wait for memory in their order, and have none before", async () => {
  await using scene = new Scene();
  const first = await scene.announce(3 * MIB, MIB);
  const second = await scene.announce(2 * MIB, 2 * MIB);
  const third = await scene.announce(MIB, MIB);
  assertEquals([first, second, third].map(({ allocated }) => allocated), [true, false, false]);
  await send(first.far, new Uint8Array(2 * MIB));
  assertEquals((await first.reading).body.length, 3 * MIB);
  await turn();
  // It is held until whoever has taken it asks for the next frame.
  assertEquals(second.allocated, false);
  const next = first.near.read();
  assertEquals((await second.reading).body.length, 2 * MIB);
  assertEquals((await third.reading).body.length, MIB);
  assertEquals(scene.budget.bytes, 3 * MIB);
  first.near.close();
  await next.catch(() => {});
});

Deno.test("small bodies, and one that is larger than there is memory, do not wait", async () => {
  await using scene = new Scene();
  const huge = await scene.announce(4 * MIB);
  const small = await scene.announce(1000, 1000);
  assertEquals([huge.allocated, (await small.reading).body.length], [true, 1000]);
});

Deno.test("whoever announces a body and does not send it is closed when others wait, the largest first", async () => {
  await using scene = new Scene();
  const large = await scene.announce(2 * MIB, 100);
  const small = await scene.announce(MIB, 100);
  scene.clock.advance(900);
  // One that sends, if slowly.
  const slow = await scene.announce(MIB, 100);
  scene.clock.advance(100);
  const waiting = await scene.announce(2 * MIB, 2 * MIB);
  assertEquals((await waiting.reading).body.length, 2 * MIB);
  await rejectsWith("busy", () => large.reading);
  assertEquals([small.near.closed, slow.near.closed], [undefined, undefined]);
});

Deno.test("who waits has those closed that stop in the meantime", async () => {
  await using scene = new Scene();
  const stops = await scene.announce(4 * MIB, 100);
  const waiting = await scene.announce(2 * MIB, 2 * MIB);
  assertEquals([waiting.allocated, stops.near.closed], [false, undefined]);
  scene.clock.advance(1_000);
  assertEquals((await waiting.reading).body.length, 2 * MIB);
  assertEquals(stops.near.closed?.code, "busy");
});

Deno.test("a few bytes now and then are not a body that is being sent", async () => {
  await using scene = new Scene();
  const drip = await scene.announce(4 * MIB, 100);
  for (let second = 0; second < 300; second++) {
    scene.clock.advance(900);
    await send(drip.far, new Uint8Array(10));
    await turn();
  }
  assertEquals(drip.near.closed, undefined);
  const waiting = await scene.announce(MIB, MIB);
  await waiting.reading;
  assertEquals(drip.near.closed?.code, "busy");
});

Deno.test("whoever is closed while it waits waits no more", async () => {
  await using scene = new Scene();
  const first = await scene.announce(4 * MIB, MIB);
  const gone = await scene.announce(4 * MIB, MIB);
  const next = await scene.announce(MIB, MIB);
  gone.near.close();
  await rejectsWith("connection-lost", () => gone.reading);
  first.near.close();
  assertEquals((await next.reading).body.length, MIB);
  assert(!gone.allocated);
});

/** What waits to be written in all of a process: who is closed for it, and who never is. */

import { assert, assertEquals } from "@std/assert";
import { Connection } from "../../../lib/net/connection.ts";
import { WriteBudget } from "../../../lib/net/write_budget.ts";
import type { Message } from "../../../lib/wire/message.ts";
import { turn } from "../../helpers/deadline.ts";
import { FakeClock } from "../../helpers/fake_clock.ts";
import { socketPair } from "../../helpers/pipes.ts";

const MIB = 1024 * 1024;
const PIECE: Message = { verb: "PIECE", transfer: "A".repeat(22), index: 0 };

/** Connections with one budget, and their other ends. */
class Scene implements AsyncDisposable {
  readonly clock = new FakeClock();
  readonly budget = new WriteBudget(8 * MIB);
  readonly #all: Connection[] = [];

  open(): { near: Connection; far: Deno.Conn } {
    const [socket, far] = socketPair(1024);
    const near = new Connection(socket, { clock: this.clock, writes: this.budget });
    this.#all.push(near);
    return { near, far };
  }

  /** Sends a body, which fails when the connection is closed. */
  async send(connection: Connection, bytes: number): Promise<void> {
    connection.write(PIECE, new Uint8Array(bytes)).catch(() => {});
    await turn();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const connection of this.#all) connection.close();
    await turn();
    assertEquals([this.budget.bytes, this.clock.pending], [0, []]);
  }
}

Deno.test("where memory is short, whoever has most and does not read is closed, and no more than need be", async () => {
  await using scene = new Scene();
  const [small, large, middle] = [scene.open().near, scene.open().near, scene.open().near];
  const { near: reader, far } = scene.open();
  await scene.send(small, 1 * MIB);
  await scene.send(large, 3 * MIB);
  await scene.send(middle, 2 * MIB);
  scene.clock.advance(1_000);
  // The largest of all, and it reads.
  await scene.send(reader, 4 * MIB);
  assertEquals([small, large, middle, reader].map(({ closed }) => closed?.code), [
    undefined,
    "busy",
    undefined,
    undefined,
  ]);
  await far.read(new Uint8Array(1024));
  await turn();
  await scene.send(reader, 2.5 * MIB);
  assertEquals([small, middle, reader].map(({ closed }) => closed?.code), [
    undefined,
    "busy",
    undefined,
  ]);
});

Deno.test("whoever reads is not closed, however short memory is", async () => {
  await using scene = new Scene();
  const all = Array.from({ length: 6 }, () => scene.open());
  for (const { near } of all) await scene.send(near, 3 * MIB);
  // 16 KiB a second and more is reading.
  for (let second = 0; second < 20; second++) {
    scene.clock.advance(900);
    for (const { far } of all) {
      for (let taken = 0; taken < 16 * 1024;) {
        taken += await far.read(new Uint8Array(1024)) ?? 0;
        await Promise.resolve();
      }
    }
    await turn();
    await scene.send(all[second % 6]?.near as Connection, 100);
  }
  assertEquals(all.map(({ near }) => near.closed), new Array(6).fill(undefined));
});

Deno.test("whoever takes a byte now and then does not read", async () => {
  await using scene = new Scene();
  const { near: drip, far } = scene.open();
  await scene.send(drip, 4 * MIB);
  const reader = scene.open().near;
  for (let second = 0; second < 300; second++) {
    scene.clock.advance(900);
    await far.read(new Uint8Array(10));
    await Promise.resolve();
  }
  await turn();
  // Where there is room it may be as slow as it likes.
  assertEquals(drip.closed, undefined);
  await scene.send(reader, 4 * MIB);
  await scene.send(reader, 1 * MIB);
  assertEquals([drip.closed?.code, reader.closed], ["busy", undefined]);
});

Deno.test("what has been written or given up waits no more", async () => {
  await using scene = new Scene();
  const { near, far } = scene.open();
  const other = scene.open().near;
  await scene.send(near, 10_000);
  await scene.send(other, 10_000);
  assert(scene.budget.bytes > 20_000);
  for (let taken = 0; taken < 10_000;) taken += await far.read(new Uint8Array(1024)) ?? 0;
  await near.drained();
  other.close();
  assertEquals([near.queuedBytes, other.queuedBytes, scene.budget.bytes], [0, 0, 0]);
});

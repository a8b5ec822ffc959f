/** The pieces of one download on their way to a disk that is played by hand. */

import { assertEquals } from "@std/assert";
import { SharedBytes } from "../../../lib/async/shared_bytes.ts";
import { PieceWrites } from "../../../lib/transfer/piece_writes.ts";
import { PROOF } from "../../helpers/partials.ts";

/** Writes to a disk that takes each piece when it is told to. */
class Scene {
  readonly unwritten = new SharedBytes(300);
  readonly given: number[] = [];
  readonly failures: unknown[] = [];
  /** Each settled piece, and how many were under way then. */
  readonly settled: [index: number, left: number][] = [];
  readonly #disk = new Map<number, PromiseWithResolvers<void>>();
  readonly writes = new PieceWrites({
    target: { write: (index) => this.#onDisk(index).promise },
    buffers: { give: ({ length }) => void this.given.push(length) },
    unwritten: this.unwritten,
    onFailed: (error) => void this.failures.push(error),
    onSettled: (index) => void this.settled.push([index, this.writes.underWay.size]),
  });

  add(index: number, length = 100): void {
    this.writes.add(index, new Uint8Array(length), PROOF);
  }

  async end(index: number, error?: Error): Promise<void> {
    if (error) this.#onDisk(index).reject(error);
    else this.#onDisk(index).resolve();
    await Promise.race(this.writes.underWay);
  }

  #onDisk(index: number): PromiseWithResolvers<void> {
    const write = this.#disk.get(index) ?? Promise.withResolvers<void>();
    this.#disk.set(index, write);
    return write;
  }
}

Deno.test("a piece is heard of once it is written, and its memory is there again", async () => {
  const scene = new Scene();
  scene.add(0, 10);
  scene.add(1, 20);
  assertEquals([scene.given, scene.settled], [[], []]);
  await scene.end(1);
  assertEquals([scene.given, scene.settled], [[20], [[1, 1]]]);
  await scene.end(0);
  assertEquals([scene.given, scene.settled], [[20, 10], [[1, 1], [0, 0]]]);
});

Deno.test("a piece that cannot be written is told of, and weighs on nobody any more", async () => {
  const scene = new Scene();
  const full = new Error("no space");
  scene.add(0, 301);
  assertEquals(scene.unwritten.areTooMany, true);
  await scene.end(0, full);
  assertEquals([scene.failures, scene.settled, scene.given], [[full], [[0, 0]], []]);
  assertEquals(scene.unwritten.areTooMany, false);
});

Deno.test("while more than two pieces are on their way, a turn comes before the next one", async () => {
  const scene = new Scene();
  const waits = [0, 1, 2].map((index) => {
    scene.add(index);
    return scene.writes.room();
  });
  assertEquals(waits.map((wait) => wait !== undefined), [false, false, true]);
  // The disk has taken none of them: it was a turn and no more.
  await waits[2];
  assertEquals(scene.settled, []);
  for (const index of [0, 1, 2]) await scene.end(index);
  assertEquals(scene.writes.room(), undefined);
});

Deno.test("while all transfers together wait for the disk with too much, none reads on", async () => {
  const scene = new Scene();
  // Of another transfer, whose disk is slow.
  scene.unwritten.add(250);
  scene.add(0);
  let hasRoom = false;
  const waiting = scene.writes.room()?.then(() => hasRoom = true);
  scene.unwritten.remove(20);
  await Promise.resolve();
  assertEquals(hasRoom, false);
  await scene.end(0);
  await waiting;
  assertEquals([hasRoom, scene.writes.room()], [true, undefined]);
});

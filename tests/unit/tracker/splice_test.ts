import { assertEquals } from "@std/assert";
import { BandwidthLimiter } from "../../../lib/async/bandwidth_limiter.ts";
import type { P2PError } from "../../../lib/errors.ts";
import type { BareConnection } from "../../../lib/net/connection.ts";
import { splice } from "../../../lib/tracker/splice.ts";
import { turn } from "../../helpers/deadline.ts";
import { FakeClock } from "../../helpers/fake_clock.ts";

/** A connection in memory: the test says what comes, and when what is written has gone. */
class End implements BareConnection {
  readonly written: number[] = [];
  reads = 0;
  hasEnded = false;
  readonly closed = Promise.withResolvers<P2PError | undefined>();
  /** Bytes that each read finds; none while it is 0, and the end with null. */
  incoming: number | null = 0;
  /** Whether what is written goes. */
  takes = true;
  #arrived = Promise.withResolvers<void>();
  #isOnce = false;

  async read(into: Uint8Array): Promise<number | null> {
    this.reads++;
    while (this.incoming === 0) {
      await Promise.race([this.#arrived.promise, this.closed.promise.then(fail)]);
    }
    const { incoming } = this;
    if (incoming === null) return null;
    if (this.#isOnce) this.incoming = 0;
    return Math.min(incoming, into.length);
  }

  async write(bytes: Uint8Array): Promise<void> {
    this.written.push(bytes.length);
    if (!this.takes) await this.closed.promise.then(fail);
  }

  closeWrite(): Promise<void> {
    this.hasEnded = true;
    return Promise.resolve();
  }

  close(reason?: P2PError): void {
    this.closed.resolve(reason);
  }

  /** From now on each read finds so much, or the next one alone. */
  come(bytes: number | null, isOnce = false): void {
    this.incoming = bytes;
    this.#isOnce = isOnce;
    const arrived = this.#arrived;
    this.#arrived = Promise.withResolvers();
    arrived.resolve();
  }
}

function fail(reason: P2PError | undefined): never {
  throw reason ?? new Error("closed");
}

Deno.test("a splice reads no further ahead than one chunk of what is not taken", async () => {
  const clock = new FakeClock();
  const [a, b] = [new End(), new End()];
  b.takes = false;
  const splicing = splice(a, b, { clock });
  a.come(1_000_000);
  await turn();
  // One is being written, the next one is there, and has been counted by nobody yet.
  assertEquals([a.reads, b.written], [2, [64 * 1024]]);
  b.close();
  await splicing;
  assertEquals(clock.pending, []);
});

Deno.test("a splice keeps to its rate", async () => {
  const clock = new FakeClock();
  const lane = new BandwidthLimiter({ rate: 100_000, clock }).lane();
  const [a, b] = [new End(), new End()];
  const splicing = splice(a, b, { clock, lane });
  a.come(10_000);
  for (let second = 1; second <= 3; second++) {
    for (let tenth = 0; tenth < 10; tenth++) {
      clock.advance(100);
      await turn();
    }
    const bytes = b.written.reduce((sum, count) => sum + count, 0);
    assertEquals(Math.abs(bytes - second * 100_000) <= 20_000, true, `${bytes} in ${second} s`);
  }
  a.close();
  b.close();
  a.come(null);
  await splicing;
});

Deno.test("a splice that is half closed ends when nothing more comes", async () => {
  const clock = new FakeClock();
  const [a, b] = [new End(), new End()];
  const splicing = splice(a, b, { clock });
  a.come(null);
  await turn();
  assertEquals([b.hasEnded, a.hasEnded], [true, false]);
  clock.advance(14_000);
  b.come(100, true);
  await turn();
  assertEquals(a.written, [100]);
  clock.advance(14_000);
  clock.advance(1_000);
  assertEquals((await a.closed.promise)?.code, "timeout");
  await splicing;
});

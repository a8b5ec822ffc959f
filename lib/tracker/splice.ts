import type { BandwidthLane } from "../async/bandwidth_limiter.ts";
import type { Clock } from "../async/clock.ts";
import { P2PError } from "../errors.ts";
import type { BareConnection } from "../net/connection.ts";

/** Bytes that are read at once; each direction has two buffers of so many, and no more memory. */
const CHUNK = 64 * 1024;
/** Milliseconds without a byte after which nobody is there: ends that live send PING about every two minutes. */
const IDLE_LIMIT = 5 * 60_000;
/** The same once one direction has ended, for the rest of the other one. */
const CLOSING_LIMIT = 15_000;

/** What {@linkcode splice} needs. */
export interface SpliceOptions {
  clock: Clock;
  /** Bandwidth of the member that asked for it; by default there is no limit. */
  lane?: BandwidthLane | undefined;
}

/** Passes bytes on until both directions have ended, one has failed, or none came for long; resolves with their number. */
export async function splice(
  a: BareConnection,
  b: BareConnection,
  { clock, lane }: SpliceOptions,
): Promise<number> {
  const stop = new AbortController();
  let [bytes, last, directions] = [0, clock.now(), 2];
  let cancel = () => {};
  const close = (reason: P2PError) => {
    stop.abort(reason);
    a.close(reason);
    b.close(reason);
  };
  const look = () => {
    cancel();
    const left = last + (directions === 2 ? IDLE_LIMIT : CLOSING_LIMIT) - clock.now();
    if (left > 0) cancel = clock.after(left, look);
    else close(new P2PError("timeout", "Nothing came through the relay for long"));
  };
  const pass = async (from: BareConnection, to: BareConnection) => {
    try {
      await passAll(from, to, async (count) => {
        await lane?.take(count, stop.signal);
        bytes += count;
        last = clock.now();
      });
      directions--;
      look();
    } catch {
      close(new P2PError("connection-lost", "The other end of the relay has gone"));
    }
  };
  look();
  await Promise.all([pass(a, b), pass(b, a)]);
  cancel();
  close(new P2PError("connection-lost", "The relay has ended"));
  return bytes;
}

/** Passes on one direction: reads while the chunk before is written, and never further ahead. */
async function passAll(
  from: BareConnection,
  to: BareConnection,
  count: (bytes: number) => Promise<void>,
): Promise<void> {
  let [buffer, other] = [new Uint8Array(CHUNK), new Uint8Array(CHUNK)];
  let writing = Promise.resolve();
  while (true) {
    const read = await from.read(buffer);
    await writing;
    if (read === null) return await to.closeWrite();
    await count(read);
    writing = to.write(buffer.subarray(0, read));
    // It is awaited when the next chunk is there.
    writing.catch(() => {});
    [buffer, other] = [other, buffer];
  }
}

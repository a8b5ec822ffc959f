import { encodeHex } from "@std/encoding/hex";
import type { SendReport } from "../../lib/peer/send_job.ts";
import { FaultyProxy } from "./faulty_proxy.ts";
import { Invariants } from "./invariants.ts";
import { NoPauses } from "./no_pauses.ts";
import { startPeer, type TestPeer } from "./peer.ts";
import { type TempDir, tempDir } from "./temp_dir.ts";
import { startTracker, type TestTracker } from "./tracker.ts";

/**
 * Two peers without TLS; what `anna` sends to `bob` passes a proxy. The pauses of anna's retries take no
 * time; `ackTimeout` makes her clock a real one.
 */
export class FaultyLink implements AsyncDisposable {
  readonly dir: TempDir;
  readonly tracker: TestTracker;
  readonly proxy: FaultyProxy;
  /** That of `anna`, unless hers is a real one. */
  readonly clock: NoPauses;
  readonly anna: TestPeer;
  readonly bob: TestPeer;
  readonly invariants: Invariants;
  readonly #stack: AsyncDisposableStack;

  private constructor(
    parts: Omit<FaultyLink, "send" | "stallNext" | typeof Symbol.asyncDispose>,
    stack: AsyncDisposableStack,
  ) {
    ({
      dir: this.dir,
      tracker: this.tracker,
      proxy: this.proxy,
      clock: this.clock,
      anna: this.anna,
      bob: this.bob,
      invariants: this.invariants,
    } = parts);
    this.#stack = stack;
  }

  static async open(
    // Each transfer has a connection of its own, so that a test can say which one breaks.
    { ackTimeout, giveUpAfter, keepSessions = 0 }: {
      ackTimeout?: number;
      giveUpAfter?: number;
      keepSessions?: number;
    } = {},
  ): Promise<FaultyLink> {
    await using stack = new AsyncDisposableStack();
    const dir = stack.use(await tempDir());
    const tracker = stack.use(startTracker({ insecure: true }));
    const proxy = stack.use(new FaultyProxy());
    const clock = new NoPauses();
    const time = ackTimeout === undefined ? { clock } : { ackTimeout };
    const settings = { name: "anna", giveUpAfter, keepSessions, ...time };
    const anna = stack.use(await startPeer(tracker, dir, settings));
    stack.use(clock.follow(anna));
    const bob = stack.use(await startPeer(tracker, dir, { name: "bob", ...proxy.behind }));
    const invariants = await Invariants.of(dir, [anna, bob]);
    return new FaultyLink({ dir, tracker, proxy, clock, anna, bob, invariants }, stack.move());
  }

  /** Lets the next transfer get so far, in bytes on the wire, and no further. */
  stallNext(stallAfter: number): void {
    const n = this.proxy.passed.length;
    this.proxy.faults = (i, d) => i === n && d === "up" ? { stallAfter } : undefined;
  }

  /** Sends a content under a name, over a link on which only the first connections have faults. */
  async send(
    name: string,
    content: Uint8Array,
    { signal }: { signal?: AbortSignal } = {},
  ): Promise<SendReport> {
    const path = await this.invariants.file(name, content);
    return await this.anna.peer.sendFile(path, ["bob"], signal ? { signal } : {});
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stack[Symbol.asyncDispose]();
  }
}

/** Where the frames of a recorded direction end: their offsets, ascending, the last one at its end. */
export function frameEnds(chunks: Uint8Array[]): number[] {
  const bytes = new Uint8Array(chunks.reduce((sum, chunk) => sum + chunk.length, 0));
  let at = 0;
  for (const chunk of chunks) {
    bytes.set(chunk, at);
    at += chunk.length;
  }
  const ends: number[] = [];
  for (let start = 0; start < bytes.length;) {
    const lf = bytes.indexOf(0x0a, start);
    if (lf < 0) throw new Error(`no frame at ${start}: ${encodeHex(bytes.subarray(start, 40))}`);
    const header = new TextDecoder().decode(bytes.subarray(start, lf));
    start = lf + 1 + Number(/"body":(\d+)/.exec(header)?.[1] ?? 0);
    ends.push(start);
  }
  return ends;
}

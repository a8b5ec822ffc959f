import { P2PError, reasonOf } from "../errors.ts";
import { type Clock, systemClock } from "../async/clock.ts";
import { ByteReader } from "../wire/byte_reader.ts";
import {
  type Allocate,
  type EncodedFrame,
  encodeHeader,
  type Frame,
  ownMemory,
  readFrame,
  type UnknownFrame,
} from "../wire/frame.ts";
import type { Message } from "../wire/message.ts";
import { type Address, RELAYED } from "../address.ts";
import { BODIES, type BodyBudget, type BodyReader } from "./body_budget.ts";
import { closeQuietly, isFreedByClose } from "./closing.ts";
import { type WriteBudget, type WriteQueue, WRITES } from "./write_budget.ts";

/** What may wait to be written, in bytes, before the other side counts as stuck: a piece, and as much of other frames. */
const MAX_QUEUED = 8 * 1024 * 1024;
/** What a queued write costs beside its bytes: many small frames fill the queue too. */
const QUEUED_COST = 512;
/** Frames below this are joined into one write. */
const JOIN_BELOW = 32 * 1024;
/** Buffer for headers while pieces flow. */
const STREAM_BUFFER = 16 * 1024;
/** Longest time in milliseconds in which the other side takes not one byte, and sends none either. */
const WRITE_STALL = 30_000;
/**
 * Longest time in which it takes none, though it sends some: a kernel asks for more only when a third of its buffer is
 * free again, which takes a slow line minutes.
 */
const LONGEST_WRITE_STALL = 10 * WRITE_STALL;
/** Time in milliseconds that a body takes on its way, 4 MiB at most, from which on its line is slow. */
const SLOW_AFTER = 2_000;
/** Time in milliseconds without a byte of the other side after which it may have gone. */
const HEARD_LATELY = 10_000;
/** Time in milliseconds without a byte taken after which a write under way counts as stuck: see `isCutShort`. */
const STUCK_AFTER = 1_000;
/** Time in milliseconds without a byte after which a connection may be quiet, and times the longest gap in a body of late. */
const QUIET_AFTER = 2_000;
const QUIET_GAPS = 3;
/** How long in milliseconds the longest gap counts. */
const GAP_COUNTS_FOR = 60_000;
/** Bytes a second below which the other side does not read, or send, where memory is short. */
const SLOWEST = 16 * 1024;
/** Bodies up to so many bytes are not counted. */
const SMALL_BODY = 1024;
/** How long in milliseconds the end of a connection waits for what is queued. */
const END_TIMEOUT = 5_000;

interface Queued {
  bytes: Uint8Array<ArrayBuffer>;
  done: () => void;
  failed: (error: P2PError) => void;
}

/** What a connection becomes when it has given up frames: bytes as they come. */
export interface BareConnection {
  /** Fills `into` from its start, maybe not all of it; resolves with the number of bytes, or `null` at the end. */
  read(into: Uint8Array): Promise<number | null>;
  /** Resolves when the socket has taken all bytes. One call at a time, as of `closeWrite`. */
  write(bytes: Uint8Array): Promise<void>;
  /** Ends the sending direction. */
  closeWrite(): Promise<void>;
  /** Closes at once. Idempotent; what is under way rejects. */
  close(reason?: P2PError): void;
}

/** Settings of a {@linkcode Connection}. */
export interface ConnectionOptions {
  /** The tracker that passes its bytes on; by default nobody does. */
  relay?: Address | undefined;
  clock?: Clock;
  /** Memory for what waits to be written; by default that of the process. */
  writes?: WriteBudget;
  /** Memory for bodies that are received; by default that of the process. */
  bodies?: BodyBudget;
}

/**
 * Frames over one socket: one reader, one bounded writer queue. Closing overtakes what is queued; every
 * operation that it interrupts rejects with the reason of the close.
 */
export class Connection implements WriteQueue, BodyReader {
  readonly local: Address;
  /** The other end; `RELAYED` where the bytes are passed on by a tracker, which alone knows where that end is. */
  readonly remote: Address;
  /** The tracker that passes the bytes on; undefined where nobody does. */
  readonly relay: Address | undefined;
  readonly #conn: Deno.Conn;
  readonly #clock: Clock;
  readonly #reader: ByteReader;
  /** Whether the first byte has come and is none of TLS. */
  #hasBegun = false;
  #unread: Frame | UnknownFrame | undefined;
  #queue: Queued[] = [];
  #queuedBytes = 0;
  readonly #writes: WriteBudget;
  readonly #bodies: BodyBudget;
  /** The body that is being received: since when, and by when it should have come; undefined while none is. */
  #body: { since: number; due: number } | undefined;
  /** When the socket was asked for bytes last, which is at once when some have come. */
  #readingSince = 0;
  /** Whether this side reads, and does not put it off. */
  #isReading = false;
  /** The longest time in milliseconds of late in which nothing came of a body, and when that was. */
  #gap = { ms: 0, at: 0 };
  #writing: Promise<void> | undefined;
  #closed: P2PError | undefined;
  /** When the socket was given bytes that it has not taken yet. */
  #writingSince: number | undefined;
  /** The write that is under way: its bytes, and when it began. */
  #head = { bytes: 0, since: 0 };
  #cutShort = false;
  /** Whether it carries frames no longer. */
  #isBare = false;
  #interrupt: ((reason: P2PError) => void) | undefined;
  #cancelStall: () => void = () => {};

  constructor(conn: Deno.Conn, options: ConnectionOptions = {}) {
    this.#conn = conn;
    this.#clock = options.clock ?? systemClock;
    this.#writes = options.writes ?? WRITES;
    this.#bodies = options.bodies ?? BODIES;
    this.local = addressOf(conn.localAddr);
    this.relay = options.relay;
    this.remote = options.relay ? RELAYED : addressOf(conn.remoteAddr);
    // `conn.read` and not `conn.readable`: a TLS read gives one record, 16 KiB at most, however much is asked for,
    // and through the stream each of these reads costs about twice as much.
    this.#reader = new ByteReader({
      read: (into) => {
        const now = this.#clock.now();
        if (this.#body) this.#noteGap(now - this.#readingSince, now);
        this.#readingSince = now;
        return conn.read(into);
      },
    });
  }

  /**
   * Whether it was closed while a write had been stuck. Deno holds the descriptor of such a TLS connection
   * until the other side has read or gone.
   */
  get isCutShort(): boolean {
    return this.#cutShort;
  }

  /** Bytes that wait to be written, with what each frame costs beside them. */
  get queuedBytes(): number {
    return this.#queuedBytes;
  }

  /** Whether the other side has taken nothing for a moment, or hardly anything for as long as what is being written lasts. */
  get isUnread(): boolean {
    if (this.#writingSince === undefined) return false;
    const now = this.#clock.now();
    const { bytes, since } = this.#head;
    return now - this.#writingSince >= STUCK_AFTER ||
      now - since >= STUCK_AFTER + bytes / SLOWEST * 1000;
  }

  get isSlow(): boolean {
    return this.isUnread && this.#clock.now() - this.#readingSince < HEARD_LATELY;
  }

  /** When bytes came last, by the clock of the connection, in milliseconds: a part of a frame shows life as well. */
  get lastHeard(): number {
    return this.#readingSince;
  }

  /** Whether a body has come in part. */
  get isReceivingBody(): boolean {
    return this.#body !== undefined;
  }

  get isSlowlySent(): boolean {
    if (this.#body === undefined) return false;
    const now = this.#clock.now();
    return now - this.#body.since >= SLOW_AFTER && now - this.#readingSince < HEARD_LATELY;
  }

  /** Why it is closed, or `undefined` while it is open. */
  get closed(): P2PError | undefined {
    return this.#closed;
  }

  /**
   * The next frame, or `null` when the other side ended between frames. One call at a time.
   *
   * @throws {P2PError} `malformed`, `too-long`, `connection-lost`, `insecure-mismatch`, or the reason of a
   * local close.
   */
  async read(allocate: Allocate = ownMemory): Promise<Frame | UnknownFrame | null> {
    // Whoever has taken the last frame is done with it, or holds its body within bounds of its own.
    this.#bodies.give(this);
    const unread = this.#unread;
    if (unread) {
      this.#unread = undefined;
      return unread;
    }
    this.#isReading = true;
    try {
      if (!this.#hasBegun) {
        const first = await this.#reader.peek();
        if (first === null) return null;
        refuseTls(first, this.remote);
        this.#hasBegun = true;
      }
      const frame = await readFrame(
        this.#reader,
        (message, length) => this.#memoryFor(allocate, message, length),
      );
      this.#body = undefined;
      return frame;
    } catch (error) {
      throw this.#closed ?? lost(error);
    } finally {
      this.#isReading = false;
    }
  }

  /** Whether nothing comes, for longer than what this line has shown explains: under TLS a slow one shows 16 KiB at a time. */
  get isQuiet(): boolean {
    const silence = this.#clock.now() - this.#readingSince;
    return this.#isReading && silence >= Math.max(QUIET_AFTER, QUIET_GAPS * this.#gap.ms);
  }

  #noteGap(ms: number, now: number): void {
    if (ms >= this.#gap.ms || now - this.#gap.at >= GAP_COUNTS_FOR) this.#gap = { ms, at: now };
  }

  /** Whether a body is being received and nothing has come for a moment, or hardly anything for as long as it should last. */
  get isHalfSent(): boolean {
    if (this.#body === undefined) return false;
    const now = this.#clock.now();
    return now - this.#readingSince >= STUCK_AFTER || now >= this.#body.due;
  }

  dropHalfSent(): void {
    this.close(
      new P2PError("busy", `Cannot go on with ${this.remote.host}: it does not send what it began`),
    );
  }

  /** Hands a frame back: the next {@linkcode read} gets it. */
  unread(frame: Frame | UnknownFrame): void {
    this.#unread = frame;
  }

  /** Takes a larger buffer, for connections that carry pieces: more comes with each read of a header. */
  startStreaming(): void {
    this.#reader.bufferSize = STREAM_BUFFER;
  }

  /**
   * Queues one frame; resolves when the socket has taken it. `body` must not change until then.
   *
   * @throws {P2PError} `busy` when the other side leaves too much unread, alone or where memory is short for all
   * connections together (the connection is closed then),
   * `too-long` when the frame is over its cap (the connection goes on), or the reason of the close.
   */
  write(message: Message, body?: Uint8Array<ArrayBuffer>): Promise<void> {
    if (this.#closed || this.#isBare) return Promise.reject(this.#closed ?? noFrames());
    let header: Uint8Array<ArrayBuffer>;
    try {
      header = encodeHeader(message, body?.length ?? 0);
    } catch (error) {
      return Promise.reject(error);
    }
    return this.#enqueue(body && body.length > 0 ? [header, body] : [header]);
  }

  /** As {@linkcode Connection.write}, for a frame that has been encoded once for many. */
  writeEncoded({ bytes }: EncodedFrame): Promise<void> {
    if (this.#closed || this.#isBare) return Promise.reject(this.#closed ?? noFrames());
    return this.#enqueue([bytes]);
  }

  #enqueue(parts: Uint8Array<ArrayBuffer>[]): Promise<void> {
    const cost = costOf(parts);
    this.#queuedBytes += cost;
    this.#writes.grew(this, cost);
    if (this.#queuedBytes > MAX_QUEUED) this.dropUnread();
    if (this.#closed) return Promise.reject(this.#closed);
    const written = new Promise<void>((done, failed) => {
      const nothing = () => {};
      const last = parts.length - 1;
      for (const [i, bytes] of parts.entries()) {
        this.#queue.push(
          i === last ? { bytes, done, failed } : { bytes, done: nothing, failed: nothing },
        );
      }
    });
    this.#writing ??= this.#drain();
    return written;
  }

  /** Resolves when nothing waits to be written. */
  async drained(): Promise<void> {
    await this.#writing;
  }

  /**
   * Gives up frames: what follows the last one that was read is bytes, and so is all that is written from now on. Nothing
   * may be queued, and nobody may be reading.
   */
  detach(): BareConnection {
    this.#isBare = true;
    let left: Uint8Array = this.#reader.takeBuffered();
    return {
      read: async (into) => {
        if (left.length === 0) return await this.#conn.read(into);
        const taken = left.subarray(0, into.length);
        into.set(taken);
        left = left.subarray(taken.length);
        return taken.length;
      },
      write: (bytes) => this.#writeBare(bytes),
      closeWrite: () => this.#untilClosed(this.#conn.closeWrite()),
      close: (reason) => this.close(reason),
    };
  }

  async #writeBare(bytes: Uint8Array): Promise<void> {
    if (this.#closed) throw this.#closed;
    this.#writingSince = this.#clock.now();
    try {
      await this.#untilClosed(this.#push(bytes));
    } finally {
      this.#writingSince = undefined;
    }
  }

  dropUnread(): void {
    this.close(
      new P2PError("busy", `Cannot send to ${this.remote.host}: it does not read what it is sent`),
    );
  }

  /** Waits a while until all that is queued is written, then ends the sending direction and closes. */
  async end(): Promise<void> {
    // Whoever carries the bytes ends their directions.
    if (this.#isBare) return this.close();
    const cancel = this.#clock.after(END_TIMEOUT, () => this.close());
    try {
      await this.#writing;
      if (!this.#closed) await this.#untilClosed(this.#conn.closeWrite());
    } catch {
      // The other side was faster; all that matters was acknowledged by frames.
    } finally {
      cancel();
      this.close();
    }
  }

  /** Closes at once. Idempotent; the first reason stays. */
  close(reason?: P2PError): void {
    if (this.#closed) return;
    const stalled = this.#writingSince !== undefined &&
      this.#clock.now() - this.#writingSince >= STUCK_AFTER;
    this.#cutShort = "handshake" in this.#conn && stalled && !isFreedByClose(this.#conn);
    this.#closed = reason ?? new P2PError("connection-lost", "Connection closed by this side");
    for (const { failed } of this.#queue.splice(0)) failed(this.#closed);
    this.#shrink(this.#queuedBytes);
    this.#bodies.forget(this, this.#closed);
    closeQuietly(this.#conn);
    this.#interrupt?.(this.#closed);
  }

  /** Settles with the operation, or rejects when this side closes: a stuck write may outlive the close. */
  #untilClosed<T>(operation: Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      this.#interrupt = reject;
      operation.then(resolve, reject);
    });
  }

  async #drain(): Promise<void> {
    // Frames queued in the same turn of the event loop leave in one write.
    await Promise.resolve();
    try {
      while (this.#queue.length > 0 && !this.#closed) {
        const batch = this.#takeBatch();
        const bytes = joined(batch);
        try {
          await this.#writeAll(bytes);
        } catch (error) {
          const reason = this.#closed ?? lost(error);
          for (const { failed } of batch) failed(reason);
          this.close(reason);
          return;
        }
        if (!this.#closed) this.#shrink(costOf(batch.map(({ bytes }) => bytes)));
        for (const { done } of batch) done();
      }
    } finally {
      this.#writing = undefined;
    }
  }

  #memoryFor(
    allocate: Allocate,
    message: Message,
    length: number,
  ): ReturnType<Allocate> | Promise<ReturnType<Allocate>> {
    if (length <= SMALL_BODY) return allocate(message, length);
    const begin = () => {
      if (this.#closed) throw this.#closed;
      const memory = allocate(message, length);
      this.#readingSince = this.#clock.now();
      if (memory === null) this.#bodies.give(this);
      else {
        const since = this.#readingSince;
        this.#body = { since, due: since + STUCK_AFTER + length / SLOWEST * 1000 };
      }
      return memory;
    };
    if (this.#bodies.take(this, length)) return begin();
    this.#isReading = false;
    return this.#bodies.wait(this, length, this.#clock).then(() => {
      this.#isReading = true;
      return begin();
    });
  }

  #shrink(cost: number): void {
    this.#queuedBytes -= cost;
    this.#writes.shrank(this, cost);
  }

  #takeBatch(): Queued[] {
    let size = 0;
    let count = 0;
    for (const { bytes } of this.#queue) {
      if (count > 0 && size + bytes.length > JOIN_BELOW) break;
      size += bytes.length;
      count++;
    }
    return this.#queue.splice(0, count);
  }

  async #writeAll(bytes: Uint8Array): Promise<void> {
    this.#writingSince = this.#clock.now();
    this.#head = { bytes: bytes.length, since: this.#writingSince };
    this.#watchStall(WRITE_STALL);
    try {
      await this.#untilClosed(this.#push(bytes));
    } finally {
      this.#writingSince = undefined;
      this.#cancelStall();
    }
  }

  /** Gives the socket all bytes; under TLS it takes 64 KiB at a time. */
  async #push(bytes: Uint8Array): Promise<void> {
    for (let at = 0; at < bytes.length && !this.#closed;) {
      at += await this.#conn.write(at === 0 ? bytes : bytes.subarray(at));
      this.#writingSince = this.#clock.now();
    }
  }

  /** One timer for a whole frame, which looks again where bytes have been taken since it was set. */
  #watchStall(ms: number): void {
    this.#cancelStall = this.#clock.after(ms, () => {
      const now = this.#clock.now();
      const taken = this.#writingSince ?? 0;
      const heard = this.#readingSince;
      const left = Math.min(Math.max(taken, heard) + WRITE_STALL, taken + LONGEST_WRITE_STALL) -
        now;
      if (left > 0) return this.#watchStall(left);
      this.close(
        new P2PError(
          "timeout",
          `Cannot send to ${this.remote.host}: it took no byte for ` +
            `${Math.round((now - taken) / 1000)} s`,
        ),
      );
    });
  }
}

function costOf(parts: Uint8Array[]): number {
  return parts.reduce((sum, bytes) => sum + bytes.length + QUEUED_COST, 0);
}

function joined(batch: Queued[]): Uint8Array {
  const [first] = batch;
  if (first && batch.length === 1) return first.bytes;
  const bytes = new Uint8Array(batch.reduce((sum, queued) => sum + queued.bytes.length, 0));
  let at = 0;
  for (const queued of batch) {
    bytes.set(queued.bytes, at);
    at += queued.bytes.length;
  }
  return bytes;
}

function noFrames(): P2PError {
  return new P2PError("connection-lost", "Cannot send a frame: the connection carries bare bytes");
}

function addressOf(addr: Deno.Addr): Address {
  // The address of an upgraded connection lacks its `transport`.
  const { hostname, port } = addr as Deno.NetAddr;
  return { host: hostname, port };
}

/** A frame starts with A-Z; 0x15 and 0x16 start a TLS alert and a TLS handshake. */
function refuseTls(firstByte: number, remote: Address): void {
  if (firstByte !== 0x15 && firstByte !== 0x16) return;
  throw new P2PError(
    "insecure-mismatch",
    `Cannot talk to ${remote.host}: it speaks TLS and this side runs with --insecure; ` +
      "use --insecure on both sides or on neither",
  );
}

function lost(error: unknown): P2PError {
  if (error instanceof P2PError) return error;
  return new P2PError("connection-lost", `Connection lost: ${reasonOf(error)}`, { cause: error });
}

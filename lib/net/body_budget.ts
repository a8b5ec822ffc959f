import type { Clock } from "../async/clock.ts";
import type { P2PError } from "../errors.ts";

/** Bytes of bodies that this process may hold at once, from their first byte until whoever takes them has done so. */
const MOST = 128 * 1024 * 1024;
/** Pause in milliseconds between two looks for somebody to close, while others wait. */
const LOOK_EVERY = 1_000;

/** A connection on which a body is received. */
export interface BodyReader {
  /** Whether the other side does not send what it has announced. */
  readonly isHalfSent: boolean;
  /** Whether a body comes, and has come for long: the line is slow. */
  readonly isSlowlySent: boolean;
  /** Closes the connection. */
  dropHalfSent(): void;
}

interface Waiting {
  reader: BodyReader;
  bytes: number;
  resolve: () => void;
  reject: (reason: P2PError) => void;
}

/**
 * The memory of this process for what it receives. Where it is short, readers wait for it in the order in which they
 * came, and whoever has announced a body and does not send it is closed, the largest first.
 */
export class BodyBudget {
  readonly #most: number;
  /** Bytes that each reader holds. */
  readonly #holding = new Map<BodyReader, number>();
  #waiting: Waiting[] = [];
  #bytes = 0;
  #cancelLook: (() => void) | undefined;

  /** @param most bytes; a single body that is larger is taken when there is no other. */
  constructor(most: number) {
    this.#most = most;
  }

  /** Bytes that are held now. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Whether something comes in over a slow line: what else comes in to this machine may wait behind it. */
  get areSlow(): boolean {
    for (const reader of this.#holding.keys()) {
      if (reader.isSlowlySent) return true;
    }
    return false;
  }

  /** Takes memory for the body of a reader; false when it has to {@linkcode wait}. */
  take(reader: BodyReader, bytes: number): boolean {
    if (this.#waiting.length > 0 || !this.#makeRoom(bytes)) return false;
    this.#hold(reader, bytes);
    return true;
  }

  /** Resolves when the reader has its memory; rejects when it is dropped before. */
  wait(reader: BodyReader, bytes: number, clock: Clock): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ reader, bytes, resolve, reject });
      this.#lookLater(clock);
    });
  }

  /** Takes back what a reader has, if it has anything. */
  give(reader: BodyReader): void {
    const bytes = this.#holding.get(reader);
    if (bytes === undefined) return;
    this.#holding.delete(reader);
    this.#bytes -= bytes;
    this.#serve();
  }

  /** Takes back what a reader has that is closed, and has it wait no longer. */
  forget(reader: BodyReader, reason: P2PError): void {
    const waiting = this.#waiting.find((other) => other.reader === reader);
    if (waiting) {
      this.#waiting = this.#waiting.filter((other) => other !== waiting);
      waiting.reject(reason);
      this.#serve();
    }
    this.give(reader);
  }

  #serve(): void {
    for (let [next] = this.#waiting; next && this.#fits(next.bytes); [next] = this.#waiting) {
      this.#waiting.shift();
      this.#hold(next.reader, next.bytes);
      next.resolve();
    }
    if (this.#waiting.length > 0) return;
    this.#cancelLook?.();
    this.#cancelLook = undefined;
  }

  #fits(bytes: number): boolean {
    return this.#bytes === 0 || this.#bytes + bytes <= this.#most;
  }

  #hold(reader: BodyReader, bytes: number): void {
    this.#holding.set(reader, bytes);
    this.#bytes += bytes;
  }

  /** Closes who holds memory in vain, as far as that is needed; false when it was not enough. */
  #makeRoom(bytes: number): boolean {
    while (!this.#fits(bytes)) {
      let largest: { reader: BodyReader; held: number } | undefined;
      for (const [reader, held] of this.#holding) {
        if (held > (largest?.held ?? 0) && reader.isHalfSent) largest = { reader, held };
      }
      if (!largest) return false;
      largest.reader.dropHalfSent();
    }
    return true;
  }

  #lookLater(clock: Clock): void {
    this.#cancelLook ??= clock.after(LOOK_EVERY, () => {
      this.#cancelLook = undefined;
      const [next] = this.#waiting;
      if (next) this.#makeRoom(next.bytes);
      if (this.#waiting.length > 0) this.#lookLater(clock);
    });
  }
}

/** The budget of this process. */
export const BODIES: BodyBudget = new BodyBudget(MOST);

/** Bytes that may wait in the queues of all connections of this process together. */
const MOST = 64 * 1024 * 1024;
/** Growth in bytes after a look at all queues, at which nobody was to be closed, before the next one. */
const LOOK_AGAIN_AFTER = 1024 * 1024;

/** What waits to be written to one connection. */
export interface WriteQueue {
  readonly queuedBytes: number;
  /** Whether the other side does not read what it is sent. */
  readonly isUnread: boolean;
  /** Whether the other side is there all the same: the line between is slow. */
  readonly isSlow: boolean;
  /** Closes the connection: what waits is wanted by nobody. */
  dropUnread(): void;
}

/**
 * The memory of this process for what waits to be written, whatever it is: pieces, lists, messages, replies. Where it is
 * short, those who do not read are closed, the largest queue first. Whoever reads is never closed for it: an honest
 * reader may have a large queue, and has less with every moment.
 */
export class WriteBudget {
  readonly #most: number;
  /** Those with something in them. */
  readonly #queues = new Set<WriteQueue>();
  #bytes = 0;
  #lookAbove: number;

  /** @param most bytes. */
  constructor(most: number) {
    this.#most = most;
    this.#lookAbove = most;
  }

  /** Bytes that wait now. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Whether something waits for a slow line: what else goes out of this machine may wait behind it. */
  get areSlow(): boolean {
    for (const queue of this.#queues) {
      if (queue.isSlow) return true;
    }
    return false;
  }

  /** Notes that a queue has become longer; it may have been closed afterwards, as any other. */
  grew(queue: WriteQueue, bytes: number): void {
    this.#queues.add(queue);
    this.#bytes += bytes;
    if (this.#bytes > this.#lookAbove) this.#relieve();
  }

  /** Notes that a queue has become shorter. */
  shrank(queue: WriteQueue, bytes: number): void {
    this.#bytes -= bytes;
    if (queue.queuedBytes === 0) this.#queues.delete(queue);
    if (this.#bytes <= this.#most) this.#lookAbove = this.#most;
  }

  #relieve(): void {
    while (this.#bytes > this.#most) {
      const largest = this.#largestUnread();
      if (!largest) {
        this.#lookAbove = this.#bytes + LOOK_AGAIN_AFTER;
        return;
      }
      largest.dropUnread();
    }
  }

  #largestUnread(): WriteQueue | undefined {
    let largest: WriteQueue | undefined;
    for (const queue of this.#queues) {
      if (queue.queuedBytes > (largest?.queuedBytes ?? 0) && queue.isUnread) largest = queue;
    }
    return largest;
  }
}

/** The budget of this process. */
export const WRITES: WriteBudget = new WriteBudget(MOST);

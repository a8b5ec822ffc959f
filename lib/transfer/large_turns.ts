/** Downloads of large pieces that have some on their way at a time: 64 MiB for two of the largest each. */
const AT_ONCE = 8;

/**
 * The turns of downloads whose pieces are larger than their part of the memory: a few at a time have any on their way, for
 * as long as it takes them to be written, and the others wait in a line.
 */
export class LargeTurns {
  readonly #having = new Set<object>();
  readonly #waiting = new Map<object, () => void>();

  /** Whether somebody waits. */
  get isWanted(): boolean {
    return this.#waiting.size > 0;
  }

  /** Whether `who` waits for its turn. */
  isWaiting(who: object): boolean {
    return this.#waiting.has(who);
  }

  /** Whether it is the turn of `who`; when it is not, `onTurn` is called as soon as it is. */
  take(who: object, onTurn: () => void): boolean {
    if (this.#having.has(who)) return true;
    if (this.#having.size < AT_ONCE) {
      this.#having.add(who);
      return true;
    }
    this.#waiting.set(who, onTurn);
    return false;
  }

  /** Ends the turn of `who`, or its waiting; the next one has its turn. */
  end(who: object): void {
    this.#waiting.delete(who);
    if (!this.#having.delete(who)) return;
    const [next] = this.#waiting;
    if (!next) return;
    const [other, onTurn] = next;
    this.#waiting.delete(other);
    this.#having.add(other);
    onTurn();
  }
}

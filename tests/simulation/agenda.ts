interface Item {
  time: number;
  order: number;
  run: () => void;
}

/** What happens when: a binary heap by time, then by order of insertion. */
export class Agenda {
  readonly #heap: Item[] = [];
  #order = 0;

  get size(): number {
    return this.#heap.length;
  }

  /** When the next thing happens. */
  get time(): number {
    return this.#at(0).time;
  }

  add(time: number, run: () => void): void {
    const heap = this.#heap;
    const item = { time, order: this.#order++, run };
    let at = heap.length;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (!isBefore(item, this.#at(parent))) break;
      heap[at] = this.#at(parent);
      at = parent;
    }
    heap[at] = item;
  }

  /** Removes the next thing and returns it. */
  take(): () => void {
    const heap = this.#heap;
    const { run } = this.#at(0);
    const last = heap.pop();
    if (last === undefined || heap.length === 0) return run;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && isBefore(this.#at(child + 1), this.#at(child))) child++;
      if (!isBefore(this.#at(child), last)) break;
      heap[at] = this.#at(child);
      at = child;
    }
    heap[at] = last;
    return run;
  }

  #at(index: number): Item {
    const item = this.#heap[index];
    if (!item) throw new RangeError(`nothing stands at ${index}`);
    return item;
  }
}

function isBefore(a: Item, b: Item): boolean {
  return a.time < b.time || a.time === b.time && a.order < b.order;
}

/** The last change of an id. */
export interface Change {
  readonly id: string;
  readonly revision: number;
}

/** Outdated lines that are kept whatever the size of the log, so that a small log is not rewritten often. */
const SLACK = 64;

/**
 * Which id changed last at which revision, to be read from any revision on. Invariants: the lines stand in
 * the order of their revisions; a line is outdated when its id has a later one; at most about a third of
 * the lines are outdated.
 */
export class ChangeLog {
  #lines: Change[] = [];
  /** Revision of the last change, by id. */
  readonly #last = new Map<string, number>();
  #revision = 0;

  /** How many changes there have been. */
  get revision(): number {
    return this.#revision;
  }

  /** Counts a change that is of no id. */
  count(): void {
    this.#revision++;
  }

  /** Notes a change of `id`. */
  note(id: string): void {
    const revision = ++this.#revision;
    this.#last.set(id, revision);
    this.#lines.push({ id, revision });
    this.#compact();
  }

  /** Drops what is known of `id`. */
  forget(id: string): void {
    this.#last.delete(id);
    this.#compact();
  }

  /** The last change of each id that has changed after `revision`, oldest first. */
  *since(revision: number): Generator<Change> {
    const lines = this.#lines;
    for (let at = this.#firstAfter(revision); at < lines.length; at++) {
      const line = lines[at] as Change;
      if (this.#last.get(line.id) === line.revision) yield line;
    }
  }

  /** Index of the first line after `revision`, by binary search. */
  #firstAfter(revision: number): number {
    let low = 0;
    let high = this.#lines.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#lines[middle] as Change).revision <= revision) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  #compact(): void {
    const outdated = this.#lines.length - this.#last.size;
    if (outdated <= SLACK + this.#last.size / 2) return;
    this.#lines = [...this.since(0)];
  }
}

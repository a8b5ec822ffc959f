import type { Clock } from "../async/clock.ts";

/** Milliseconds between two looks at the interfaces, of which one takes less than 0.1 ms. */
const INTERVAL = 1_000;
/** Milliseconds that a look may be late before the machine counts as one that slept. */
const SLEPT = 10_000;

/** What an {@linkcode AddressWatch} needs. */
export interface AddressWatchOptions {
  /** The addresses of now. */
  read: () => readonly string[];
  /** Called when they are others than before, and when the machine has slept: what was connected may not be any more. */
  onChange: () => void;
  clock: Clock;
  /** Milliseconds of a clock that goes on while the machine sleeps, as `clock` need not. */
  wallClock?: () => number;
}

/** Looks at the addresses of this machine every second: nothing tells a program when they change. */
export class AddressWatch implements Disposable {
  readonly #options: AddressWatchOptions;
  readonly #wallClock: () => number;
  #seen: string;
  #lookedAt: number;
  #cancel: () => void = () => {};

  constructor(options: AddressWatchOptions) {
    this.#options = options;
    this.#wallClock = options.wallClock ?? Date.now;
    this.#seen = this.#read();
    this.#lookedAt = this.#wallClock();
    this.#schedule();
  }

  [Symbol.dispose](): void {
    this.#cancel();
  }

  #schedule(): void {
    this.#cancel = this.#options.clock.after(INTERVAL, () => {
      this.#schedule();
      this.#look();
    });
  }

  #look(): void {
    const [seen, now] = [this.#read(), this.#wallClock()];
    const hasSlept = now - this.#lookedAt > INTERVAL + SLEPT;
    const hasChanged = seen !== this.#seen;
    this.#seen = seen;
    this.#lookedAt = now;
    if (hasChanged || hasSlept) this.#options.onChange();
  }

  #read(): string {
    return [...this.#options.read()].sort().join(" ");
  }
}

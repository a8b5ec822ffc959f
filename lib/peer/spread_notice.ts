import type { Clock } from "../async/clock.ts";

/** Milliseconds that it has to be so before it is said: mostly everything is over by then. */
const SAID_AFTER = 250;

/** Says that the recipients of a swarm can do without its sender, once that has lasted, and when it is no longer so. */
export class SpreadNotice implements Disposable {
  readonly #clock: Clock;
  readonly #say: (spread: boolean) => void;
  #isSaid = false;
  #cancel: () => void = () => {};

  /** @param say tells the person. */
  constructor(clock: Clock, say: (spread: boolean) => void) {
    this.#clock = clock;
    this.#say = say;
  }

  /** Takes note of whether they can. */
  update(isSpread: boolean): void {
    this.#cancel();
    if (isSpread === this.#isSaid) return;
    if (!isSpread) return this.#tell(false);
    this.#cancel = this.#clock.after(SAID_AFTER, () => this.#tell(true));
  }

  /** Says nothing any more. */
  [Symbol.dispose](): void {
    this.#cancel();
  }

  #tell(spread: boolean): void {
    this.#isSaid = spread;
    this.#say(spread);
  }
}

/** How quickly a count grows: an average that follows changes within a few seconds. */
export class RateMeter {
  #at: number;
  #bytes = 0;
  #rate: number | undefined;

  /** @param now milliseconds of a monotonic clock, as in {@linkcode update}. */
  constructor(now: number) {
    this.#at = now;
  }

  /** Takes the new total and returns the rate in bytes per second. */
  update(bytes: number, now: number): number {
    const elapsed = (now - this.#at) / 1000;
    if (elapsed > 0.05) {
      const current = Math.max(0, bytes - this.#bytes) / elapsed;
      const weight = Math.min(1, elapsed / 2);
      this.#rate = this.#rate === undefined
        ? current
        : this.#rate + (current - this.#rate) * weight;
      this.#at = now;
      this.#bytes = bytes;
    }
    return Math.round(this.#rate ?? 0);
  }
}

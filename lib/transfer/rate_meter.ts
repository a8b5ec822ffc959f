/** How quickly a count grows: an average that follows changes within a few seconds. */
export class RateMeter {
  #at = 0;
  /** Undefined until the first total has come. */
  #bytes: number | undefined;
  #rate: number | undefined;

  /**
   * Takes the new total and returns the rate in bytes per second; 0 for the first total, which may be what was there
   * before.
   *
   * @param now milliseconds of a monotonic clock.
   */
  update(bytes: number, now: number): number {
    if (this.#bytes === undefined) {
      this.#at = now;
      this.#bytes = bytes;
      return 0;
    }
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

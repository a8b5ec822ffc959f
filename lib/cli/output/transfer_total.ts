/** How far all recipients of one transfer are together. */
export class TransferTotal {
  /** Bytes and bytes per second of each recipient that has begun and is not done. */
  readonly #underWay = new Map<string, { bytes: number; rate: number }>();
  #recipients: number;
  #done = 0;
  #failed = 0;

  /** @param recipients how many there are. */
  constructor(recipients: number) {
    this.#recipients = recipients;
  }

  /** How many recipients there are. */
  get recipients(): number {
    return this.#recipients;
  }

  /** How many have all of it. */
  get done(): number {
    return this.#done;
  }

  /** One more has come. */
  add(): void {
    this.#recipients++;
  }

  /** A recipient has verified so many bytes, at a rate in bytes per second. */
  update(peer: string, bytes: number, rate: number): void {
    this.#underWay.set(peer, { bytes, rate });
  }

  /** A recipient has all of it, or has failed. */
  end(peer: string, hasAll: boolean): void {
    this.#underWay.delete(peer);
    if (hasAll) this.#done++;
    else this.#failed++;
  }

  /** Bytes, of so many in all, and bytes per second; those who have failed count neither here nor there. */
  of(size: number | null): { bytes: number; size: number | null; rate: number } {
    const all = [...this.#underWay.values()];
    const sum = (pick: (one: { bytes: number; rate: number }) => number) =>
      all.reduce((sum, one) => sum + pick(one), 0);
    return {
      bytes: sum(({ bytes }) => bytes) + this.#done * (size ?? 0),
      size: size === null ? null : size * (this.#recipients - this.#failed),
      rate: sum(({ rate }) => rate),
    };
  }
}

import { plainHost } from "../address.ts";

/** Addresses that are remembered; beyond that the one that proved itself longest ago is forgotten. */
const MAX_HOSTS = 4096;

/** The addresses at which somebody has proven to be whom we want to talk to. Room is kept for them. */
export class ProvenHosts {
  /** Latest last. */
  readonly #hosts = new Set<string>();

  /** Whether somebody at the address has proven itself. */
  has(host: string): boolean {
    return this.#hosts.has(plainHost(host));
  }

  /** Remembers the address. */
  add(host: string): void {
    const plain = plainHost(host);
    this.#hosts.delete(plain);
    this.#hosts.add(plain);
    const [first] = this.#hosts;
    if (this.#hosts.size > MAX_HOSTS && first !== undefined) this.#hosts.delete(first);
  }
}

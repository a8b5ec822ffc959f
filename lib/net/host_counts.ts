import { networkOf, plainHost } from "../address.ts";

/** How many of something there may be at once: of one address, of one network (a /24 or /64), and in all. */
export interface Caps {
  readonly address: number;
  readonly network: number;
  readonly all: number;
}

/** Counts things by the address they belong to, by its network, and in all. */
export class HostCounts {
  readonly #byAddress = new Map<string, number>();
  readonly #byNetwork = new Map<string, number>();
  #all = 0;

  /** All of them. */
  get all(): number {
    return this.#all;
  }

  /** How many there are that share the address, its network, or nothing. */
  of(host: string): Caps {
    return {
      address: this.#byAddress.get(plainHost(host)) ?? 0,
      network: this.#byNetwork.get(networkOf(host)) ?? 0,
      all: this.#all,
    };
  }

  /** Whether one more of the address is within the caps. */
  hasRoom(host: string, caps: Caps): boolean {
    const { address, network, all } = this.of(host);
    return address < caps.address && network < caps.network && all < caps.all;
  }

  /** Counts one of the address. */
  add(host: string): void {
    this.#change(host, 1);
  }

  /** Counts one less, which has been counted. */
  remove(host: string): void {
    this.#change(host, -1);
  }

  #change(host: string, by: 1 | -1): void {
    this.#all += by;
    addTo(this.#byAddress, plainHost(host), by);
    addTo(this.#byNetwork, networkOf(host), by);
  }
}

/** Changes the count of a key; one that comes to 0 is not kept. */
function addTo(counts: Map<string, number>, key: string, change: 1 | -1): void {
  const count = (counts.get(key) ?? 0) + change;
  if (count > 0) counts.set(key, count);
  else counts.delete(key);
}

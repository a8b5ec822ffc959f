import { P2PError } from "../../errors.ts";
import { isPeerName, numberedPeerName, peerNameKey } from "../../wire/peer_name.ts";

/** Names that one key keeps; the one that it has not asked for for longest is free again. */
const MAX_NAMES = 8;

/** Which name belongs to which id. Names that look the same are one. */
export class Names {
  /** Id that first asked for a name, by the name's key. */
  readonly #owners = new Map<string, string>();
  /** Keys of the names that an id owns, the one it asked for last at the end. */
  readonly #owned = new Map<string, Set<string>>();

  /**
   * The name itself, or with `-2`, `-3` ... when another id holds it.
   *
   * @throws {P2PError} `invalid` on a name that is not allowed.
   */
  claim(id: string, name: string): string {
    expectPeerName(name);
    for (let n = 1;; n++) {
      const candidate = numberedPeerName(name, n);
      const owner = this.#owners.get(peerNameKey(candidate));
      if (owner !== undefined && owner !== id) continue;
      this.#own(peerNameKey(candidate), id);
      return candidate;
    }
  }

  /** The keys of the names that an id owns, the one it asked for last at the end. */
  of(id: string): string[] {
    return [...this.#owned.get(id) ?? []];
  }

  /** Takes up what {@linkcode Names.of} said before. */
  restore(id: string, names: readonly string[]): void {
    for (const name of names) this.#own(name, id);
  }

  /** Frees all names of an id. */
  release(id: string): void {
    for (const name of this.#owned.get(id) ?? []) this.#owners.delete(name);
    this.#owned.delete(id);
  }

  #own(name: string, id: string): void {
    const owned = this.#owned.get(id) ?? new Set();
    owned.delete(name);
    owned.add(name);
    this.#owned.set(id, owned);
    this.#owners.set(name, id);
    for (const oldest of owned) {
      if (owned.size <= MAX_NAMES) break;
      owned.delete(oldest);
      this.#owners.delete(oldest);
    }
  }
}

/**
 * Checks a name that somebody asks for.
 *
 * @throws {P2PError} `invalid` on one that nobody may be listed under.
 */
export function expectPeerName(name: string): void {
  if (isPeerName(name)) return;
  throw new P2PError(
    "invalid",
    `Cannot register the name "${name}": names have 1 to 64 characters without spaces and ` +
      "without , @ : / and are not `all` or `tracker`; choose another with --name",
  );
}

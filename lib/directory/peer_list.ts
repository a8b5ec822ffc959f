import { formatAddress } from "../address.ts";
import { P2PError } from "../errors.ts";
import type { MessageOf, PeerEntry } from "../wire/message.ts";
import { isPeerName, peerNameKey } from "../wire/peer_name.ts";

/** How a list changed. */
export interface ListChange {
  joined: PeerEntry[];
  /** Entries that are there still, with another name, address or reachability. */
  changed: PeerEntry[];
  left: PeerEntry[];
  /** Ids that the network has barred since. */
  barred: string[];
}

/** What a peer knows of the others, kept up to date by PEER_LIST frames. */
export class PeerList {
  readonly #entries = new Map<string, PeerEntry>();
  #barred: ReadonlySet<string> = new Set();
  #epoch: string | undefined;
  #revision = 0;
  /** While a full list comes in pages: ids that have been in it. */
  #fresh: Set<string> | undefined;

  /** Where the next request goes on. */
  get position(): { since: number; epoch?: string } {
    return { since: this.#revision, ...(this.#epoch === undefined ? {} : { epoch: this.#epoch }) };
  }

  /** All peers that are known. */
  get entries(): PeerEntry[] {
    return [...this.#entries.values()];
  }

  /** The peer with the id, if it is known. */
  get(id: string): PeerEntry | undefined {
    return this.#entries.get(id);
  }

  /** Whether a peer that is listed goes by this name, or by one that looks the same. */
  hasName(name: string): boolean {
    const key = peerNameKey(name);
    return this.entries.some((entry) => peerNameKey(entry.name) === key);
  }

  /** Whether the network has barred the id. */
  isBarred(id: string): boolean {
    return this.#barred.has(id);
  }

  /** Applies one frame. A full list replaces what is known once its last page is in. */
  apply({ epoch, revision, full, more, peers, gone, barred }: MessageOf<"PEER_LIST">): ListChange {
    const known = this.#barred;
    this.#barred = new Set(barred);
    if (full) this.#fresh = new Set();
    this.#revision = full || epoch !== this.#epoch ? revision : Math.max(this.#revision, revision);
    this.#epoch = epoch;
    const change: ListChange = {
      joined: [],
      changed: [],
      left: [],
      barred: barred.filter((id) => !known.has(id)),
    };
    // A tracker that lists a name it must not take is not to be trusted with the screen.
    for (const entry of peers.filter(({ name }) => isPeerName(name))) {
      this.#fresh?.add(entry.id);
      const known = this.#entries.get(entry.id);
      this.#entries.set(entry.id, entry);
      if (!known) change.joined.push(entry);
      else if (!sameAddress(known, entry)) change.changed.push(entry);
    }
    const stale = this.#fresh && !more
      ? [...this.#entries.keys()].filter((id) => !this.#fresh?.has(id))
      : [];
    for (const id of [...gone, ...stale]) {
      const known = this.#entries.get(id);
      if (known && this.#entries.delete(id)) change.left.push(known);
    }
    if (!more) this.#fresh = undefined;
    return change;
  }
}

/**
 * Checks that a page of the list is one that goes on from where it was asked for.
 *
 * @throws {P2PError} `malformed`.
 */
export function checkPage(
  { full, more, epoch, revision }: MessageOf<"PEER_LIST">,
  asked: { since: number; epoch?: string },
): void {
  if (full) return;
  if (epoch !== asked.epoch || revision < asked.since) {
    throw new P2PError("malformed", "Cannot read PEER_LIST: it has changes of another list");
  }
  if (more && revision === asked.since) {
    throw new P2PError("malformed", "Cannot read PEER_LIST: it goes on without end");
  }
}

function sameAddress(a: PeerEntry, b: PeerEntry): boolean {
  const addressesOf = ({ host, port, addresses = [] }: PeerEntry) =>
    [{ host, port }, ...addresses].map(formatAddress).join(" ");
  return a.name === b.name && a.reachable === b.reachable && addressesOf(a) === addressesOf(b);
}

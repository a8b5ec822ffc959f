import { join } from "node:path";
import { StateFile } from "../disk/state_file.ts";
import { isBase64Url } from "../wire/fields.ts";
import type { PeerEntry } from "../wire/message.ts";

/** What the file holds: the peers of one network. */
interface Cached {
  /** The network's id; null when there is nothing. */
  network: string | null;
  peers: PeerEntry[];
}

/** The last list of peers, so that they can be reached while the tracker is down. */
export class PeerCache {
  readonly #file: StateFile<Cached>;

  constructor(peersFolder: string) {
    this.#file = new StateFile(join(peersFolder, "cache.json"), { parse });
  }

  /** The peers of `network` as last seen; none when another network was seen since. */
  async load(network: string): Promise<PeerEntry[]> {
    const cached = await this.#file.read();
    return cached.network === network ? cached.peers : [];
  }

  /** Replaces what is kept by the peers of `network`; what is kept already costs no sync of the disk. */
  async save(network: string, peers: readonly PeerEntry[]): Promise<void> {
    await this.#file.replace({ network, peers: [...peers] });
  }
}

function parse(value: object | null): Cached {
  const { network, peers } = (value ?? {}) as { network?: unknown; peers?: unknown };
  if (typeof network !== "string" || !Array.isArray(peers)) return { network: null, peers: [] };
  return { network, peers: peers.filter(isPeerEntry) };
}

function isPeerEntry(value: unknown): value is PeerEntry {
  const { id, name, host, port, reachable } = (value ?? {}) as Partial<PeerEntry>;
  return isBase64Url(id, 32) && typeof name === "string" && typeof host === "string" &&
    Number.isSafeInteger(port) && typeof reachable === "boolean";
}

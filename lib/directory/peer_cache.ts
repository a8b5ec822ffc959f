import { join } from "node:path";
import { StateFile } from "../disk/state_file.ts";
import { isBase64Url } from "../wire/fields.ts";
import type { PeerEntry } from "../wire/message.ts";

/** The peers of one network. */
interface Cached {
  /** The network's id. */
  network: string;
  peers: PeerEntry[];
}

/** Networks whose peers are kept: peers of one user in several networks share the file. */
const MAX_NETWORKS = 8;

/** The last lists of peers, so that they can be reached while their tracker is down. */
export class PeerCache {
  readonly #file: StateFile<Cached[]>;

  constructor(peersFolder: string) {
    this.#file = new StateFile(join(peersFolder, "cache.json"), { parse });
  }

  /** The peers of `network` as last seen; none when it was not seen, or many others were since. */
  async load(network: string): Promise<PeerEntry[]> {
    return (await this.#file.read()).find((cached) => cached.network === network)?.peers ?? [];
  }

  /** Keeps the peers of `network` in place of those seen before; the same ones cost no sync of the disk. */
  async save(network: string, peers: readonly PeerEntry[]): Promise<void> {
    const saved = { network, peers: [...peers] };
    const isSame = (cached: Cached | undefined) => JSON.stringify(cached) === JSON.stringify(saved);
    const known = await this.#file.read();
    if (known.some(isSame)) return;
    await this.#file.update((known) => {
      const others = known.filter((cached) => cached.network !== network);
      return [saved, ...others].slice(0, MAX_NETWORKS);
    });
  }
}

function parse(value: object | null): Cached[] {
  const all: unknown[] = Array.isArray(value) ? value : [];
  return all.flatMap((one) => {
    const { network, peers } = (one ?? {}) as { network?: unknown; peers?: unknown };
    if (typeof network !== "string" || !Array.isArray(peers)) return [];
    return [{ network, peers: peers.filter(isPeerEntry) }];
  });
}

function isPeerEntry(value: unknown): value is PeerEntry {
  const { id, name, host, port, reachable } = (value ?? {}) as Partial<PeerEntry>;
  return isBase64Url(id, 32) && typeof name === "string" && typeof host === "string" &&
    Number.isSafeInteger(port) && typeof reachable === "boolean";
}

import { join } from "node:path";
import { StateFile } from "../disk/state_file.ts";
import { areGroups } from "../wire/group_name.ts";
import { isBase64Url } from "../wire/fields.ts";
import type { PeerEntry } from "../wire/message.ts";

/** The peers of one network. */
export interface Cached {
  /** The network's id. */
  network: string;
  peers: PeerEntry[];
  /** How some of them were reached last, by their ids. */
  paths?: Record<string, string>;
}

/** Networks whose peers are kept: peers of one user in several networks share the file. */
const MAX_NETWORKS = 8;

/** The last lists of peers, so that they can be reached while their tracker is down, and how they were reached last. */
export class PeerCache {
  readonly #file: StateFile<Cached[]>;

  constructor(peersFolder: string) {
    this.#file = new StateFile(join(peersFolder, "cache.json"), { parse });
  }

  /** The peers of `network` as last seen, and the paths to them; none when it was not seen, or many others were since. */
  async load(network: string): Promise<Pick<Cached, "peers" | "paths">> {
    return of(network, await this.#file.read()) ?? { peers: [] };
  }

  /**
   * Keeps the peers of `network` in place of those seen before; the same ones cost no sync of the disk.
   *
   * @returns the paths to them.
   */
  async save(network: string, peers: readonly PeerEntry[]): Promise<Cached["paths"]> {
    const known = of(network, await this.#file.read());
    if (JSON.stringify(known?.peers) === JSON.stringify(peers)) return known?.paths;
    const ids = new Set(peers.map(({ id }) => id));
    await this.#file.update((all) => {
      const paths = Object.entries(of(network, all)?.paths ?? {}).filter(([id]) => ids.has(id));
      return replaced({ network, peers: [...peers], paths: Object.fromEntries(paths) }, all);
    });
    return known?.paths;
  }

  /** Keeps the path to a peer of `network`, or forgets it; nothing when no list of that network is kept. */
  async savePath(network: string, id: string, path: string | undefined): Promise<void> {
    await this.#file.update((all) => {
      const known = of(network, all);
      if (!known?.peers.some((peer) => peer.id === id)) return undefined;
      const { [id]: _, ...others } = known.paths ?? {};
      return replaced(
        { ...known, paths: path === undefined ? others : { ...others, [id]: path } },
        all,
      );
    });
  }
}

function of(network: string, all: readonly Cached[]): Cached | undefined {
  return all.find((cached) => cached.network === network);
}

/** With `saved` first, in place of what was known of its network. */
function replaced(saved: Cached, all: readonly Cached[]): Cached[] {
  return [saved, ...all.filter(({ network }) => network !== saved.network)].slice(0, MAX_NETWORKS);
}

function parse(value: object | null): Cached[] {
  const all: unknown[] = Array.isArray(value) ? value : [];
  return all.flatMap((one) => {
    const { network, peers, paths } = (one ?? {}) as { [name in keyof Cached]?: unknown };
    if (typeof network !== "string" || !Array.isArray(peers)) return [];
    const known = Object.entries(paths ?? {}).filter(([, path]) => typeof path === "string");
    return [{ network, peers: peers.filter(isPeerEntry), paths: Object.fromEntries(known) }];
  });
}

function isPeerEntry(value: unknown): value is PeerEntry {
  const { id, name, reachable, addresses = [], groups = [] } = (value ?? {}) as Partial<PeerEntry>;
  return isBase64Url(id, 32) && typeof name === "string" && typeof reachable === "boolean" &&
    areGroups(groups) && Array.isArray(addresses) && [value, ...addresses].every(isAddress);
}

function isAddress(value: unknown): boolean {
  const { host, port } = (value ?? {}) as Partial<PeerEntry>;
  return typeof host === "string" && Number.isSafeInteger(port);
}

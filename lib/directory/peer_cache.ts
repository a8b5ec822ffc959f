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
  /** Peers that were seen and are not among `peers`, those seen last first. */
  seen?: SeenPeer[];
}

/** A peer that was there once. */
export type SeenPeer = Pick<PeerEntry, "id" | "name" | "groups">;

/** Networks whose peers are kept: peers of one user in several networks share the file. */
const MAX_NETWORKS = 8;
/** Peers of a network that are remembered while they are away. */
const MAX_SEEN = 1000;

/** The last lists of peers, so that they can be reached while their tracker is down, and how they were reached last. */
export class PeerCache {
  readonly #file: StateFile<Cached[]>;

  constructor(peersFolder: string) {
    this.#file = new StateFile(join(peersFolder, "cache.json"), { parse });
  }

  /**
   * The peers of `network` as last seen, the paths to them, and who was there before; none when it was not seen, or many
   * others were since.
   */
  async load(network: string): Promise<Omit<Cached, "network">> {
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
      const cached = { network, peers: [...peers], paths: Object.fromEntries(paths) };
      return replaced({ ...cached, ...withSeen(peers, of(network, all)) }, all);
    });
    return known?.paths;
  }

  /** Remembers that peers of `network` are there; the list that was kept last stays as it is. */
  async note(network: string, present: readonly PeerEntry[]): Promise<void> {
    const cached = of(network, await this.#file.read());
    const isKept = (entry: PeerEntry) =>
      cached?.peers.some(({ id }) => id === entry.id) ||
      cached?.seen?.some((seen) => isSame(seen, entry));
    if (present.every(isKept)) return;
    await this.#file.update((all) => {
      const known = of(network, all) ?? { network, peers: [] };
      const listed = { peers: known.peers, seen: [...present, ...known.seen ?? []] };
      return replaced({ ...known, ...withSeen(known.peers, listed) }, all);
    });
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

function everSeen(cached: Pick<Cached, "peers" | "seen"> | undefined): readonly SeenPeer[] {
  return [...cached?.peers ?? [], ...cached?.seen ?? []];
}

function isSame(a: SeenPeer, b: SeenPeer): boolean {
  return a.id === b.id && a.name === b.name && `${a.groups ?? []}` === `${b.groups ?? []}`;
}

/** Those of an earlier list, and those seen before it, who are not among `peers`. */
function withSeen(
  peers: readonly PeerEntry[],
  before: Pick<Cached, "peers" | "seen"> | undefined,
): Pick<Cached, "seen"> {
  const ids = new Set(peers.map(({ id }) => id));
  const seen: SeenPeer[] = [];
  for (const { id, name, groups } of everSeen(before)) {
    if (ids.has(id)) continue;
    ids.add(id);
    seen.push({ id, name, ...(groups ? { groups } : {}) });
  }
  return seen.length === 0 ? {} : { seen: seen.slice(0, MAX_SEEN) };
}

/** With `saved` first, in place of what was known of its network. */
function replaced(saved: Cached, all: readonly Cached[]): Cached[] {
  return [saved, ...all.filter(({ network }) => network !== saved.network)].slice(0, MAX_NETWORKS);
}

function parse(value: object | null): Cached[] {
  const all: unknown[] = Array.isArray(value) ? value : [];
  return all.flatMap((one) => {
    const { network, peers, paths, seen } = (one ?? {}) as { [name in keyof Cached]?: unknown };
    if (typeof network !== "string" || !Array.isArray(peers)) return [];
    const known = Object.entries(paths ?? {}).filter(([, path]) => typeof path === "string");
    const others = Array.isArray(seen) ? seen.filter(isSeenPeer) : [];
    return [{
      network,
      peers: peers.filter(isPeerEntry),
      paths: Object.fromEntries(known),
      ...(others.length > 0 ? { seen: others } : {}),
    }];
  });
}

function isPeerEntry(value: unknown): value is PeerEntry {
  const { id, name, reachable, addresses = [], groups = [] } = (value ?? {}) as Partial<PeerEntry>;
  return isBase64Url(id, 32) && typeof name === "string" && typeof reachable === "boolean" &&
    areGroups(groups) && Array.isArray(addresses) && [value, ...addresses].every(isAddress);
}

function isSeenPeer(value: unknown): value is SeenPeer {
  const { id, name, groups = [] } = (value ?? {}) as Partial<SeenPeer>;
  return isBase64Url(id, 32) && typeof name === "string" && areGroups(groups);
}

function isAddress(value: unknown): boolean {
  const { host, port } = (value ?? {}) as Partial<PeerEntry>;
  return typeof host === "string" && Number.isSafeInteger(port);
}

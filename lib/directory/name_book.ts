import { join } from "node:path";
import { StateFile } from "../disk/state_file.ts";
import { P2PError } from "../errors.ts";
import { isBase64Url } from "../wire/fields.ts";
import type { PeerEntry } from "../wire/message.ts";
import { peerNameKey } from "../wire/peer_name.ts";

/** Ids by the keys of the names that are pinned to them: names that look the same are one. */
export type Names = ReadonlyMap<string, string>;
/** The names of each network, by what the network goes by: a name says nothing of another one. */
type Networks = ReadonlyMap<string, Names>;

/**
 * The keys that the names of a network are pinned to, shared by all peers of a user, whichever processes they are. Trust
 * on first use: a name is pinned to the key that it first stands for (its id, which is the public key), and refused with
 * another until somebody says that it is right (`peer trust`).
 */
export class NameBook {
  readonly #file: StateFile<Networks>;
  readonly #network: string;

  /** @param network the id of the network, or what else tells it from others. */
  constructor(peersFolder: string, network: string) {
    this.#network = network;
    this.#file = fileIn(peersFolder);
  }

  /**
   * Pins a name to the key of its entry (trust on first use): a new name's key is remembered, and another key of a
   * pinned name is refused.
   *
   * @throws {P2PError} `name-changed-key`, with both ids; `disk` when the file is broken.
   */
  async pin(entry: PeerEntry): Promise<void> {
    // Most names are pinned already: reading takes no lock, so that no other process has to be waited for.
    if (expectSameKey(await this.read(), entry)) return;
    await this.#file.update((networks) => {
      const names = this.#of(networks);
      return expectSameKey(names, entry) ? undefined : this.#with(networks, entry);
    });
  }

  /**
   * All that is pinned now, ids by `peerNameKey`.
   *
   * @throws {P2PError} `disk` when the file cannot be read or is broken.
   */
  async read(): Promise<Names> {
    return this.#of(await this.#file.read());
  }

  /** The id that the name is pinned to, if it is. */
  async idOf(name: string): Promise<string | undefined> {
    return (await this.read()).get(peerNameKey(name));
  }

  /** Pins the name to `id`, whatever it was pinned to before. */
  trust(entry: PeerEntry): Promise<void> {
    return this.#file.update((networks) => this.#with(networks, entry));
  }

  #of(networks: Networks): Names {
    return networks.get(this.#network) ?? new Map();
  }

  #with(networks: Networks, { name, id }: PeerEntry): Networks {
    const names = new Map(this.#of(networks)).set(peerNameKey(name), id);
    return new Map(networks).set(this.#network, names);
  }
}

/** The names of a user's peers by the ids that they are pinned to, in whichever network; as `peerNameKey` has them. */
export async function namesById(peersFolder: string): Promise<Map<string, string>> {
  const networks = await fileIn(peersFolder).read();
  const pins = [...networks.values()].flatMap((names) => [...names]);
  return new Map(pins.map(([name, id]) => [id, name]));
}

function fileIn(peersFolder: string): StateFile<Networks> {
  const path = join(peersFolder, "names.json");
  return new StateFile(path, { parse: (value) => parse(value, path), encode, indent: 2 });
}

function encode(networks: Networks): unknown {
  return Object.fromEntries([...networks].map(([id, names]) => [id, Object.fromEntries(names)]));
}

/** What is broken is refused and not dropped: a name whose pin is lost would be anybody's. */
function parse(value: object | null, path: string): Networks {
  const networks = Object.entries(value ?? {}).map(([network, names]) => {
    const isObject = typeof names === "object" && names !== null && !Array.isArray(names);
    const pins = isObject ? Object.entries(names) : null;
    if (pins === null || !pins.every(isPin)) throw broken(path);
    return [network, new Map(pins)] as const;
  });
  if (Array.isArray(value)) throw broken(path);
  return new Map(networks);
}

function isPin(pin: [string, unknown]): pin is [string, string] {
  return isBase64Url(pin[1], 32);
}

function broken(path: string): P2PError {
  return new P2PError(
    "disk",
    `Cannot read ${path}: it does not hold ids by networks and names; mend it, or move it away to ` +
      "trust each name anew when it is used first",
  );
}

/**
 * Whether the name is pinned to the key of the entry; false when it is pinned to none.
 *
 * @throws {P2PError} `name-changed-key` when it is pinned to another.
 */
function expectSameKey(names: Names, { name, id }: PeerEntry): boolean {
  const known = names.get(peerNameKey(name));
  if (known === undefined || known === id) return known === id;
  throw new P2PError(
    "name-changed-key",
    `Cannot trust ${name}: it was ${known.slice(0, 8)} and is ${id.slice(0, 8)} now; ` +
      `if that is right, say \`peer trust ${name}\``,
    { candidates: [`before: id:${known}`, `now: id:${id}`] },
  );
}

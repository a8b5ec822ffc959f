import { join } from "node:path";
import { P2PError, reasonOf } from "../errors.ts";
import { type Identity, loadOrCreateIdentity } from "../identity/keys.ts";
import { readPrivate, replacePrivate } from "../identity/private_file.ts";
import { isBase64Url } from "../wire/fields.ts";
import type { PeerEntry } from "../wire/message.ts";

/** Slots beyond this are a sign that something starts peers in a loop. */
const MAX_SLOTS = 1000;

/** An identity and the lock that keeps it for one long-running peer. */
export interface Slot extends Disposable {
  identity: Identity;
  number: number;
}

/**
 * Takes the first identity of this user that no running peer holds: `peers/1/`, `peers/2/` ... so that
 * several peers on one machine are told apart, and each keeps its id over restarts.
 */
export async function takeSlot(peersFolder: string): Promise<Slot> {
  for (let number = 1; number <= MAX_SLOTS; number++) {
    const folder = join(peersFolder, `${number}`);
    await Deno.mkdir(folder, { recursive: true, mode: 0o700 });
    const lock = await Deno.open(join(folder, "lock"), { write: true, create: true, mode: 0o600 });
    if (await lock.tryLock(true)) {
      try {
        const identity = await loadOrCreateIdentity(join(folder, "identity.key"));
        return { identity, number, [Symbol.dispose]: () => lock.close() };
      } catch (error) {
        lock.close();
        throw error;
      }
    }
    lock.close();
  }
  throw new P2PError("disk", `Cannot start: ${MAX_SLOTS} peers of this user are running`);
}

/** The identity of one-shot commands: that of the first slot, also while a running peer holds it. */
export async function firstIdentity(peersFolder: string): Promise<Identity> {
  return await loadOrCreateIdentity(join(peersFolder, "1", "identity.key"));
}

/**
 * The ids that names stood for when they were first used, shared by all peers of a user. Trust on first
 * use: a name that turns up with another key is refused until somebody says that it is right.
 */
export class NameBook {
  readonly #path: string;
  #turn: Promise<unknown> = Promise.resolve();

  constructor(peersFolder: string) {
    this.#path = join(peersFolder, "names.json");
  }

  /**
   * Remembers a new name, and checks a known one.
   *
   * @throws {P2PError} `name-changed-key`, with both ids.
   */
  check(entry: PeerEntry): Promise<void> {
    return this.#inTurn(() => this.#checkNow(entry));
  }

  /** The id that the name stands for, if it has stood for one. */
  async idOf(name: string): Promise<string | undefined> {
    let id: string | undefined;
    await this.#inTurn(async () => void (id = (await this.#load()).get(name)));
    return id;
  }

  /** Forgets what the name stood for and remembers `id` instead. */
  trust({ name, id }: PeerEntry): Promise<void> {
    return this.#inTurn(async () => await this.#save((await this.#load()).set(name, id)));
  }

  /** One change after another, so that none is lost. */
  #inTurn(change: () => Promise<void>): Promise<void> {
    const turn = this.#turn.then(change);
    this.#turn = turn.catch(() => {});
    return turn;
  }

  async #checkNow({ name, id }: PeerEntry): Promise<void> {
    const names = await this.#load();
    const known = names.get(name);
    if (known === id) return;
    if (known !== undefined) {
      throw new P2PError(
        "name-changed-key",
        `Cannot trust ${name}: it was ${known.slice(0, 8)} and is ${id.slice(0, 8)} now; ` +
          `if that is right, say \`peer trust ${name}\``,
        { candidates: [`before: id:${known}`, `now: id:${id}`] },
      );
    }
    await this.#save(names.set(name, id));
  }

  async #load(): Promise<Map<string, string>> {
    const entries = Object.entries(await readJson(this.#path) ?? {});
    return new Map(
      entries.filter((entry): entry is [string, string] => isBase64Url(entry[1], 32)),
    );
  }

  async #save(names: Map<string, string>): Promise<void> {
    await replacePrivate(this.#path, JSON.stringify(Object.fromEntries(names), null, 2));
  }
}

/** The last list of peers, so that they can be reached while the tracker is down. */
export class PeerCache {
  readonly #path: string;

  constructor(peersFolder: string) {
    this.#path = join(peersFolder, "cache.json");
  }

  /** The peers of `network` as last seen; none when another network was seen since. */
  async load(network: string): Promise<PeerEntry[]> {
    const cached = await readJson(this.#path) as { network?: string; peers?: unknown } | null;
    if (cached?.network !== network || !Array.isArray(cached.peers)) return [];
    return cached.peers.filter(isPeerEntry);
  }

  /** Replaces what is kept by the peers of `network`; what is kept already costs no sync of the disk. */
  async save(network: string, peers: readonly PeerEntry[]): Promise<void> {
    const text = JSON.stringify({ network, peers });
    if (await readPrivate(this.#path) === text) return;
    await replacePrivate(this.#path, text);
  }
}

function isPeerEntry(value: unknown): value is PeerEntry {
  const { id, name, host, port, reachable } = (value ?? {}) as Partial<PeerEntry>;
  return isBase64Url(id, 32) && typeof name === "string" && typeof host === "string" &&
    Number.isSafeInteger(port) && typeof reachable === "boolean";
}

async function readJson(path: string): Promise<object | null> {
  const text = await readPrivate(path);
  if (text === null) return null;
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null ? value : null;
  } catch (cause) {
    throw new P2PError("disk", `Cannot read ${path}: ${reasonOf(cause)}; move the file away`, {
      cause,
    });
  }
}

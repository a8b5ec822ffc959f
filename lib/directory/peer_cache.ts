import { join } from "node:path";
import { readJson, readPrivate, replacePrivate } from "../disk/private_file.ts";
import { isBase64Url } from "../wire/fields.ts";
import type { PeerEntry } from "../wire/message.ts";

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

import { P2PError } from "../errors.ts";
import { formatAddress } from "../address.ts";
import type { PeerEntry } from "../wire/message.ts";

/** A peer as people see it: its name, the first characters of its id, its address. */
export function describePeer(entry: PeerEntry): string {
  return `${entry.name} (id:${entry.id.slice(0, 8)}, ${formatAddress(entry)})`;
}

/**
 * Finds the peer that `target` means: a name, `id:` and a prefix of an id, or `host:port`.
 *
 * @throws {P2PError} `peer-unknown` or `peer-ambiguous`, with the candidates.
 */
export function resolveTarget(target: string, entries: readonly PeerEntry[]): PeerEntry {
  const found = entries.filter((entry) => isMeant(target, entry));
  const [first] = found;
  if (first && found.length === 1) return first;
  if (found.length > 1) {
    throw new P2PError("peer-ambiguous", `Cannot choose: ${target} fits ${found.length} peers`, {
      candidates: found.map(describePeer),
    });
  }
  throw new P2PError(
    "peer-unknown",
    entries.length === 0
      ? `Cannot find ${target}: no other peer is there`
      : `Cannot find ${target}: no peer has that name, id or address`,
    { candidates: entries.map(describePeer) },
  );
}

/** Whether `target` fits the peer. */
export function isMeant(target: string, entry: PeerEntry): boolean {
  if (target.startsWith("id:")) return target.length > 3 && entry.id.startsWith(target.slice(3));
  // Names have no colon.
  if (target.includes(":")) return sameEndpoint(target, formatAddress(entry));
  return entry.name === target;
}

function sameEndpoint(a: string, b: string): boolean {
  const plain = (text: string) => text.replace(/^(localhost|\[::1\]):/, "127.0.0.1:");
  return plain(a) === plain(b);
}

/**
 * The recipients that `--to` names: targets among `entries`, separated by commas, each peer once; `all`
 * means `others`.
 *
 * @throws {P2PError} `peer-unknown` or `peer-ambiguous`, with the candidates; `usage` when nobody is named.
 */
export function resolveRecipients(
  to: readonly string[],
  entries: readonly PeerEntry[],
  others: readonly PeerEntry[],
): readonly PeerEntry[] {
  const targets = to.flatMap((part) => part.split(",")).map((part) => part.trim()).filter(Boolean);
  if (targets.length === 0) {
    throw new P2PError(
      "usage",
      `Cannot use --to ${to.join(" ")}: it names nobody; write peers separated by commas, or all`,
    );
  }
  if (targets.includes("all")) {
    if (others.length === 0) {
      throw new P2PError("peer-unknown", "Cannot send to all: no other peer is there");
    }
    return others;
  }
  const chosen = new Map<string, PeerEntry>();
  for (const target of targets) {
    const entry = resolveTarget(target, entries);
    chosen.set(entry.id, entry);
  }
  return [...chosen.values()];
}

import { asP2PError, P2PError } from "../errors.ts";
import { formatAddress } from "../address.ts";
import { suggest } from "../suggest.ts";
import type { PeerEntry } from "../wire/message.ts";

/** Stands for everybody in `--to`. */
export const ALL = "all";
/** Begins the name of a group in `--to`. */
const GROUP = "@";

/** Somebody whom `--to` names and who cannot be found. */
export interface Missing {
  /** As it was given. */
  target: string;
  error: P2PError;
}

/** Whom `--to` means. */
export interface Recipients {
  peers: readonly PeerEntry[];
  /** The others that it names: those who are there get it all the same. */
  missing: readonly Missing[];
  /** Whom it means by now, where others may have come: those who are missing, or all there are. */
  look?: () => Promise<Recipients>;
}

/** A peer as people see it: its name, the first characters of its id, its address. */
export function describePeer(entry: PeerEntry): string {
  return `${entry.name} (id:${entry.id.slice(0, 8)}, ${formatAddress(entry)})`;
}

/**
 * Finds the peer that `target` means: a name, `id:` and a prefix of an id, or `host:port`, which nobody has proven to be
 * that of a peer where the tracker has not seen it.
 *
 * @throws {P2PError} `peer-unknown` or `peer-ambiguous`, with the candidates.
 */
export function resolveTarget(target: string, entries: readonly PeerEntry[]): PeerEntry {
  const fitting = entries.filter((entry) => isMeant(target, entry));
  // Anybody may claim the address of another: whoever was seen there comes before.
  const seen = fitting.filter((entry) => isMeant(target, { ...entry, addresses: [] }));
  const found = seen.length > 0 ? seen : fitting;
  const [first] = found;
  if (first && found.length === 1) return first;
  if (found.length > 1) {
    throw new P2PError("peer-ambiguous", `Cannot choose: ${target} fits ${found.length} peers`, {
      candidates: found.map(describePeer),
    });
  }
  const near = suggest(target, entries.map(({ name }) => name));
  const remedy = near === null ? "" : `; did you mean ${near}?`;
  throw new P2PError(
    "peer-unknown",
    entries.length === 0
      ? `Cannot find ${target}: no other peer is there`
      : `Cannot find ${target}: no peer has that name, id or address${remedy}`,
    { candidates: entries.map(describePeer) },
  );
}

/** Whether `target` fits the peer. */
export function isMeant(target: string, entry: PeerEntry): boolean {
  if (target.startsWith("id:")) return target.length > 3 && entry.id.startsWith(target.slice(3));
  // Names have no colon.
  if (target.includes(":")) {
    return [entry, ...entry.addresses ?? []].some((address) =>
      sameEndpoint(target, formatAddress(address))
    );
  }
  return entry.name === target;
}

/**
 * How to write the peers that an argument means which may have been meant as a path: one or several, in any of the
 * notations, or a name in another case; null when it is not about peers that are there.
 */
export function meantAsPeers(argument: string, entries: readonly PeerEntry[]): string | null {
  if (argument === ALL) return argument;
  const targets = argument.split(",").map((target) => {
    if (membersOf(target, entries).length > 0) return target;
    if (entries.some((entry) => isMeant(target, entry))) return target;
    const lower = target.toLowerCase();
    return entries.find(({ name }) => name.toLowerCase() === lower)?.name;
  });
  return targets.every((target) => target !== undefined) ? targets.join(",") : null;
}

/** Whether `--to` names each peer that it is about. */
export function namesEach(to: readonly string[]): boolean {
  const targets = targetsOf(to);
  return targets.length > 0 && !targets.some((target) => target === ALL || isGroup(target));
}

/** Whether a target is a group. */
export function isGroup(target: string): boolean {
  return target.startsWith(GROUP);
}

/** Those who say that they are in the group that a target names. */
export function membersOf<T extends Pick<PeerEntry, "groups">>(
  target: string,
  entries: readonly T[],
): T[] {
  const group = target.slice(GROUP.length);
  return isGroup(target) ? entries.filter(({ groups = [] }) => groups.includes(group)) : [];
}

/**
 * Those who are in the group that a target names.
 *
 * @throws {P2PError} `peer-unknown`, with the groups that there are, when nobody is.
 */
function resolveGroup(target: string, others: readonly PeerEntry[]): PeerEntry[] {
  const members = membersOf(target, others);
  if (members.length > 0) return members;
  const groups = [...new Set(others.flatMap(({ groups = [] }) => groups))].sort();
  const near = suggest(target.slice(GROUP.length), groups);
  const remedy = near === null
    ? "; `peer peers` shows who is in which"
    : `; did you mean @${near}?`;
  throw new P2PError(
    "peer-unknown",
    `Cannot find ${target}: no other peer that is there is in that group${remedy}`,
    { candidates: groups.map((group) => `${GROUP}${group}`) },
  );
}

/** The targets that `--to` names. */
export function targetsOf(to: readonly string[]): string[] {
  return to.flatMap((part) => part.split(",")).map((part) => part.trim()).filter(Boolean);
}

function sameEndpoint(a: string, b: string): boolean {
  const plain = (text: string) => text.replace(/^(localhost|\[::1\]):/, "127.0.0.1:");
  return plain(a) === plain(b);
}

/**
 * The recipients that `--to` names: targets among `entries`, separated by commas, each peer once; `all`
 * means `others`, and `@` with a group those of them who are in it.
 *
 * @throws {P2PError} `usage` when nobody is named; `peer-unknown` or `peer-ambiguous`, with the candidates, when none of
 * them is there.
 */
export function resolveRecipients(
  to: readonly string[],
  entries: readonly PeerEntry[],
  others: readonly PeerEntry[],
): Recipients {
  const targets = targetsOf(to);
  if (targets.length === 0) {
    throw new P2PError(
      "usage",
      `Cannot use --to ${to.join(" ")}: it names nobody; write peers separated by commas, or all`,
    );
  }
  if (targets.includes(ALL)) {
    if (others.length === 0) {
      throw new P2PError("peer-unknown", "Cannot send to all: no other peer is there");
    }
    return { peers: others, missing: [] };
  }
  const chosen = new Map<string, PeerEntry>();
  const missing: Missing[] = [];
  for (const target of new Set(targets)) {
    try {
      const found = isGroup(target)
        ? resolveGroup(target, others)
        : [resolveTarget(target, entries)];
      for (const entry of found) chosen.set(entry.id, entry);
    } catch (thrown) {
      missing.push({ target, error: asP2PError(thrown) });
    }
  }
  const [first] = missing;
  if (first && chosen.size === 0) throw first.error;
  return { peers: [...chosen.values()], missing };
}

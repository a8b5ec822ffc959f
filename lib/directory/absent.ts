import { asP2PError, P2PError } from "../errors.ts";
import { suggest } from "../suggest.ts";
import { isBase64Url } from "../wire/fields.ts";
import type { PeerEntry } from "../wire/message.ts";
import { peerNameKey } from "../wire/peer_name.ts";
import type { Names } from "./name_book.ts";
import type { SeenPeer } from "./peer_cache.ts";
import {
  ALL,
  isGroup,
  membersOf,
  type Missing,
  type Recipients,
  resolveTarget,
  targetsOf,
} from "./target.ts";

/** Somebody who is known and not there now. */
export interface Absent {
  id: string;
  /** The name that the peer was known by last; the id where there is none. */
  name: string;
}

/** Whom `--to` means, there or not. */
export interface Known extends Recipients {
  absent: readonly Absent[];
}

/** Who is known, and from where. */
export interface Acquaintances {
  /** Peers that are listed. */
  entries: readonly PeerEntry[];
  /** Those of them whom `all` means. */
  others: readonly PeerEntry[];
  /** Peers that were listed once, those seen last first; some may be listed now. */
  seen: readonly SeenPeer[];
  /** Names that are pinned to keys. */
  pins: Names;
  /** Own id: nobody waits for the peer that sends. */
  own: string;
}

/** Length in bytes of an id, which is a public key. */
const ID_BYTES = 32;

/**
 * The peers that `--to` names: those that are listed, and those that are known from before. An address is nobody's
 * while nobody is there.
 *
 * @throws {P2PError} `usage` when nobody is named; `peer-unknown` or `peer-ambiguous` when none of them is known.
 */
export function resolveKnown(to: readonly string[], known: Acquaintances): Known {
  const targets = new Set(targetsOf(to));
  if (targets.size === 0) {
    throw new P2PError(
      "usage",
      `Cannot use --to ${to.join(" ")}: it names nobody; write peers separated by commas, or all`,
    );
  }
  const peers = new Map<string, PeerEntry>();
  const absent = new Map<string, Absent>();
  const missing: Missing[] = [];
  for (const target of targets) {
    try {
      const found = resolve(target, known);
      for (const entry of found.peers) peers.set(entry.id, entry);
      for (const { id, name } of found.absent) absent.set(id, { id, name });
    } catch (thrown) {
      missing.push({ target, error: asP2PError(thrown) });
    }
  }
  const [first] = missing;
  if (first && peers.size + absent.size === 0) throw first.error;
  return { peers: [...peers.values()], absent: [...absent.values()], missing };
}

type Found = Pick<Known, "peers" | "absent">;

function resolve(target: string, known: Acquaintances): Found {
  const { others, entries, own } = known;
  const listed = new Set(entries.map(({ id }) => id));
  const away = known.seen.filter(({ id }) => id !== own && !listed.has(id));
  if (target === ALL || isGroup(target)) {
    const [peers, absent] = target === ALL
      ? [others, away]
      : [membersOf(target, others), membersOf(target, away)];
    if (peers.length + absent.length > 0) return { peers, absent };
    throw new P2PError(
      "peer-unknown",
      `Cannot send to ${target}: no such peer is there, and none is known that is away`,
    );
  }
  try {
    return { peers: [resolveTarget(target, entries)], absent: [] };
  } catch (error) {
    if (asP2PError(error).code !== "peer-unknown") throw error;
  }
  const found = resolveAbsent(target, away, known.pins);
  if (found.id === own) {
    throw new P2PError("usage", `Cannot queue for ${target}: it is the very peer that sends`);
  }
  // A peer that was renamed is there under another name.
  const there = entries.find(({ id }) => id === found.id);
  return there ? { peers: [there], absent: [] } : { peers: [], absent: [found] };
}

/** The one whom a name or an id means among those who are away. */
function resolveAbsent(target: string, away: readonly SeenPeer[], pins: Names): Absent {
  if (target.startsWith("id:")) return resolveId(target.slice(3), away, pins);
  if (target.includes(":")) {
    throw new P2PError(
      "peer-unknown",
      `Cannot queue for ${target}: nobody is there now, and whose address it will be is not ` +
        "known; write a name or an id",
    );
  }
  const key = peerNameKey(target);
  const pinned = pins.get(key);
  const seen = away.find(({ id, name }) =>
    pinned === undefined ? peerNameKey(name) === key : id === pinned
  );
  if (seen) return { id: seen.id, name: seen.name };
  if (pinned !== undefined) return { id: pinned, name: target };
  const names = [...away.map(({ name }) => name), ...pins.keys()];
  const near = suggest(target, names);
  throw new P2PError(
    "peer-unknown",
    `Cannot queue for ${target}: nobody of that name is there, or has ever been seen here; ` +
      (near === null ? "look for it in `peer peers` when it is there" : `did you mean ${near}?`),
  );
}

function resolveId(prefix: string, away: readonly SeenPeer[], pins: Names): Absent {
  const names = new Map([
    ...[...pins].map(([name, id]): [string, string] => [id, name]),
    ...away.map(({ id, name }): [string, string] => [id, name]),
  ]);
  const fitting = prefix === "" ? [] : [...names].filter(([id]) => id.startsWith(prefix));
  const [first] = fitting;
  if (first && fitting.length === 1) return { id: first[0], name: first[1] };
  if (first) {
    throw new P2PError(
      "peer-ambiguous",
      `Cannot choose: id:${prefix} fits ${fitting.length} peers; write more of the id`,
      { candidates: fitting.map(([id, name]) => `${name} (id:${id})`) },
    );
  }
  if (isBase64Url(prefix, ID_BYTES)) return { id: prefix, name: prefix };
  throw new P2PError(
    "peer-unknown",
    `Cannot queue for id:${prefix}: no peer with such an id has ever been seen here; write all ` +
      "43 characters of it to wait for a stranger",
  );
}

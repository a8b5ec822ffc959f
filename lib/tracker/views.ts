/**
 * What of a peer's addresses is told to whom: loopback means another machine to whoever comes from elsewhere.
 *
 * @module
 */

import { type Address, formatAddress, isLoopback, mayBeDialledFor, plainHost } from "../address.ts";
import type { Session } from "../net/session.ts";
import { MAX_ADDRESSES } from "../wire/limits.ts";
import type { PeerEntry } from "../wire/message.ts";
import { sourceHost } from "./dial_backs.ts";

/** From where a list is read: on the tracker's own machine, or from another one; or by whoever operates the tracker. */
export type View = "here" | "elsewhere" | "operator";

/** Views of sessions: each push asks for those of all members. */
const VIEWS = new WeakMap<Session, View>();

/** From where a session reads. */
export function viewOf(session: Session): View {
  let view = VIEWS.get(session);
  if (view === undefined) {
    view = session.remote.role === "operator"
      ? "operator"
      : isLoopback(sourceHost(session))
      ? "here"
      : "elsewhere";
    VIEWS.set(session, view);
  }
  return view;
}

/**
 * An entry as one view has it. A peer that listens on the tracker's machine alone is listed elsewhere all the same, since
 * it can dial: under `ownHost`, an address of that machine, as unreachable.
 */
export function entryFor(view: View, listed: PeerEntry, ownHost: () => string): PeerEntry {
  if (view === "operator") return listed;
  const { away: _, ...entry } = listed;
  if (view === "here" || !isLoopback(entry.host)) return entry;
  const { addresses = [], ...rest } = entry;
  const [first, ...others] = addresses;
  if (!first) return { ...rest, host: ownHost(), reachable: false };
  return { ...rest, ...first, ...withAddresses(others) };
}

/**
 * The addresses of those that the peer of a session claims which others may be told: see `mayBeDialledFor`, and never
 * loopback. Each once, and none of those in `known`.
 */
export function tellable(
  claimed: readonly Address[] = [],
  session: Session,
  known: readonly Address[] = [],
): Address[] {
  const via = session.connection.local.host;
  const seen = new Set(known.map(formatAddress));
  const told: Address[] = [];
  for (const { host, port } of claimed) {
    // The scope of an address is a number or a name on the machine that it is of.
    const address = { host: plainHost(host.replace(/%.*/, "")), port };
    if (isLoopback(address.host) || !mayBeDialledFor(address.host, via)) continue;
    if (seen.has(formatAddress(address))) continue;
    seen.add(formatAddress(address));
    told.push(address);
  }
  return told.slice(0, MAX_ADDRESSES);
}

/** The optional field of a message. */
export function withAddresses(addresses: Address[]): { addresses?: Address[] } {
  return addresses.length > 0 ? { addresses } : {};
}

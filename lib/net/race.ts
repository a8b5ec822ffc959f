import { onAbort } from "../async/abort.ts";
import type { Clock } from "../async/clock.ts";
import { type Address, formatAddress, isLoopback, mayBeDialledFor, reachOf } from "../address.ts";
import { P2PError } from "../errors.ts";

/** Milliseconds after which the next address is dialled too: RFC 8305, 8. */
export const STAGGER = 250;

/** What {@linkcode race} needs beside the attempts. */
export interface RaceOptions<T> {
  clock: Clock;
  /** Ends the attempts that are under way, and begins no more. */
  signal: AbortSignal;
  /** Takes what comes of an attempt after another one has won, or the signal has aborted. */
  drop: (late: T) => void;
}

/**
 * Makes attempts to reach one and the same, each `STAGGER` after the one before it, or at once when that has failed (RFC
 * 8305, 5); resolves with what the first to succeed gives. The signals of the others abort then.
 *
 * @throws {P2PError} the last failure when all fail; the signal's reason.
 */
export function race<T>(
  attempts: readonly ((signal: AbortSignal) => Promise<T>)[],
  { clock, signal, drop }: RaceOptions<T>,
): Promise<T> {
  const stop = new AbortController();
  const { promise, resolve, reject } = Promise.withResolvers<T>();
  let left = attempts.length;
  let next = 0;
  let cancel = () => {};
  let undo = () => {};
  const begin = () => {
    cancel();
    const attempt = attempts[next++];
    if (attempt === undefined || stop.signal.aborted) return;
    if (next < attempts.length) cancel = clock.after(STAGGER, begin);
    attempt(stop.signal).then(win, fail);
  };
  const win = (value: T) => {
    if (stop.signal.aborted) return drop(value);
    resolve(value);
    end(new P2PError("interrupted", "Another way was faster"));
  };
  const fail = (error: unknown) => {
    if (--left === 0) end(error);
    else begin();
  };
  const end = (reason: unknown) => {
    undo();
    cancel();
    reject(reason);
    stop.abort(reason);
  };
  undo = onAbort(signal, () => end(signal.reason));
  if (left === 0) end(new P2PError("peer-unreachable", "Cannot dial: there is no address"));
  else begin();
  return promise;
}

/** An address, and others of the same machine. */
export interface Candidates extends Address {
  /** The likeliest first. */
  addresses?: readonly Address[];
}

/**
 * The addresses of a peer that this machine may dial, in the order in which to try them: the one that worked last, then
 * the one that the tracker saw, then what the peer itself says, the families in turn (RFC 8305, 4).
 *
 * @param via the tracker's own address: loopback of this machine means other peers only where the tracker is there too.
 * @param last the one that worked last, as `host:port`.
 */
export function candidatesOf(
  { host, port, addresses = [] }: Candidates,
  { via, last }: { via: string; last?: string | undefined },
): Address[] {
  // The unspecified address leads to this machine itself.
  const isUseless = reachOf(host) === "unusable" || isLoopback(host) && !isLoopback(via);
  const seen = isUseless ? [] : [{ host, port }];
  // The scope of an address is a number or a name on the machine that it is of.
  const said = addresses.map(({ host, port }) => ({ host: host.replace(/%.*/, ""), port }))
    .filter((address) => mayBeDialledFor(address.host, via));
  const known = new Map([...seen, ...said].map((one) => [formatAddress(one), one] as const));
  const inTurn = interleaved([...known.values()]);
  const isLast = (address: Address) => formatAddress(address) === last;
  return [...inTurn.filter(isLast), ...inTurn.filter((address) => !isLast(address))];
}

/** One address of each family in turn, in their order, from the family of the first one on. */
function interleaved(addresses: readonly Address[]): Address[] {
  const isIPv6 = ({ host }: Address) => host.includes(":");
  const [first] = addresses;
  if (!first) return [];
  const same = addresses.filter((address) => isIPv6(address) === isIPv6(first));
  const other = addresses.filter((address) => isIPv6(address) !== isIPv6(first));
  return addresses.flatMap((_, i) => [...same.slice(i, i + 1), ...other.slice(i, i + 1)]);
}

/** A link-local IPv6 address as this machine dials it: on the interface that has the address `localHost`. */
export async function scoped({ host, port }: Address, localHost = ""): Promise<Address> {
  const { withScope } = await import("./interfaces.ts");
  return { host: withScope(host, localHost), port };
}

import {
  type Address,
  formatAddress,
  isIPv6,
  isLoopback,
  mayBeDialledFor,
  needsScope,
  reachOf,
} from "../address.ts";

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
  const [first] = addresses;
  if (!first) return [];
  const isSame = ({ host }: Address) => isIPv6(host) === isIPv6(first.host);
  const same = addresses.filter(isSame);
  const other = addresses.filter((address) => !isSame(address));
  return addresses.flatMap((_, i) => [...same.slice(i, i + 1), ...other.slice(i, i + 1)]);
}

/** A link-local IPv6 address as this machine dials it: on the interface that has the address `localHost`. */
export async function scoped(address: Address, localHost = ""): Promise<Address> {
  const { host, port } = address;
  if (!needsScope(host)) return address;
  const { withScope } = await import("./interfaces.ts");
  return { host: withScope(host, localHost), port };
}

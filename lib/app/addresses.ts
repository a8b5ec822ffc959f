import { type Address, isLoopback, isWildcard, reachOf } from "../address.ts";
import type { InvitePlace } from "../identity/invite.ts";
import { wildcardHost } from "../net/listen.ts";
import { isOwnAddress, machineAddresses } from "../net/interfaces.ts";

/** Whether an invite that names the host is of use on this machine alone. */
export function isOnlyHere(host: string): boolean {
  return isLoopback(host) || reachOf(host) === "unusable";
}

/** Where this machine reaches what listens on a host: over loopback when that is all of the machine. */
export function nearest(host: string): string {
  if (!isWildcard(host)) return host;
  return host === "::" && isOwnAddress("::1") ? "::1" : "127.0.0.1";
}

/** Addresses of this machine for others that a listener on a host takes connections to, the likeliest first. */
export function addressesOf(host: string, own: readonly string[] = machineAddresses()): string[] {
  if (!isWildcard(host)) return isOnlyHere(host) ? [] : [host];
  return own.filter((address) => host === "::" || !address.includes(":"));
}

/** Hosts that an invite names beside the first: people paste it, and cameras read its code. */
const MAX_OTHERS = 3;

/** The field of an invite for the other hosts of its tracker. */
export function inviteOthers(others: readonly string[]): Pick<InvitePlace, "others"> {
  return others.length > 0 ? { others: others.slice(0, MAX_OTHERS) } : {};
}

/** What an invite names, and where a router leads to the same port. */
export function beyondRouter(
  named: Partial<InvitePlace> | undefined,
  outside: Address | undefined,
): Partial<InvitePlace> | undefined {
  if (!outside) return named;
  return { ...named, ...inviteOthers([outside.host, ...named?.others ?? []]) };
}

/** Address that a share listens on, and those that its invite names or could name. */
export interface SharePlace {
  host: string;
  /** Address that the invite names instead of the one listened on. */
  advertise: Partial<InvitePlace> | undefined;
  /** Other addresses of this machine that the invite could name. */
  others: string[];
}

/** The place of a share by its flags: `auto` is every address of the machine, named by the likeliest one. */
export function sharePlace(
  { host: asked, advertise }: { host: string; advertise?: { host: string; port: number | null } },
  own: readonly string[] = machineAddresses(),
  wildcard: () => string = wildcardHost,
): SharePlace {
  const host = asked === "auto" ? wildcard() : asked;
  if (advertise) {
    const port = advertise.port === null ? {} : { port: advertise.port };
    return { host, advertise: { host: advertise.host, ...port }, others: [] };
  }
  if (!isWildcard(host)) return { host, advertise: undefined, others: [] };
  const [first = "127.0.0.1", ...more] = addressesOf(host, own);
  return {
    host,
    advertise: { host: first, ...inviteOthers(more) },
    others: more.slice(MAX_OTHERS),
  };
}

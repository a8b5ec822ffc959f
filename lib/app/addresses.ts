import { type Address, isLoopback } from "../address.ts";

/** Interfaces that lead to this machine's own containers and virtual machines. */
const VIRTUAL = /^(docker|br-|veth|virbr|vmnet|vboxnet|cni|flannel|tun|tap|wg|zt|tailscale)/;

/**
 * Addresses under which other machines may reach this one, the likeliest first: IPv4 before IPv6, real
 * interfaces before virtual ones.
 */
export function machineAddresses(
  interfaces: Pick<Deno.NetworkInterfaceInfo, "name" | "address" | "family">[] = Deno
    .networkInterfaces(),
): string[] {
  const rank = ({ name, family }: { name: string; family: string }) =>
    (VIRTUAL.test(name) ? 2 : 0) + (family === "IPv4" ? 0 : 1);
  return interfaces
    .filter(({ address }) => !isLoopback(address) && !/^(fe80|169\.254)/i.test(address))
    .sort((a, b) => rank(a) - rank(b))
    .map(({ address }) => address);
}

/** Whether a listener on `host` takes connections to any address of the machine. */
export function isWildcard(host: string): boolean {
  return host === "0.0.0.0" || host === "::";
}

/** Address that a share listens on, and those that its invite names or could name. */
export interface SharePlace {
  host: string;
  /** Address that the invite names instead of the one listened on. */
  advertise: Partial<Address> | undefined;
  /** Other addresses of this machine that the invite could name. */
  others: string[];
}

/** The place of a share by its flags: `auto` is every address of the machine, named by the likeliest one. */
export function sharePlace(
  { host: asked, advertise }: { host: string; advertise?: { host: string; port: number | null } },
  own: readonly string[] = machineAddresses(),
): SharePlace {
  // IPv6 is for machines that have nothing else.
  const host = asked !== "auto" ? asked : own[0]?.includes(":") ? "::" : "0.0.0.0";
  if (advertise) {
    const port = advertise.port === null ? {} : { port: advertise.port };
    return { host, advertise: { host: advertise.host, ...port }, others: [] };
  }
  if (!isWildcard(host)) return { host, advertise: undefined, others: [] };
  const [first = host === "::" ? "::1" : "127.0.0.1", ...others] = own.filter((address) =>
    host === "::" || !address.includes(":")
  );
  return { host, advertise: { host: first }, others };
}

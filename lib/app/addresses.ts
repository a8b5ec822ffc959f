import { isLoopback } from "../net/transport.ts";

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

/**
 * The network interfaces of this machine, and the addresses that others may reach it under.
 *
 * @module
 */

import { isLoopback, needsScope, reachOf } from "../address.ts";
import { isOutOfDescriptors } from "../errors.ts";

/** What is read of an interface. */
export type Interface = Pick<Deno.NetworkInterfaceInfo, "name" | "address" | "family">;

/** Interfaces that lead to this machine's own containers and virtual machines. */
const VIRTUAL = /^(docker|br-|veth|virbr|vmnet|vboxnet|cni|flannel|tun|tap|wg|zt|tailscale)/;

/** What was read last. */
let known: readonly Deno.NetworkInterfaceInfo[] = [];

/** The interfaces of now; those that were read last when the process has no descriptor left to read them with. */
function ownInterfaces(): readonly Deno.NetworkInterfaceInfo[] {
  try {
    known = Deno.networkInterfaces();
  } catch (error) {
    if (!isOutOfDescriptors(error)) throw error;
  }
  return known;
}

/**
 * Addresses under which other machines may reach this one, the likeliest first: IPv4 before IPv6, real
 * interfaces before virtual ones. Those of one link alone (169.254.0.0/16, fe80::/10) are left out.
 */
export function machineAddresses(
  interfaces: readonly Interface[] = ownInterfaces(),
): string[] {
  return addressesWith("other", interfaces);
}

/** As {@linkcode machineAddresses}, of those that are good on one link alone; IPv6 ones without their scope. */
export function linkLocalAddresses(
  interfaces: readonly Interface[] = ownInterfaces(),
): string[] {
  return addressesWith("link-local", interfaces);
}

/** The IPv4 networks of this machine: its address in each, and the mask of the network. */
export function machineNetworks(): Pick<Deno.NetworkInterfaceInfo, "address" | "netmask">[] {
  return ownInterfaces().filter(({ family }) => family === "IPv4");
}

/**
 * An address as this machine has to dial it: a link-local one of IPv6 says nothing without its scope (RFC 4007, 11), the
 * interface. It is the one that has the address `via`, or the likeliest when that leads to no link.
 */
export function withScope(
  host: string,
  via: string,
  read: () => readonly Interface[] = ownInterfaces,
): string {
  if (!needsScope(host)) return host;
  const interfaces = read();
  const [likeliest] = linkLocalAddresses(interfaces.filter(({ family }) => family === "IPv6"));
  const own = isLoopback(via) ? undefined : interfaces.find(({ address }) => address === via);
  const link = own ?? interfaces.find(({ address }) => address === likeliest);
  return link === undefined ? host : `${host}%${link.name}`;
}

/** Whether this machine has an address. */
export function isOwnAddress(
  host: string,
  interfaces: readonly Interface[] = ownInterfaces(),
): boolean {
  return interfaces.some(({ address }) => address === host);
}

function addressesWith(reach: "other" | "link-local", interfaces: readonly Interface[]): string[] {
  const rank = ({ name, family }: Interface) =>
    (VIRTUAL.test(name) ? 2 : 0) + (family === "IPv4" ? 0 : 1);
  const fitting = interfaces.filter(({ address }) => reachOf(address) === reach);
  return [...new Set(fitting.sort((a, b) => rank(a) - rank(b)).map(({ address }) => address))];
}

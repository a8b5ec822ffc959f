import type { Address } from "../../address.ts";
import { P2PError } from "../../errors.ts";
import { machineNetworks } from "../interfaces.ts";
import { NatPmpRouter } from "./nat_pmp.ts";
import { PcpRouter } from "./pcp.ts";
import type { Mapping, MappingWish, Router } from "./router.ts";
import { searchUpnp } from "./upnp.ts";

/** Port of PCP and NAT-PMP (RFC 6887, 19.1). */
const PORT = 5351;
/** Address by which the router of PCP is found, wherever it is (RFC 7723). */
const ANYCAST = "192.0.0.9";

/** A port of this machine that a router leads to. */
export interface Held {
  router: Router;
  mapping: Mapping;
  /** Address of this machine that the router leads to. */
  host: string;
  port: number;
}

/**
 * Finds a router that leads to a port of one of these addresses of this machine, and has it do so. By PCP, or NAT-PMP
 * where that is older; by UPnP where neither is there.
 *
 * @throws {P2PError} `refused` with what the last router said that answered, `timeout` when none did; the signal's reason.
 */
export async function findRouter(
  hosts: readonly string[],
  wish: MappingWish,
  { signal, routersOf = likelyRouters }: {
    signal: AbortSignal;
    /** Where to ask by PCP and NAT-PMP. */
    routersOf?: (host: string) => Address[];
  },
): Promise<Held> {
  let failure = new P2PError("timeout", "no router answers");
  for (const host of hosts) {
    try {
      const found = await findFor(host, wish, { signal, routers: routersOf(host) });
      return { ...found, host, port: wish.port };
    } catch (error) {
      signal.throwIfAborted();
      if (!(error instanceof P2PError)) throw error;
      if (error.code === "refused") failure = error;
    }
  }
  throw failure;
}

/** As {@linkcode findRouter}, for one address. */
async function findFor(
  from: string,
  wish: MappingWish,
  { signal, routers }: { signal: AbortSignal; routers: Address[] },
): Promise<Pick<Held, "router" | "mapping">> {
  const over = new AbortController();
  const both = AbortSignal.any([signal, over.signal]);
  // It takes as long as routers are given to answer otherwise.
  const searching = searchUpnp(from, both);
  searching.catch(() => {});
  try {
    return await Promise.any(routers.map((router) => mapAt(from, router, wish, both)));
  } catch (error) {
    signal.throwIfAborted();
    const failures: P2PError[] = error instanceof AggregateError ? error.errors : [];
    const router = await searching;
    if (router) return { router, mapping: await named(router, router.map(wish, signal)) };
    throw failures.find(({ code }) => code === "refused") ??
      new P2PError("timeout", "no router answers", { cause: error });
  } finally {
    over.abort();
  }
}

/** Has a router map by PCP, or by NAT-PMP when it says that it is older. */
async function mapAt(
  from: string,
  address: Address,
  wish: MappingWish,
  signal: AbortSignal,
): Promise<Pick<Held, "router" | "mapping">> {
  const pcp = new PcpRouter(from, address);
  try {
    return { router: pcp, mapping: await named(pcp, pcp.map(wish, signal)) };
  } catch (error) {
    if (!(error instanceof P2PError) || error.code !== "version") throw error;
  }
  const router = new NatPmpRouter(from, address);
  return { router, mapping: await named(router, router.map(wish, signal)) };
}

/** Has a refusal say whose it is. */
async function named<T>({ host, protocol }: Router, answer: Promise<T>): Promise<T> {
  try {
    return await answer;
  } catch (error) {
    if (!(error instanceof P2PError) || error.code !== "refused") throw error;
    const message = `the router at ${host} refuses by ${protocol}: ${error.message}`;
    throw new P2PError("refused", message, { cause: error });
  }
}

/**
 * Where the router of an address of this machine may be: nothing tells a program without starting another one. Most have
 * the first address of their network, some the last one; what is elsewhere is found by UPnP.
 */
export function likelyRouters(host: string, networks = machineNetworks()): Address[] {
  const own = numberOf(host);
  const masks = networks.filter(({ address }) => address === host).map(({ netmask }) => netmask);
  const likely = [...masks.map(numberOf), 0xffffff00].flatMap((mask) => {
    const first = (own & mask) >>> 0;
    const last = (first | ~mask) >>> 0;
    return last - first > 1 ? [first + 1, last - 1] : [];
  });
  const isOwn = (address: number) => networks.some(({ address: a }) => a === hostOf(address));
  const routers = [...new Set(likely)].filter((address) => !isOwn(address)).map(hostOf);
  return [...routers, ANYCAST].map((host) => ({ host, port: PORT }));
}

/** An IPv4 address as a number. */
function numberOf(host: string): number {
  return host.split(".").reduce((number, octet) => number * 256 + Number(octet), 0);
}

function hostOf(number: number): string {
  return [24, 16, 8, 0].map((shift) => (number >>> shift) & 255).join(".");
}

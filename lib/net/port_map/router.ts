import type { Address } from "../../address.ts";

/** A port of a router's outside address that leads to a port of this machine. */
export interface Mapping {
  outside: Address;
  /** Milliseconds after which the router forgets it; Infinity where it keeps it until it is removed. */
  lifetime: number;
}

/** What a router is asked for. */
export interface MappingWish {
  /** The port of this machine, by TCP. */
  port: number;
  /** What the router gave before, to be had again; without it the same port outside is asked for. */
  outside?: Address | undefined;
}

/** A router, and how it is talked to. */
export interface Router {
  readonly host: string;
  readonly protocol: "PCP" | "NAT-PMP" | "UPnP";
  /**
   * Has a port led to this machine, or its mapping kept for longer.
   *
   * @throws {P2PError} `timeout` when there is no answer, `refused` with what the router says, `version` when it does
   * not speak the protocol.
   */
  map(wish: MappingWish, signal: AbortSignal): Promise<Mapping>;
  /**
   * Has the router forget the mapping.
   *
   * @throws {P2PError} as {@linkcode map} does.
   */
  unmap(signal: AbortSignal): Promise<void>;
}

/**
 * Milliseconds for which a mapping is asked: whoever is killed leaves none for longer, and RFC 6887, 15 lets a router
 * give no less than two minutes.
 */
export const LEASE = 600_000;

import { type Address, formatAddress, reachOf } from "../../address.ts";
import { type Clock, systemClock } from "../../async/clock.ts";
import { asP2PError, P2PError } from "../../errors.ts";
import { tellOnce } from "../../tell_once.ts";
import { findRouter, type Held } from "./find_router.ts";
import { LEASE } from "./router.ts";

/** Milliseconds until a router is looked for again. */
const RETRY = 60_000;
/** Shortest time in milliseconds between two renewals, whatever a router says. */
const SHORTEST = 30_000;
/** Milliseconds for the removal of a mapping: whoever stops a program is not held up. */
const GOODBYE = 1_000;
/** Addresses of this machine that a router is looked for at. */
const MAX_HOSTS = 4;

/** What a {@linkcode PortMap} needs. */
export interface PortMapOptions {
  /** The port that a router is to lead to, and the addresses of this machine at which something listens there. */
  place: () => { port: number; hosts: readonly string[] };
  /** Whether a port outside is of use only when it is the same: an invite has one port for all its addresses. */
  samePort?: boolean;
  /** Called when {@linkcode PortMap.outside} is another one. */
  onChange?: (outside: Address | undefined) => void;
  /** Says what a person should know. */
  notice: (message: string) => void;
  clock?: Clock;
  /** Finds a router, where that is to be done in another way. */
  find?: typeof findRouter;
}

/**
 * Has a router lead a port of its outside address to a port of this machine for as long as the program runs: asks for it,
 * renews it, looks for another router when this one no longer does, and has it removed in the end. A start waits for none of this.
 */
export class PortMap implements AsyncDisposable {
  /** Resolves when a router has done it, or none will for now. */
  readonly tried: Promise<void>;
  readonly #options: PortMapOptions;
  readonly #clock: Clock;
  readonly #tellOnce: (message: string) => void;
  readonly #stop = new AbortController();
  readonly #running: Promise<void>;
  #held: Held | undefined;
  /** Ends the pause before the next renewal. */
  #wake = () => {};

  constructor(options: PortMapOptions) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    this.#tellOnce = tellOnce(options.notice);
    const { promise, resolve } = Promise.withResolvers<void>();
    this.tried = promise;
    this.#running = this.#run(resolve);
  }

  /** Where this machine is reached from beyond its router; undefined while no router leads to it. */
  get outside(): Address | undefined {
    return this.#held?.mapping.outside;
  }

  /** Asks anew, since the addresses of this machine, or of its router, may be others. */
  refresh(): void {
    this.#wake();
  }

  /** Has the mapping removed. One whose answer is still under way goes when its lease ends. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort(new P2PError("interrupted", "This program is stopping"));
    this.#wake();
    await this.#running;
    const held = this.#held;
    this.#held = undefined;
    if (held) await release(held);
  }

  async #run(onTried: () => void): Promise<void> {
    const { signal } = this.#stop;
    while (!signal.aborted) {
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#wake = resolve;
      const held = await this.#obtain().catch((error) => this.#failed(error));
      if (signal.aborted) break;
      this.#set(held);
      onTried();
      const cancel = this.#clock.after(held ? renewalOf(held) : RETRY, resolve);
      await promise;
      cancel();
    }
    onTried();
  }

  /** The mapping of before, renewed, or one of whatever router there is now. */
  async #obtain(): Promise<Held> {
    const { signal } = this.#stop;
    const { port, hosts } = this.#options.place();
    const before = this.#held;
    const isStill = before?.port === port && hosts.includes(before.host);
    if (before && !isStill) await release(before);
    const held = before && isStill
      ? await this.#renewed(before)
      : await this.#find(port, hosts.filter(isPrivate));
    const useless = this.#whyUseless(held);
    if (useless === undefined) return held;
    await release(held);
    signal.throwIfAborted();
    throw new P2PError("refused", useless);
  }

  /** Why a mapping is of no use, and what helps. */
  #whyUseless({ router, mapping: { outside }, port }: Held): string | undefined {
    if (!isPublic(outside)) {
      const host = reachOf(outside.host) === undefined ? "unknown" : outside.host;
      return `the router at ${router.host} is itself behind another one: its outside address is ` +
        `${host}, which the Internet does not lead to; ask the provider for a public address`;
    }
    if (!this.#options.samePort || outside.port === port) return undefined;
    return `port ${port} of the router at ${router.host} is another machine's; choose another ` +
      "with --port";
  }

  async #renewed(held: Held): Promise<Held> {
    const { signal } = this.#stop;
    const { router, port, mapping: { outside } } = held;
    try {
      return { ...held, mapping: await router.map({ port, outside }, signal) };
    } catch {
      signal.throwIfAborted();
      // It may be another router by now, with another address or by another protocol.
      return await this.#find(port, [held.host]);
    }
  }

  async #find(port: number, hosts: readonly string[]): Promise<Held> {
    if (hosts.length === 0) {
      throw new P2PError(
        "refused",
        "no address that is listened on is a private one of IPv4, behind a router; see --host, " +
          "or leave --map-port out",
      );
    }
    const { find = findRouter } = this.#options;
    return await find(hosts.slice(0, MAX_HOSTS), { port }, { signal: this.#stop.signal });
  }

  #failed(thrown: unknown): undefined {
    if (this.#stop.signal.aborted) return;
    const { code, message } = asP2PError(thrown);
    const { port } = this.#options.place();
    const remedy = code === "refused" ? "" : "; switch PCP, NAT-PMP or UPnP on in the router, " +
      `or have it lead port ${port} to this machine`;
    this.#tellOnce(`Cannot map a port: ${message}${remedy}. Going on without`);
  }

  #set(held: Held | undefined): void {
    const before = this.outside;
    this.#held = held;
    if (held) this.#tellOnce(describe(held));
    const { outside } = this;
    if (before?.host === outside?.host && before?.port === outside?.port) return;
    this.#options.onChange?.(outside);
  }
}

function describe({ router, mapping: { outside }, port }: Held): string {
  const other = outside.port === port ? "" : `, as port ${port} is taken there`;
  return `The router at ${router.host} leads ${formatAddress(outside)} to this machine ` +
    `(${router.protocol})${other}`;
}

/** Milliseconds until a mapping is renewed: half of its lease, so that another try is left. */
function renewalOf({ mapping: { lifetime } }: Held): number {
  return Math.max(Math.min(lifetime, LEASE) / 2, SHORTEST);
}

/** Has a mapping removed; a router that does not answer forgets it by itself. */
async function release({ router }: Held): Promise<void> {
  await router.unmap(AbortSignal.timeout(GOODBYE)).catch(() => {});
}

/** Whether an address is one that the Internet leads to (RFC 6890). */
function isPublic({ host, port }: Address): boolean {
  return reachOf(host) === "other" && !host.includes(":") && !isPrivate(host) && port > 0;
}

/** Whether an IPv4 address is one of those behind routers (RFC 1918, RFC 6598). */
function isPrivate(host: string): boolean {
  const [a, b = 0] = host.includes(":") ? [] : host.split(".").map(Number);
  return a === 10 || a === 172 && b >= 16 && b < 32 || a === 192 && b === 168 ||
    a === 100 && b >= 64 && b < 128;
}

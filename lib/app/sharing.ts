import type { AppEvent } from "../events.ts";
import { asP2PError, ExitCode, P2PError } from "../errors.ts";
import { randomToken } from "../async/random.ts";
import type { Identity } from "../identity/keys.ts";
import { type InvitePlace, SECRET_BYTES } from "../identity/invite.ts";
import type { NetworkKey } from "../identity/network.ts";
import { randomBytes } from "../async/random.ts";
import { type Address, formatAddress } from "../address.ts";
import { Peer } from "../peer/peer.ts";
import type { LeftReason } from "../tracker/left_reason.ts";
import { MemoryRegistry } from "../tracker/registry/memory_registry.ts";
import { serveTracker, type Tracker } from "../tracker/serve.ts";
import { listenAsTracker } from "../tracker/tracker_network.ts";
import type { PeerEntry } from "../wire/message.ts";
import { nearest } from "./addresses.ts";
import { ServeQueue } from "./serve_queue.ts";

/** Settings of a {@linkcode Sharing}. */
export interface SharingOptions {
  /** The sharer's key, which is the key of the network and of its tracker too. */
  identity: Identity;
  /** What everybody gets, in this order. */
  paths: readonly string[];
  /** What receivers see the sharer as. */
  name: string;
  host: string;
  /** 0 takes a free one. */
  port: number;
  /** What the invite names instead of where it listens. */
  advertise?: Partial<InvitePlace> | undefined;
  /** To how many peers; Infinity for all that come. */
  wanted: number;
  /** Peers served at a time. */
  parallel: number;
  /** Milliseconds. */
  ackTimeout?: number | undefined;
  /** Milliseconds. */
  giveUpAfter?: number | undefined;
  /** Bytes per second. */
  limitRate?: number | undefined;
  /** Whether links in folders are followed. */
  follow: boolean;
  /** Folder of this user's peers; only the history is written. */
  folder: string;
  emit: (event: AppEvent) => void;
}

/** A receiver that is being served. */
interface Delivery {
  readonly done: Promise<void>;
  readonly stop: AbortController;
  isStalled: boolean;
}

/** Why a delivery ends whose receiver gets no further while others wait. */
const GIVEN_WAY = new P2PError("busy", "Cannot go on: others wait, and this one gets no further");

/** Why a delivery ends that a signal breaks off, as the sharer and its receiver are both told. */
const STOPPED = new P2PError("shutting-down", "Cannot go on: the share was stopped");

/**
 * Hands files to whoever joins: a tracker and a peer in one, on one port, with a network of its own for as
 * long as it lives. Its secret is nowhere but in the invite.
 */
export class Sharing implements AsyncDisposable {
  readonly #options: SharingOptions;
  readonly #network: NetworkKey;
  readonly #tracker: Tracker;
  readonly #queue: ServeQueue;
  readonly #joined = new Map<string, PeerEntry>();
  readonly #deliveries = new Map<string, Delivery>();
  readonly #over = Promise.withResolvers<void>();
  #peer: Peer | undefined;

  private constructor(options: SharingOptions, registry: MemoryRegistry) {
    const { identity, host, port } = options;
    this.#options = options;
    this.#network = { key: identity, secret: randomBytes(SECRET_BYTES) };
    this.#queue = new ServeQueue(options);
    const trust = { network: this.#network, rotate: () => Promise.reject(shareOnly()) };
    this.#tracker = serveTracker(listenAsTracker({ host, port }, { identity, trust }), {
      identity,
      trust,
      // Asked for each invite: a router may lead here from another address by now.
      get advertise() {
        return options.advertise;
      },
      registry,
      // Receivers dial in: a firewall of theirs is in nobody's way, and one port here is enough.
      dialBack: false,
      contents: options.paths.length,
      acceptDialBack: (session) =>
        session.remote.token !== undefined && !!this.#peer?.acceptDialBack(session),
      observer: {
        onJoined: (entry) => this.#onJoined(entry),
        onLeft: (entry, reason) => this.#onLeft(entry, reason),
      },
    });
    this.#over.promise.catch(() => {});
  }

  /**
   * Starts to listen and to serve.
   *
   * @throws {P2PError} `address-in-use` or `usage`.
   */
  static async start(options: SharingOptions): Promise<Sharing> {
    const registry = new MemoryRegistry(() => randomToken(16));
    const sharing = new Sharing(options, registry);
    try {
      await sharing.#join(registry);
      return sharing;
    } catch (error) {
      await sharing[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** Where it listens. */
  get address(): Address {
    return this.#tracker.address;
  }

  /** What a receiver joins with. It holds the secret. */
  get invite(): string {
    return this.#tracker.invite ?? "";
  }

  /** Resolves when as many peers as wanted have got everything; rejects when it cannot go on. */
  get over(): Promise<void> {
    return this.#over.promise;
  }

  /** Whether somebody is being served. */
  get isBusy(): boolean {
    return this.#deliveries.size > 0;
  }

  /** Starts with nobody any more and waits for those that are being served. */
  async drained(): Promise<void> {
    this.#queue.close();
    await this.#settled();
  }

  /** Breaks off what is under way, tells those who are still there, and stops. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#queue.close();
    for (const { stop } of this.#deliveries.values()) stop.abort(STOPPED);
    await this.#settled();
    await Promise.all([...this.#joined.keys()].map((id) => this.#tracker.dismiss(id, ended())));
    await this.#peer?.[Symbol.asyncDispose]();
    await this.#tracker.close();
  }

  /** Joins the own network, as one more member that only sends. */
  async #join(registry: MemoryRegistry): Promise<void> {
    const { identity, name, folder, ackTimeout, giveUpAfter, limitRate, advertise, emit } =
      this.#options;
    const { host, port } = this.address;
    // So that receivers know by name who sends. Nobody dials this address.
    registry.register({
      id: identity.id,
      name,
      host: advertise?.host ?? host,
      port: advertise?.port ?? port,
      reachable: true,
    });
    this.#peer = new Peer({
      identity,
      membership: { id: this.#network.key.id, secret: this.#network.secret },
      tracker: { host: nearest(host), port },
      role: "client",
      name,
      received: "",
      folder,
      ackTimeout,
      giveUpAfter,
      limitRate,
      transient: true,
      dialBackPort: port,
      emit,
    });
    await this.#peer.join();
  }

  #onJoined(entry: PeerEntry): void {
    const { id, name } = entry;
    this.#joined.set(id, entry);
    this.#queue.join(id);
    this.#options.emit({ event: "peer-joined", id, name, address: formatAddress(entry) });
    this.#serveNext();
  }

  #onLeft(entry: PeerEntry, reason: LeftReason): void {
    const { id, name } = entry;
    this.#joined.delete(id);
    this.#queue.leave(id);
    if (reason.code === "dismissed") return;
    // One whose session broke may come back to a delivery that goes on.
    if (reason.code === "goodbye" || reason.code === "unregistered") {
      this.#deliveries.get(id)?.stop.abort(new P2PError("cancelled", `${name} left`));
    }
    this.#options.emit({
      event: "peer-left",
      id,
      name,
      address: formatAddress(entry),
      reason: reason.text,
    });
  }

  async #settled(): Promise<void> {
    await Promise.all([...this.#deliveries.values()].map(({ done }) => done));
  }

  #serveNext(): void {
    for (let id = this.#queue.next(); id !== undefined; id = this.#queue.next()) {
      const entry = this.#joined.get(id) as PeerEntry;
      const stop = new AbortController();
      const done = this.#deliver(entry, stop.signal).then(() => {
        this.#deliveries.delete(entry.id);
        this.#serveNext();
      });
      this.#deliveries.set(id, { done, stop, isStalled: false });
    }
    this.#giveWay();
  }

  /** Has those who get no further give their places to those who wait, and wait behind them. */
  #giveWay(): void {
    const stalled = [...this.#deliveries.values()].filter(({ isStalled }) => isStalled);
    for (const { stop } of stalled.slice(0, this.#queue.waiting)) stop.abort(GIVEN_WAY);
  }

  #onStalled(id: string, isStalled: boolean): void {
    const delivery = this.#deliveries.get(id);
    if (!delivery) return;
    delivery.isStalled = isStalled;
    this.#giveWay();
  }

  /** Sends everything to one peer; a failure costs it its place, and nothing else. */
  async #deliver({ id, name }: PeerEntry, signal: AbortSignal): Promise<void> {
    const { paths, wanted, emit } = this.#options;
    try {
      for (const path of paths) await this.#send(path, id, signal);
    } catch (thrown) {
      const error = asP2PError(signal.aborted ? signal.reason : thrown);
      this.#queue.end(id, { complete: false });
      if (error === GIVEN_WAY && this.#joined.has(id)) {
        this.#queue.join(id);
        const message = `Peer ${name} gets no further: its place goes to the next who waits`;
        return emit({ event: "notice", message });
      }
      // A receiver that came back meanwhile is told, too: it has to begin anew.
      await this.#tracker.dismiss(id, error);
      emit({ event: "notice", message: `Peer ${name} did not get everything` });
      return;
    }
    this.#queue.end(id, { complete: true });
    const { complete: delivered, isOver } = this.#queue;
    emit({
      event: "share-delivered",
      id,
      peer: name,
      delivered,
      wanted: Number.isFinite(wanted) ? wanted : null,
    });
    // BYE is what tells the receiver that it has everything.
    await this.#tracker.dismiss(id);
    if (isOver) this.#over.resolve();
  }

  async #send(path: string, id: string, signal: AbortSignal): Promise<void> {
    const peer = this.#peer as Peer;
    const { follow } = this.#options;
    let failure: P2PError | undefined;
    try {
      const onStalled = (isStalled: boolean) => this.#onStalled(id, isStalled);
      const report = await peer.sendFile(path, [`id:${id}`], { signal, follow, onStalled });
      [failure] = report.failures;
    } catch (thrown) {
      failure = asP2PError(thrown);
      // What is shared cannot be read (any more): nobody will get it.
      if (failure.exitCode === ExitCode.local) this.#over.reject(failure);
    }
    if (failure) throw failure;
  }
}

function ended(): P2PError {
  return new P2PError("shutting-down", "Cannot receive: the share has ended");
}

function shareOnly(): P2PError {
  return new P2PError("unauthorised", "Cannot change the network of a share: start a new one");
}

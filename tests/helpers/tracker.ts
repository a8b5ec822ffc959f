import type { Clock } from "../../lib/async/clock.ts";
import type { P2PError } from "../../lib/errors.ts";
import { randomToken } from "../../lib/async/random.ts";
import { Identity } from "../../lib/identity/keys.ts";
import type { Membership, NetworkKey } from "../../lib/identity/network.ts";
import { randomBytes } from "../../lib/async/random.ts";
import type { Address } from "../../lib/address.ts";
import { TrackerClient } from "../../lib/directory/tracker_client.ts";
import type { LeftReason } from "../../lib/tracker/left_reason.ts";
import { MemoryRegistry } from "../../lib/tracker/registry/memory_registry.ts";
import type { Registry } from "../../lib/tracker/registry/registry.ts";
import type { RelaySettings } from "../../lib/tracker/relay.ts";
import { serveTracker, type Tracker } from "../../lib/tracker/serve.ts";
import type { TrackerStore } from "../../lib/tracker/store/tracker_store.ts";
import { listenAsTracker } from "../../lib/tracker/tracker_network.ts";
import type { PeerEntry } from "../../lib/wire/message.ts";
import { EventLog } from "./event_log.ts";

/** What a tracker's application heard. */
export type TrackerEvent =
  | { event: "joined"; entry: PeerEntry }
  | { event: "left"; entry: PeerEntry; code: LeftReason["code"]; reason: string }
  | { event: "broadcast"; author: string; delivered: number }
  | { event: "convicted"; id: string; name: string }
  | { event: "relayed"; members: readonly [string, string] }
  | { event: "relay-ended"; members: readonly [string, string]; bytes: number }
  | { event: "refused"; error: P2PError };

/** What differs from a fresh tracker with trust on a free port of 127.0.0.1. */
export interface TrackerSetting {
  insecure?: boolean;
  port?: number;
  identity?: Identity;
  network?: NetworkKey;
  barred?: string[];
  allowAdvertise?: boolean;
  relay?: RelaySettings;
  pingAfter?: number;
  pongTimeout?: number;
  dialTimeout?: number;
  handshakeTimeout?: number;
  registry?: Registry;
  store?: TrackerStore;
  clock?: Clock;
  signal?: AbortSignal;
}

/** A tracker in this process. */
export class TestTracker implements AsyncDisposable {
  readonly tracker: Tracker;
  readonly #registry: Registry;
  readonly events = new EventLog<TrackerEvent>();
  readonly identity: Identity;
  readonly address: Address;
  network: NetworkKey | null;

  constructor(setting: TrackerSetting) {
    const { insecure, port = 0, identity, network, barred = [], registry, ...options } = setting;
    this.identity = identity ?? Identity.generate();
    this.network = insecure ? null : network ?? newNetwork();
    const { add } = this.events;
    const { clock, store } = options;
    this.#registry = registry ?? new MemoryRegistry(() => randomToken(16), {
      ...(clock && { clock }),
      ...(store && { store }),
    });
    for (const id of barred) void this.#registry.bar(id);
    const standing = {
      identity: this.identity,
      trust: this.network && {
        network: this.network,
        rotate: () => Promise.resolve(this.#rotated()),
      },
    };
    this.tracker = serveTracker(listenAsTracker({ host: "127.0.0.1", port }, standing), {
      ...standing,
      registry: this.#registry,
      observer: {
        onJoined: (entry) => add({ event: "joined", entry }),
        onLeft: (entry, { code, text }) => add({ event: "left", entry, code, reason: text }),
        onBroadcast: (author, _text, delivered) => add({ event: "broadcast", author, delivered }),
        onConvicted: (id, name) => add({ event: "convicted", id, name }),
        onRelayed: (members) => add({ event: "relayed", members }),
        onRelayEnded: (members, bytes) => add({ event: "relay-ended", members, bytes }),
        onRefused: (error) => add({ event: "refused", error }),
      },
      ...options,
    });
    this.address = this.tracker.address;
  }

  /** What its members know; null with `insecure`. */
  get membership(): Membership | null {
    return this.network && { id: this.network.key.id, secret: this.network.secret };
  }

  /** What it takes to start it again in the same place. */
  get same(): TrackerSetting {
    const { identity, network, address: { port } } = this;
    return { identity, port, ...(network ? { network } : { insecure: true }) };
  }

  /** The names that are listed, sorted. */
  async names(): Promise<string[]> {
    return (await this.tracker.peers()).map(({ name }) => name).sort();
  }

  /** The ids that are barred, the latest last. */
  async barred(): Promise<readonly string[]> {
    return await this.#registry.barred();
  }

  /** A client with the tracker's own key. */
  async operator(): Promise<TrackerClient> {
    const { identity, membership, address } = this;
    const client = new TrackerClient({
      address,
      credentials: { identity, role: "operator", membership },
    });
    await client.connect();
    return client;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.tracker.close();
  }

  #rotated(): NetworkKey {
    if (!this.network) throw new TypeError("an insecure tracker has no secret");
    return this.network = { key: this.network.key, secret: randomBytes(16) };
  }
}

/** A new network. */
export function newNetwork(): NetworkKey {
  return { key: Identity.generate(), secret: randomBytes(16) };
}

/** Starts a tracker in this process, on a free port of 127.0.0.1. */
export function startTracker(setting: TrackerSetting = {}): TestTracker {
  return new TestTracker(setting);
}

import { join } from "@std/path";
import type { AppEvent } from "../../lib/events.ts";
import { Identity } from "../../lib/identity/keys.ts";
import type { Membership } from "../../lib/identity/network.ts";
import type { Address } from "../../lib/address.ts";
import { Peer, type PeerOptions } from "../../lib/peer/peer.ts";
import { EventLog } from "./event_log.ts";
import type { TempDir } from "./temp_dir.ts";
import type { TestTracker } from "./tracker.ts";

/** An event of the kind. */
export type EventOf<E extends AppEvent["event"]> = Extract<AppEvent, { event: E }>;

/** What differs from a fresh, listed peer of the tracker. */
export interface PeerSetting extends
  Partial<
    Omit<PeerOptions, "identity" | "membership" | "tracker" | "emit" | "folder" | "received">
  > {
  identity?: Identity;
  membership?: Membership | null;
  tracker?: Address;
  /** Folder of the user's peers, where several share one; by default each has its own. */
  state?: string;
  /** False leaves `start` or `join` to the test. */
  start?: boolean;
}

/** A peer in this process; below its folder are `state` and `received`. */
export class TestPeer implements AsyncDisposable {
  readonly peer: Peer;
  readonly events = new EventLog<AppEvent>();
  readonly identity: Identity;
  readonly folder: string;

  constructor(tracker: TestTracker, dir: TempDir, { start: _, state, ...setting }: PeerSetting) {
    const { name = "peer", role = "peer", ...options } = setting;
    this.identity = setting.identity ?? Identity.generate();
    this.folder = dir.at(`${role}-${name}-${this.identity.id.slice(0, 8)}`);
    this.peer = new Peer({
      membership: tracker.membership,
      tracker: tracker.address,
      ...options,
      name,
      role,
      identity: this.identity,
      received: this.inbox,
      folder: state ?? join(this.folder, "state"),
      emit: this.events.add,
    });
  }

  get inbox(): string {
    return join(this.folder, "received");
  }

  get name(): string {
    return this.peer.name;
  }

  get address(): Address {
    const { address } = this.peer;
    if (!address) throw new TypeError("the peer does not listen");
    return address;
  }

  /** The first event of the kind from `from` on that matches, as soon as there is one. */
  until<E extends AppEvent["event"]>(
    kind: E,
    matches: (event: EventOf<E>) => boolean = () => true,
    from = 0,
  ): Promise<EventOf<E>> {
    const isIt = (event: AppEvent): event is EventOf<E> =>
      event.event === kind && matches(event as EventOf<E>);
    return this.events.until(isIt, { from, what: `${kind} at ${this.name}` });
  }

  /** All events of the kind. */
  all<E extends AppEvent["event"]>(kind: E): EventOf<E>[] {
    return this.events.all.filter((event): event is EventOf<E> => event.event === kind);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.peer[Symbol.asyncDispose]();
  }
}

/** Starts a peer in this process, which listens on a free port of 127.0.0.1 and is listed. */
export async function startPeer(
  tracker: TestTracker,
  dir: TempDir,
  setting: PeerSetting = {},
): Promise<TestPeer> {
  const peer = new TestPeer(tracker, dir, setting);
  if (setting.start === false) return peer;
  try {
    await (setting.role === "client" ? peer.peer.join() : peer.peer.start());
  } catch (error) {
    await peer[Symbol.asyncDispose]();
    throw error;
  }
  return peer;
}

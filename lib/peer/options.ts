import type { AppEvent } from "../events.ts";
import type { Clock } from "../async/clock.ts";
import type { P2PError } from "../errors.ts";
import type { Identity } from "../identity/keys.ts";
import type { Membership } from "../identity/network.ts";
import type { Address } from "../net/transport.ts";
import type { AcceptRule, AskPerson } from "./offer_policy.ts";

/** Settings of a `Peer`. Times are milliseconds. */
export interface PeerOptions {
  identity: Identity;
  /** Null with `--insecure`. */
  membership: Membership | null;
  tracker: Address;
  /** `peer` is listed and receives; `client` is a one-shot command. */
  role: "peer" | "client";
  name: string;
  /** Where to listen; by default on loopback for a tracker there, else on the address that reached it. */
  host?: string | undefined;
  /** 0 takes a free one. */
  port?: number | undefined;
  /** Under which address the tracker should list this peer, where it allows that. */
  advertise?: { host: string; port: number | null } | undefined;
  /** The inbox. */
  received: string;
  /** Folder of this user's peers: names, cached list, history. */
  folder: string;
  /** Who may put files into the inbox; by default every member. */
  accept?: AcceptRule | undefined;
  /** Asks the person at the terminal, if there is one. */
  askPerson?: AskPerson | undefined;
  /** Largest file in bytes that is accepted. */
  maxSize?: number | undefined;
  /** Bytes that the inbox may hold in all. */
  quota?: number | undefined;
  /** Bytes of files per second, in each direction, for all transfers together. */
  limitRate?: number | undefined;
  /** Longest silence of a recipient; 30 s by default. */
  ackTimeout?: number | undefined;
  /** How long to go on trying to reach a recipient after the usual tries. */
  giveUpAfter?: number | undefined;
  /** How long what was received in part waits for its sender. */
  keepPartials?: number | undefined;
  /** Where the one file goes that is received, in place of the inbox. */
  streamTo?: ((bytes: Uint8Array) => Promise<void>) | undefined;
  /** How long a session to a recipient waits for the next transfer; 250 ms by default, 0 not at all. */
  keepSessions?: number | undefined;
  /** Recipients served at a time; 4 by default. */
  parallel?: number | undefined;
  /** A network for once: its names and its list are not kept. */
  transient?: boolean | undefined;
  /** The port at which a tracker in this process takes sessions for this peer, which listens nowhere then. */
  dialBackPort?: number | undefined;
  /**
   * Asked before an offer of a file: throws to refuse it. What it resolves with is called when the offer
   * came to nothing all the same.
   */
  takeOffer?: ((offer: OfferedFile) => Promise<() => void>) | undefined;
  /** The tracker ended the session, with BYE (null) or ERROR; true when there is no use in coming back. */
  onTrackerEnded?: ((error: P2PError | null) => boolean) | undefined;
  emit?: (event: AppEvent) => void;
  clock?: Clock;
  random?: () => number;
}

/** What {@linkcode PeerOptions.takeOffer} decides on. All but `from` is the sender's word. */
export interface OfferedFile {
  /** The sender's id. */
  from: string;
  transfer: string;
  name: string;
  size: number | null;
}

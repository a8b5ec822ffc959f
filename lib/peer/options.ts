import type { AppEvent } from "../events.ts";
import type { P2PError } from "../errors.ts";
import type { Identity } from "../identity/keys.ts";
import type { Membership } from "../identity/network.ts";
import type { TransferChoices } from "../transfer/settings.ts";
import type { AcceptRule } from "./accept_rule.ts";
import type { Candidates } from "../net/candidates.ts";
import type { AskPerson, TakeOffer } from "./offer_policy.ts";

/** Settings of a `Peer`, beside those of its transfers. Times are milliseconds. */
export interface PeerOptions extends TransferChoices {
  identity: Identity;
  /** Null with `--insecure`. */
  membership: Membership | null;
  tracker: Candidates;
  /** `peer` is listed and receives; `client` is a one-shot command. */
  role: "peer" | "client";
  name: string;
  /** Where to listen; by default on all of this machine, or on loopback for a tracker that is there alone. */
  host?: string | undefined;
  /** Groups that it says it is in. */
  groups?: readonly string[] | undefined;
  /** 0 takes a free one. */
  port?: number | undefined;
  /** Under which address the tracker should list this peer, where it allows that. */
  advertise?: { host: string; port: number | null } | undefined;
  /** Whether routers are asked to lead a port of theirs to this peer. */
  mapPort?: boolean | undefined;
  /** The inbox. */
  received: string;
  /** Folder of this user's peers: names, cached list, history. */
  folder: string;
  /** Who may put files into the inbox; by default every member. */
  accept?: AcceptRule | undefined;
  /** Asks the person at the terminal, if there is one. */
  askPerson?: AskPerson | undefined;
  /** Bytes that the inbox may hold in all. */
  quota?: number | undefined;
  /** Bytes of files per second, in each direction, for all transfers together. */
  limitRate?: number | undefined;
  /** How long what was received in part waits for its sender. */
  keepPartials?: number | undefined;
  /** Where the one file goes that is received, in place of the inbox. */
  streamTo?: ((bytes: Uint8Array) => Promise<void>) | undefined;
  /**
   * Whether the network ends with the command (`peer share`, `peer receive`): its names and its list are not kept, and
   * what its members send leaves more of the disk free, unless there is a quota.
   */
  transient?: boolean | undefined;
  /** Whether it sends what waits in the queue of this user's peers. */
  deliversQueue?: boolean | undefined;
  /** The port at which a tracker in this process takes sessions for this peer, which listens nowhere then. */
  dialBackPort?: number | undefined;
  takeOffer?: TakeOffer | undefined;
  /** The tracker ended the session, with BYE (null) or ERROR; true when there is no use in coming back. */
  onTrackerEnded?: ((error: P2PError | null) => boolean) | undefined;
  emit?: (event: AppEvent) => void;
}

import type { Session } from "../net/session.ts";
import type { PeerEntry } from "../wire/message.ts";

/** A registered peer and its session to this tracker. */
export interface Member {
  entry: PeerEntry;
  /** Null after it was lost, while the peer is given the chance to come back. */
  session: Session | null;
  /** When a dial-back last proved the peer alive, by the tracker's clock. */
  checkedAt: number;
  /** True while it is being asked whether it lives. */
  checking: boolean;
  /** Revision of the registry that the session has been told. */
  told: { epoch: string; revision: number };
}

/** When the member was last known to be alive, milliseconds of the tracker's clock. */
export function lastSign({ session, checkedAt }: Member): number {
  return Math.max(session?.lastHeard ?? 0, checkedAt);
}

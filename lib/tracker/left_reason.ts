/** Why a peer is no longer listed: a code for programs and a text for people. */
export interface LeftReason {
  /**
   * `unregistered`: it asked to be. `goodbye`: it said BYE. `dismissed`: the application sent it away.
   * `removed`: the operator barred it. `replaced`: its key registered anew, under another name or address or while it
   * was alive. `lost`: its session broke and it was not to be reached, or its lease in
   * the registry ended. `silent`: no answer to PING, nor to a dial-back.
   */
  readonly code:
    | "unregistered"
    | "goodbye"
    | "dismissed"
    | "removed"
    | "replaced"
    | "lost"
    | "silent";
  readonly text: string;
}

/** Reasons that are the same each time; those of `lost` and `silent` say what went wrong. */
export const LEFT = {
  unregistered: { code: "unregistered", text: "unregistered" },
  goodbye: { code: "goodbye", text: "said goodbye" },
  dismissed: { code: "dismissed", text: "dismissed" },
  removed: { code: "removed", text: "removed from the network" },
  away: { code: "lost", text: "has not come back since the tracker was restarted" },
} as const satisfies Record<string, LeftReason>;

import { P2PError } from "../../errors.ts";
import type { Session } from "../../net/session.ts";
import type { Relay } from "../relay.ts";
import type { Roster } from "../roster.ts";
import type { Handlers } from "./handlers.ts";

/** What the verbs of relaying need. */
export interface RelayingOptions {
  /** Undefined where the tracker passes no bytes on. */
  relay: Relay | undefined;
  roster: Roster;
}

/** RELAY and JOIN, after which the connection carries bare bytes. */
export function relayingHandlers(
  { relay, roster }: RelayingOptions,
): Handlers<"RELAY" | "JOIN"> {
  const relayFor = (session: Session): Relay => {
    if (session.remote.id === "") {
      throw new P2PError("unauthorised", "Cannot relay: say HELLO first");
    }
    if (!relay) {
      throw new P2PError("refused", "Cannot relay: this tracker was started without --relay");
    }
    if (roster.of(session)) {
      throw new P2PError("invalid", "Cannot relay: a peer is registered on this session");
    }
    return relay;
  };
  return {
    RELAY: ({ session, message }) => relayFor(session).ask(session, message),
    JOIN: ({ session, message }) => relayFor(session).come(session, message),
  };
}

import { isLoopback } from "../../address.ts";
import { P2PError } from "../../errors.ts";
import { type DialBacks, sourceHost } from "../dial_backs.ts";
import type { Roster } from "../roster.ts";
import { tellable, viewOf, withAddresses } from "../views.ts";
import type { Handlers } from "./handlers.ts";

/** What the verbs of dialling need. */
export interface DiallingOptions {
  roster: Roster;
  dialBacks: DialBacks;
  /** The tracker's own id, which may dial as often as it likes: a share serves everybody. */
  trackerId: string;
}

/** CONNECT, which asks a peer that cannot be dialled to dial the asking one. */
export function diallingHandlers(
  { roster, dialBacks, trackerId }: DiallingOptions,
): Handlers<"CONNECT"> {
  return {
    CONNECT({ session, message: { seq, peer, port, token, addresses: claimed = [] } }) {
      // Who asks comes before what is asked: strangers hear of nobody whether they are here.
      const { id } = session.remote;
      if (id === "") throw new P2PError("unauthorised", "Cannot connect: say HELLO first");
      const asked = roster.get(peer)?.session;
      if (!asked) {
        throw new P2PError("peer-unknown", `Cannot connect to ${peer.slice(0, 8)}: it is not here`);
      }
      if (id !== trackerId) dialBacks.expectAllowed(session);
      const seen = { host: sourceHost(session), port };
      const others = tellable(claimed, asked, [seen]);
      // Loopback is another machine to whoever comes from elsewhere. The tracker is where it has been found.
      const isOther = isLoopback(seen.host) && viewOf(asked) === "elsewhere" && id !== trackerId;
      const [first, ...more] = isOther ? others : [seen, ...others];
      if (!first) {
        throw new P2PError(
          "peer-unreachable",
          `Cannot connect to ${
            peer.slice(0, 8)
          }: it has no address to dial this peer at, which listens on its own ` +
            "machine alone",
        );
      }
      asked.post({ verb: "DIAL", peer: id, ...first, token, ...withAddresses(more) });
      session.post({ verb: "OK", re: seq });
    },
  };
}

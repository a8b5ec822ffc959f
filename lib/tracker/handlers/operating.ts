import { P2PError } from "../../errors.ts";
import type { Session } from "../../net/session.ts";
import { LEFT } from "../left_reason.ts";
import type { Registry } from "../registry/registry.ts";
import type { Roster } from "../roster.ts";
import type { TrackerNetwork } from "../tracker_network.ts";
import type { Handlers } from "./handlers.ts";

/** What the operator's verbs need. */
export interface OperatingOptions {
  roster: Roster;
  registry: Registry;
  network: TrackerNetwork;
  /** All sessions that are open. */
  sessions: () => Iterable<Session>;
  /** The invite of now; undefined with `--insecure`. */
  invite: () => string | undefined;
}

/** REMOVE, RESTORE and ROTATE. */
export function operatingHandlers(
  { roster, registry, network, sessions, invite }: OperatingOptions,
): Handlers<"REMOVE" | "RESTORE" | "ROTATE"> {
  return {
    async REMOVE({ session, message: { seq, id } }) {
      network.checkOperator(session);
      const error = new P2PError(
        "barred",
        "This peer has been removed from the network; " +
          "whoever runs the tracker can undo that with `tracker restore`",
      );
      try {
        await registry.bar(id);
      } finally {
        // It is barred from now on, also where that could not be kept for after a restart.
        await roster.release(id, LEFT.removed);
        const theirs = [...sessions()].filter(({ remote }) => remote.id === id);
        await Promise.all(theirs.map((other) => other.refuse(error)));
      }
      session.post({ verb: "OK", re: seq });
    },
    async RESTORE({ session, message: { seq, id } }) {
      network.checkOperator(session);
      await registry.restore(id);
      session.post({ verb: "OK", re: seq });
    },
    /** Whoever has the old secret is sent away and needs the new invite. */
    async ROTATE({ session, message: { seq } }) {
      await network.rotate(session);
      const current = invite();
      session.post({ verb: "OK", re: seq, ...(current === undefined ? {} : { invite: current }) });
      const others = [...sessions()].filter((other) => other !== session);
      await Promise.all(others.map((other) => other.close()));
    },
  };
}

import type { Clock } from "../../async/clock.ts";
import { P2PError } from "../../errors.ts";
import { whyNoProof } from "../../identity/evidence.ts";
import { decodeEvidence } from "../../identity/evidence_frame.ts";
import { type Rates, RequestLimits } from "../../net/request_buckets.ts";
import type { Convictions } from "../convictions.ts";
import { sourceHost } from "../dial_backs.ts";
import type { Roster } from "../roster.ts";
import type { TrackerNetwork } from "../tracker_network.ts";
import type { Handlers } from "./handlers.ts";

/** What the verb of evidence needs. */
export interface EvidenceOptions {
  convictions: Convictions;
  roster: Roster;
  network: TrackerNetwork;
  clock: Clock;
  /** Hears who has been convicted, by its id. */
  onConvicted?: ((server: string) => void) | undefined;
}

/** Accusations, each of which takes two signatures to check, right or wrong. */
const RATES: Rates = {
  key: { rate: 0.2, burst: 10 },
  address: { rate: 2, burst: 100 },
  all: { rate: 20, burst: 200 },
};

/** EVIDENCE. */
export function evidenceHandlers(
  { convictions, roster, network, clock, onConvicted }: EvidenceOptions,
): Handlers<"EVIDENCE"> {
  const limits = new RequestLimits({ ...RATES, clock });
  return {
    EVIDENCE({ session, message, body }) {
      const { id } = session.remote;
      if (id === "" || network.id === undefined) {
        throw new P2PError("unauthorised", "Cannot accuse: nobody has a key here");
      }
      if (message.seq === undefined) {
        throw new P2PError("malformed", "Cannot take evidence without a seq");
      }
      const evidence = decodeEvidence(message, body);
      if (!convictions.has(evidence.server)) {
        // What comes to nothing counts as well: it is the checking that costs.
        if (!limits.take(id, sourceHost(session))) {
          throw new P2PError("rate-limited", "Cannot accuse: there is too much of it at once");
        }
        const why = whyNoProof(network.id, evidence);
        if (why !== null) {
          throw new P2PError("invalid", `Cannot convict ${evidence.server}: ${why}`);
        }
        const frame = convictions.add(evidence);
        for (const member of roster) member.session?.postEncoded(frame);
        onConvicted?.(evidence.server);
      }
      session.post({ verb: "OK", re: message.seq });
    },
  };
}

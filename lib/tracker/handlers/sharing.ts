import type { Clock } from "../../async/clock.ts";
import { P2PError } from "../../errors.ts";
import { type Rates, RequestLimits } from "../../net/request_buckets.ts";
import { REPORTED_RECIPIENTS, SHARES_PER_FRAME } from "../../wire/limits.ts";
import { sourceHost } from "../dial_backs.ts";
import type { Roster } from "../roster.ts";
import type { Shares } from "../shares.ts";
import type { Handlers } from "./handlers.ts";

/** What the verbs of shares need. */
export interface SharingOptions {
  shares: Shares;
  roster: Roster;
  clock: Clock;
  /** Hears of each report. */
  onReport?: (() => void) | undefined;
}

/** Reports: one a second is usual, and as many at once as it takes to tell of a thousand recipients anew. */
const RATES: Rates = {
  key: { rate: 4, burst: 64 },
  address: { rate: 40, burst: 640 },
  all: { rate: 400, burst: 6400 },
};

/** REPORT and SHARES. */
export function sharingHandlers(
  { shares, roster, clock, onReport }: SharingOptions,
): Handlers<"REPORT" | "SHARES"> {
  const limits = new RequestLimits({ ...RATES, clock });
  const nameOf = (id: string) => roster.get(id)?.entry.name;
  return {
    REPORT({ session, message }) {
      const { id } = session.remote;
      if (id === "") throw new P2PError("unauthorised", "Cannot report: say HELLO first");
      if (!limits.take(id, sourceHost(session))) {
        throw new P2PError("rate-limited", "Cannot report: there are too many at once");
      }
      shares.take(id, message);
      onReport?.();
      session.post({ verb: "OK", re: message.seq });
    },
    SHARES({ session, message: { seq, start, from = "", share } }) {
      const page = share === undefined
        ? { recipients: [], ...shares.list({ start, count: SHARES_PER_FRAME }, nameOf) }
        : shares.find({ from, share, start, count: REPORTED_RECIPIENTS }, nameOf);
      session.post({ verb: "SHARE_LIST", re: seq, ...page });
    },
  };
}

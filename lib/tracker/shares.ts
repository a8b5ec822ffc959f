import type { Clock } from "../async/clock.ts";
import { P2PError } from "../errors.ts";
import { MAX_HEADER } from "../wire/limits.ts";
import type { MessageOf, ReportedRecipient, ReportedShare, ShareSummary } from "../wire/message.ts";
import type {
  Kept,
  RecipientKey,
  RememberedShare,
  ShareKey,
  TrackerStore,
} from "./store/tracker_store.ts";

/** Shares of one reporter that go on at a time. */
const MAX_OF_ONE = 32;
/** Shares in all. */
const MAX_SHARES = 1000;
/** Recipients of one share that are remembered; more are only counted. */
const MAX_RECIPIENTS = 1024;
/** How long in milliseconds a share is remembered of which nothing is heard: over, or left by its reporter. */
const KEPT_FOR = 60 * 60_000;

/** Bytes of a page, three for each character: a header holds it and what stands around it. */
const PAGE_BYTES = MAX_HEADER - 4096;

/** What is remembered of a share. */
interface Reported {
  /** Id of the reporter. */
  readonly from: string;
  about: ShareSummary;
  state: ReportedShare["state"];
  readonly recipients: Map<string, ReportedRecipient>;
  /** When it was reported last, in milliseconds of the clock. */
  heardAt: number;
}

/** What {@linkcode Shares} needs. */
export interface SharesOptions {
  clock: Clock;
  /** What is remembered from before, and has to outlive this process. */
  store?: Pick<TrackerStore, "shares" | "keepShares" | "keepRecipients"> | undefined;
  /** The time of day, in milliseconds since 1970. */
  now?: () => number;
}

/**
 * What members report of the shares that they send, for others to see. A reporter is believed about its own shares alone:
 * what another one calls by the same id is another share.
 */
export class Shares {
  readonly #clock: Clock;
  readonly #now: () => number;
  readonly #kept: { shares: Kept<ShareKey>; recipients: Kept<RecipientKey> } | undefined;
  /** In the order in which they were reported first. */
  readonly #shares = new Map<string, Reported>();

  constructor({ clock, store, now = Date.now }: SharesOptions) {
    this.#clock = clock;
    this.#now = now;
    if (!store) return;
    this.#remember(store);
    this.#kept = {
      shares: store.keepShares((key) => this.#stateOf(key)),
      recipients: store.keepRecipients(([from, share, recipient]) =>
        this.#shares.get(keyOf(from, share))?.recipients.get(recipient) ?? null
      ),
    };
  }

  /**
   * Takes a report in.
   *
   * @throws {P2PError} `busy` when its reporter, or all together, have too many shares under way.
   */
  take(
    from: string,
    { share, name, size, files, at, total, recipients, over }: MessageOf<"REPORT">,
  ) {
    const key = keyOf(from, share);
    const known = this.#shares.get(key);
    if (!known) this.#makeRoom(from);
    const about: ShareSummary = {
      share,
      name,
      size,
      at,
      total,
      ...(files === undefined ? {} : { files }),
    };
    const now: Reported = known ??
      { from, about, state: "running", recipients: new Map(), heardAt: 0 };
    // It goes on: of those who are not there it is told again when it ends.
    const forgotten = now.state === "over" && !over ? forgetAbsent(now.recipients) : [];
    now.about = about;
    now.state = over ? "over" : "running";
    now.heardAt = this.#clock.now();
    const told: string[] = [];
    for (const recipient of recipients) {
      const id = recipient.id ?? `name ${recipient.name}`;
      if (now.recipients.has(id) || now.recipients.size < MAX_RECIPIENTS) {
        now.recipients.set(id, recipient);
        told.push(id);
      }
    }
    this.#shares.set(key, now);
    this.#kept?.shares.changed([from, share]);
    this.#kept?.recipients.changed(
      ...[...forgotten, ...told].map((id): RecipientKey => [from, share, id]),
    );
  }

  /** Whether something that it reports goes on. */
  isReporting(from: string): boolean {
    for (const share of this.#shares.values()) {
      if (share.from === from && share.state === "running") return true;
    }
    return false;
  }

  /** The session of a reporter has ended: what it was sending may go on, and nobody knows. */
  lost(from: string): void {
    for (const share of this.#shares.values()) {
      if (share.from !== from || share.state !== "running") continue;
      share.state = "lost";
      this.#kept?.shares.changed([from, share.about.share]);
    }
  }

  /**
   * Shares, those reported last first.
   *
   * @param start how many to leave out.
   * @param nameOf the name of a reporter, where it is known.
   */
  list(
    { start, count }: { start: number; count: number },
    nameOf: (id: string) => string | undefined,
  ): { shares: ReportedShare[]; more: boolean } {
    this.#forgetOld();
    const all = [...this.#shares.values()].reverse();
    const found = all.slice(start, start + count).map((share) => shown(share, nameOf));
    const shares = fitting(found);
    return { shares, more: all.length > start + shares.length };
  }

  /** One share, and some of its recipients; none when it is not there. */
  find(
    { from, share, start, count }: { from: string; share: string; start: number; count: number },
    nameOf: (id: string) => string | undefined,
  ): { shares: ReportedShare[]; recipients: ReportedRecipient[]; more: boolean } {
    const found = this.#shares.get(keyOf(from, share));
    if (!found) return { shares: [], recipients: [], more: false };
    const all = [...found.recipients.values()];
    const recipients = fitting(all.slice(start, start + count));
    const more = all.length > start + recipients.length;
    return { shares: [shown(found, nameOf)], recipients, more };
  }

  #makeRoom(from: string): void {
    this.#forgetOld();
    const running = [...this.#shares.values()].filter(({ state }) => state === "running");
    const own = running.filter((share) => share.from === from).length;
    if (own >= MAX_OF_ONE) {
      throw new P2PError("busy", `Cannot report: ${MAX_OF_ONE} shares of yours go on already`);
    }
    if (this.#shares.size < MAX_SHARES) return;
    const [oldest] = [...this.#shares].filter(([, { state }]) => state !== "running")
      .sort(([, a], [, b]) => a.heardAt - b.heardAt);
    if (!oldest) throw new P2PError("busy", "Cannot report: too many shares go on already");
    this.#forget(...oldest);
  }

  #forgetOld(): void {
    const since = this.#clock.now() - KEPT_FOR;
    for (const [key, share] of this.#shares) {
      const { state, heardAt } = share;
      if (state !== "running" && heardAt < since) this.#forget(key, share);
    }
  }

  #forget(key: string, { from, about: { share } }: Reported): void {
    this.#shares.delete(key);
    this.#kept?.shares.changed([from, share]);
  }

  /** Takes up what a process before this one knew: what went on may go on, and its reporter has not said so yet. */
  #remember(store: Pick<TrackerStore, "shares">): void {
    const age = this.#now() - this.#clock.now();
    for (
      const { key: [from, share], share: { about, state, heardAt }, recipients } of store.shares()
    ) {
      this.#shares.set(keyOf(from, share), {
        from,
        about,
        state: state === "running" ? "lost" : state,
        recipients: new Map(recipients),
        // A time of day that is ahead of today's is of a clock that was wrong.
        heardAt: Math.min(heardAt - age, this.#clock.now()),
      });
    }
  }

  /** What is to be remembered of a share, but for its recipients. */
  #stateOf([from, share]: ShareKey): RememberedShare | null {
    const found = this.#shares.get(keyOf(from, share));
    if (!found) return null;
    const { about, state, heardAt } = found;
    return { about, state, heardAt: Math.round(heardAt + this.#now() - this.#clock.now()) };
  }
}

/** As many of the first as fit into a header, whatever their texts take when they are escaped. */
function fitting<T>(all: readonly T[]): T[] {
  let left = PAGE_BYTES;
  const end = all.findIndex((one) => (left -= JSON.stringify(one).length * 3) < 0);
  return end < 0 ? [...all] : all.slice(0, Math.max(1, end));
}

/** Drops those of whom only a name is known, and says which. */
function forgetAbsent(recipients: Map<string, ReportedRecipient>): string[] {
  const absent = [...recipients].flatMap(([key, { id }]) => id === undefined ? [key] : []);
  for (const key of absent) recipients.delete(key);
  return absent;
}

function shown(
  { from, about, state, recipients }: Reported,
  nameOf: (id: string) => string | undefined,
): ReportedShare {
  const all = [...recipients.values()];
  const count = (...states: ReportedRecipient["state"][]) =>
    all.filter((recipient) => states.includes(recipient.state)).length;
  const sender = nameOf(from);
  return {
    ...about,
    from,
    ...(sender === undefined ? {} : { sender }),
    state,
    delivered: count("delivered", "already"),
    failed: count("failed"),
  };
}

/** Ids have no spaces. */
function keyOf(from: string, share: string): string {
  return `${from} ${share}`;
}

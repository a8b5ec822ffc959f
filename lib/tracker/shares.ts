import type { Clock } from "../async/clock.ts";
import { P2PError } from "../errors.ts";
import { MAX_HEADER } from "../wire/limits.ts";
import type { MessageOf, ReportedRecipient, ReportedShare, ShareSummary } from "../wire/message.ts";

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
  /** When it was reported last, in milliseconds. */
  heardAt: number;
}

/**
 * What members report of the shares that they send, for others to see. A reporter is believed about its own shares alone:
 * what another one calls by the same id is another share.
 */
export class Shares {
  readonly #clock: Clock;
  /** In the order in which they were reported first. */
  readonly #shares = new Map<string, Reported>();

  constructor(clock: Clock) {
    this.#clock = clock;
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
    if (now.state === "over" && !over) forgetAbsent(now.recipients);
    now.about = about;
    now.state = over ? "over" : "running";
    now.heardAt = this.#clock.now();
    for (const recipient of recipients) {
      const id = recipient.id ?? `name ${recipient.name}`;
      if (now.recipients.has(id) || now.recipients.size < MAX_RECIPIENTS) {
        now.recipients.set(id, recipient);
      }
    }
    this.#shares.set(key, now);
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
      if (share.from === from && share.state === "running") share.state = "lost";
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
    this.#shares.delete(oldest[0]);
  }

  #forgetOld(): void {
    const since = this.#clock.now() - KEPT_FOR;
    for (const [key, { state, heardAt }] of this.#shares) {
      if (state !== "running" && heardAt < since) this.#shares.delete(key);
    }
  }
}

/** As many of the first as fit into a header, whatever their texts take when they are escaped. */
function fitting<T>(all: readonly T[]): T[] {
  let left = PAGE_BYTES;
  const end = all.findIndex((one) => (left -= JSON.stringify(one).length * 3) < 0);
  return end < 0 ? [...all] : all.slice(0, Math.max(1, end));
}

function forgetAbsent(recipients: Map<string, ReportedRecipient>): void {
  for (const [key, { id }] of recipients) if (id === undefined) recipients.delete(key);
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

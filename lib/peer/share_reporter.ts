import type { Clock } from "../async/clock.ts";
import { asP2PError } from "../errors.ts";
import { MAX_REPORTED_NAME, REPORTED_RECIPIENTS } from "../wire/limits.ts";
import type { MessageOf, ReportedRecipient, ShareSummary } from "../wire/message.ts";
import { recipientKey, type Share, type ShareRecipient } from "./share_log.ts";

/** Milliseconds between two reports; what is over within that is not reported at all. */
const INTERVAL = 1_000;
/** Bytes that are told of what `--to` called somebody who was never there. */
const MAX_TARGET = 64;
/** Milliseconds until the tracker is looked for again that was not there. */
const AWAY = 5_000;

/** What a {@linkcode ShareReporter} needs. */
export interface ShareReporterOptions {
  share: Pick<Share, "id" | "name" | "size" | "files" | "at">;
  /** Gives a report to the tracker, which is looked for where it is away. */
  report(message: Omit<MessageOf<"REPORT">, "verb" | "seq">): Promise<void>;
  /** Tells one session with the tracker from another, which knows nothing yet. */
  session(): unknown;
  clock: Clock;
}

/**
 * Tells the tracker how a share goes: once a second what has changed, all of it when the tracker is another one or was
 * away. Nothing of the share waits for that, or fails with it.
 */
export class ShareReporter {
  readonly #options: ShareReporterOptions;
  readonly #recipients = new Map<string, ReportedRecipient>();
  /** Recipients of whom the tracker has not heard the latest. */
  readonly #news = new Set<string>();
  /** The session on which all others were told. */
  #told: unknown;
  #cancel: () => void;
  #reporting: Promise<void> = Promise.resolve();
  /** Whether nothing more is told: it is over, or the tracker does not want to hear it. */
  #isOver = false;

  constructor(options: ShareReporterOptions) {
    this.#options = options;
    this.#cancel = options.clock.after(INTERVAL, () => this.#go());
  }

  /** Takes note of where a recipient stands; who is not there is told of in the end, for it may come. */
  note({ id, name, state, error }: ShareRecipient): void {
    const key = recipientKey({ id, name });
    const { bytes, sources } = this.#recipients.get(key) ?? {};
    this.#put(key, {
      ...(id === "" ? {} : { id }),
      name: cut(name, id === "" ? MAX_TARGET : MAX_REPORTED_NAME),
      state,
      ...(bytes === undefined ? {} : { bytes }),
      ...(sources === undefined ? {} : { sources }),
      ...(error ? { code: error.code } : {}),
    });
  }

  /** Takes note that somebody has come who was called `target` before. */
  arrived(target: string): void {
    this.#recipients.delete(recipientKey({ id: "", name: target }));
  }

  /** Takes note of how far a recipient is. */
  progress(id: string, bytes: number, sources?: number): void {
    const before = this.#recipients.get(id);
    if (!before) return;
    this.#put(id, { ...before, bytes, ...(sources === undefined ? {} : { sources }) });
  }

  /** Tells the rest, if the tracker knows of the share; resolves when it has, or has not for a second. */
  async end(): Promise<void> {
    const { clock } = this.#options;
    this.#cancel();
    const isHeard = this.#told !== undefined && !this.#isOver;
    this.#isOver = true;
    if (!isHeard) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    const cancel = clock.after(INTERVAL, resolve);
    await Promise.race([promise, this.#reporting.then(() => this.#report({ isOver: true }))]);
    cancel();
  }

  #put(key: string, recipient: ReportedRecipient): void {
    this.#recipients.set(key, recipient);
    this.#news.add(key);
  }

  #go(): void {
    this.#reporting = this.#report({ isOver: false });
    this.#reporting.then(() => {
      const { clock, session } = this.#options;
      if (this.#isOver) return;
      const pause = this.#told === session() ? INTERVAL : AWAY;
      this.#cancel = clock.after(pause, () => this.#go());
    });
  }

  async #report({ isOver }: { isOver: boolean }): Promise<void> {
    const { share: { id: share, name, size, files, at }, report, session } = this.#options;
    const isKnown = this.#told !== undefined && this.#told === session();
    const keys = [...isKnown ? this.#news : this.#recipients.keys()]
      .filter((key) => isOver || this.#recipients.get(key)?.id !== undefined);
    if (keys.length === 0 && !isOver) return;
    const about: ShareSummary = {
      share,
      name: cut(name, MAX_REPORTED_NAME),
      size,
      ...(files === undefined ? {} : { files }),
      at,
      total: this.#recipients.size,
    };
    try {
      for (let start = 0; start === 0 || start < keys.length; start += REPORTED_RECIPIENTS) {
        const part = keys.slice(start, start + REPORTED_RECIPIENTS);
        const recipients = part.flatMap((key) => this.#recipients.get(key) ?? []);
        for (const key of part) this.#news.delete(key);
        const over = isOver && start + REPORTED_RECIPIENTS >= keys.length;
        await report({ ...about, recipients, ...(over ? { over } : {}) });
      }
      this.#told = session();
    } catch (error) {
      const { code } = asP2PError(error);
      // All of it again on the next occasion; a tracker that does not know the verb is not asked again.
      this.#told = undefined;
      this.#isOver ||= code === "unknown-verb" || code === "unexpected-verb";
    }
  }
}

/** The start of a text that takes at most so many bytes of UTF-8. */
function cut(text: string, bytes: number): string {
  const wellFormed = text.toWellFormed();
  const { read } = new TextEncoder().encodeInto(wellFormed, new Uint8Array(bytes));
  return wellFormed.slice(0, read) || "?";
}

import { join } from "node:path";
import type { AppEvent } from "../cli/events.ts";
import type { Clock } from "../clock.ts";
import { asP2PError } from "../errors.ts";
import { randomToken } from "../identity/keys.ts";
import type { Content } from "../store/content.ts";
import type { ManifestCache } from "../store/manifest_cache.ts";
import { openContent } from "../store/open_content.ts";
import { Source } from "../store/source.ts";
import type { Carrier } from "../transfer/carrier.ts";
import type { RateLimiter } from "../transfer/rate_limiter.ts";
import type { PeerEntry } from "../wire/message.ts";
import { Carriers } from "./carriers.ts";
import type { Dialler } from "./dialler.ts";
import type { Directory } from "./directory.ts";
import type { HistoryWriter } from "./history.ts";
import type { PeerOptions } from "./options.ts";
import type { Outbox, Unsent } from "./outbox.ts";
import { type SendReport, sendToAll, stillToGet } from "./sending.ts";

/** What a {@linkcode Sender} needs. */
export interface SenderOptions
  extends Pick<PeerOptions, "ackTimeout" | "giveUpAfter" | "keepSessions" | "parallel"> {
  directory: Directory;
  dialler: Dialler;
  /** Null in a network for once: nobody can go on in one that is gone. */
  outbox: Outbox | null;
  manifests: ManifestCache;
  history: HistoryWriter;
  /** Shared by all that goes out. */
  rate?: RateLimiter | undefined;
  /** Ends what is being sent. */
  signal: AbortSignal;
  emit: (event: AppEvent) => void;
  clock: Clock;
}

/**
 * How long in milliseconds something is sent before the outbox has it: what is over in a moment is not worth
 * two syncs of the disk.
 */
const NOTE_AFTER = 200;

/** The sending side of a peer: what goes out is kept in the outbox meanwhile, and noted in the history. */
export class Sender implements AsyncDisposable {
  readonly #options: SenderOptions;
  readonly #carriers: Carriers;
  readonly #sends = new Set<Promise<unknown>>();

  constructor(options: SenderOptions) {
    const { dialler, clock, keepSessions } = options;
    this.#options = options;
    this.#carriers = new Carriers({
      open: (entry) => dialler.open(entry),
      idleTime: keepSessions,
      clock,
    });
  }

  /** How many things are being sent. */
  get activeCount(): number {
    return this.#sends.size;
  }

  /** Resolves when what is being sent now has got to everybody, or failed. */
  async drained(): Promise<void> {
    await Promise.allSettled(this.#sends);
  }

  /**
   * Sends a file or a folder; resolves when every recipient has it on disk or has failed.
   *
   * @throws {P2PError} when it cannot be read; failures of single recipients are in the report.
   */
  async sendFile(
    path: string,
    recipients: readonly PeerEntry[],
    { signal, follow }: { signal: AbortSignal | undefined; follow: boolean },
  ): Promise<SendReport> {
    const { outbox, clock } = this.#options;
    const content = await openContent(path, { follow });
    if (!outbox) return await this.sendContent(content, recipients, { signal });
    const { name, size } = content;
    const about = { id: crypto.randomUUID(), path, name, size: size ?? 0, follow };
    const at = new Date().toISOString();
    const unsent = (to: readonly PeerEntry[]): Unsent => (
      { ...about, at, to: to.map(({ id, name }) => ({ id, name })) }
    );
    let noting: Promise<void> | undefined;
    const cancel = clock.after(NOTE_AFTER, () => noting = this.#note(outbox, unsent(recipients)));
    let report: SendReport;
    try {
      report = await this.sendContent(content, recipients, { signal });
    } finally {
      cancel();
      await noting;
    }
    const left = stillToGet(report, recipients);
    if (left.length > 0) await this.#note(outbox, unsent(left));
    else await outbox.forget(unsent(recipients));
    return report;
  }

  async #note(outbox: Outbox, unsent: Unsent): Promise<void> {
    try {
      await outbox.put(unsent);
    } catch (error) {
      const { message } = asP2PError(error);
      this.#options.emit({
        event: "notice",
        message: `Cannot note what is being sent, to resume it later: ${message}`,
      });
    }
  }

  /**
   * As {@linkcode sendFile}, for what is open already; closes it. The outbox does not have it.
   *
   * @throws {P2PError} when it cannot be read; failures of single recipients are in the report.
   */
  async sendContent(
    content: Content,
    recipients: readonly PeerEntry[],
    { signal }: { signal: AbortSignal | undefined },
  ): Promise<SendReport> {
    const { manifests, emit, clock, ackTimeout = 30_000, giveUpAfter } = this.#options;
    await using source = await Source.open(content, manifests);
    this.#sayWhatIsSkipped(content);
    const sending = sendToAll({
      transfer: randomToken(16),
      source,
      recipients,
      connect: this.#connector(),
      emit,
      ackTimeout,
      giveUpAfter,
      parallel: this.#options.parallel ?? 4,
      rate: this.#options.rate,
      clock,
      signal: AbortSignal.any([this.#options.signal, ...(signal ? [signal] : [])]),
    });
    this.#sends.add(sending);
    try {
      const report = await sending;
      await this.#remember(report, content.path);
      return report;
    } finally {
      this.#sends.delete(sending);
    }
  }

  /** Closes the sessions that wait for something to be sent. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#carriers[Symbol.asyncDispose]();
  }

  /** Gives the sessions for one transfer. */
  #connector(): (entry: PeerEntry) => Promise<Carrier> {
    const { directory } = this.#options;
    const tried = new Set<string>();
    return async (entry) => {
      // A recipient that was started again listens elsewhere.
      const current = tried.has(entry.id) ? await directory.current(entry) : entry;
      tried.add(entry.id);
      await directory.names?.check(current);
      return await this.#carriers.take(current);
    };
  }

  #sayWhatIsSkipped({ path, skipped }: Content): void {
    if (skipped.length === 0) return;
    const what = skipped.length === 1
      ? "1 link or special file"
      : `${skipped.length} links or special files`;
    const some = skipped.slice(0, 5).join(", ") + (skipped.length > 5 ? ", ..." : "");
    this.#options.emit({
      event: "notice",
      message: `Not sent of ${path}: ${what} (${some}); ` +
        "--follow sends what links point to",
    });
  }

  async #remember({ name, size, sha256, recipients }: SendReport, path: string): Promise<void> {
    const at = new Date().toISOString();
    for (const { peer, state } of recipients) {
      await this.#options.history.add({
        direction: "send",
        at,
        name,
        size,
        peer,
        state,
        path: join(path),
        ...(sha256 ? { sha256 } : {}),
      });
    }
  }
}

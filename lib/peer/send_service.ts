import { join } from "node:path";
import type { AppEvent } from "../events.ts";
import { isLoopback } from "../address.ts";
import { asP2PError } from "../errors.ts";
import { randomToken } from "../async/random.ts";
import type { Content } from "../content/content.ts";
import type { ManifestCache } from "../content/manifest_cache.ts";
import { openContent } from "../content/open_content.ts";
import { stampOf } from "../content/stamp.ts";
import { SourcePieces } from "../content/source_pieces.ts";
import type { Scheme } from "../pieces/scheme.ts";
import { fileBytes, pieceCountOf, pieceSizeFor } from "../pieces/manifest.ts";
import type { PeerLink } from "../transfer/peer_link.ts";
import type { BandwidthLimiter } from "../async/bandwidth_limiter.ts";
import { MAX_SWARM_PIECES } from "../wire/limits.ts";
import type { PeerEntry } from "../wire/message.ts";
import type { LinkPool } from "../transfer/link_pool.ts";
import { isMeant, type Recipients } from "../directory/target.ts";
import type { Directory } from "../directory/directory.ts";
import type { HistoryWriter } from "./history.ts";
import type { ReceiptBook } from "./receipt_book.ts";
import type { TransferSettings } from "../transfer/settings.ts";
import type { SwarmJustice } from "../transfer/swarm/justice.ts";
import { sayWhatIsLeftOut } from "./left_out.ts";
import type { Ledger, OpenShare } from "./ledger.ts";
import { type SendJob, type SendReport, sendToAll } from "./send_job.ts";
import { lacking, type Share, type ShareRecipient } from "./share_log.ts";
import type { ShareReporter } from "./share_reporter.ts";

/** What a {@linkcode SendService} needs. */
export interface SendServiceOptions {
  directory: Directory;
  links: LinkPool;
  settings: TransferSettings;
  /** Null in a network that ends with the command (`peer share`): nobody can go on in one that is gone. */
  ledger: Ledger | null;
  /** Tells the tracker how a share goes. */
  reportOf(share: Share): ShareReporter;
  manifests: ManifestCache;
  history: HistoryWriter;
  /** Where what recipients sign is kept; absent with `--insecure`, where nobody has a key. */
  receipts: ReceiptBook | undefined;
  /** What the members of a swarm sign; absent without keys. */
  justice: SwarmJustice | undefined;
  /** Bandwidth that all that goes out shares. */
  limiter?: BandwidthLimiter | undefined;
  /** Ends what is being sent. */
  signal: AbortSignal;
  emit: (event: AppEvent) => void;
}

/**
 * How long in milliseconds something is sent before the ledger has it on the disk: what is over in a moment is not worth
 * two syncs.
 */
const NOTE_AFTER = 200;

/** What is heard of a {@linkcode SendJob} while it is done. */
type Hook = "onStalled" | "onRecipient" | "onArrived" | "onProgress";

/** How a path is sent. */
export interface SendOptions {
  signal: AbortSignal | undefined;
  follow: boolean;
  strict: boolean;
  /** Id of the share in the ledger that goes on; by default another one begins. */
  again?: string | undefined;
  /** Hears whether a recipient gets no further: see {@linkcode TransferObserver.onStalled}. */
  onStalled?: SendJob["onStalled"];
}

/** The sending side of a peer: what goes out is noted in the ledger meanwhile, and in the history in the end. */
export class SendService {
  readonly #options: SendServiceOptions;
  readonly #sends = new Set<Promise<unknown>>();

  constructor(options: SendServiceOptions) {
    this.#options = options;
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
    recipients: Recipients,
    { signal, follow, strict, again, onStalled }: SendOptions,
  ): Promise<SendReport> {
    const content = await openContent(path, { follow, strict });
    const { ledger } = this.#options;
    if (!ledger) return await this.sendContent(content, recipients, { signal, onStalled });
    try {
      using open = again === undefined
        ? this.#begin(ledger, content, { path, follow, strict, recipients })
        : await reopen(ledger, again, recipients);
      if (open.share.stamp !== stampOf(content)) this.#sayThatChanged(content);
      const noted = { ledger, open, signal, onStalled };
      return await this.#tracked(this.#sendNoted(content, recipients, noted));
    } catch (error) {
      await content[Symbol.asyncDispose]();
      throw error;
    }
  }

  /**
   * As {@linkcode sendFile}, for what is open already; closes it. The ledger does not have it.
   *
   * @throws {P2PError} when it cannot be read; failures of single recipients are in the report.
   */
  async sendContent(
    content: Content,
    recipients: Recipients,
    hooks: { signal: AbortSignal | undefined; onStalled?: SendJob["onStalled"] },
  ): Promise<SendReport> {
    return await this.#tracked(this.#send(content, recipients, hooks));
  }

  async #tracked(sending: Promise<SendReport>): Promise<SendReport> {
    this.#sends.add(sending);
    try {
      return await sending;
    } finally {
      this.#sends.delete(sending);
    }
  }

  #begin(
    ledger: Ledger,
    content: Content,
    { path, follow, strict, recipients }: {
      path: string;
      follow: boolean;
      strict: boolean;
      recipients: Recipients;
    },
  ): OpenShare {
    const { name, table, files } = content;
    const size = fileBytes(content.size ?? 0, table);
    const about = { id: crypto.randomUUID(), path, name, size, follow, strict };
    const more = files ? { files: files.count } : {};
    const at = new Date().toISOString();
    return ledger.begin({ ...about, ...more, stamp: stampOf(content), at }, offeredTo(recipients));
  }

  #sayThatChanged({ name }: Content): void {
    const message = `${name} has changed since it was sent first: what is there now is sent`;
    this.#options.emit({ event: "notice", message });
  }

  /** Sends, with a note of everybody who gets it; of what is over in a moment only when somebody else may want it. */
  async #sendNoted(
    content: Content,
    recipients: Recipients,
    { ledger, open, signal, onStalled }: Pick<SendJob, "signal" | "onStalled"> & {
      ledger: Ledger;
      open: OpenShare;
    },
  ): Promise<SendReport> {
    let noting: Promise<void> | undefined;
    const cancel = this.#options.settings.clock.after(NOTE_AFTER, () => {
      noting = this.#note(() => open.write({ isDurable: true }));
    });
    const reporter = this.#options.reportOf(open.share);
    for (const recipient of open.share.recipients) reporter.note(recipient);
    const onRecipient = (recipient: ShareRecipient) => {
      const known = knownAs(open, recipient);
      open.note(known);
      reporter.note(known);
    };
    const onArrived = (target: string) => {
      open.noteArrival(target);
      reporter.arrived(target);
    };
    const onProgress = reporter.progress.bind(reporter);
    const hooks = { signal, onStalled, onRecipient, onArrived, onProgress };
    let report: SendReport;
    try {
      report = await this.#send(content, recipients, hooks);
    } finally {
      cancel();
      await Promise.all([noting, reporter.end()]);
    }
    await this.#note(async () => {
      const { failures: [failure], recipients } = report;
      if (failure || recipients.length > 1) await open.write({ isDurable: false });
      if (open.failure) throw open.failure;
      await ledger.tidy(open.share, { isNoted: open.isWritten });
    });
    this.#sayHowToGoOn(open, report);
    return report;
  }

  /** Says what sends it to those who lack it. */
  #sayHowToGoOn({ share, isWritten }: OpenShare, report: SendReport): void {
    const left = lacking(share);
    if (!isWritten || left.length === 0) return;
    const id = share.id.slice(0, 8);
    if (isBrokenOff(report)) {
      const message = `\`peer resume ${id}\` goes on with ${share.name}`;
      return this.#options.emit({ event: "notice", message });
    }
    if (share.recipients.length === 1) return;
    const who = left.length === 1 ? "the one who lacks it" : `the ${left.length} who lack it`;
    const message = `\`peer send --retry ${id}\` sends ${share.name} to ${who}`;
    this.#options.emit({ event: "notice", message });
  }

  /** A note that cannot be made must not fail what is sent. */
  async #note(make: () => Promise<void>): Promise<void> {
    try {
      await make();
    } catch (error) {
      const { message } = asP2PError(error);
      this.#options.emit({
        event: "notice",
        message: `Cannot note what is being sent, to resume it later: ${message}`,
      });
    }
  }

  async #send(
    content: Content,
    to: Recipients,
    { signal, ...hooks }: Pick<SendJob, "signal" | Hook>,
  ): Promise<SendReport> {
    const { manifests, settings, emit } = this.#options;
    const stop = AbortSignal.any([this.#options.signal, ...(signal ? [signal] : [])]);
    const scheme = schemeFor(content, to.peers.length);
    const isSwarm = isForSwarm(content, to.peers);
    const receivers = isSwarm ? to.peers.length : 1;
    const given = { scheme, receivers, cache: manifests, signal: stop };
    await using source = await SourcePieces.open(content, given);
    sayWhatIsLeftOut(content, emit);
    const report = await sendToAll({
      transfer: randomToken(16),
      source,
      to,
      isSwarm,
      connect: this.#connector(),
      settings,
      emit,
      limiter: this.#options.limiter,
      receipts: this.#options.receipts,
      justice: this.#options.justice,
      ...hooks,
      signal: stop,
    });
    for (const path of content.grown) {
      emit({
        event: "notice",
        message: `${path} has grown: what was there when it was looked at first has been sent`,
      });
    }
    if (report.failures.length === 0) source.settle();
    await this.#remember(report, content.path);
    return report;
  }

  /** Gives the links for one transfer. */
  #connector(): (entry: PeerEntry) => Promise<PeerLink> {
    const { directory, links } = this.#options;
    const tried = new Set<string>();
    return async (entry) => {
      // A recipient that was started again listens elsewhere.
      const isLost = tried.has(entry.id) && !links.has(entry.id);
      const current = isLost ? await directory.current(entry) : entry;
      tried.add(entry.id);
      await directory.names?.pin(current);
      return await links.take(current);
    };
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

/**
 * How a content is proven to so many recipients: by a running hash, unless they may have pieces of each other. The hash
 * of a tree as a whole nobody needs.
 */
function schemeFor({ table, isSeekable }: Content, recipients: number): Scheme {
  return table === null && (!isSeekable || recipients === 1) ? "prefix" : "independent";
}

/** Bytes below which those who receive something are sent it one by one: a swarm gains nothing. */
const WORTH_A_SWARM = 1024 * 1024;

/**
 * Whether recipients are to have pieces of each other: not on one machine, where the processor is the limit and not the
 * line, and not of a stream, which has to be kept in memory until everybody has it.
 */
function isForSwarm(
  { size, isSeekable }: Content,
  recipients: readonly PeerEntry[],
): boolean {
  if (!isSeekable || size === null || size < WORTH_A_SWARM) return false;
  const elsewhere = recipients.filter(({ host }) => !isLoopback(host));
  const pieces = pieceCountOf(size, pieceSizeFor(size, recipients.length));
  return elsewhere.length > 1 && pieces <= MAX_SWARM_PIECES;
}

/** What becomes of a transfer whose recipient has gone, in the middle of it. */
const GONE: ReadonlySet<string> = new Set(["connection-lost", "peer-unreachable", "timeout"]);

/** Whether the transfer ended in the middle: somebody ended it, or a recipient that had been reached was lost. */
function isBrokenOff({ recipients }: SendReport): boolean {
  return recipients.some(({ error, via }) =>
    error?.code === "interrupted" || via !== undefined && error && GONE.has(error.code)
  );
}

/** How the recipients of a share stand before anything has happened. */
function offeredTo({ peers, missing }: Recipients): ShareRecipient[] {
  return [
    ...peers.map(({ id, name }): ShareRecipient => ({ id, name, state: "offered" })),
    ...missing.map(({ target, error: { code, message } }): ShareRecipient => ({
      ...{ id: "", name: target, state: "failed", error: { code, message } },
    })),
  ];
}

/** Goes on with a share; who was not there the last time may be by now. */
async function reopen(ledger: Ledger, id: string, { peers }: Recipients): Promise<OpenShare> {
  const open = await ledger.reopen(id);
  const absent = open.share.recipients.filter(({ id }) => id === "");
  for (const { name } of absent) {
    if (peers.some((entry) => isMeant(name, entry))) open.noteArrival(name);
  }
  return open;
}

/** The recipient as the share knows it: of one that was named by its id and is not there that is all there is. */
function knownAs({ share }: OpenShare, recipient: ShareRecipient): ShareRecipient {
  const { id, name } = recipient;
  if (id !== "") return recipient;
  const known = share.recipients.find((other) => name === `id:${other.id}`);
  return known ? { ...recipient, id: known.id, name: known.name } : recipient;
}

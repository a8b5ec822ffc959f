import { Gate } from "../async/gate.ts";
import type { AppEvent, RecipientResult, TransferFinishedEvent } from "../events.ts";
import { asP2PError, type ErrorCode, ExitCode, mayPass, P2PError } from "../errors.ts";
import { hexOf } from "../pieces/hash.ts";
import { fileBytes } from "../pieces/manifest.ts";
import type { SourcePieces } from "../content/source_pieces.ts";
import type { PeerLink } from "../transfer/peer_link.ts";
import { onDemand } from "../on_demand.ts";
import type { TransferObserver, TransferSettings } from "../transfer/settings.ts";
import type { SwarmJustice } from "../transfer/swarm/justice.ts";
import type { SwarmShare } from "../transfer/swarm/swarm_share.ts";
import type { Delivery } from "../transfer/upload.ts";
import type { BandwidthLimiter } from "../async/bandwidth_limiter.ts";
import { RateMeter } from "../transfer/rate_meter.ts";
import { uploadWithRetries } from "../transfer/upload_retries.ts";
import { Latecomers } from "./latecomers.ts";
import type { ShareRecipient } from "./share_log.ts";
import { Opening } from "./opening.ts";
import type { ReceiptBook } from "./receipt_book.ts";
import { renamesText } from "./renames_text.ts";
import { SpreadNotice } from "./spread_notice.ts";
import type { Recipients } from "../directory/target.ts";
import type { PeerEntry } from "../wire/message.ts";

/** What {@linkcode sendToAll} needs. */
export interface SendJob {
  /** Id of the transfer. */
  transfer: string;
  source: SourcePieces;
  /** Who is to get it; those who are missing, and do not come meanwhile, are failures. */
  to: Recipients;
  /** Whether recipients have pieces of each other. */
  isSwarm: boolean;
  /** Gives a link to a recipient, or says why that is refused. */
  connect: (entry: PeerEntry) => Promise<PeerLink>;
  settings: TransferSettings;
  emit: (event: AppEvent) => void;
  /** Bandwidth that is shared with the other transfers that go out. */
  limiter?: BandwidthLimiter | undefined;
  /** What the members of a swarm sign; absent without keys. */
  justice?: SwarmJustice | undefined;
  /** Hears what becomes of each recipient, as it happens. */
  onRecipient?: ((recipient: ShareRecipient) => void) | undefined;
  /** Hears that somebody has come who was called so by `--to` and was not there. */
  onArrived?: ((target: string) => void) | undefined;
  /** Hears how many bytes a recipient, by its id, has verified, and of how many peers it has them. */
  onProgress?: ((id: string, bytes: number, sources?: number) => void) | undefined;
  /** Where what recipients sign is kept. */
  receipts?: ReceiptBook | undefined;
  /** Hears whether a recipient gets no further: see {@linkcode TransferObserver.onStalled}. */
  onStalled?: ((isStalled: boolean) => void) | undefined;
  signal?: AbortSignal | undefined;
}

/** A finished transfer and the failures behind its failed recipients. */
export interface SendReport extends TransferFinishedEvent {
  failures: P2PError[];
  /** How many files and folders could not be sent to anybody. */
  leftOut: number;
}

/**
 * Sends one content, a file, a tree or a stream, to every recipient, several at a time. Those that are close to each
 * other are served from one reading; for one that lags behind, or has its turn later, pieces are read again. One that
 * gets no further goes on beside the several, and the next has its turn. A failure of one does not stop the others; each
 * is reported, as an event and in the result.
 */
export async function sendToAll(job: SendJob): Promise<SendReport> {
  const { transfer, source, to: { peers: recipients, missing, look }, settings, emit } = job;
  const { clock } = settings;
  const { name, manifest: { table } } = source;
  const size = fileBytes(source.offeredSize, table);
  const started = clock.now();
  let bytesSent = 0;
  emit({
    event: "transfer-started",
    transfer,
    name,
    size,
    direction: "send",
    ...(source.files ? { files: source.files.count } : {}),
    peers: recipients.map((entry) => entry.name),
  });
  const failures: P2PError[] = [];
  // A stream cannot be read again for somebody who comes later: all come now.
  const places = new Map(recipients.map((entry) => [entry, source.enter()]));
  using spreading = new SpreadNotice(
    clock,
    (spread) => emit({ event: "transfer-spread", transfer, name, spread }),
  );
  using share = job.isSwarm
    ? await openShare(job, (isSpread) => spreading.update(isSpread))
    : undefined;
  const isAllAtOnce = share !== undefined || !source.isSeekable;
  const parallel = isAllAtOnce ? Infinity : settings.parallel;
  const tell = (recipient: ShareRecipient) => {
    const { name: peer, ...state } = recipient;
    job.onRecipient?.(recipient);
    emit({ event: "transfer-recipient", transfer, peer, ...state });
  };
  const observerOf = (entry: PeerEntry, leaveTurn: () => void): TransferObserver => {
    const meter = new RateMeter();
    const { name: peer, id } = entry;
    let isAccepted = false;
    return {
      onAccepted: () => {
        if (!isAccepted) tell({ id, name: peer, state: "accepted" });
        isAccepted = true;
      },
      onProgress: (bytes, _files, sources) => {
        const rate = meter.update(bytes, clock.now());
        job.onProgress?.(id, fileBytes(bytes, table), sources);
        const files = source.files?.within(bytes);
        const more = {
          ...(files === undefined ? {} : { files }),
          ...(sources === undefined ? {} : { sources }),
        };
        emit({
          event: "transfer-progress",
          transfer,
          peer,
          bytes: fileBytes(bytes, table),
          size,
          rate,
          ...more,
        });
      },
      onSent: (bytes) => bytesSent += bytes,
      onStale: () =>
        emit({
          event: "notice",
          message: `${peer} had parts of another version of ${name}: they are sent anew`,
        }),
      onStalled: (isStalled) => {
        if (isStalled) leaveTurn();
        job.onStalled?.(isStalled);
      },
      onWaiting: () => emit({ event: "transfer-waiting", transfer, name, peer }),
      onRetry: (attempt, { message: reason }) =>
        emit({ event: "transfer-retry", transfer, peer, attempt, reason }),
    };
  };
  const opening = new Opening(clock);
  const sendTo = async (entry: PeerEntry, leaveTurn: () => void): Promise<RecipientResult> => {
    using place = places.get(entry) ?? source.enter();
    tell({ id: entry.id, name: entry.name, state: "offered" });
    let link: PeerLink | undefined;
    const sending = uploadWithRetries({
      transfer,
      source,
      place,
      settings,
      lane: job.limiter?.lane(),
      swarm: share && { share, recipient: entry.id },
      observer: observerOf(entry, leaveTurn),
      connect: async () => {
        const wasRelayed = link?.isRelayed ?? false;
        link = await opening.join(job.connect(entry));
        if (link.isRelayed !== wasRelayed) {
          emit({ event: "transfer-path", transfer, peer: entry.name, ...link.path });
        }
        return link;
      },
      signal: job.signal,
    });
    sending.then((delivery) => {
      const message = renamesText(`At ${entry.name}, in ${name}`, delivery);
      if (message !== null) emit({ event: "notice", message });
    }, () => {});
    const result = await resultOf(entry, sending, failures);
    tell(stateOf(result));
    share?.settle(entry.id);
    await keepReceipt(job, entry, sending);
    return { ...result, ...link?.path };
  };
  const turns = new Gate(parallel);
  const sending: Promise<RecipientResult>[] = [];
  const begin = (entry: PeerEntry) => void sending.push(inTurn(turns, entry, sendTo));
  recipients.forEach(begin);
  // A stream cannot be read again for them.
  using late = look && source.isSeekable
    ? new Latecomers({
      begun: job.to,
      look,
      onArrived: job.onArrived,
      join: (entry) => {
        share?.expect(entry.id);
        emit({ event: "transfer-joined", transfer, name, peer: entry.name });
        begin(entry);
      },
      clock,
    })
    : undefined;
  const served = await allOf(sending);
  const absent = late?.missing ?? missing;
  failures.unshift(...absent.map(({ error }) => error));
  const results = [...absent.map(({ target, error }) => failed(target, "", error)), ...served];
  for (const result of results.slice(0, absent.length)) tell(stateOf(result));
  const digest = source.manifest.digest;
  const finished: TransferFinishedEvent = {
    event: "transfer-finished",
    transfer,
    name,
    size: fileBytes(source.size ?? bytesSent, table),
    sha256: digest?.sha256 ? hexOf(digest.sha256) : null,
    ...(source.files ? { files: source.files.count } : {}),
    bytesSent,
    seconds: (clock.now() - started) / 1000,
    recipients: results,
  };
  emit(finished);
  return { ...finished, failures, leftOut: source.leftOut };
}

/** Begins the swarm of a job: loaded by those who send to several. */
async function openShare(
  { transfer, source, to: { peers }, settings: { clock, random }, justice }: SendJob,
  onSpread: (isSpread: boolean) => void,
): Promise<SwarmShare> {
  const { SwarmShare } = await onDemand<typeof import("../transfer/swarm/swarm_share.ts")>(
    "../transfer/swarm/swarm_share.ts",
    import.meta.url,
  );
  const recipients = peers.map(({ id }) => id);
  return new SwarmShare({ transfer, source, recipients, justice, onSpread, clock, random });
}

/** What all have come to, those included that were added meanwhile. */
async function allOf<T>(promises: readonly Promise<T>[]): Promise<T[]> {
  for (let count = -1; count < promises.length;) {
    count = promises.length;
    await Promise.all(promises);
  }
  return await Promise.all(promises);
}

/** Has a recipient served when it is its turn, which it may leave before it has been. */
async function inTurn<T>(
  turns: Gate,
  entry: PeerEntry,
  serve: (entry: PeerEntry, leaveTurn: () => void) => Promise<T>,
): Promise<T> {
  const { promise: served, resolve } = Promise.withResolvers<T>();
  await turns.run(() => {
    const { promise: left, resolve: leaveTurn } = Promise.withResolvers<void>();
    resolve(serve(entry, leaveTurn));
    return Promise.race([served.then(() => {}), left]);
  });
  return await served;
}

/** Keeps what a recipient has signed; that it has everything does not depend on it. */
async function keepReceipt(
  { transfer, receipts, emit }: SendJob,
  { id: recipient, name: peer }: PeerEntry,
  sending: Promise<Delivery>,
): Promise<void> {
  const receipt = await sending.then(({ receipt }) => receipt, () => undefined);
  if (!receipts || !receipt) return;
  try {
    await receipts.keep({ recipient, transfer, ...receipt });
  } catch (thrown) {
    const { message } = asP2PError(thrown);
    emit({ event: "notice", message: `No receipt from ${peer}: ${message}` });
  }
}

/** A recipient's line of the report, once it has answered with its last ACK or has failed. */
async function resultOf(
  { name: peer, id }: PeerEntry,
  sending: Promise<Delivery>,
  failures: P2PError[],
): Promise<RecipientResult> {
  try {
    const { state, savedAs } = await sending;
    return { peer, id, state, savedAs };
  } catch (thrown) {
    const error = asP2PError(thrown);
    failures.push(error);
    return failed(peer, id, error);
  }
}

function stateOf({ peer: name, id, state, savedAs, error }: RecipientResult): ShareRecipient {
  return {
    id,
    name,
    state,
    ...(savedAs === undefined ? {} : { savedAs }),
    ...(error ? { error: { ...error, code: error.code as ErrorCode } } : {}),
  };
}

function failed(peer: string, id: string, { code, message }: P2PError): RecipientResult {
  return { peer, id, state: "failed", error: { code, message } };
}

/** Recipients that do not have the content, and may get it when it is sent again. */
export function stillToGet(
  { recipients: results, failures }: SendReport,
  recipients: readonly PeerEntry[],
): PeerEntry[] {
  const passing = new Set<string>(
    failures.map(({ code }) => code).filter(mayPass),
  );
  const left = results.filter(({ error }) => error !== undefined && passing.has(error.code));
  return recipients.filter(({ id }) => left.some((result) => result.id === id));
}

/** What an exit code comes from. */
export interface SendOutcome {
  failures: readonly P2PError[];
  leftOut: number;
  /** All who were to get it. */
  recipients: readonly unknown[];
}

/**
 * The exit code of a command that ends with these reports: 7 when some recipients got everything, or all of them not
 * quite everything.
 *
 * @param unsent paths that could not be sent at all.
 */
export function exitCodeOfReports(reports: readonly SendOutcome[], unsent = 0): ExitCode {
  const failures = reports.flatMap((report) => report.failures);
  const leftOut = reports.reduce((sum, report) => sum + report.leftOut, unsent);
  const [first] = failures;
  if (!first) return leftOut === 0 ? ExitCode.done : ExitCode.partialDelivery;
  const recipients = reports.reduce((sum, report) => sum + report.recipients.length, 0);
  if (failures.length < recipients) return ExitCode.partialDelivery;
  // Where nobody got it: the code of the first failure.
  return first.exitCode;
}

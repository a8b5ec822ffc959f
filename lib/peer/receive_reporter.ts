import { renamesText } from "./renames_text.ts";
import type { Clock } from "../async/clock.ts";
import type { Directory } from "../directory/directory.ts";
import type { P2PError } from "../errors.ts";
import type { AppEvent } from "../events.ts";
import type { RequestLimits } from "../net/request_buckets.ts";
import { hexOf } from "../pieces/hash.ts";
import { fileBytes } from "../pieces/manifest.ts";
import type { DownloadsObserver } from "../transfer/downloads.ts";
import type { Offer, Received } from "../transfer/offer.ts";
import { RateMeter } from "../transfer/rate_meter.ts";
import type { TransferObserver } from "../transfer/settings.ts";
import type { HistoryWriter } from "./history.ts";

/** What a {@linkcode ReceiveReporter} needs. */
export interface ReceiveReporterOptions {
  directory: Directory;
  history: HistoryWriter;
  /** How many refused offers of one sender are told. */
  refusals: RequestLimits;
  emit: (event: AppEvent) => void;
  clock: Clock;
}

/** Makes events and entries of the history of what {@linkcode Downloads} say. */
export class ReceiveReporter implements DownloadsObserver {
  readonly #options: ReceiveReporterOptions;

  constructor(options: ReceiveReporterOptions) {
    this.#options = options;
  }

  onStarted(offer: Offer): TransferObserver {
    const { clock, directory, emit } = this.#options;
    const { transfer, name, table } = offer;
    const size = fileBytes(offer.size, table);
    const meter = new RateMeter();
    const peers = [senderOf(offer, directory)];
    emit({ event: "transfer-started", transfer, name, size, direction: "receive", peers });
    return {
      onProgress: (bytes, files) =>
        emit({
          event: "transfer-progress",
          transfer,
          peer: senderOf(offer, directory),
          bytes: fileBytes(bytes, table),
          size,
          rate: meter.update(bytes, clock.now()),
          ...(files === undefined ? {} : { files }),
        }),
    };
  }

  onReceived(offer: Offer, received: Received): void {
    const { directory, emit, history } = this.#options;
    const { transfer } = offer;
    const from = senderOf(offer, directory);
    const { path, name, files, seconds, bytesReceived, already, isRelayed } = received;
    const size = fileBytes(received.size, offer.table);
    const sha256 = received.sha256 === null ? null : hexOf(received.sha256);
    emit({
      event: "file-received",
      transfer,
      path,
      size,
      sha256,
      ...(files === undefined ? {} : { files }),
      from,
      seconds,
      bytesReceived,
      ...(already ? { already } : {}),
      ...(isRelayed ? { via: "relay" as const } : {}),
    });
    const message = renamesText(`In ${name}`, received);
    if (message !== null) emit({ event: "notice", message });
    // Nobody here waits for it: the peer does when it stops.
    history.add({
      direction: "receive",
      at: new Date().toISOString(),
      name,
      size,
      peer: from,
      state: already ? "already" : "received",
      path,
      ...(sha256 === null ? {} : { sha256 }),
    });
  }

  onFailed(offer: Offer, error: P2PError): void {
    this.#tellFailure(offer, error);
  }

  onRefused(offer: Offer, error: P2PError): void {
    if (this.#options.refusals.take(offer.from)) this.#tellFailure(offer, error);
  }

  #tellFailure(offer: Offer, { code, message, flag }: P2PError): void {
    const { directory, emit } = this.#options;
    const { transfer, name } = offer;
    const from = senderOf(offer, directory);
    emit({
      event: "receive-failed",
      transfer,
      name,
      from,
      code,
      message,
      ...(flag ? { flag } : {}),
    });
  }
}

/** The sender's name, or its id when it is not listed. */
function senderOf({ from }: Offer, directory: Directory): string {
  return directory.nameOf(from) ?? from;
}

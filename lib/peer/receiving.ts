import type { AppEvent } from "../events.ts";
import type { Clock } from "../async/clock.ts";
import type { P2PError } from "../errors.ts";
import type { RequestBuckets } from "../net/request_buckets.ts";
import { hexOf } from "../pieces/hash.ts";
import type { Inbox } from "../inbox/inbox.ts";
import type { Offer, Received } from "../transfer/download.ts";
import type { BandwidthLimiter } from "../transfer/bandwidth_limiter.ts";
import { RateMeter } from "../transfer/rate_meter.ts";
import { Downloads, type DownloadsObserver } from "../transfer/downloads.ts";
import type { OfferPolicy } from "./offer_policy.ts";
import type { Directory } from "../directory/directory.ts";
import type { HistoryWriter } from "./history.ts";
import type { PeerOptions } from "./options.ts";

/** What {@linkcode makeDownloads} needs. */
export interface ReceivingOptions extends Pick<PeerOptions, "maxSize" | "streamTo"> {
  inbox: Inbox;
  policy: OfferPolicy;
  directory: Directory;
  history: HistoryWriter;
  /** How many refused offers of one sender are told. */
  refusals: RequestBuckets;
  /** Shared by the transfers that come in. */
  rate?: BandwidthLimiter | undefined;
  emit: (event: AppEvent) => void;
  clock: Clock;
}

/** The receiving side of a peer: what arrives in its inbox is told, and noted in the history. */
export function makeDownloads(options: ReceivingOptions): Downloads {
  const { inbox, policy, directory, maxSize, streamTo, rate, clock } = options;
  return new Downloads({
    inbox,
    admit: (offer) => policy.check(offer.from),
    ask: policy.asks
      ? (offer, signal) => policy.ask({ ...offer, peer: senderOf(offer, directory) }, signal)
      : undefined,
    maxSize,
    streamTo,
    rate,
    clock,
    observer: new ReceiveReporter(options),
  });
}

/** Makes events and entries of the history of what a {@linkcode Downloads} says. */
class ReceiveReporter implements DownloadsObserver {
  readonly #options: ReceivingOptions;
  /** By transfer. */
  readonly #meters = new Map<string, RateMeter>();

  constructor(options: ReceivingOptions) {
    this.#options = options;
  }

  onStarted(offer: Offer): void {
    const { clock, directory, emit } = this.#options;
    const { transfer, name, size } = offer;
    this.#meters.set(transfer, new RateMeter(clock.now()));
    const peers = [senderOf(offer, directory)];
    emit({ event: "transfer-started", transfer, name, size, direction: "receive", peers });
  }

  onProgress(offer: Offer, bytes: number, files?: number): void {
    const { clock, directory, emit } = this.#options;
    const { transfer, size } = offer;
    emit({
      event: "transfer-progress",
      transfer,
      peer: senderOf(offer, directory),
      bytes,
      size,
      rate: this.#meters.get(transfer)?.update(bytes, clock.now()) ?? 0,
      ...(files === undefined ? {} : { files }),
    });
  }

  onReceived(offer: Offer, received: Received): void {
    const { directory, emit, history } = this.#options;
    const { transfer } = offer;
    this.#meters.delete(transfer);
    const from = senderOf(offer, directory);
    const { path, name, size, files, seconds, already } = received;
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
      ...(already ? { already } : {}),
    });
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
    this.#meters.delete(offer.transfer);
    this.#tellFailure(offer, error);
  }

  onRefused(offer: Offer, error: P2PError): void {
    if (this.#options.refusals.take(offer.from)) this.#tellFailure(offer, error);
  }

  #tellFailure(offer: Offer, { code, message }: P2PError): void {
    const { directory, emit } = this.#options;
    const { transfer, name } = offer;
    const from = senderOf(offer, directory);
    emit({ event: "receive-failed", transfer, name, from, code, message });
  }
}

/** The sender's name, or its id when it is not listed. */
function senderOf({ from }: Offer, directory: Directory): string {
  return directory.nameOf(from) ?? from;
}

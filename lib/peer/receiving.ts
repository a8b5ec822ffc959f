import type { Clock } from "../async/clock.ts";
import type { Directory } from "../directory/directory.ts";
import type { AppEvent } from "../events.ts";
import type { ReceiptSigner } from "../identity/signed_receipt.ts";
import { Inbox } from "../inbox/inbox.ts";
import { StreamInbox } from "../inbox/stream_inbox.ts";
import type { RequestLimits } from "../net/request_buckets.ts";
import type { BandwidthLimiter } from "../async/bandwidth_limiter.ts";
import { Downloads, type OfferPolicy, type SwarmHooks } from "../transfer/downloads.ts";
import type { TransferSettings } from "../transfer/settings.ts";
import type { HistoryWriter } from "./history.ts";
import type { PeerOptions } from "./options.ts";
import { ReceiveReporter } from "./receive_reporter.ts";

/** What {@linkcode openReceiving} needs. */
export interface ReceivingOptions
  extends Pick<PeerOptions, "received" | "keepPartials" | "quota" | "streamTo" | "transient"> {
  /** Own id. */
  id: string;
  settings: TransferSettings;
  policy: OfferPolicy;
  limiter: BandwidthLimiter | undefined;
  swarm: SwarmHooks;
  directory: Directory;
  history: HistoryWriter;
  /** Signs that something has arrived; absent with `--insecure`. */
  signReceipt: ReceiptSigner | undefined;
  /** How many refused offers of one sender are told. */
  refusals: RequestLimits;
  emit: (event: AppEvent) => void;
  clock: Clock;
}

/** The half of a peer that receives. */
export interface Receiving {
  inbox: Inbox;
  downloads: Downloads;
}

/**
 * Opens the inbox and makes what receives into it. A module of its own, because a one-shot command, which receives
 * nothing, need not load a fifth of the program.
 */
export async function openReceiving(options: ReceivingOptions): Promise<Receiving> {
  const { id, received, keepPartials, quota, streamTo, transient } = options;
  const { settings, policy, limiter, swarm, signReceipt } = options;
  const notice = (message: string) => options.emit({ event: "notice", message });
  const inbox = await Inbox.open(received, id, {
    keepPartials,
    quota,
    isCareful: transient,
    notice,
  });
  const downloads = new Downloads({
    destination: streamTo ? new StreamInbox(streamTo) : inbox,
    settings,
    policy,
    limiter,
    swarm,
    // What is on its way down a pipe is on no disk.
    signReceipt: streamTo ? undefined : signReceipt,
    observer: new ReceiveReporter(options),
  });
  return { inbox, downloads };
}

import { type Clock, delay, systemClock } from "../async/clock.ts";
import { isRetriable, P2PError } from "../errors.ts";
import type { Place, SourcePieces } from "../content/source_pieces.ts";
import type { PeerLink } from "./peer_link.ts";
import { type Delivery, Upload } from "./upload.ts";
import type { BandwidthLane } from "./bandwidth_limiter.ts";

/** Tries after the first, each on a connection of its own. */
const RETRIES = 5;
/** First pause in milliseconds; it doubles, with jitter. */
const FIRST_PAUSE = 500;
/** It does not grow further. */
const LONGEST_PAUSE = 15_000;

/** Settings of {@linkcode uploadWithRetries}. */
export interface SendOptions {
  transfer: string;
  source: SourcePieces;
  /** The recipient's; of a stream it has to be there before the first piece is asked for. */
  place: Place;
  /** Opens a session to the recipient, or takes one that is free; called again for each retry. */
  connect: () => Promise<PeerLink>;
  /** Milliseconds. */
  ackTimeout: number;
  /** How long to go on trying after the usual tries when nothing new gets through, milliseconds. */
  giveUpAfter?: number | undefined;
  /** Holds pieces back under a rate limit. */
  lane?: BandwidthLane | undefined;
  onProgress: (bytes: number) => void;
  onSent: (bytes: number) => void;
  onWaiting?: (() => void) | undefined;
  onStale: () => void;
  onRetry: (attempt: number, error: P2PError) => void;
  signal?: AbortSignal | undefined;
  clock?: Clock;
  random?: () => number;
}

/**
 * Sends one file to one recipient, and tries again when the connection breaks: the same transfer id on a
 * new connection, so that the receiver goes on where it was and never makes a second copy.
 *
 * @throws {P2PError} the last failure.
 */
export async function uploadWithRetries(options: SendOptions): Promise<Delivery> {
  const { clock = systemClock, random = Math.random, signal } = options;
  let verified = 0;
  let lastProgress = clock.now();
  for (let attempt = 1;; attempt++) {
    const before = verified;
    const onProgress = (bytes: number) => {
      verified = Math.max(verified, bytes);
      options.onProgress(bytes);
    };
    try {
      return await tryOnce({ ...options, onProgress }, clock);
    } catch (error) {
      // A try that got further than all before it is the first of a new series.
      if (verified > before) {
        attempt = 1;
        lastProgress = clock.now();
      }
      if (signal?.aborted) throw signal.reason;
      // A first connection that cannot be made is an answer; one that broke is worth another try.
      const never = attempt === 1 && error instanceof P2PError && error.code === "peer-unreachable";
      const isPatient = clock.now() - lastProgress < (options.giveUpAfter ?? 0);
      if (!isRetriable(error) || !isPatient && (never || attempt > RETRIES)) throw error;
      options.onRetry(attempt, error as P2PError);
      const pause = Math.min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** (attempt - 1));
      await delay(clock, pause * (0.5 + random()), signal);
    }
  }
}

async function tryOnce(options: SendOptions, clock: Clock): Promise<Delivery> {
  while (true) {
    options.signal?.throwIfAborted();
    const link = await options.connect();
    const { isFresh } = link;
    const outgoing = transferOn(link, options, clock);
    try {
      return await carry(link, outgoing, options.signal);
    } catch (error) {
      // A session that waited may end under the offer: that is no answer to it.
      const isLost = error instanceof P2PError && error.code === "connection-lost";
      if (isFresh || outgoing.isAccepted || !isLost || options.signal?.aborted) throw error;
    }
  }
}

function transferOn({ session }: PeerLink, options: SendOptions, clock: Clock): Upload {
  const { transfer, source, place, ackTimeout, lane, signal } = options;
  const { onProgress, onWaiting, onSent, onStale } = options;
  return new Upload(session, {
    transfer,
    source,
    place,
    ackTimeout,
    lane,
    signal,
    clock,
    onProgress,
    onWaiting,
    onSent,
    onStale,
  });
}

/** Carries the transfer to its end, or until the signal aborts. */
async function carry(
  link: PeerLink,
  outgoing: Upload,
  signal: AbortSignal | undefined,
): Promise<Delivery> {
  const onAbort = () => link.session.abort(new P2PError("interrupted", "Sending was interrupted"));
  signal?.addEventListener("abort", onAbort, { once: true });
  if (signal?.aborted) onAbort();
  try {
    return await link.carry(outgoing);
  } finally {
    signal?.removeEventListener("abort", onAbort);
  }
}

import { onAbort } from "../async/abort.ts";
import { delay } from "../async/clock.ts";
import { isRetriable, P2PError } from "../errors.ts";
import type { PeerLink } from "./peer_link.ts";
import { type Delivery, Upload, type UploadOptions } from "./upload.ts";

/** Tries after the first, each on a connection of its own. */
const RETRIES = 5;
/** First pause in milliseconds; it doubles, with jitter. */
const FIRST_PAUSE = 500;
/** Longest pause in milliseconds. */
const LONGEST_PAUSE = 15_000;

/** What is sent to one recipient, and how it is reached. */
export interface RetriedUploadOptions extends UploadOptions {
  /** Gives a link to the recipient; called again for each try. */
  connect: () => Promise<PeerLink>;
  signal?: AbortSignal | undefined;
}

/**
 * Sends one content to one recipient, and tries again when the connection breaks: the same transfer id on a
 * new connection, so that the receiver goes on where it was and never makes a second copy.
 *
 * @throws {P2PError} the last failure.
 */
export async function uploadWithRetries(options: RetriedUploadOptions): Promise<Delivery> {
  const { settings: { clock, random, giveUpAfter }, observer, signal } = options;
  let verified = 0;
  let lastProgress = clock.now();
  const watching: RetriedUploadOptions = {
    ...options,
    observer: {
      onProgress: (bytes) => {
        verified = Math.max(verified, bytes);
        observer.onProgress(bytes);
      },
      onSent: (bytes) => observer.onSent?.(bytes),
      onWaiting: () => observer.onWaiting?.(),
      onStale: () => observer.onStale?.(),
    },
  };
  for (let attempt = 1;; attempt++) {
    const before = verified;
    try {
      return await tryOnce(watching);
    } catch (error) {
      // A try that got further than all before it is the first of a new series.
      if (verified > before) {
        attempt = 1;
        lastProgress = clock.now();
      }
      if (signal?.aborted) throw signal.reason;
      // A first connection that cannot be made is an answer; one that broke is worth another try.
      const never = attempt === 1 && error instanceof P2PError && error.code === "peer-unreachable";
      const isPatient = clock.now() - lastProgress < giveUpAfter;
      if (!isRetriable(error) || !isPatient && (never || attempt > RETRIES)) throw error;
      observer.onRetry?.(attempt, error as P2PError);
      const pause = Math.min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** (attempt - 1));
      await delay(clock, pause * (0.5 + random()), signal);
    }
  }
}

/**
 * Sends over the link that is there, or over a new one when that came to nothing through no fault of the
 * recipient's: it ended while it waited, or was opened by somebody who takes no offers on it.
 */
async function tryOnce(options: RetriedUploadOptions): Promise<Delivery> {
  const { connect, signal } = options;
  for (let isFirst = true;; isFirst = false) {
    signal?.throwIfAborted();
    const link = await connect();
    const { isFresh } = link;
    const upload = new Upload(link, options);
    try {
      return await carry(link, upload, signal);
    } catch (error) {
      const isLost = error instanceof P2PError && error.code === "connection-lost" &&
        !error.remote && !link.isOpen;
      const isNoAnswer = isLost || link.refusesOffers;
      if (!isFirst || isFresh || upload.wasAccepted || !isNoAnswer || signal?.aborted) throw error;
    }
  }
}

/** Carries the upload to its end, or until the signal aborts. */
async function carry(
  link: PeerLink,
  upload: Upload,
  signal: AbortSignal | undefined,
): Promise<Delivery> {
  const interrupted = new P2PError("interrupted", "Sending was interrupted");
  const interrupt = () => {
    // Where nothing else is under way the receiver hears it soonest by the end of the session.
    if (link.isCarryingOnly(upload)) link.session.abort(interrupted);
    else void upload.cancel(interrupted);
  };
  const delivery = link.carry(upload);
  using _ = onAbort(signal, interrupt);
  return await delivery;
}

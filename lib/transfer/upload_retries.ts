import { onAbort } from "../async/abort.ts";
import { delay } from "../async/clock.ts";
import { isRetriable, isSilence, P2PError } from "../errors.ts";
import { Patience } from "./patience.ts";
import { MOVED, type PeerLink } from "./peer_link.ts";
import { AWAY_TIME, MAX_ACK_EXTENSIONS, STALLED_AFTER } from "./settings.ts";
import { type Delivery, Upload, type UploadOptions } from "./upload.ts";

/** Tries after the first, each on a link that is open then: the old one if it still is, else a new one. */
const RETRIES = 5;
/** First pause in milliseconds; it doubles, with jitter. */
const FIRST_PAUSE = 500;
/** Longest pause in milliseconds. */
const LONGEST_PAUSE = 15_000;

/** What is sent to one recipient, and how it is reached. */
export interface RetriedUploadOptions extends Omit<UploadOptions, "patience"> {
  /** Gives a link to the recipient; called again for each try. */
  connect: () => Promise<PeerLink>;
  signal?: AbortSignal | undefined;
}

/**
 * Sends one content to one recipient, and tries again after what may pass: a connection that breaks, a receiver that is
 * busy or takes no more requests for now. Each try has the same transfer id, so that the receiver goes on where it was
 * and never makes a second copy.
 *
 * @throws {P2PError} the last failure.
 */
export async function uploadWithRetries(options: RetriedUploadOptions): Promise<Delivery> {
  const { settings: { clock, random, giveUpAfter, ackTimeout }, observer, signal } = options;
  const patience = new Patience(MAX_ACK_EXTENSIONS * ackTimeout, clock);
  let verified = 0;
  let lastProgress = clock.now();
  let link: PeerLink | undefined;
  let isStalled = false;
  const setStalled = (now: boolean) => {
    if (now !== isStalled) observer.onStalled?.(now);
    isStalled = now;
  };
  const watching: RetriedUploadOptions & UploadOptions = {
    ...options,
    connect: async () => link = await options.connect(),
    patience,
    observer: {
      onProgress: (bytes, files, sources) => {
        verified = Math.max(verified, bytes);
        observer.onProgress(bytes, files, sources);
      },
      onAccepted: () => observer.onAccepted?.(),
      onSent: (bytes) => observer.onSent?.(bytes),
      onWaiting: () => observer.onWaiting?.(),
      onStale: () => observer.onStale?.(),
      onStalled: setStalled,
    },
  };
  // Failures of this series of tries: one that got further than all before it begins a new series.
  let failures = 0;
  while (true) {
    const before = verified;
    try {
      return await tryOnce(watching);
    } catch (error) {
      if (verified > before) {
        failures = 0;
        lastProgress = clock.now();
      }
      failures++;
      if (signal?.aborted) throw signal.reason;
      // A recipient that has had all its time would go on like that on the next session.
      if (!isRetriable(error) || patience.isOver) throw error;
      if (clock.now() - lastProgress >= STALLED_AFTER * ackTimeout) setStalled(true);
      const isPatient = clock.now() - lastProgress < giveUpAfter;
      // A first connection that cannot be made is an answer; one that broke is worth another try.
      const isAnswer = failures === 1 && (error as P2PError).code === "peer-unreachable";
      const silence = link === undefined ? 0 : clock.now() - link.session.lastHeard;
      const isAway = silence >= AWAY_TIME && isSilence(error);
      const hasTriesLeft = failures <= RETRIES && !isAnswer && !isAway;
      if (!isPatient && !hasTriesLeft) throw error;
      observer.onRetry?.(failures, error as P2PError);
      const pause = Math.min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** (failures - 1));
      await delay(clock, pause * (0.5 + random()), signal);
    }
  }
}

/**
 * Sends over the link that is there, or over a new one when that came to nothing through no fault of the
 * recipient's: it ended while it waited, or was opened by somebody who takes no offers on it. Moves from a link that is
 * left to the one that takes its place.
 */
async function tryOnce(options: RetriedUploadOptions & UploadOptions): Promise<Delivery> {
  const { connect, signal } = options;
  for (let isFirst = true;;) {
    signal?.throwIfAborted();
    const link = await connect();
    const { isFresh } = link;
    const upload = new Upload(link, options);
    try {
      return await carry(link, upload, signal);
    } catch (error) {
      if (error === MOVED) continue;
      const isLost = error instanceof P2PError && error.code === "connection-lost" &&
        !error.remote && !link.isOpen;
      const isNoAnswer = isLost || link.refusesOffers;
      if (!isFirst || isFresh || upload.wasAccepted || !isNoAnswer || signal?.aborted) throw error;
      isFirst = false;
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

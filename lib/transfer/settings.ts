import { type Clock, systemClock } from "../async/clock.ts";
import type { P2PError } from "../errors.ts";

/** Time in milliseconds between signs of life to the other side while it waits for something here. */
export const SIGN_INTERVAL = 5_000;

/** Longest time in milliseconds that an offer waits for a person. */
export const ASK_TIME = 3 * 60_000;

/**
 * Times the ACK time-out that a receiver may leave its sender waiting without getting any further, however many signs
 * of life it gives. Long, since a slow disk may have to be synced.
 */
export const MAX_ACK_EXTENSIONS = 40;

/**
 * How long in milliseconds a recipient that has been there may be away, with nothing of it to be heard: a machine that was
 * asleep for a minute is waited for.
 */
export const AWAY_TIME = 70_000;

/** Times the ACK time-out without progress after which a recipient holds nobody else up any more. */
export const STALLED_AFTER = 2;

/** Settings that all transfers of a peer share. Times are milliseconds. */
export interface TransferSettings {
  /** Longest silence of a recipient. */
  ackTimeout: number;
  /**
   * How long to go on trying to reach a recipient since its last progress (at first, since the sending was begun),
   * however many tries that takes; 0: only the usual number of tries.
   */
  giveUpAfter: number;
  /** How long a link waits for the next transfer; 0: not at all. */
  keepSessions: number;
  /** Recipients of one content that are served at a time. */
  parallel: number;
  /** Largest content in bytes that is accepted. */
  maxSize: number | undefined;
  /** How long what has arrived is served to those who still receive it; Infinity until its sender says that all have it. */
  seedFor: number;
  clock: Clock;
  /** From 0 to 1, for jitter. */
  random: () => number;
}

/** What may be left open of {@linkcode TransferSettings}. */
export type TransferChoices = { [K in keyof TransferSettings]?: TransferSettings[K] | undefined };

/** The settings with a default for what was left open. */
export function transferSettings(choices: TransferChoices = {}): TransferSettings {
  return {
    ackTimeout: choices.ackTimeout ?? 30_000,
    giveUpAfter: choices.giveUpAfter ?? 0,
    keepSessions: choices.keepSessions ?? 250,
    parallel: choices.parallel ?? 4,
    maxSize: choices.maxSize,
    seedFor: choices.seedFor ?? Infinity,
    clock: choices.clock ?? systemClock,
    random: choices.random ?? Math.random,
  };
}

/** What one transfer says of itself while it is under way, at either end. */
export interface TransferObserver {
  /**
   * `bytes` are verified at the receiver, and where that is known `files` of a tree complete; the sender hears of how
   * many `sources` they are.
   */
  onProgress(bytes: number, files?: number, sources?: number): void;
  /** Sender: the receiver has accepted the offer; said once for each try. */
  onAccepted?(): void;
  /** Sender: `bytes` of pieces went out. */
  onSent?(bytes: number): void;
  /** Sender: the receiver has to ask a person first; said once for each try. */
  onWaiting?(): void;
  /** Sender: the receiver had a part of something older; said once for each try. */
  onStale?(): void;
  /**
   * Sender: whether the receiver has left this side waiting for so long that others should not have to wait for it. Said
   * again and again, changed or not.
   */
  onStalled?(isStalled: boolean): void;
  /** Sender: try `attempt` has failed, and another follows. */
  onRetry?(attempt: number, error: P2PError): void;
}

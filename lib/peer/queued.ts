/**
 * What waits for one recipient who is not there: its fields, its file, and when it is tried.
 *
 * @module
 */

import { join } from "node:path";
import { type ErrorCode, mayPass, type P2PError } from "../errors.ts";
import { KEY_BYTES } from "../identity/keys.ts";
import { isBase64Url } from "../wire/fields.ts";
import { MAX_TEXT } from "../wire/limits.ts";

/** A file or folder, by where it is: what is there when it is sent is what is sent. */
export interface QueuedFile {
  kind: "file";
  /** Absolute. */
  path: string;
  name: string;
  /** Bytes of the file, or of all files of a folder. */
  size: number;
  follow: boolean;
  /** Whether nothing of a folder is sent when some of it cannot be. */
  strict: boolean;
  /** What {@linkcode stampOf} said when it was queued: another one means that it has changed. */
  stamp: string;
}

/** A message, which its recipients know again by its id. */
export interface QueuedMessage {
  kind: "message";
  /** Id on the wire, the same for all who get it. */
  message: string;
  text: string;
}

/** Where an entry stands. An address is that under which the recipient was listed at the last try, `host:port`. */
export type QueueState =
  /** Nobody has tried since it was queued. */
  | { is: "waiting" }
  /**
   * A try has begun, and how it ended is not known as long as this stands. Only the peer with the id `by` may go on: a
   * recipient that has got all of it already knows it again from that one alone.
   */
  | { is: "trying"; by: string }
  /** The last try failed in a way that passes; `by`, as above, where the recipient may have got it all the same. */
  | { is: "paused"; reason: string; address: string; until: string; by?: string }
  /** The last try failed for good: tried again when the recipient comes back anew. */
  | { is: "failed"; reason: string; address: string };

/** Something for one recipient. Times are ISO 8601. */
export interface Queued {
  /** Eight characters that all have in common that were queued at once, a dash, and a number. */
  id: string;
  /** What the network goes by: a peer of another one leaves the entry alone. */
  network: string;
  to: { id: string; name: string };
  /** When it was queued. */
  at: string;
  /** When it is given up. */
  until: string;
  what: QueuedFile | QueuedMessage;
  /** How often it was tried. */
  tries: number;
  state: QueueState;
}

/** Pause in milliseconds after the first failed try; it doubles with each further one. */
const FIRST_PAUSE = 5_000;
const LONGEST_PAUSE = 10 * 60_000;

/** Failures after which the recipient may have got all of it: only the last answer is missing. */
const UNCERTAIN: ReadonlySet<ErrorCode> = new Set([
  "connection-lost",
  "timeout",
  "interrupted",
  "shutting-down",
]);

/** A try that failed. */
export interface FailedTry {
  error: P2PError;
  /** Where the recipient was listed. */
  address: string;
  /** Id of the peer that tried. */
  own: string;
  /** Whether there was a connection to the recipient at any time. */
  wasReached: boolean;
  /** When it failed, in milliseconds since 1970. */
  now: number;
}

/** Bytes that wait with an entry. */
export function bytesOf({ what }: Pick<Queued, "what">): number {
  return what.kind === "file" ? what.size : new TextEncoder().encode(what.text).length;
}

/** Whether the age of an entry has run out, at a time in milliseconds since 1970. */
export function isExpired({ until }: Queued, now: number): boolean {
  return !(Date.parse(until) > now);
}

/** Whether `entry` takes the place of `older`: the same for the same recipient. */
export function isSameAs(older: Queued, entry: Queued): boolean {
  if (older.network !== entry.network || older.to.id !== entry.to.id) return false;
  const [a, b] = [older.what, entry.what];
  if (a.kind === "file" && b.kind === "file") return a.path === b.path && a.follow === b.follow;
  return a.kind === "message" && b.kind === "message" && a.message === b.message;
}

/**
 * Whether an entry is to be tried now.
 *
 * @param address under which the recipient is listed.
 * @param own id of the peer that would try.
 * @param isBack whether the recipient has gone and come back since the last try.
 */
export function isDue(
  { state }: Queued,
  { address, own, now, isBack }: { address: string; own: string; now: number; isBack: boolean },
): boolean {
  switch (state.is) {
    case "waiting":
      return true;
    case "trying":
      return state.by === own;
    case "paused":
      return (state.by === undefined || state.by === own) &&
        (isBack || state.address !== address || !(Date.parse(state.until) > now));
    case "failed":
      return isBack || state.address !== address;
    default:
      return state satisfies never;
  }
}

/** Where an entry stands after a try that failed. */
export function afterFailure(
  { tries }: Pick<Queued, "tries">,
  { error: { code, message: reason }, address, own, wasReached, now }: FailedTry,
): QueueState {
  // What changes while it is read will be left alone some time.
  if (!mayPass(code) && code !== "source-changed") return { is: "failed", reason, address };
  const pause = Math.min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** Math.min(tries - 1, 20));
  const until = new Date(now + pause).toISOString();
  // One that was lost in the middle, and cannot be reached any more, had perhaps got the end of it.
  const isUncertain = UNCERTAIN.has(code) || wasReached && code === "peer-unreachable";
  return { is: "paused", reason, address, until, ...(isUncertain ? { by: own } : {}) };
}

/** The path of an entry's file. */
export function entryPath(folder: string, id: string): string {
  return join(folder, `${id}.json`);
}

/** What is in a file; null for what is no entry, or not a whole one. */
export function parseQueued(text: string | null): Queued | null {
  try {
    const { id, network, to, at, until, what, tries, state } = JSON.parse(text ?? "");
    const isWhole = isEntryId(id) && areTexts(network, to?.name) && areTimes(at, until) &&
      isBase64Url(to.id, KEY_BYTES) && Number.isSafeInteger(tries) && isWhat(what) &&
      isState(state);
    return isWhole ? { id, network, to, at, until, what, tries, state } : null;
  } catch {
    return null;
  }
}

/** Whether a text is an id of an entry, which is a part of paths. */
export function isEntryId(id: unknown): id is string {
  return typeof id === "string" && /^[0-9a-f]{8}-\d{1,6}$/.test(id);
}

function isWhat(what: Record<string, unknown>): boolean {
  const { kind, path, name, size, follow, strict, stamp, message, text } = what;
  if (kind === "file") {
    return areTexts(path, name, stamp) && Number.isSafeInteger(size) &&
      [follow, strict].every((flag) => typeof flag === "boolean");
  }
  return kind === "message" && areTexts(message) && typeof text === "string" &&
    text.length <= MAX_TEXT;
}

function isState(state: { is: string } & Record<string, unknown>): boolean {
  const { is, by, reason, address, until } = state;
  switch (is) {
    case "waiting":
      return true;
    case "trying":
      return areTexts(by);
    case "paused":
      return areTexts(reason, address) && areTimes(until) && (by === undefined || areTexts(by));
    case "failed":
      return areTexts(reason, address);
    default:
      return false;
  }
}

function areTexts(...values: unknown[]): boolean {
  return values.every((value) => typeof value === "string");
}

function areTimes(...values: unknown[]): boolean {
  return values.every((value) => typeof value === "string" && !Number.isNaN(Date.parse(value)));
}

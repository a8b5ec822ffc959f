/**
 * A share as lines of JSON: the first says what it is, each other what has become of a recipient, or that somebody has come
 * who was not there.
 *
 * @module
 */

import { type ErrorCode, isErrorCode, mayPass } from "../errors.ts";
import { REPORTED_STATES, type ReportedRecipient } from "../wire/message.ts";

/** Where a recipient of a share stands. */
export interface ShareRecipient {
  /** Empty for somebody who was named and never there. */
  id: string;
  name: string;
  state: ReportedRecipient["state"];
  /** The name it is kept under there. */
  savedAs?: string;
  error?: { code: ErrorCode; message: string };
}

/** Something that was sent, and what has become of it. */
export interface Share {
  id: string;
  /** Absolute path of the file or folder. */
  path: string;
  name: string;
  /** Bytes. */
  size: number;
  /** Of a folder: how many files are in it. */
  files?: number;
  follow: boolean;
  strict: boolean;
  /** What tells the content from another version of it. */
  stamp: string;
  /** Time at which it was begun, ISO 8601. */
  at: string;
  recipients: ShareRecipient[];
}

/** Recipients of a share that do not have it. */
export function lacking({ recipients }: Share): ShareRecipient[] {
  return recipients.filter(({ state }) => state !== "delivered" && state !== "already");
}

/** Those of them that may get it when it is just sent again: nobody has turned it down for good. */
export function resumable(share: Share): ShareRecipient[] {
  return lacking(share).filter(({ error }) => error === undefined || mayPass(error.code));
}

/** What tells a recipient from the others of its share: its id, or what it was called that was never there. */
export function recipientKey({ id, name }: Pick<ShareRecipient, "id" | "name">): string {
  return id === "" ? `name ${name}` : id;
}

/** Takes note of a recipient, in the place of what was known. */
export function noteRecipient(recipients: ShareRecipient[], recipient: ShareRecipient): void {
  const key = recipientKey(recipient);
  const i = recipients.findIndex((other) => recipientKey(other) === key);
  if (i < 0) recipients.push(recipient);
  else recipients[i] = recipient;
}

/** Somebody has come who was called `target` while nobody of that name was there: the recipient has an id from now on. */
export function noteArrival(recipients: ShareRecipient[], target: string): void {
  const i = recipients.findIndex(({ id, name }) => id === "" && name === target);
  if (i >= 0) recipients.splice(i, 1);
}

/** Reads and writes shares. */
export class ShareLog {
  /** A share as it is written first. */
  static textOf({ recipients, ...share }: Share): string {
    return [share, ...recipients].map((line) => `${JSON.stringify(line)}\n`).join("");
  }

  /** What is written when something has become of a recipient. */
  static lineOf(recipient: ShareRecipient): string {
    return `${JSON.stringify(recipient)}\n`;
  }

  /** What is written when somebody has come who was called `target`. */
  static arrivalOf(target: string): string {
    return `${JSON.stringify({ arrived: target })}\n`;
  }

  /** The share of a text; null for what is none. Lines that are not whole are passed over. */
  static parse(text: string): Share | null {
    const [first = "", ...lines] = text.split("\n");
    const share = shareOf(parseObject(first));
    if (!share) return null;
    const recipients: ShareRecipient[] = [];
    for (const line of lines) {
      const value = parseObject(line);
      const recipient = recipientOf(value);
      if (recipient) noteRecipient(recipients, recipient);
      else if (typeof value.arrived === "string") noteArrival(recipients, value.arrived);
    }
    return { ...share, recipients };
  }
}

function parseObject(line: string): Record<string, unknown> {
  try {
    return Object(JSON.parse(line));
  } catch {
    return {};
  }
}

function shareOf(value: Record<string, unknown>): Omit<Share, "recipients"> | null {
  const { id, path, name, size, files, follow, strict, stamp, at } = value;
  const areTexts = [id, path, name, stamp, at].every((text) => typeof text === "string");
  if (!areTexts || !Number.isSafeInteger(size)) return null;
  return {
    ...{ id, path, name, size, stamp, at } as Share,
    ...(Number.isSafeInteger(files) ? { files: files as number } : {}),
    follow: follow === true,
    strict: strict === true,
  };
}

function recipientOf(value: Record<string, unknown>): ShareRecipient | null {
  const { id, name, state, savedAs, error } = value;
  if (typeof id !== "string" || typeof name !== "string") return null;
  const known = REPORTED_STATES.find((one) => one === state);
  if (!known) return null;
  const { code, message } = Object(error);
  return {
    id,
    name,
    state: known,
    ...(typeof savedAs === "string" ? { savedAs } : {}),
    ...(isErrorCode(code) && typeof message === "string" ? { error: { code, message } } : {}),
  };
}

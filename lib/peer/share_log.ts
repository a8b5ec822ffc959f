/**
 * A share as lines of JSON: the first says what it is, each other what has become of a recipient.
 *
 * @module
 */

import { type ErrorCode, isErrorCode } from "../errors.ts";

/** States of a recipient, in their order: the last three are the end. */
export const SHARE_STATES = ["offered", "accepted", "delivered", "already", "failed"] as const;
/** One of {@linkcode SHARE_STATES}. */
export type ShareState = typeof SHARE_STATES[number];

/** Where a recipient of a share stands. */
export interface ShareRecipient {
  /** Empty for somebody who was named and never there. */
  id: string;
  name: string;
  state: ShareState;
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

/** Takes note of a recipient, in the place of what was known; of one that has come also of what it was called before. */
export function noteRecipient(recipients: ShareRecipient[], recipient: ShareRecipient): void {
  const i = recipients.findIndex((other) => isSame(other, recipient));
  if (i < 0) recipients.push(recipient);
  else recipients[i] = recipient;
}

/** Whether the first is the second, or what `--to` called that one while it was not there. */
function isSame(before: ShareRecipient, { id, name }: ShareRecipient): boolean {
  if (before.id !== "" || id === "") return before.id === id && (id !== "" || before.name === name);
  return before.name === name ||
    before.name.startsWith("id:") && id.startsWith(before.name.slice(3));
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

  /** The share of a text; null for what is none. Lines that are not whole are passed over. */
  static parse(text: string): Share | null {
    const [first = "", ...lines] = text.split("\n");
    const share = shareOf(parseObject(first));
    if (!share) return null;
    const recipients: ShareRecipient[] = [];
    for (const line of lines) {
      const recipient = recipientOf(parseObject(line));
      if (recipient) noteRecipient(recipients, recipient);
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
  const known = SHARE_STATES.find((one) => one === state);
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

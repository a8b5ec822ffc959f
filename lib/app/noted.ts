/**
 * What commands have in common that list what is noted: shares, partials, the queue.
 *
 * @module
 */

import { P2PError } from "../errors.ts";

/**
 * Ends a command that could not read all notes, after it has done what it could.
 *
 * @throws {P2PError} `disk`, with the first reason.
 */
export function expectAllRead([reason]: readonly string[]): void {
  if (reason !== undefined) throw new P2PError("disk", reason);
}

/**
 * The entry whose id begins with `prefix`; all entries for `all`.
 *
 * @param what they are called, for the error.
 * @throws {P2PError} `usage` when no entry has it, or several have.
 */
export function chooseById<T extends { id: string }>(
  entries: readonly T[],
  prefix: string,
  { what = "unfinished transfer", listedBy = "peer history" } = {},
): readonly T[] {
  if (prefix === "all") return entries;
  const fitting = entries.filter(({ id }) => id.startsWith(prefix));
  if (fitting.length === 1) return fitting;
  const found = fitting.length === 0 ? `there is no ${what}` : "there are several";
  throw new P2PError(
    "usage",
    `Cannot find ${prefix}: ${found} with that id; \`${listedBy}\` lists them`,
    { candidates: (fitting.length === 0 ? entries : fitting).map(({ id }) => id) },
  );
}

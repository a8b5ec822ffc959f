/**
 * Keeps the secrets of invites out of what is printed: a person pastes one in the wrong place, and the error or the log
 * quotes it.
 *
 * @module
 */

import type { AppEvent } from "../../events.ts";

const REDACTED = "p2p://\u2026";

/** Events that are there to show an invite, and what people write to each other. */
const MAY_SHOW: ReadonlySet<AppEvent["event"]> = new Set<AppEvent["event"]>([
  "listening",
  "invite",
  "sharing",
  "message",
]);

/** `text` with each invite in it, also a damaged one, replaced by `p2p://` and an ellipsis. */
export function redactInvite(text: string): string {
  return text
    .replace(/p2p:\/\/[^\s"'#\\]*#(?!<)[^\s"'\\]*/gi, REDACTED)
    .replace(/[\w-]{43}\.[\w-]{22}/g, REDACTED);
}

/** The text of an event without invites, unless it is there to show one. */
export function withoutInvite({ event }: AppEvent, text: string): string {
  return MAY_SHOW.has(event) ? text : redactInvite(text);
}

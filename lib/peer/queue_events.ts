import type { DequeuedEvent, QueuedEvent } from "../events.ts";
import type { Queued } from "./queued.ts";

/** What is said of an entry that waits. */
export function queuedEvent(
  entry: Queued,
  more: Pick<QueuedEvent, "changed" | "reason"> = {},
): QueuedEvent {
  const { id, at, until, to, tries, state } = entry;
  const reason = "reason" in state ? { reason: state.reason } : {};
  return {
    event: "queued",
    id,
    at,
    until,
    peer: to.name,
    recipient: to.id,
    ...contentOf(entry),
    tries,
    state: state.is === "paused" ? "waiting" : state.is,
    ...reason,
    ...more,
  };
}

/** What is said of an entry that waits no longer. */
export function dequeuedEvent(
  entry: Queued,
  why: DequeuedEvent["why"],
  { isChanged = false }: { isChanged?: boolean } = {},
): DequeuedEvent {
  const { id, to, tries } = entry;
  return {
    event: "dequeued",
    id,
    why,
    peer: to.name,
    recipient: to.id,
    ...contentOf(entry),
    tries,
    ...(isChanged ? { changed: true } : {}),
  };
}

function contentOf({ what }: Queued) {
  if (what.kind === "message") return { message: what.message, text: what.text };
  const { name, size, path } = what;
  return { name, size, path };
}

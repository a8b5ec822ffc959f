import { type P2PError } from "../../errors.ts";
import type { AppEvent, ErrorEvent } from "../../events.ts";

/** Receiver of the events of a program: text for people or JSON lines for other programs. */
export interface Output {
  /** Shows `event`; it may be left out by `--quiet` or because progress is thinned out. */
  emit(event: AppEvent): void;
  /** Takes progress bars off the screen. Nothing is emitted afterwards. */
  close(): void;
}

/** The event that reports `error`. */
export function errorEvent(error: P2PError): ErrorEvent {
  const { code, message, candidates } = error;
  return { event: "error", code, message, ...candidates.length > 0 ? { candidates } : {} };
}

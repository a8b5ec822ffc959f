import type { Clock } from "../async/clock.ts";
import type { PeerLink } from "./peer_link.ts";

/** Silence of a receiver in milliseconds after which it is asked whether it is there. */
const ASK_AFTER = 1_500;
/** Silence in milliseconds after which its line is in doubt: it gives a sign of life each second, however slow the line is. */
const DOUBT_AFTER = 2_500;
/** Shortest time in milliseconds that it has to answer. */
const ANSWER_TIME = DOUBT_AFTER - ASK_AFTER;
/** Longest of the silences that are waited for on a link that was doubted in vain: each is twice the one before. */
const LONGEST_SILENCE = 30_000;
/** Shortest pause between two looks, milliseconds. */
const MIN_PAUSE = 100;

/** How {@linkcode watchLine} watches. */
export interface LineWatchOptions {
  clock: Clock;
  /** The line is in doubt; resolves when the link has been heard again, or is closed. */
  onDoubt: () => Promise<void>;
  /** Nothing is sent on the link any more: it is watched no longer. */
  onEnd: () => void;
}

/** Watches the line of a link as long as something is sent on it; a link that is idle costs nothing. */
export function watchLine(link: PeerLink, { clock, onDoubt, onEnd }: LineWatchOptions): void {
  const { session } = link;
  let doubtAfter = DOUBT_AFTER;
  let askedAt = -Infinity;
  let cancel = () => {};
  let isOver = false;
  const end = () => {
    if (isOver) return;
    isOver = true;
    cancel();
    onEnd();
  };
  const lookIn = (ms: number) => {
    if (!isOver) cancel = clock.after(Math.max(MIN_PAUSE, ms), () => void look());
  };
  const look = async () => {
    if (!link.isSending) return end();
    const silence = clock.now() - session.lastHeard;
    if (silence < ASK_AFTER) return lookIn(ASK_AFTER - silence);
    // Where this process has slept, a silence may be long and nobody asked.
    if (silence < doubtAfter || askedAt <= session.lastHeard) {
      askedAt = clock.now();
      session.post({ verb: "PING" });
      return lookIn(Math.max(doubtAfter - silence, ANSWER_TIME));
    }
    await onDoubt();
    doubtAfter = Math.min(2 * doubtAfter, LONGEST_SILENCE);
    lookIn(ASK_AFTER);
  };
  lookIn(ASK_AFTER);
  void link.ended.then(end);
}

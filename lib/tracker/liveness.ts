import type { Clock } from "../async/clock.ts";
import { P2PError, reasonOf } from "../errors.ts";
import type { Session } from "../net/session.ts";
import type { PeerEntry } from "../wire/message.ts";
import { isForWant } from "./dial_backs.ts";
import type { LeftReason } from "./left_reason.ts";

/** A member as far as its life goes. */
export interface Watched {
  readonly entry: PeerEntry;
  /** Null after it was lost, while the peer is given the chance to come back. */
  session: Session | null;
  /** When a dial-back last proved the peer alive, milliseconds of the tracker's clock. */
  checkedAt: number;
  /** True while it is being asked whether it lives. */
  checking: boolean;
}

/** What {@linkcode Liveness} watches and what it does. Times are milliseconds. */
export interface LivenessOptions<M extends Watched> {
  clock: Clock;
  /** Silence after which a member is asked. */
  pingAfter: number;
  /** How long a PONG may take. */
  pongTimeout: number;
  members: () => Iterable<M>;
  /** Dials the member's listener, pinned to its key; rejects when it does not answer. */
  dialBack: (member: M) => Promise<void>;
  drop: (member: M, reason: LeftReason) => Promise<void>;
}

/** Shortest pause between two looks at all members. */
const MIN_PAUSE = 50;

/**
 * Finds members that are gone: any frame proves life; a silent one gets a PING; one that leaves it
 * unanswered, or whose session broke, is dialled back once and dropped when that fails too.
 */
export class Liveness<M extends Watched> {
  readonly #options: LivenessOptions<M>;
  #cancel: () => void = () => {};
  #stopped = false;

  constructor(options: LivenessOptions<M>) {
    this.#options = options;
    this.#schedule();
  }

  /** Checks every member that has been silent for too long; resolves when each has answered or is gone. */
  async cleanupPeers(): Promise<void> {
    const { clock, pingAfter, members } = this.#options;
    const late = [...members()].filter((member) =>
      !member.checking && clock.now() - lastSign(member) >= pingAfter
    );
    await Promise.all(late.map((member) => this.#check(member)));
  }

  /** The member's session broke: it is gone, unless its listener answers. */
  async sessionLost(member: M): Promise<void> {
    if (!member.checking && !this.#stopped) await this.#check(member);
  }

  /** Ends the checks; one under way drops nobody any more. */
  stop(): void {
    this.#stopped = true;
    this.#cancel();
  }

  async #check(member: M): Promise<void> {
    member.checking = true;
    try {
      if (!await this.#answersPing(member)) await this.#dialBackOrDrop(member);
    } finally {
      member.checking = false;
    }
  }

  async #answersPing({ session }: M): Promise<boolean> {
    return session !== null && await session.isAlive(this.#options.pongTimeout);
  }

  async #dialBackOrDrop(member: M): Promise<void> {
    const { clock, dialBack, drop } = this.#options;
    const { session } = member;
    const began = clock.now();
    try {
      await dialBack(member);
      member.checkedAt = clock.now();
      // It lives, and this session of it does not: closed here, it ends there too, and the peer comes back.
      if (member.session === session && !wasHeardSince(session, began)) {
        session?.abort(new P2PError("timeout", "Connection lost: no answer to PING"));
      }
    } catch (error) {
      if (isForWant(error)) {
        member.checkedAt = clock.now();
        return;
      }
      // It may have come back on a new session meanwhile, or be slow and not gone.
      if (this.#stopped || member.session !== session || wasHeardSince(session, began)) return;
      await drop(member, { code: session ? "silent" : "lost", text: reasonOf(error) });
    }
  }

  /** Looks again when the member that has been silent longest will be late. */
  #schedule(): void {
    const { clock, pingAfter, members } = this.#options;
    const now = clock.now();
    let next = now + pingAfter;
    for (const member of members()) {
      if (!member.checking) next = Math.min(next, lastSign(member) + pingAfter);
    }
    this.#cancel = clock.after(Math.max(MIN_PAUSE, next - now), () => {
      if (this.#stopped) return;
      this.cleanupPeers().catch(() => {});
      this.#schedule();
    });
  }
}

/** Whether a session is open and something has come on it since a time of the clock. */
function wasHeardSince(session: Session | null, began: number): boolean {
  return session !== null && !session.connection.closed && session.lastHeard > began;
}

/** When the member was last known to be alive, milliseconds of the tracker's clock. */
export function lastSign({ session, checkedAt }: Watched): number {
  return Math.max(session?.lastHeard ?? 0, checkedAt);
}

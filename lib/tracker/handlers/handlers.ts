import type { Clock } from "../../async/clock.ts";
import { asP2PError, P2PError } from "../../errors.ts";
import { type Rate, RequestBuckets } from "../../net/request_buckets.ts";
import type { Session } from "../../net/session.ts";
import type { Frame } from "../../wire/frame.ts";
import type { MessageOf, Verb } from "../../wire/message.ts";

/** A frame of one verb and the session that it came on. */
export interface Request<V extends Verb> {
  readonly session: Session;
  readonly message: MessageOf<V>;
  readonly body: Uint8Array<ArrayBuffer>;
}

/** Answers one verb; a throw answers with ERROR. */
export type Handler<V extends Verb> = (request: Request<V>) => void | Promise<void>;

/** What a tracker is asked. */
export type TrackerVerb =
  | "REGISTER"
  | "UNREGISTER"
  | "PEERS"
  | "BROADCAST"
  | "CONNECT"
  | "RELAY"
  | "JOIN"
  | "REMOVE"
  | "RESTORE"
  | "ROTATE"
  | "REPORT"
  | "SHARES"
  | "EVIDENCE";

/** The handlers of some verbs; those of one family of verbs are in one file. */
export type Handlers<V extends TrackerVerb = TrackerVerb> = {
  readonly [K in V]: Handler<K>;
};

/**
 * Requests of one session that may be refused. Ample for a client that errs, and few enough to make a session that asks
 * in vain cost its own more than it costs the tracker.
 */
const MAX_REFUSED: Rate = { rate: 10, burst: 200 };

/**
 * Gives each frame to the handler of its verb. A request that is refused takes nothing of what its member, or others at
 * its address, may ask for: it counts against its own session alone, which is not listened to any more, for a moment,
 * when too many of its requests were refused.
 */
export class Dispatcher {
  readonly #handlers: Handlers;
  readonly #clock: Clock;
  /** Of the sessions with a request that was refused. */
  readonly #refused = new WeakMap<Session, RequestBuckets>();

  constructor(handlers: Handlers, clock: Clock) {
    this.#handlers = handlers;
    this.#clock = clock;
  }

  /** Whether there is a handler for the verb: what nobody takes gets no memory for its body. */
  takes(verb: Verb): verb is TrackerVerb {
    return Object.hasOwn(this.#handlers, verb);
  }

  /**
   * Has a frame answered.
   *
   * @throws {P2PError} `unexpected-verb` when a tracker does not take it, `rate-limited` when too many requests of the
   * session were refused, or what the handler throws.
   */
  async dispatch({ message, body }: Frame, session: Session): Promise<void> {
    if (this.#refused.get(session)?.has("") === false) {
      throw new P2PError(
        "rate-limited",
        "Cannot answer: too many requests of this session were refused; wait a moment",
      );
    }
    try {
      if (!this.takes(message.verb)) {
        throw new P2PError(
          "unexpected-verb",
          `Cannot answer ${message.verb}: a tracker does not take it`,
        );
      }
      // The table gives each verb the handler of just that verb, which is more than its type can say here.
      const handle = this.#handlers[message.verb] as Handler<TrackerVerb>;
      await handle({ session, message: message as MessageOf<TrackerVerb>, body });
    } catch (error) {
      // What comes too often was not even looked at.
      if (asP2PError(error).code !== "rate-limited") this.#countRefused(session);
      throw error;
    }
  }

  #countRefused(session: Session): void {
    const refused = this.#refused.get(session) ??
      new RequestBuckets({ ...MAX_REFUSED, clock: this.#clock });
    this.#refused.set(session, refused);
    refused.take("");
  }
}

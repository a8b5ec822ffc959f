import { P2PError } from "../../errors.ts";
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
  | "REMOVE"
  | "RESTORE"
  | "ROTATE";

/** The handlers of some verbs; those of one family of verbs are in one file. */
export type Handlers<V extends TrackerVerb = TrackerVerb> = {
  readonly [K in V]: Handler<K>;
};

/**
 * Gives a frame to the handler of its verb.
 *
 * @throws {P2PError} `unexpected-verb` when a tracker does not take it, or what the handler throws.
 */
export async function dispatch(
  handlers: Handlers,
  { message, body }: Frame,
  session: Session,
): Promise<void> {
  if (!isTaken(handlers, message.verb)) {
    throw new P2PError(
      "unexpected-verb",
      `Cannot answer ${message.verb}: a tracker does not take it`,
    );
  }
  // The table gives each verb the handler of just that verb, which is more than its type can say here.
  const handle = handlers[message.verb as TrackerVerb] as Handler<TrackerVerb>;
  await handle({ session, message: message as MessageOf<TrackerVerb>, body });
}

/** Whether there is a handler for the verb: what nobody takes gets no memory for its body. */
export function isTaken(handlers: Handlers, verb: Verb): verb is TrackerVerb {
  return Object.hasOwn(handlers, verb);
}

/**
 * A member that follows a script instead of the rules.
 *
 * @module
 */

import { P2PError } from "../../lib/errors.ts";
import { Identity, randomToken } from "../../lib/identity/keys.ts";
import type { Membership } from "../../lib/identity/network.ts";
import { openSession } from "../../lib/net/open_session.ts";
import type { Session } from "../../lib/net/session.ts";
import type { Address } from "../../lib/net/transport.ts";
import { Sha256, sha256 } from "../../lib/store/hash.ts";
import type { Frame } from "../../lib/wire/frame.ts";
import type { Message, MessageOf, Role, Verb } from "../../lib/wire/message.ts";
import { deadline } from "./deadline.ts";
import { EventLog } from "./event_log.ts";

/** Whom a script talks to and as whom. */
export interface RawOptions {
  address: Address;
  membership: Membership | null;
  /** The id that has to answer; undefined for a tracker. */
  id?: string | undefined;
  identity?: Identity;
  role?: Role;
}

/** A session whose every frame is kept and nothing of which is answered. */
export class RawSession implements AsyncDisposable {
  readonly session: Session;
  readonly identity: Identity;
  readonly frames = new EventLog<Frame>();
  /** While it is pending nothing more is read than the frame that came first. */
  busy: Promise<void> = Promise.resolve();
  /** What the session ended with; `null` after a goodbye. */
  readonly closed: Promise<P2PError | null>;
  readonly #running: Promise<void>;

  constructor(session: Session, identity: Identity) {
    this.session = session;
    this.identity = identity;
    const closed = Promise.withResolvers<P2PError | null>();
    this.closed = closed.promise;
    this.#running = session.run({
      onMessage: (frame) => {
        this.frames.add(frame);
        return this.busy;
      },
      onClosed: (error) => closed.resolve(error),
    });
  }

  /** The first frame with the verb from `from` on. */
  async until<V extends Verb>(
    verb: V,
    matches: (message: MessageOf<V>) => boolean = () => true,
    from = 0,
  ): Promise<MessageOf<V>> {
    const isIt = ({ message }: Frame) => message.verb === verb && matches(message as MessageOf<V>);
    const unless = this.closed.then((error) => {
      throw error ?? new P2PError("connection-lost", `goodbye instead of ${verb}`);
    });
    unless.catch(() => {});
    const frame = await this.frames.until(isIt, { from, what: verb, unless });
    return frame.message as MessageOf<V>;
  }

  /** Offers a file and waits for the answer. */
  async offer(offer: Partial<MessageOf<"SEND_FILE">> = {}): Promise<string> {
    const transfer = offer.transfer ?? randomToken(16);
    await this.session.request({
      verb: "SEND_FILE",
      name: "raw.bin",
      size: 0,
      pieceSize: 16 * 1024,
      ...offer,
      transfer,
    });
    return transfer;
  }

  send(message: Message, body?: Uint8Array<ArrayBuffer>): Promise<void> {
    return this.session.send(message, body);
  }

  /** The session's end, whatever it is. */
  async end(): Promise<P2PError | null> {
    return await deadline(this.closed, "the end of the session");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.session.close();
    await this.#running;
  }
}

/** Opens a scripted session. */
export async function openRaw(options: RawOptions): Promise<RawSession> {
  const { address, membership, id, identity = Identity.generate(), role = "client" } = options;
  const session = await openSession({ address, id, credentials: { identity, role, membership } });
  return new RawSession(session, identity);
}

/** The pieces of a content, their hashes, and the digest that closes the list. */
export function manifestOf(content: Uint8Array<ArrayBuffer>, pieceSize = 16 * 1024): {
  pieces: Uint8Array<ArrayBuffer>[];
  hashes: Uint8Array<ArrayBuffer>;
  last: { size: number; sha256: string };
} {
  const pieces: Uint8Array<ArrayBuffer>[] = [];
  for (let at = 0; at < content.length; at += pieceSize) {
    pieces.push(content.slice(at, at + pieceSize));
  }
  return { pieces, ...hashesOf(pieces, content) };
}

/** The hashes of any pieces, and the digest of any content. */
export function hashesOf(pieces: Uint8Array[], content: Uint8Array): {
  hashes: Uint8Array<ArrayBuffer>;
  last: { size: number; sha256: string };
} {
  const hashes = new Uint8Array(32 * pieces.length);
  pieces.forEach((piece, i) => hashes.set(sha256(piece), 32 * i));
  const whole = new Sha256();
  whole.update(content);
  return { hashes, last: { size: content.length, sha256: whole.digest() } };
}

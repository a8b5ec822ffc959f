/**
 * A member that follows a script instead of the rules.
 *
 * @module
 */

import { createHash } from "node:crypto";
import { P2PError } from "../../lib/errors.ts";
import { randomToken } from "../../lib/async/random.ts";
import { Identity } from "../../lib/identity/keys.ts";
import type { Membership } from "../../lib/identity/network.ts";
import { openSession } from "../../lib/net/open_session.ts";
import type { Session } from "../../lib/net/session.ts";
import type { Address } from "../../lib/address.ts";
import { Sha256, sha256 } from "../../lib/pieces/hash.ts";
import type { Scheme } from "../../lib/pieces/scheme.ts";
import type { Frame } from "../../lib/wire/frame.ts";
import type { Message, MessageOf, Role, Verb } from "../../lib/wire/message.ts";
import { deadline } from "./deadline.ts";
import { EventLog } from "./event_log.ts";

/** What an offer says where the test does not care. */
const OFFER = { name: "raw.bin", size: 0, pieceSize: 16 * 1024, scheme: "independent" };

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
    const { transfer = randomToken(16) } = offer;
    await this.session.request({ verb: "SEND_FILE", ...OFFER, ...offer, transfer });
    return transfer;
  }

  /** Offers a tree and waits for the answer. */
  async offerTree(offer: Partial<MessageOf<"SEND_TREE">> = {}): Promise<string> {
    const { transfer = randomToken(16) } = offer;
    await this.session.request({ verb: "SEND_TREE", table: 0, ...OFFER, ...offer, transfer });
    return transfer;
  }

  /** Sends all hashes and every piece as it is asked for; resolves with what ends the transfer. */
  async serve(
    transfer: string,
    { hashes, last, pieces }: RawManifest,
  ): Promise<MessageOf<"ACK" | "CANCEL">> {
    const isOurs = (message: { transfer: string }) => message.transfer === transfer;
    const ended = Promise.race([
      this.until("ACK", (ack) => isOurs(ack) && /^(saved|already)$/.test(ack.state)),
      this.until("CANCEL", isOurs),
    ]);
    using _ = this.frames.listen(({ message }) => {
      if (message.verb !== "GET" || !isOurs(message)) return;
      const { index } = message;
      this.session.send({ verb: "PIECE", transfer, index }, pieces[index]).catch(() => {});
    });
    await this.send({ verb: "HASHES", transfer, start: 0, last }, hashes);
    return await ended;
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

/** What somebody who sends a content says about it. */
export interface RawManifest {
  pieces: Uint8Array<ArrayBuffer>[];
  hashes: Uint8Array<ArrayBuffer>;
  last: { size: number; sha256: string };
  /** What it is recognised by: PROTOCOL.md, "Manifest id". */
  id: string;
}

/** The manifest of a content; with the bytes of its table when that is a tree. */
export function manifestOf(
  content: Uint8Array<ArrayBuffer>,
  pieceSize = OFFER.pieceSize,
  { table, scheme = "independent" }: { table?: number; scheme?: Scheme } = {},
): RawManifest {
  const pieces: Uint8Array<ArrayBuffer>[] = [];
  for (let at = 0; at < content.length; at += pieceSize) {
    pieces.push(content.slice(at, at + pieceSize));
  }
  const { hashes, last } = hashesOf(pieces, content, scheme);
  const id = new Sha256();
  const head = `p2p-manifest ${scheme} ${content.length} ${pieceSize} ${table ?? "-"}\n`;
  id.update(new TextEncoder().encode(head));
  id.update(hashes);
  return { pieces, hashes, last, id: id.digest() };
}

/** The hashes of any pieces, and the digest of any content. */
export function hashesOf(
  pieces: Uint8Array[],
  content: Uint8Array,
  scheme: Scheme = "independent",
): Pick<RawManifest, "hashes" | "last"> {
  const hashes = new Uint8Array(32 * pieces.length);
  const prefix = createHash("sha256");
  pieces.forEach((piece, i) => {
    prefix.update(piece);
    hashes.set(scheme === "prefix" ? prefix.copy().digest() : sha256(piece), 32 * i);
  });
  const whole = new Sha256();
  whole.update(content);
  return { hashes, last: { size: content.length, sha256: whole.digest() } };
}

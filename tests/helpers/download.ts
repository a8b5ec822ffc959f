/** One download against sources that are played by hand, into a real inbox. */

import { assert, assertEquals } from "@std/assert";
import { createHash } from "node:crypto";
import { encodeBase64Url } from "@std/encoding/base64url";
import { SharedBytes } from "../../lib/async/shared_bytes.ts";
import { P2PError } from "../../lib/errors.ts";
import { Inbox } from "../../lib/inbox/inbox.ts";
import type { PartialItem } from "../../lib/inbox/partial_item.ts";
import type { Session } from "../../lib/net/session.ts";
import { sha256 } from "../../lib/pieces/hash.ts";
import type { PieceProof, Scheme } from "../../lib/pieces/scheme.ts";
import { Download, type SwarmParts } from "../../lib/transfer/download.ts";
import { LargeTurns } from "../../lib/transfer/large_turns.ts";
import type { Offer, Received } from "../../lib/transfer/offer.ts";
import { PeerLink } from "../../lib/transfer/peer_link.ts";
import type { SwarmJustice } from "../../lib/transfer/swarm/justice.ts";
import { SwarmSupply } from "../../lib/transfer/swarm/swarm_supply.ts";
import type { Message, MessageOf, Verb } from "../../lib/wire/message.ts";
import { eventually } from "./deadline.ts";
import { FakeClock } from "./fake_clock.ts";
import { partialsIn } from "./invariants.ts";
import { permitted } from "./permissions.ts";
import { sessionPair } from "./pipes.ts";
import { bytesOf } from "./random.ts";
import { tempDir } from "./temp_dir.ts";

const NEEDS: Deno.PermissionName[] = ["read", "write", "sys"];
/** Bytes of a piece. */
export const PIECE = 16 * 1024;
/** The id of the transfer. */
export const TRANSFER = encodeBase64Url(bytesOf(16));

/** The far end of a link: what it heard, and what it says. */
export class Source {
  readonly link: PeerLink;
  readonly heard: Message[] = [];
  /** The body of the last frame of each verb. */
  readonly bodies = new Map<Verb, Uint8Array>();
  readonly #session: Session;
  readonly #content: Uint8Array<ArrayBuffer>;

  constructor(content: Uint8Array<ArrayBuffer>, clock: FakeClock, id: string) {
    const [near, far] = sessionPair({ clock, ids: ["own", id] });
    this.#content = content;
    this.#session = far;
    this.link = new PeerLink(near);
    void this.#hear();
  }

  /** Also the answers, which a session would keep for whoever asked. */
  async #hear(): Promise<void> {
    try {
      for (let frame = await this.#read(); frame; frame = await this.#read()) {
        if (!("message" in frame)) continue;
        this.bodies.set(frame.message.verb, frame.body.slice());
        this.heard.push(frame.message);
      }
    } catch {
      // It was closed.
    }
  }

  #read() {
    return this.#session.connection.read();
  }

  all<V extends Verb>(verb: V): MessageOf<V>[] {
    return this.heard.filter((message): message is MessageOf<V> => message.verb === verb);
  }

  /** Pieces that it was asked for so far, once there are `count`. */
  async asked(count: number): Promise<number[]> {
    const indices = () => this.all("GET").map(({ index }) => index);
    await eventually(() => (indices().length >= count), `${count} GETs`);
    return indices();
  }

  piece(index: number): Uint8Array<ArrayBuffer> {
    return this.#content.slice(index * PIECE, (index + 1) * PIECE);
  }

  get count(): number {
    return Math.ceil(this.#content.length / PIECE);
  }

  proof(index: number, scheme: Scheme): PieceProof {
    const piece = this.piece(index);
    const before = this.#content.subarray(0, index * PIECE);
    const prefix = createHash("sha256").update(before).update(piece).digest();
    return { scheme, hash: scheme === "prefix" ? prefix : sha256(piece) };
  }

  async sendHashes(isLast = true): Promise<void> {
    await this.sendHashesOf("independent", { isLast });
  }

  /** Sends hashes `[start, end)` of the scheme, which says that it is another one than was offered where `isOther`. */
  async sendHashesOf(
    scheme: Scheme,
    { start = 0, end = this.count, isLast = end === this.count, ...more }: {
      start?: number;
      end?: number;
      isLast?: boolean;
      isOther?: boolean;
      digest?: string;
      signature?: string;
    } = {},
  ): Promise<void> {
    const { isOther = false, digest, signature } = more;
    const hashes = new Uint8Array((end - start) * 32);
    for (let i = start; i < end; i++) hashes.set(this.proof(i, scheme).hash, (i - start) * 32);
    await this.#session.send({
      verb: "HASHES",
      transfer: TRANSFER,
      start,
      ...(isOther ? { scheme } : {}),
      ...(signature === undefined ? {} : { signature }),
      ...(isLast ? { last: { size: this.#content.length, sha256: digest ?? null } } : {}),
    }, hashes);
  }

  async sendPiece(index: number, bytes = this.piece(index)): Promise<void> {
    await this.#session.send({ verb: "PIECE", transfer: TRANSFER, index }, bytes);
  }

  /** Signs for pieces that it has served. */
  async signFor(entries: Uint8Array<ArrayBuffer>, signature: string): Promise<void> {
    await this.#session.send({ verb: "SERVED", transfer: TRANSFER, signature }, entries);
  }

  /** Sends a frame without a body. */
  async say(message: Message): Promise<void> {
    await this.#session.send(message);
  }

  /** The frames of the verb that it has heard, once there are `count`. */
  async hears<V extends Verb>(verb: V, count: number): Promise<MessageOf<V>[]> {
    await eventually(() => this.all(verb).length >= count, `${count} ${verb}`);
    return this.all(verb);
  }

  async cancel(): Promise<void> {
    const message = { code: "integrity", message: "no" };
    await this.#session.send({ verb: "CANCEL", transfer: TRANSFER, ...message });
  }

  close(): void {
    this.#session.connection.close();
  }
}

/** A download of `content` that has been accepted from its sender. */
export class Scene implements AsyncDisposable {
  readonly clock = new FakeClock();
  /** Bytes of pieces that may be under way. */
  memory = 64 * PIECE;
  /** What it shares with other transfers. */
  shared = { unwritten: new SharedBytes(Infinity), hashes: new SharedBytes(Infinity) };
  readonly outcomes: (Received | P2PError)[] = [];
  /** Whether the sender offers it to a swarm. */
  isSwarm = false;
  /** What the members of the swarm sign; without it they have no keys. */
  justice: SwarmJustice | undefined;
  /** How long in milliseconds it serves the others when it has everything. */
  seedFor = Infinity;
  /** Resolves when it serves nothing any more. */
  readonly over = Promise.withResolvers<void>();
  readonly offer: Offer;
  readonly sender: Source;
  readonly inbox: Inbox;
  readonly #sources: Source[] = [];
  #download: Download | undefined;
  target: PartialItem | undefined;

  constructor(
    inbox: Inbox,
    readonly content: Uint8Array<ArrayBuffer>,
    { table, scheme }: { table: number | null; scheme: Scheme },
  ) {
    this.inbox = inbox;
    this.offer = {
      transfer: TRANSFER,
      from: "anna",
      name: "thing",
      size: content.length,
      pieceSize: PIECE,
      scheme,
      swarm: false,
      table,
    };
    this.sender = this.source();
  }

  /** @param id of the other side; by default another than those of all before. */
  source(content = this.content, id = `source-${this.#sources.length}`): Source {
    const source = new Source(content, this.clock, id);
    this.#sources.push(source);
    return source;
  }

  get download(): Download {
    assert(this.#download);
    return this.#download;
  }

  async begin(): Promise<Download> {
    const target = this.target = await this.inbox.begin(this.offer);
    const download = this.#download = new Download({
      offer: this.offer,
      target,
      destination: this.inbox,
      share: { bytes: this.memory, [Symbol.dispose]: () => {} },
      ...this.shared,
      turns: new LargeTurns(),
      clock: this.clock,
      maxSize: undefined,
      ...(this.isSwarm ? { swarm: (parts: SwarmParts) => this.#swarm(parts) } : {}),
      seedFor: this.seedFor,
      onOver: () => this.over.resolve(),
      observer: { onProgress: () => {} },
      onEnd: (outcome) => void this.outcomes.push(outcome),
    });
    download.begin(this.sender.link, 1);
    return download;
  }

  #swarm(parts: SwarmParts): SwarmSupply {
    const { offer, clock, justice } = this;
    const pieceCount = Math.ceil(this.content.length / PIECE);
    return new SwarmSupply({ ...parts, offer, pieceCount, justice, clock, random: () => 0.5 });
  }

  async received(): Promise<Received> {
    await this.download.ended;
    const [outcome] = this.outcomes;
    if (!outcome || outcome instanceof P2PError) throw outcome ?? new Error("nothing came");
    return outcome;
  }

  async failure(): Promise<P2PError> {
    await this.download.ended;
    const [outcome] = this.outcomes;
    assert(outcome instanceof P2PError);
    return outcome;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#download?.fail(new P2PError("cancelled", "the test is over"));
    for (const source of this.#sources) {
      source.close();
      await source.link.ended;
    }
    assertEquals(this.clock.pending, []);
    assertEquals(await partialsIn(this.inbox.path), []);
    this.inbox[Symbol.dispose]();
  }
}

/** A test of a download into an inbox, of which nothing half done stays behind. */
export function scene(
  name: string,
  play: (scene: Scene) => Promise<void>,
  make: () => Promise<{ bytes: Uint8Array<ArrayBuffer>; table: number | null }> = () =>
    Promise.resolve({ bytes: bytesOf(5 * PIECE + 5), table: null }),
  scheme: Scheme = "independent",
): void {
  permitted(name, NEEDS, async () => {
    await using dir = await tempDir();
    const { bytes, table } = await make();
    await using scene = new Scene(await Inbox.open(dir.at("inbox"), "own"), bytes, {
      table,
      scheme,
    });
    await play(scene);
  });
}

import type { Clock } from "../../async/clock.ts";
import type { BandwidthLimiter } from "../../async/bandwidth_limiter.ts";
import { P2PError } from "../../errors.ts";
import type { Manifest } from "../../pieces/manifest.ts";
import type { Pieces } from "../../pieces/pieces.ts";
import type { Range } from "../../wire/fields.ts";
import { MAX_NEIGHBOURS } from "../../wire/limits.ts";
import type { Offer } from "../offer.ts";
import type { PeerLink } from "../peer_link.ts";
import type { PiecePicker } from "../picker.ts";
import type { PieceServer } from "../piece_server.ts";
import { indicesOf } from "../ranges.ts";
import type { Supply, SwarmTalk } from "../supply.ts";
import type { SwarmJustice } from "./justice.ts";
import { LineEstimate } from "./line_estimate.ts";
import { ServedLog } from "./served_log.ts";
import { SignedBlocks } from "./signed_blocks.ts";
import { SwarmMember } from "./swarm_member.ts";
import { SwarmPicker } from "./swarm_picker.ts";
import { UnsignedPieces } from "./unsigned_pieces.ts";

/** Milliseconds after which a neighbour that owes a piece is one no longer. */
const NEIGHBOUR_SILENCE = 10_000;
/** The same of the sharer, without whom the transfer cannot go on. */
const SHARER_SILENCE = 120_000;
/** Sources of one transfer: those that the sharer names, and as many that were told to meet this side. */
const MAX_SOURCES = 2 * MAX_NEIGHBOURS;

/** What a {@linkcode SwarmSupply} needs. */
export interface SwarmSupplyOptions {
  offer: Offer;
  pieceCount: number;
  /** The state of each piece, in which `grow`, `take` and what is asked of whom are not used. */
  picker: PiecePicker;
  /** What is verified here, for others to have. */
  pieces: Pieces;
  /** The link to the sharer, if it is there. */
  sharer: () => PeerLink | undefined;
  /** Has nothing to do with a source any more. */
  leave(source: PeerLink): void;
  /** Hashes of the pieces. */
  manifest: Manifest;
  /** What members sign, and who is convicted by that; absent without keys. */
  justice?: SwarmJustice | undefined;
  /** Bandwidth of all that goes out from here. */
  outgoing?: BandwidthLimiter | undefined;
  clock: Clock;
  /** In [0, 1). */
  random: () => number;
}

/** The supply of a download in a swarm: has pieces of the sharer and of other receivers, and serves these. */
export class SwarmSupply implements Supply, SwarmTalk {
  readonly #options: SwarmSupplyOptions;
  readonly #member: SwarmMember;
  readonly #line: LineEstimate;
  /** Who is there, and what answers its GETs; nothing does those of the sharer. */
  readonly #sources = new Map<PeerLink, PieceServer | null>();
  /** Ids of those whom the sharer has named. */
  readonly #met = new Set<string>();
  /** Ids of those that have served something wrong. */
  readonly #banned = new Set<string>();
  /** Neighbours that have served something wrong, and the piece that they have to sign for. */
  readonly #suspects = new Map<PeerLink, number>();
  readonly #blocks: SignedBlocks | undefined;
  readonly #unsigned: UnsignedPieces | undefined;
  /** What signs for what each neighbour is served. */
  readonly #logs = new Map<PeerLink, ServedLog>();
  /** Pieces that came and are being written, and from whom. */
  readonly #writing = new Map<number, PeerLink>();

  constructor(options: SwarmSupplyOptions) {
    const { offer: { transfer, pieceSize }, pieceCount, picker, clock, random, leave } = options;
    this.#options = options;
    const line = this.#line = new LineEstimate({ pieceSize, clock });
    const limits = () => line.limits;
    this.#member = new SwarmMember({
      transfer,
      pieceCount,
      picker: new SwarmPicker({ pieceCount, isSharer: false, limits, random }),
      clock,
      send: (link, index) => this.#send(link, index),
      drop: leave,
    });
    const { justice, manifest, offer } = options;
    if (justice) {
      const { signer } = justice;
      const about = { transfer, sharer: offer.from, pieceCount, manifest, signer };
      const blocks = this.#blocks = new SignedBlocks(about);
      this.#unsigned = new UnsignedPieces({ ...about, blocks, clock });
    }
    this.#member.handle({ type: "kept", pieces: indicesOf(picker.ranges()) });
  }

  admits(source: PeerLink): boolean {
    const { offer: { transfer }, sharer } = this.#options;
    if (source === sharer() || source.isRelayed || !source.isOpen) return false;
    const { id } = source.session.remote;
    if (!source.isFreeFor(transfer) || this.#banned.has(id)) return false;
    if (this.#options.justice?.isConvicted(id)) return false;
    return this.#sources.size <= MAX_SOURCES;
  }

  strangers(ids: readonly string[]): string[] {
    const { justice } = this.#options;
    const strangers = [...new Set(ids)]
      .filter((id) => !this.#met.has(id) && !justice?.isConvicted(id))
      .slice(0, MAX_NEIGHBOURS - this.#met.size);
    for (const id of strangers) this.#met.add(id);
    return strangers;
  }

  accuse(source: PeerLink, index: number): void {
    if (this.#unsigned) {
      this.#unsigned.add(source, index);
      this.#suspects.set(source, index);
    }
    this.#ban(source);
  }

  banId(id: string): void {
    const all = [...this.#sources.keys(), ...this.#suspects.keys()];
    for (const source of all) if (source.session.remote.id === id) this.#dismiss(source);
  }

  isSuspect(source: PeerLink): boolean {
    return this.#suspects.has(source);
  }

  onHashes(end: number, signature: string | undefined): void {
    if (!this.#blocks?.take(end, signature)) return;
    for (const { source, entries, signature } of this.#unsigned?.takeLater() ?? []) {
      this.onServed(source, entries, signature);
    }
  }

  onServed(source: PeerLink, entries: Uint8Array, signature: string): void {
    const { justice, sharer } = this.#options;
    // The sharer is judged by its manifest.
    if (!justice || !this.#unsigned || source === sharer()) return;
    const verdict = this.#unsigned.judge(source, entries, signature);
    if (verdict !== "right") this.#dismiss(source);
    if (typeof verdict === "object") justice.convict(verdict);
    const suspected = this.#suspects.get(source);
    // It has signed for the right piece, and sent another: there is no more to be had of it.
    if (suspected !== undefined && !this.#unsigned.has(source, suspected)) this.#dismiss(source);
  }

  #ban(source: PeerLink): void {
    const { id } = source.session.remote;
    // Without identities nobody can be told from another.
    if (id !== "") this.#banned.add(id);
    this.#member.handle({ type: "corrupt", peer: source });
  }

  #dismiss(source: PeerLink): void {
    this.#suspects.delete(source);
    this.#unsigned?.drop(source);
    this.#ban(source);
    this.#options.leave(source);
  }

  add(source: PeerLink): void {
    if (this.#sources.has(source)) this.drop(source);
    this.#sources.set(source, source === this.#options.sharer() ? null : this.#serve(source));
    this.#member.handle({ type: "joined", peer: source });
    // How far the sharer is its first answer says.
    if (source !== this.#options.sharer()) void this.#line.measure(source);
  }

  drop(source: PeerLink): void {
    const server = this.#sources.get(source);
    if (server === undefined) return;
    this.#sources.delete(source);
    this.#endLog(source);
    if (!this.#suspects.has(source)) this.#unsigned?.drop(source);
    if (server) source.endServing(this.#options.offer.transfer);
    this.#line.forget(source);
    this.#member.handle({ type: "left", peer: source });
  }

  stop(): PeerLink[] {
    const { transfer } = this.#options.offer;
    this.#member[Symbol.dispose]();
    const sources = [...this.#sources.keys(), ...this.#suspects.keys()];
    for (const [source, server] of this.#sources) {
      if (!server) continue;
      this.#endLog(source);
      source.session.post({
        verb: "CANCEL",
        transfer,
        code: "cancelled",
        message: "It serves nothing of this transfer any more",
      });
      source.endServing(transfer);
    }
    this.#sources.clear();
    this.#suspects.clear();
    return sources;
  }

  #endLog(source: PeerLink): void {
    this.#logs.get(source)?.[Symbol.dispose]();
    this.#logs.delete(source);
  }

  grow(count: number): void {
    this.#member.handle({ type: "known", count });
  }

  /** Nothing has to be done for it: the picker asks whenever something has happened. */
  fill(): void {}

  isOwed(source: PeerLink, index: number): boolean {
    return this.#member.picker.isOwed(source, index);
  }

  verified(source: PeerLink, index: number): void {
    const { pieces } = this.#options;
    if (source !== this.#options.sharer()) this.#unsigned?.add(source, index);
    this.#writing.set(index, source);
    this.#line.moved(pieces.lengthOf(index));
  }

  stored(index: number): void {
    const source = this.#writing.get(index);
    if (!source) return;
    this.#writing.delete(index);
    this.#member.handle({ type: "received", peer: source, index });
  }

  failed(source: PeerLink, index: number): void {
    this.#member.handle({ type: "failed", peer: source, index });
  }

  lost(index: number): void {
    this.#options.picker.lost(index);
    this.#member.handle({ type: "lost", index });
  }

  answeredIn(ms: number): void {
    const sharer = this.#options.sharer();
    if (sharer) this.#line.answered(sharer, ms);
  }

  get areOwing(): boolean {
    return this.#options.picker.unwrittenCount === 0;
  }

  abortOverdue(): void {
    const { clock, sharer, leave } = this.#options;
    for (const source of this.#unsigned?.overdue() ?? []) this.#dismiss(source);
    for (const source of [...this.#sources.keys()]) {
      const since = this.#member.picker.owesSince(source);
      if (since === undefined) continue;
      const isSharer = source === sharer();
      const silence = clock.now() - Math.max(since, isSharer ? source.session.lastHeard : since);
      if (!isSharer && silence > NEIGHBOUR_SILENCE) leave(source);
      if (!isSharer || silence <= SHARER_SILENCE) continue;
      source.session.abort(
        new P2PError("timeout", "Cannot go on: the sender sends no more pieces"),
      );
    }
  }

  onHave(source: PeerLink, ranges: readonly Range[]): void {
    this.#member.onHave(source, ranges);
  }

  onGiven(source: PeerLink, index: number): void {
    if (source !== this.#options.sharer()) return;
    this.#member.handle({ type: "given", peer: source, index });
  }

  onGet(source: PeerLink, index: number): void {
    this.#member.handle({ type: "requested", peer: source, index });
  }

  onWithdrawn(source: PeerLink, index: number): void {
    this.#member.handle({ type: "withdrawn", peer: source, index });
  }

  #send(source: PeerLink, index: number): void {
    // What is about to be published may be gone by now.
    if (this.#options.pieces.has(index)) this.#sources.get(source)?.request(index);
  }

  #serve(source: PeerLink): PieceServer {
    const { offer: { transfer }, pieces, clock, outgoing, leave } = this.#options;
    const onFailed = () => leave(source);
    const log = this.#logFor(source);
    return source.serve({
      transfer,
      pieces,
      clock,
      lane: outgoing?.lane(),
      onSent: (_bytes, index) => log?.add(index),
      onFailed,
    });
  }

  #logFor(link: PeerLink): ServedLog | undefined {
    const { offer: { transfer, from: sharer }, manifest, justice, clock } = this.#options;
    if (!justice || !this.#blocks) return undefined;
    const { signer } = justice;
    const about = { transfer, sharer, link, manifest, signer, clock };
    const log = new ServedLog({ ...about, blocks: this.#blocks });
    this.#logs.set(link, log);
    return log;
  }
}

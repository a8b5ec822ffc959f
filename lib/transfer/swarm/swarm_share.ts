import type { Clock } from "../../async/clock.ts";
import type { SourcePieces } from "../../content/source_pieces.ts";
import type { Range } from "../../wire/fields.ts";
import { HASH_BYTES, MAX_HASHES, MAX_NEIGHBOURS } from "../../wire/limits.ts";
import type { PeerLink } from "../peer_link.ts";
import type { PieceServer } from "../piece_server.ts";
import { BlockSigner } from "./block_signer.ts";
import type { SwarmJustice } from "./justice.ts";
import { LineEstimate } from "./line_estimate.ts";
import { SwarmMember } from "./swarm_member.ts";
import { SwarmPicker } from "./swarm_picker.ts";

/** Neighbours that a recipient is handed: as many come to it later, so that it has about twice as many in the end. */
const HANDED = MAX_NEIGHBOURS / 2;

/** A recipient that takes part. */
export interface Participant {
  /** Its id, by which others find it. */
  id: string;
  /** Answers its GETs. */
  server: PieceServer;
  /** Pieces that it has already. */
  have: readonly Range[];
}

/** What a {@linkcode SwarmShare} needs. */
export interface SwarmShareOptions {
  transfer: string;
  source: SourcePieces;
  /** Ids of the recipients. */
  recipients: readonly string[];
  /** Signs the hashes of the pieces, and says who is convicted; absent without keys. */
  justice?: Pick<SwarmJustice, "signer" | "isConvicted"> | undefined;
  /** Hears whether those who have yet to get everything can have it of each other. */
  onSpread(isSpread: boolean): void;
  clock: Clock;
  /** In [0, 1). */
  random: () => number;
}

/**
 * The sharer's side of a swarm: gives each piece out once, and hands those who take part their neighbours. Serves who is
 * left with what the others cannot.
 */
export class SwarmShare implements Disposable {
  /** Signs the hashes of the pieces; absent without keys. */
  readonly blocks: BlockSigner | undefined;
  readonly #options: SwarmShareOptions;
  readonly #member: SwarmMember;
  readonly #line: LineEstimate;
  readonly #participants = new Map<PeerLink, Participant & { neighbours: number }>();
  /** Ids of those that were lost before they had everything: they may have the rest of the others. */
  readonly #lost = new Set<string>();
  /** Ids of those that only this side serves as far as is known: they have not joined, and are not done. */
  readonly #apart: Set<string>;
  #isSpread = false;
  #isOver = false;

  constructor(options: SwarmShareOptions) {
    const { transfer, source, recipients, justice, clock, random } = options;
    const receivers = recipients.length;
    const { pieceSize, pieceCount, manifest: { table } } = source;
    this.#options = options;
    this.blocks = justice && new BlockSigner({ transfer, source, signer: justice.signer });
    this.#apart = new Set(recipients);
    const line = this.#line = new LineEstimate({ pieceSize, receivers, clock });
    this.#member = new SwarmMember({
      transfer,
      pieceCount,
      picker: new SwarmPicker({
        pieceCount,
        isSharer: true,
        headPieces: Math.ceil((table ?? 0) / pieceSize),
        limits: () => line.limits,
        random,
      }),
      clock,
      send: (link, index) => this.#send(link, index),
      drop: () => {},
    });
    // Why it cannot be read each upload is told.
    this.#follow().catch(() => {});
  }

  /** Takes a recipient in that has accepted the offer. */
  join(link: PeerLink, participant: Participant): void {
    const { transfer } = this.#options;
    const others = this.#neighboursFor(participant.id);
    this.#lost.delete(participant.id);
    this.#apart.delete(participant.id);
    this.#participants.set(link, { ...participant, neighbours: others.length });
    for (const other of others) other.neighbours++;
    if (others.length > 0) {
      const peers = others.map(({ id }) => id);
      link.session.post({ verb: "NEIGHBOURS", transfer, peers });
    }
    this.#member.handle({ type: "joined", peer: link });
    this.#member.onHave(link, participant.have);
    void this.#line.measure(link);
    this.#lookWhetherSpread();
  }

  /** Somebody else is to get it, who may take part. */
  expect(id: string): void {
    this.#apart.add(id);
    this.#lookWhetherSpread();
  }

  /** A recipient has everything, or has failed for good; also one that has not taken part. */
  settle(id: string): void {
    this.#apart.delete(id);
    this.#lookWhetherSpread();
  }

  /** A recipient has been sent the hashes of the pieces below `count`. */
  reached(link: PeerLink, count: number): void {
    this.#member.handle({ type: "reached", peer: link, count });
  }

  /** A recipient has everything, and serves the others from now on, until all of them have it. */
  complete(link: PeerLink): void {
    const { transfer, source } = this.#options;
    if (!this.#participants.has(link)) return;
    this.onHave(link, [[0, source.pieceCount]]);
    link.keepFor(transfer, () => this.#forget(link));
  }

  /** A recipient is lost, or serves nobody when it has everything. */
  leave(link: PeerLink, hasAll: boolean): void {
    const participant = this.#forget(link);
    if (participant && !hasAll) this.#lost.add(participant.id);
  }

  #forget(link: PeerLink): Participant | undefined {
    const participant = this.#participants.get(link);
    if (!participant) return undefined;
    this.#participants.delete(link);
    this.#line.forget(link);
    this.#member.handle({ type: "left", peer: link });
    this.#lookWhetherSpread();
    return participant;
  }

  /** A recipient says which pieces it has. */
  onHave(link: PeerLink, ranges: readonly Range[]): void {
    this.#member.onHave(link, ranges);
    this.#lookWhetherSpread();
  }

  /** A recipient asks for a piece. */
  onGet(link: PeerLink, index: number): void {
    this.#member.handle({ type: "requested", peer: link, index });
  }

  /** A recipient takes a GET back. */
  onWithdrawn(link: PeerLink, index: number): void {
    this.#member.handle({ type: "withdrawn", peer: link, index });
  }

  [Symbol.dispose](): void {
    this.#isOver = true;
    this.#member[Symbol.dispose]();
    // Who is lost here may have found the others: they serve it as long as it asks.
    const isOver = this.#lost.size === 0;
    for (const link of this.#participants.keys()) link.letGo(this.#options.transfer, isOver);
  }

  #lookWhetherSpread(): void {
    const isSpread = this.#apart.size === 0 && this.#member.picker.isSpread;
    if (isSpread === this.#isSpread || this.#isOver) return;
    this.#isSpread = isSpread;
    this.#options.onSpread(isSpread);
  }

  /** Who has fewest neighbours so far. */
  #neighboursFor(id: string): (Participant & { neighbours: number })[] {
    const { random, justice } = this.#options;
    if (justice?.isConvicted(id)) return [];
    return [...this.#participants.values()]
      .filter((other) => other.id !== id && !justice?.isConvicted(other.id))
      .map((other) => ({ other, order: other.neighbours + random() }))
      .sort((a, b) => a.order - b.order)
      .slice(0, HANDED)
      .map(({ other }) => other);
  }

  #send(link: PeerLink, index: number): void {
    this.#line.moved(this.#options.source.lengthOf(index));
    this.#participants.get(link)?.server.request(index);
  }

  /** Has pieces given out as soon as their hashes are known. */
  async #follow(): Promise<void> {
    const { source } = this.#options;
    for (let known = 0; !this.#isOver;) {
      const { start, hashes, digest } = await source.hashesFrom(known, MAX_HASHES);
      known = start + hashes.length / HASH_BYTES;
      this.#member.handle({ type: "known", count: known });
      if (digest) return;
    }
  }
}

import type { Range } from "../wire/fields.ts";
import type { PeerLink } from "./peer_link.ts";

/** Where a download has its pieces from: whom it asks for which, and when. */
export interface Supply {
  /** Takes a source; one that is there already starts anew. */
  add(source: PeerLink): void;
  /** Forgets a source: what it owes is wanted again. */
  drop(source: PeerLink): void;
  /** Forgets all of them, and returns who they were; what they owe is not wanted any more. */
  stop(): PeerLink[];
  /** Says that pieces below `count` may be asked for. */
  grow(count: number): void;
  /** Asks for as many pieces as may be on their way. */
  fill(): void;
  /** Whether the source was asked for the piece, which has not come from it. */
  isOwed(source: PeerLink, index: number): boolean;
  /** A new piece came from the source, and is right. */
  verified(source: PeerLink, index: number): void;
  /** A verified piece is written, and can be served. */
  stored(index: number): void;
  /** A piece came from the source and is of no use: it has to come again. */
  failed(source: PeerLink, index: number): void;
  /** A piece that was verified is of another version: it has to come again. */
  lost(index: number): void;
  /** Notes how long in milliseconds an answer took that was no more than that. */
  answeredIn(ms: number): void;
  /** Whether it is for others to go on: for a source, or for one to come. */
  readonly areOwing: boolean;
  /** Ends the sessions of those that owe a piece for too long. */
  abortOverdue(): void;
}

/** What a download has to do with the other members of a swarm: see PROTOCOL.md, "Swarms". */
export interface SwarmTalk {
  /** Whether the other side of a link may be a neighbour. */
  admits(source: PeerLink): boolean;
  /** Those of the ids that this side was not told to meet before, as many as it may meet in all. */
  strangers(ids: readonly string[]): string[];
  /** A piece of the source is wrong: it has nothing to do with whoever that is any more, on whichever link. */
  accuse(source: PeerLink, index: number): void;
  /** Has nothing to do with the peer of the id any more: it has been convicted. */
  banId(id: string): void;
  /** Whether the source is heard only for what it signs: it has served something wrong. */
  isSuspect(source: PeerLink): boolean;
  /**
   * The hashes of the pieces below `end` have come, with the sharer's signature where they complete a block.
   *
   * @throws {P2PError} `integrity` when that is wrong.
   */
  onHashes(end: number, signature: string | undefined): void;
  /** A neighbour has signed for pieces that it has served. */
  onServed(source: PeerLink, entries: Uint8Array, signature: string): void;
  /** A member says which pieces it has. */
  onHave(source: PeerLink, ranges: readonly Range[]): void;
  /** The sharer says that it sends a piece unasked. */
  onGiven(source: PeerLink, index: number): void;
  /** A neighbour asks for a piece. */
  onGet(source: PeerLink, index: number): void;
  /** A neighbour takes a GET back. */
  onWithdrawn(source: PeerLink, index: number): void;
}

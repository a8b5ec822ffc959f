import { PieceSet } from "./piece_set.ts";

/** Another member of the swarm, as this one sees it. */
export interface Neighbour<P> {
  readonly key: P;
  /** Pieces that it says to have. */
  readonly has: PieceSet;
  /** Pieces that it has and that are wanted here. */
  useful: number;
  /** Pieces that it was asked for and owes, and since when in milliseconds. */
  readonly asked: Map<number, number>;
  /** The same of those that it has said to send unasked. */
  readonly given: Map<number, number>;
  /** Milliseconds that it takes for a piece, averaged; 0 before the first. */
  pace: number;
}

/** What a member does about its neighbours when the number of those who have a piece changes. */
export type HoldersHook = (index: number, holders: number, change: number) => void;

/**
 * Who has which piece. Invariant: every piece below the limit is wanted, owed by at least one neighbour, or here; none
 * above it is wanted. Synchronous, no I/O.
 */
export class Mesh<P> {
  readonly pieceCount: number;
  /** Pieces that may be asked for: below the limit, not here, owed by nobody. */
  readonly wanted: PieceSet;
  /** Pieces that are here. */
  readonly here: PieceSet;
  readonly #neighbours = new Map<P, Neighbour<P>>();
  /** How many neighbours have each piece. */
  readonly #holders: Uint16Array;
  readonly #onHolders: HoldersHook;
  /** How many pieces no neighbour has. */
  #unheld: number;
  #limit = 0;
  #requests = 0;

  constructor(pieceCount: number, onHolders: HoldersHook) {
    this.pieceCount = pieceCount;
    this.wanted = new PieceSet(pieceCount);
    this.here = new PieceSet(pieceCount);
    this.#holders = new Uint16Array(pieceCount);
    this.#unheld = pieceCount;
    this.#onHolders = onHolders;
  }

  /** All neighbours. */
  get neighbours(): Iterable<Neighbour<P>> {
    return this.#neighbours.values();
  }

  /** How many neighbours there are. */
  get size(): number {
    return this.#neighbours.size;
  }

  /** Whether every piece is with a neighbour, so that this side is not needed. */
  get isSpread(): boolean {
    return this.#unheld === 0;
  }

  /** Requests that are under way, counted once for each neighbour that was asked for the piece. */
  get requests(): number {
    return this.#requests;
  }

  /** Whether a neighbour owes anything. */
  get isAwaiting(): boolean {
    for (const { asked, given } of this.neighbours) if (asked.size + given.size > 0) return true;
    return false;
  }

  /** Whether every piece is here. */
  get isComplete(): boolean {
    return this.here.size === this.pieceCount;
  }

  /** Pieces below which everything may be asked for, or is here. */
  get limit(): number {
    return this.#limit;
  }

  /** The neighbour with the key. */
  get(key: P): Neighbour<P> | undefined {
    return this.#neighbours.get(key);
  }

  /** Whether a neighbour has the piece. */
  has(key: P, index: number): boolean {
    return this.get(key)?.has.has(index) ?? false;
  }

  /** How many neighbours have the piece. */
  holdersOf(index: number): number {
    return this.#holders[index] ?? 0;
  }

  /** Lets pieces below `limit` be asked for. */
  grow(limit: number): void {
    for (let index = this.#limit; index < limit; index++) {
      if (!this.here.has(index)) this.#want(index);
    }
    this.#limit = Math.max(this.#limit, limit);
  }

  /** Takes a neighbour in, of whom nothing is known. */
  join(key: P): Neighbour<P> {
    const has = new PieceSet(this.pieceCount);
    const neighbour: Neighbour<P> = {
      key,
      has,
      useful: 0,
      asked: new Map(),
      given: new Map(),
      pace: 0,
    };
    this.#neighbours.set(key, neighbour);
    return neighbour;
  }

  /** Forgets a neighbour: what only it owed is wanted again. */
  leave(neighbour: Neighbour<P>): void {
    this.#neighbours.delete(neighbour.key);
    const owed = [...neighbour.asked.keys(), ...neighbour.given.keys()];
    for (const index of owed) this.settle(neighbour, index);
    for (const index of neighbour.has) this.#countHolder(index, -1);
  }

  /** Notes that a neighbour has a piece; false when that was known. */
  learn(neighbour: Neighbour<P>, index: number): boolean {
    if (!neighbour.has.add(index)) return false;
    if (this.wanted.has(index)) neighbour.useful++;
    this.#countHolder(index, 1);
    return true;
  }

  /** Notes that a neighbour was asked for a piece. */
  ask(neighbour: Neighbour<P>, index: number, now: number): void {
    if (this.wanted.delete(index)) this.#countUseful(index, -1);
    neighbour.asked.set(index, now);
    this.#requests++;
  }

  /** Notes that a neighbour sends a piece unasked. */
  expect(neighbour: Neighbour<P>, index: number, now: number): void {
    if (this.wanted.delete(index)) this.#countUseful(index, -1);
    neighbour.given.set(index, now);
  }

  /** A neighbour does not owe the piece any more; returns since when it did. */
  settle(neighbour: Neighbour<P>, index: number): number | undefined {
    const since = neighbour.asked.get(index) ?? neighbour.given.get(index);
    if (since === undefined) return undefined;
    if (neighbour.asked.delete(index)) this.#requests--;
    neighbour.given.delete(index);
    if (!this.here.has(index) && !this.#isOwed(index)) this.#want(index);
    return since;
  }

  /** A piece is here. */
  take(index: number): void {
    if (this.wanted.delete(index)) this.#countUseful(index, -1);
    this.here.add(index);
  }

  /** A piece that was here is not what it should be, and has to come again. */
  lose(index: number): void {
    if (this.here.delete(index) && index < this.#limit && !this.#isOwed(index)) this.#want(index);
  }

  #isOwed(index: number): boolean {
    for (const { asked, given } of this.neighbours) {
      if (asked.has(index) || given.has(index)) return true;
    }
    return false;
  }

  #want(index: number): void {
    if (this.wanted.add(index)) this.#countUseful(index, 1);
  }

  #countUseful(index: number, change: number): void {
    for (const neighbour of this.neighbours) {
      if (neighbour.has.has(index)) neighbour.useful += change;
    }
  }

  #countHolder(index: number, change: number): void {
    const before = this.holdersOf(index);
    const holders = before + change;
    this.#holders[index] = holders;
    if (before === 0) this.#unheld--;
    if (holders === 0) this.#unheld++;
    this.#onHolders(index, holders, change);
  }
}

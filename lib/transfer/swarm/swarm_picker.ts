import { Announcing } from "./announcing.ts";
import { Asking } from "./asking.ts";
import { Giving } from "./giving.ts";
import type { SwarmLimits } from "./limits.ts";
import { Mesh } from "./mesh.ts";

/** Milliseconds after which it is looked again at what is owed. */
const LOOK = 200;

/** What a member of a swarm is told. Peers are whatever the caller knows them by. */
export type SwarmEvent<P> =
  | { type: "joined"; peer: P }
  | { type: "left"; peer: P }
  | { type: "have"; peer: P; pieces: Iterable<number> }
  /** The sharer has chosen this member to be the first that has the piece, which it sends unasked. */
  | { type: "given"; peer: P; index: number }
  | { type: "requested"; peer: P; index: number }
  /** A request is taken back. */
  | { type: "withdrawn"; peer: P; index: number }
  /** A piece from the peer is verified and can be served. */
  | { type: "received"; peer: P; index: number }
  /** A piece that the peer has sent is wrong. */
  | { type: "corrupt"; peer: P }
  /** Of the sharer: the peer has been sent the hashes of the pieces below `count`. */
  | { type: "reached"; peer: P; count: number }
  /** Pieces are here from an earlier run. */
  | { type: "kept"; pieces: Iterable<number> }
  /** A piece that was here is of another version, and has to come again. */
  | { type: "lost"; index: number }
  /** A piece that the peer owed came, and was of no use: it is to be asked for again. */
  | { type: "failed"; peer: P; index: number }
  /** The hashes of the pieces below `count` are known: they may be asked for, or given out. */
  | { type: "known"; count: number }
  | { type: "timer" };

/** What it does about that. */
export type SwarmAction<P> =
  | { type: "request"; peer: P; index: number }
  | { type: "withdraw"; peer: P; index: number }
  | { type: "have"; peer: P; pieces: number[] }
  /** Says that the piece is about to come, and sends it. */
  | { type: "give"; peer: P; index: number }
  | { type: "send"; peer: P; index: number }
  /** Has nothing more to do with the peer. */
  | { type: "drop"; peer: P };

/** What a {@linkcode SwarmPicker} needs. */
export interface SwarmPickerOptions {
  pieceCount: number;
  /** Whether it has everything from the start and hands it out; else it begins with nothing. */
  isSharer: boolean;
  /** The first pieces, which the sharer gives to everybody: those of a folder's table. */
  headPieces?: number;
  /** Gives the limits for what is known of the line by now. */
  limits: () => SwarmLimits;
  /** In [0, 1). */
  random: () => number;
}

/**
 * The decisions of one member of a swarm, for one content: what to ask of whom, whom to serve, whom to tell. Pure and
 * synchronous: the time is an argument, and what to do is returned. The sharer gives each piece out once; the rest is a
 * mesh in which everybody pulls.
 *
 * Invariants: nothing that is not here is sent or announced; a piece is owed by at most two neighbours; before
 * everything is out once the sharer gives a piece a second time only when who had it first is gone; who sent something
 * wrong is asked for nothing again.
 */
export class SwarmPicker<P> {
  readonly #options: SwarmPickerOptions;
  readonly #mesh: Mesh<P>;
  readonly #asking: Asking<P>;
  readonly #giving: Giving<P>;
  readonly #announcing: Announcing<P>;
  readonly #banned = new Set<P>();
  /** Whether others may ask for anything that is here. */
  #isOpen: boolean;
  #actions: SwarmAction<P>[] = [];
  #wakeAt = Infinity;

  constructor(options: SwarmPickerOptions) {
    const { pieceCount, isSharer, headPieces = 0, random } = options;
    this.#options = options;
    this.#isOpen = !isSharer;
    this.#mesh = new Mesh(
      pieceCount,
      (index, holders, change) => this.#giving.onHolders(index, holders, change),
    );
    this.#giving = new Giving(this.#mesh, {
      headPieces,
      give: (peer, index) => this.#act({ type: "give", peer, index }),
      send: (peer, index) => this.#act({ type: "send", peer, index }),
    });
    this.#asking = new Asking(this.#mesh, {
      random,
      request: (peer, index) => this.#act({ type: "request", peer, index }),
    });
    this.#announcing = new Announcing((peer, pieces) => this.#act({ type: "have", peer, pieces }));
  }

  /** When it wants a `timer`, in milliseconds as those of `handle`; Infinity for never. */
  get wakeAt(): number {
    return this.#wakeAt;
  }

  /** Whether every piece is with some neighbour. */
  get isSpread(): boolean {
    return this.#mesh.isSpread;
  }

  /** Whether the peer was asked for the piece and has not sent it. */
  isOwed(peer: P, index: number): boolean {
    const { asked, given } = this.#mesh.get(peer) ?? {};
    return (asked?.has(index) || given?.has(index)) ?? false;
  }

  /** Since when in milliseconds the peer owes what it has owed longest; undefined when that is nothing. */
  owesSince(peer: P): number | undefined {
    const { asked, given } = this.#mesh.get(peer) ?? {};
    const times = [...asked?.values() ?? [], ...given?.values() ?? []];
    return times.length === 0 ? undefined : Math.min(...times);
  }

  /**
   * Takes in what has happened, and returns what is to be done about it, in that order.
   *
   * @param now milliseconds since an arbitrary start.
   */
  handle(event: SwarmEvent<P>, now: number): readonly SwarmAction<P>[] {
    const limits = this.#options.limits();
    this.#actions = [];
    this.#note(event, limits, now);
    this.#giving.run(limits, now);
    this.#openUp();
    this.#asking.fill(limits, now);
    this.#announcing.run(limits, this.#giving.load, now);
    this.#schedule(now);
    return this.#actions;
  }

  #note(event: SwarmEvent<P>, limits: SwarmLimits, now: number): void {
    switch (event.type) {
      case "joined":
        return this.#join(event.peer);
      case "left":
        return this.#leave(event.peer);
      case "have":
        return this.#learn(event.peer, event.pieces, limits, now);
      case "given":
        this.#learn(event.peer, [event.index], limits, now);
        return this.#accept(event.peer, event.index, now);
      case "reached":
        return this.#giving.reached(event.peer, event.count);
      case "kept":
        for (const index of event.pieces) this.#mesh.take(index);
        return;
      case "lost":
        return this.#mesh.lose(event.index);
      case "failed":
        return this.#fail(event.peer, event.index);
      case "requested":
        if (this.#mesh.here.has(event.index)) this.#giving.request(event.peer, event.index, now);
        return;
      case "withdrawn":
        return this.#giving.withdraw(event.peer, event.index);
      case "received":
        return this.#receive(event.peer, event.index, now);
      case "corrupt":
        return this.#ban(event.peer);
      case "known":
        return this.#grow(event.count);
      case "timer":
    }
  }

  #act(action: SwarmAction<P>): void {
    this.#actions.push(action);
  }

  #join(peer: P): void {
    if (this.#banned.has(peer)) return this.#act({ type: "drop", peer });
    if (this.#mesh.get(peer)) return;
    this.#mesh.join(peer);
    this.#giving.join(peer);
    this.#announcing.join(peer);
    const pieces = this.#isOpen ? [...this.#mesh.here] : this.#head();
    if (pieces.length > 0) this.#act({ type: "have", peer, pieces });
  }

  /** Pieces that everybody may have of the sharer from the beginning. */
  #head(): number[] {
    const { headPieces = 0 } = this.#options;
    return Array.from({ length: Math.min(headPieces, this.#mesh.limit) }, (_, index) => index);
  }

  #leave(peer: P): void {
    const neighbour = this.#mesh.get(peer);
    if (!neighbour) return;
    this.#mesh.leave(neighbour);
    this.#giving.leave(peer);
    this.#announcing.leave(peer);
  }

  #ban(peer: P): void {
    this.#banned.add(peer);
    this.#leave(peer);
    this.#act({ type: "drop", peer });
  }

  #learn(peer: P, pieces: Iterable<number>, limits: SwarmLimits, now: number): void {
    const neighbour = this.#mesh.get(peer);
    if (!neighbour) return;
    for (const index of pieces) {
      if (index >= this.#mesh.pieceCount) continue;
      this.#giving.confirm(peer, index, limits, now);
      this.#mesh.learn(neighbour, index);
    }
  }

  #receive(peer: P, index: number, now: number): void {
    const mesh = this.#mesh;
    mesh.take(index);
    const neighbour = mesh.get(peer);
    const since = neighbour && mesh.settle(neighbour, index);
    if (neighbour && since !== undefined) {
      const took = now - since;
      neighbour.pace = neighbour.pace === 0 ? took : 0.7 * neighbour.pace + 0.3 * took;
    }
    for (const other of mesh.neighbours) {
      if (mesh.settle(other, index) === undefined) continue;
      this.#act({ type: "withdraw", peer: other.key, index });
    }
    this.#announcing.add(index, peer, now);
  }

  #accept(peer: P, index: number, now: number): void {
    const neighbour = this.#mesh.get(peer);
    if (neighbour && this.#mesh.wanted.has(index)) this.#mesh.expect(neighbour, index, now);
  }

  #fail(peer: P, index: number): void {
    const neighbour = this.#mesh.get(peer);
    if (neighbour) this.#mesh.settle(neighbour, index);
  }

  #grow(count: number): void {
    const { isSharer } = this.#options;
    const before = this.#mesh.limit;
    if (!isSharer) return this.#mesh.grow(count);
    for (let index = before; index < count; index++) this.#mesh.take(index);
    this.#mesh.grow(count);
    this.#giving.offer(count);
    const head = this.#head().filter((index) => index >= before);
    if (head.length === 0) return;
    for (const { key } of this.#mesh.neighbours) {
      this.#act({ type: "have", peer: key, pieces: head });
    }
  }

  /** Lets everybody ask for anything once all has been given out. */
  #openUp(): void {
    const { pieceCount, limit, size, here } = this.#mesh;
    if (this.#isOpen || limit < pieceCount || size === 0 || this.#giving.freshCount > 0) return;
    this.#isOpen = true;
    for (const { key } of this.#mesh.neighbours) {
      this.#act({ type: "have", peer: key, pieces: [...here] });
    }
  }

  #schedule(now: number): void {
    const { isComplete } = this.#mesh;
    this.#wakeAt = this.#announcing.dueAt;
    if (this.#giving.isPressed) this.#wakeAt = Math.min(this.#wakeAt, now + this.#giving.patience);
    if (!isComplete && this.#mesh.isAwaiting) this.#wakeAt = Math.min(this.#wakeAt, now + LOOK);
  }
}

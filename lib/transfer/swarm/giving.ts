import type { SwarmLimits } from "./limits.ts";
import type { Mesh } from "./mesh.ts";

/** Times the usual after which a piece on its way does not hold its slot any more: its receiver is slow, not this side. */
const SLOW = 3;
/** Pieces on their way out, however slow their receivers are. */
const MAX_UNDER_WAY = 32;
/** How much longer than the shortest a piece may usually take, each time that one was confirmed. */
const DECAY = 1.05;
/** Requests of one receiver that may wait: what it asks for beyond that it gets later, or of others. */
const MAX_WAITING = 1024;
/** Milliseconds after which a slot is looked at again at the latest. */
const MAX_USUAL = 1_000;

/** What one receiver gets from here. */
interface Receiver<P> {
  readonly key: P;
  /** Pieces that were given or sent to it and that it has not said to have, and since when in milliseconds. */
  readonly underWay: Map<number, number>;
  /** Pieces that it asks for and that wait for a slot. */
  readonly waiting: Set<number>;
  /** Pieces that it was given first and that it alone has. */
  unspread: number;
  /** Which of all that went out was its last. */
  servedAt: number;
  /** Whether it can take any piece: of a tree, it has the table. */
  isReady: boolean;
  /** Pieces below have hashes that it has been sent. */
  known: number;
}

/** How {@linkcode Giving} acts. */
export interface GivingHooks<P> {
  /** Sends a receiver, and nobody else, a piece that it has not asked for. */
  give(key: P, index: number): void;
  /** Sends a piece that was asked for. */
  send(key: P, index: number): void;
}

/**
 * Whom to serve next. A receiver serves who asks, the rarest piece first. The sharer first gives each piece out once, to
 * the receiver whose earlier ones have spread best, before it serves anybody's wish: what it sends twice before
 * everything is out once is what a swarm loses.
 */
export class Giving<P> {
  readonly #mesh: Mesh<P>;
  readonly #hooks: GivingHooks<P>;
  readonly #headPieces: number;
  readonly #receivers = new Map<P, Receiver<P>>();
  /** Requests that wait for a slot. */
  #waiting: { receiver: Receiver<P>; index: number }[] = [];
  /** To whom the sharer gave each piece first. */
  readonly #givenTo = new Map<number, Receiver<P>>();
  /** Pieces that have to be given out once more, before those that never were. */
  readonly #again = new Set<number>();
  /** Pieces from `#next` to before `#end` are to be given out for the first time, in order. */
  #next: number;
  #end: number;
  #underWay = 0;
  /** Milliseconds until a piece is confirmed, the shortest of late. */
  #usual = Infinity;
  #confirmed = 0;
  #served = 0;

  /** @param options.headPieces the first pieces, without which a receiver can take no other. */
  constructor(mesh: Mesh<P>, { headPieces, ...hooks }: GivingHooks<P> & { headPieces: number }) {
    this.#mesh = mesh;
    this.#hooks = hooks;
    this.#headPieces = headPieces;
    this.#next = this.#end = headPieces;
  }

  /** Requests that wait, and pieces on their way out. */
  get load(): number {
    return this.#waiting.length + this.#underWay;
  }

  /** Whether something waits for a slot. */
  get isPressed(): boolean {
    return this.#waiting.length + this.freshCount > 0;
  }

  /** Pieces that wait to be given out for the first time, or once more. */
  get freshCount(): number {
    return this.#again.size + this.#end - this.#next;
  }

  /** Milliseconds from which on a slot may be free that is not now. */
  get patience(): number {
    return SLOW * Math.min(this.#usual, MAX_USUAL);
  }

  /** Has the pieces below `end` given out, in order, but for the first ones, which everybody may ask for. */
  offer(end: number): void {
    this.#end = Math.max(this.#end, end);
  }

  /** Takes a receiver in. */
  join(key: P): void {
    this.#receivers.set(key, {
      key,
      underWay: new Map(),
      waiting: new Set(),
      unspread: 0,
      servedAt: -1,
      isReady: false,
      known: 0,
    });
  }

  /** Notes that a receiver has been sent the hashes of the pieces below `count`. */
  reached(key: P, count: number): void {
    const receiver = this.#receivers.get(key);
    if (receiver) receiver.known = Math.max(receiver.known, count);
  }

  /** Forgets a receiver, of whom the mesh knows nothing any more: what it alone was given goes out once more. */
  leave(key: P): void {
    const receiver = this.#receivers.get(key);
    if (!receiver) return;
    this.#receivers.delete(key);
    this.#underWay -= receiver.underWay.size;
    this.#waiting = this.#waiting.filter((request) => request.receiver !== receiver);
    for (const [index, first] of this.#givenTo) {
      if (first !== receiver) continue;
      this.#givenTo.delete(index);
      if (this.#mesh.holdersOf(index) === 0) this.#giveAgain(index);
    }
  }

  /** What nobody has any more goes out before anything new. */
  #giveAgain(index: number): void {
    if (index >= this.#headPieces && index < this.#next) this.#again.add(index);
  }

  /** Notes that the number of those who have a piece has changed by one. */
  onHolders(index: number, holders: number, change: number): void {
    if (holders === 0) this.#giveAgain(index);
    const first = this.#givenTo.get(index);
    if (!first) return;
    if (holders === 1) first.unspread++;
    if (holders - change === 1) first.unspread--;
  }

  /** A receiver says that it has a piece. */
  confirm(key: P, index: number, { roundTrip }: SwarmLimits, now: number): void {
    const receiver = this.#receivers.get(key);
    if (!receiver) return;
    this.withdraw(key, index);
    const since = receiver.underWay.get(index);
    if (since === undefined) return;
    receiver.underWay.delete(index);
    this.#underWay--;
    this.#confirmed++;
    // Sooner than a round trip: it came from somebody else, and says nothing about this side.
    const took = now - since;
    if (took >= roundTrip) this.#usual = Math.min(this.#usual * DECAY, took);
  }

  /** A receiver asks for a piece: what has gone to it goes out once more, anything else when it is its turn. */
  request(key: P, index: number, now: number): void {
    const receiver = this.#receivers.get(key);
    if (!receiver) return;
    if (receiver.underWay.has(index)) {
      receiver.underWay.set(index, now);
      return this.#hooks.send(key, index);
    }
    if (receiver.waiting.has(index) || receiver.waiting.size >= MAX_WAITING) return;
    receiver.waiting.add(index);
    this.#waiting.push({ receiver, index });
  }

  /** A receiver does not want a piece any more that has not gone out. */
  withdraw(key: P, index: number): void {
    const receiver = this.#receivers.get(key);
    if (!receiver?.waiting.delete(index)) return;
    this.#waiting = this.#waiting.filter((request) =>
      request.receiver !== receiver || request.index !== index
    );
  }

  /** Gives and sends what there are free slots for. */
  run(limits: SwarmLimits, now: number): void {
    this.#giveOut(limits, now);
    while (this.#waiting.length > 0 && this.#freeSlots(limits, now) > 0) {
      const best = this.#waiting.reduce((best, other) =>
        this.#precedes(other, best) ? other : best
      );
      this.#waiting.splice(this.#waiting.indexOf(best), 1);
      best.receiver.waiting.delete(best.index);
      this.#occupy(best.receiver, best.index, now);
      this.#hooks.send(best.receiver.key, best.index);
    }
  }

  #giveOut(limits: SwarmLimits, now: number): void {
    while (this.freshCount > 0 && this.#freeSlots(limits, now) > 0) {
      const [index = this.#next] = this.#again;
      const isEverywhere = this.#mesh.size > 0 && this.#mesh.holdersOf(index) === this.#mesh.size;
      const best = isEverywhere ? undefined : this.#nextReceiver(index, limits.perReceiver);
      if (!best && !isEverywhere) return;
      if (!this.#again.delete(index)) this.#next++;
      if (!best) continue;
      this.#givenTo.set(index, best);
      this.#occupy(best, index, now);
      this.#hooks.give(best.key, index);
    }
  }

  /** Of those who lack the piece, who has passed on best what it was given, and of these who was served longest ago. */
  #nextReceiver(index: number, perReceiver: number): Receiver<P> | undefined {
    let best: Receiver<P> | undefined;
    for (const receiver of this.#receivers.values()) {
      if (receiver.underWay.size >= perReceiver || this.#mesh.has(receiver.key, index)) continue;
      if (index >= receiver.known || !this.#isReady(receiver)) continue;
      const isBetter = !best || receiver.unspread < best.unspread ||
        receiver.unspread === best.unspread && receiver.servedAt < best.servedAt;
      if (isBetter) best = receiver;
    }
    return best;
  }

  #isReady(receiver: Receiver<P>): boolean {
    for (let index = 0; !receiver.isReady && index < this.#headPieces; index++) {
      if (!this.#mesh.has(receiver.key, index)) return false;
    }
    return receiver.isReady = true;
  }

  #freeSlots({ slots }: SwarmLimits, now: number): number {
    // A sharer begins with few: until the first are confirmed nobody knows how fast the receivers are.
    const most = this.freshCount > 0 ? Math.min(slots, 2 + this.#confirmed) : slots;
    if (this.#underWay < most) return most - this.#underWay;
    if (this.#underWay >= MAX_UNDER_WAY) return 0;
    let counted = 0;
    for (const { underWay } of this.#receivers.values()) {
      for (const since of underWay.values()) if (now - since < this.patience) counted++;
    }
    return most - counted;
  }

  #precedes(
    a: { receiver: Receiver<P>; index: number },
    b: { receiver: Receiver<P>; index: number },
  ): boolean {
    const rarer = this.#mesh.holdersOf(a.index) - this.#mesh.holdersOf(b.index);
    return rarer < 0 || rarer === 0 && a.receiver.servedAt < b.receiver.servedAt;
  }

  #occupy(receiver: Receiver<P>, index: number, now: number): void {
    if (!receiver.underWay.has(index)) this.#underWay++;
    receiver.underWay.set(index, now);
    receiver.servedAt = this.#served++;
  }
}

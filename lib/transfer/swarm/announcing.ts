import type { SwarmLimits } from "./limits.ts";

/** Milliseconds that news waits for more, so that they share a frame: hardly anybody gets a piece later for that. */
const TOGETHER = 40;

/** What a neighbour has yet to hear. */
interface Listener<P> {
  readonly key: P;
  news: number[];
  /** When it was told last, in milliseconds. */
  toldAt: number;
}

/** Tells neighbours what has come, those first that were told longest ago, and only while there is room to serve them. */
export class Announcing<P> {
  readonly #have: (key: P, pieces: number[]) => void;
  readonly #listeners = new Map<P, Listener<P>>();
  #dueAt = Infinity;

  /** @param have tells a neighbour. */
  constructor(have: (key: P, pieces: number[]) => void) {
    this.#have = have;
  }

  /** Milliseconds at which it wants to be run again; Infinity when nothing waits. */
  get dueAt(): number {
    return this.#dueAt;
  }

  /** Takes a neighbour in that has been told of all that is here. */
  join(key: P): void {
    this.#listeners.set(key, { key, news: [], toldAt: -Infinity });
  }

  /** Forgets a neighbour. */
  leave(key: P): void {
    this.#listeners.delete(key);
  }

  /** A piece is here: whoever sent it hears at once, since its slot is free with that, and the others in turn. */
  add(index: number, from: P | undefined, now: number): void {
    for (const listener of this.#listeners.values()) {
      if (listener.key === from) this.#have(listener.key, [index]);
      else listener.news.push(index);
    }
    this.#dueAt = Math.min(this.#dueAt, now + TOGETHER);
  }

  /**
   * Tells those whose turn it is.
   *
   * @param load requests that wait and pieces on their way out.
   */
  run({ modest, roundTrip }: SwarmLimits, load: number, now: number): void {
    if (now < this.#dueAt) return;
    this.#dueAt = Infinity;
    const waiting = [...this.#listeners.values()].filter(({ news }) => news.length > 0)
      .sort((a, b) => a.toldAt - b.toldAt);
    let room = modest - load;
    for (const { toldAt } of this.#listeners.values()) if (now - toldAt < roundTrip) room--;
    for (const listener of waiting) {
      if (room-- <= 0) {
        this.#dueAt = now + roundTrip;
        return;
      }
      this.#have(listener.key, listener.news);
      listener.toldAt = now;
      listener.news = [];
    }
  }
}

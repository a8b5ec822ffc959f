import type { SwarmLimits } from "./limits.ts";
import type { Mesh, Neighbour } from "./mesh.ts";

/** Neighbours that owe one piece at a time, when nothing else is left to ask for or one takes too long. */
const ENDGAME = 2;
/** Milliseconds after which a piece that is owed is asked of another neighbour as well. */
const OVERDUE = 3_000;
/** Milliseconds between two looks at what is owed for too long. */
const LOOK = 20;
/** Pieces among which the rarest is chosen. */
const SAMPLE = 1024;
/** What a neighbour that has delivered nothing is taken for, in milliseconds a piece: it is tried first. */
const UNTRIED = 1e-3;

/** What to ask of whom: the piece that fewest have, of the neighbour that owes least for its pace. */
export class Asking<P> {
  readonly #mesh: Mesh<P>;
  readonly #random: () => number;
  readonly #request: (key: P, index: number) => void;
  #lookAt = 0;

  /** @param random in [0, 1). */
  constructor(
    mesh: Mesh<P>,
    { random, request }: { random: () => number; request: (key: P, index: number) => void },
  ) {
    this.#mesh = mesh;
    this.#random = random;
    this.#request = request;
  }

  /** Asks for as much as may be on its way. */
  fill({ window, perSource }: SwarmLimits, now: number): void {
    const mesh = this.#mesh;
    while (mesh.requests < window && mesh.wanted.size > 0) {
      const best = this.#bestOf(perSource);
      if (!best) break;
      this.#ask(best, this.#rarestOf(best), now);
    }
    if (mesh.requests >= window || now < this.#lookAt) return;
    this.#lookAt = now + LOOK;
    this.#hurry(perSource, now);
  }

  #bestOf(perSource: number): Neighbour<P> | undefined {
    let [best, least]: [Neighbour<P> | undefined, number] = [undefined, Infinity];
    for (const neighbour of this.#mesh.neighbours) {
      const { useful, asked, pace } = neighbour;
      if (useful === 0 || asked.size >= perSource) continue;
      const wait = (asked.size + 1) * (pace || UNTRIED) * (0.5 + this.#random());
      if (wait < least) [best, least] = [neighbour, wait];
    }
    return best;
  }

  #rarestOf({ has }: Neighbour<P>): number {
    const { wanted, pieceCount } = this.#mesh;
    const start = Math.floor(this.#random() * pieceCount);
    let [rarest, least] = [-1, Infinity];
    for (const index of wanted.common(has, { start, most: SAMPLE })) {
      const score = this.#mesh.holdersOf(index) + 0.5 * this.#random();
      if (score < least) [rarest, least] = [index, score];
    }
    return rarest;
  }

  /** Asks a second neighbour for what one owes for too long, or when nothing else is left. */
  #hurry(perSource: number, now: number): void {
    const { wanted, limit, pieceCount, neighbours } = this.#mesh;
    const isEnd = wanted.size === 0 && limit === pieceCount;
    for (const slow of [...neighbours]) {
      for (const [index, since] of [...slow.asked, ...slow.given]) {
        const [owing, other] = this.#othersFor(index, perSource);
        if (!other || owing >= ENDGAME) continue;
        const age = now - since;
        if (age > OVERDUE || isEnd && age > 2 * other.pace) this.#ask(other, index, now);
      }
    }
  }

  /** How many owe the piece, and the fastest that has it and could. */
  #othersFor(index: number, perSource: number): [number, Neighbour<P> | undefined] {
    let owing = 0;
    let fastest: Neighbour<P> | undefined;
    for (const neighbour of this.#mesh.neighbours) {
      const { asked, given, has, pace } = neighbour;
      if (asked.has(index) || given.has(index)) owing++;
      else if (has.has(index) && asked.size < perSource && (!fastest || pace < fastest.pace)) {
        fastest = neighbour;
      }
    }
    return [owing, fastest];
  }

  #ask(neighbour: Neighbour<P>, index: number, now: number): void {
    this.#mesh.ask(neighbour, index, now);
    this.#request(neighbour.key, index);
  }
}

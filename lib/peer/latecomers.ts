import type { Clock } from "../async/clock.ts";
import type { Recipients } from "../directory/target.ts";
import type { PeerEntry } from "../wire/message.ts";

/** Milliseconds between two looks at who is there. */
const LOOK = 2_000;
/** Recipients that may join while something is being sent: whoever makes keys without end must not keep it going. */
const MAX_LATE = 1024;

/** What {@linkcode Latecomers} need. */
export interface LatecomersOptions {
  /** Whom the sending was begun to, and who was not there. */
  begun: Recipients;
  /** Whom it is meant for now. */
  look: () => Promise<Recipients>;
  /** Hears of a target that was missing and is there; before whoever that is joins. */
  onArrived?: ((target: string) => void) | undefined;
  /** Has somebody served who was not there before. */
  join: (entry: PeerEntry) => void;
  clock: Clock;
}

/** Those who come while something is being sent that is for them as well: all, a group, or who was missing at first. */
export class Latecomers implements Disposable {
  readonly #options: LatecomersOptions;
  readonly #known: Set<string>;
  #missing: Recipients["missing"];
  #joined = 0;
  #isOver = false;
  #cancel: () => void = () => {};

  constructor(options: LatecomersOptions) {
    const { peers, missing } = options.begun;
    this.#options = options;
    this.#known = new Set(peers.map(({ id }) => id));
    this.#missing = missing;
    this.#wait();
  }

  /** Those who have not come. */
  get missing(): Recipients["missing"] {
    return this.#missing;
  }

  /** Takes nobody any more. */
  [Symbol.dispose](): void {
    this.#isOver = true;
    this.#cancel();
  }

  #wait(): void {
    if (this.#isOver) return;
    // What goes wrong with it is the tracker's, and does not concern what is being sent.
    this.#cancel = this.#options.clock.after(LOOK, () => {
      this.#look().catch(() => {}).finally(() => this.#wait());
    });
  }

  async #look(): Promise<void> {
    const { look, onArrived, join } = this.#options;
    const { peers, missing } = await look();
    if (this.#isOver) return;
    const absent = new Set(missing.map(({ target }) => target));
    const before = this.#missing;
    this.#missing = before.filter(({ target }) => absent.has(target));
    for (const { target } of before) if (!absent.has(target)) onArrived?.(target);
    for (const entry of peers) {
      if (this.#known.has(entry.id) || this.#joined === MAX_LATE) continue;
      this.#known.add(entry.id);
      this.#joined++;
      join(entry);
    }
  }
}

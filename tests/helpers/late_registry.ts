import { setImmediate } from "node:timers";
import type {
  Awaitable,
  Changes,
  Registration,
  Registry,
  RegistryEvent,
} from "../../lib/tracker/registry/registry.ts";
import type { PeerEntry } from "../../lib/wire/message.ts";

/** What a {@linkcode LateRegistry} is asked. */
export type Question = Exclude<keyof Registry, "subscribe">;

/**
 * A registry that answers later, as one in a database does: an operation is done when `before` has
 * resolved, and answered when `after` has, at the earliest in the next turn of the event loop.
 */
export class LateRegistry implements Registry {
  readonly #inner: Registry;
  /** Holds back what is asked. */
  before: (question: Question) => Promise<void> | undefined = () => undefined;
  /** Holds back the answer. */
  after: (question: Question) => Promise<void> | undefined = () => undefined;

  constructor(inner: Registry) {
    this.#inner = inner;
  }

  register(entry: PeerEntry, options?: { lease?: number }): Promise<Registration> {
    return this.#later("register", () => this.#inner.register(entry, options));
  }

  unregister(id: string, token?: string): Promise<boolean> {
    return this.#later("unregister", () => this.#inner.unregister(id, token));
  }

  touch(id: string, token: string): Promise<boolean> {
    return this.#later("touch", () => this.#inner.touch(id, token));
  }

  expire(): Promise<PeerEntry[]> {
    return this.#later("expire", () => this.#inner.expire());
  }

  bar(id: string): Promise<void> {
    return this.#later("bar", () => this.#inner.bar(id));
  }

  get(id: string): Promise<PeerEntry | undefined> {
    return this.#later("get", () => this.#inner.get(id));
  }

  list(): Promise<PeerEntry[]> {
    return this.#later("list", () => this.#inner.list());
  }

  changes(since: number, epoch?: string, limit?: number): Promise<Changes> {
    return this.#later("changes", () => this.#inner.changes(since, epoch, limit));
  }

  isBarred(id: string): Promise<boolean> {
    return this.#later("isBarred", () => this.#inner.isBarred(id));
  }

  restore(id: string): Promise<void> {
    return this.#later("restore", () => this.#inner.restore(id));
  }

  barred(): Promise<readonly string[]> {
    return this.#later("barred", () => this.#inner.barred());
  }

  subscribe(listener: (event: RegistryEvent) => void): () => void {
    return this.#inner.subscribe(listener);
  }

  async #later<T>(question: Question, ask: () => Awaitable<T>): Promise<T> {
    await this.before(question);
    const answer = await ask();
    await this.after(question);
    await new Promise((resolve) => setImmediate(resolve));
    return answer;
  }
}

import { tellOnce } from "../tell_once.ts";
import { dirname, join } from "node:path";
import type { AppEvent, HistoryEvent } from "../events.ts";
import { stateError } from "../disk/private_file.ts";
import { writeOwn } from "../disk/file_bytes.ts";

/** The list of what was sent and received, one JSON object per line, shared by all peers of a user. */
export class History {
  readonly path: string;

  constructor(peersFolder: string) {
    this.path = join(peersFolder, "history.jsonl");
  }

  /** Appends an entry, in one write, so that two processes do not mix their lines. */
  async add(entry: Omit<HistoryEvent, "event">): Promise<void> {
    await Deno.mkdir(dirname(this.path), { recursive: true, mode: 0o700 });
    const line = new TextEncoder().encode(JSON.stringify(entry) + "\n");
    await writeOwn(this.path, line, { append: true });
  }
}

/** Adds entries to a history; an entry that cannot be written must not fail what has been delivered. */
export class HistoryWriter {
  readonly #history: History;
  readonly #ownName: () => string;
  readonly #notice: (message: string) => void;
  /** Entries that are being written. */
  readonly #notes = new Set<Promise<void>>();

  /** @param ownName name of the peer whose entries these are. */
  constructor(history: History, ownName: () => string, emit: (event: AppEvent) => void) {
    this.#history = history;
    this.#ownName = ownName;
    this.#notice = tellOnce((message) => emit({ event: "notice", message }));
  }

  /** Resolves when the entry is written, or a notice says why it is not. */
  add(entry: Omit<HistoryEvent, "event">): Promise<void> {
    const note = this.#write(entry).finally(() => this.#notes.delete(note));
    this.#notes.add(note);
    return note;
  }

  /** Resolves when all entries that were added before the call are written, or given up. */
  async drained(): Promise<void> {
    await Promise.allSettled(this.#notes);
  }

  async #write(entry: Omit<HistoryEvent, "event">): Promise<void> {
    try {
      await this.#history.add({ ...entry, as: this.#ownName() });
    } catch (error) {
      this.#notice(stateError("write", this.#history.path, error).message);
    }
  }
}

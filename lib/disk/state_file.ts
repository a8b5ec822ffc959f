import { dirname } from "node:path";
import { Gate } from "../async/gate.ts";
import { diskError } from "./disk_error.ts";
import { type Lock, lock } from "./lock.ts";
import { FOLDER_MODE, readJson, readPrivate, replacePrivate } from "./private_file.ts";

/** What a {@linkcode StateFile} needs beside its path. */
export interface StateFileOptions<T> {
  /** The state that a JSON value stands for, null where there is no file: checks it, as anybody may have written it. */
  parse(value: object | null): T;
  /** The JSON value of a state; the state itself unless it is said. */
  encode?(state: T): unknown;
  /** Spaces before each line of the file, for people who look into it; one line when it is not said. */
  indent?: number;
}

/**
 * A small state that several processes of one user share, as JSON in a private file. Readers see the old state or the
 * new one and wait for nobody. A change waits for those of others, in a file `NAME.lock` beside it, so that none is
 * lost; it is durable when it resolves.
 */
export class StateFile<T> {
  readonly path: string;
  readonly #options: StateFileOptions<T>;
  /** Changes of this process; without it each would hold a thread while it waits for the lock. */
  readonly #changes = new Gate(1);

  constructor(path: string, options: StateFileOptions<T>) {
    this.path = path;
    this.#options = options;
  }

  /**
   * The state as it is now.
   *
   * @throws {P2PError} `disk` when the file cannot be read, or is no JSON.
   */
  async read(): Promise<T> {
    return this.#options.parse(await readJson(this.path));
  }

  /**
   * Reads the state, and replaces it with what `change` makes of it; undefined leaves it as it is. What `change` throws
   * leaves it too.
   *
   * @throws {P2PError} `disk` when it cannot be read or written, or is no JSON.
   */
  update(change: (state: T) => T | undefined): Promise<void> {
    return this.#changes.run(async () => {
      using _ = await this.#lock();
      const changed = change(await this.read());
      if (changed !== undefined) await this.#write(changed);
    });
  }

  /**
   * Replaces the state, whatever it is. One that is there already costs no sync of the disk.
   *
   * @throws {P2PError} `disk` when it cannot be written.
   */
  replace(state: T): Promise<void> {
    return this.#changes.run(async () => {
      if (await readPrivate(this.path) === this.#textOf(state)) return;
      using _ = await this.#lock();
      await this.#write(state);
    });
  }

  async #lock(): Promise<Lock> {
    const path = `${this.path}.lock`;
    try {
      await Deno.mkdir(dirname(path), { recursive: true, mode: FOLDER_MODE });
      return await lock(path);
    } catch (error) {
      throw diskError("use", path, error);
    }
  }

  #write(state: T): Promise<void> {
    return replacePrivate(this.path, this.#textOf(state));
  }

  #textOf(state: T): string {
    const { encode = (state) => state, indent } = this.#options;
    return JSON.stringify(encode(state), null, indent);
  }
}

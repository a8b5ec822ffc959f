import { join } from "node:path";
import { readJson, replacePrivate } from "../disk/private_file.ts";
import { P2PError } from "../errors.ts";
import { isBase64Url } from "../wire/fields.ts";
import type { PeerEntry } from "../wire/message.ts";

/**
 * The ids that names stood for when they were first used, shared by all peers of a user. Trust on first
 * use: a name that turns up with another key is refused until somebody says that it is right.
 */
export class NameBook {
  readonly #path: string;
  #turn: Promise<unknown> = Promise.resolve();

  constructor(peersFolder: string) {
    this.#path = join(peersFolder, "names.json");
  }

  /**
   * Remembers a new name, and checks a known one.
   *
   * @throws {P2PError} `name-changed-key`, with both ids.
   */
  check(entry: PeerEntry): Promise<void> {
    return this.#inTurn(() => this.#checkNow(entry));
  }

  /** The id that the name stands for, if it has stood for one. */
  async idOf(name: string): Promise<string | undefined> {
    let id: string | undefined;
    await this.#inTurn(async () => void (id = (await this.#load()).get(name)));
    return id;
  }

  /** Forgets what the name stood for and remembers `id` instead. */
  trust({ name, id }: PeerEntry): Promise<void> {
    return this.#inTurn(async () => await this.#save((await this.#load()).set(name, id)));
  }

  /** One change after another, so that none is lost. */
  #inTurn(change: () => Promise<void>): Promise<void> {
    const turn = this.#turn.then(change);
    this.#turn = turn.catch(() => {});
    return turn;
  }

  async #checkNow({ name, id }: PeerEntry): Promise<void> {
    const names = await this.#load();
    const known = names.get(name);
    if (known === id) return;
    if (known !== undefined) {
      throw new P2PError(
        "name-changed-key",
        `Cannot trust ${name}: it was ${known.slice(0, 8)} and is ${id.slice(0, 8)} now; ` +
          `if that is right, say \`peer trust ${name}\``,
        { candidates: [`before: id:${known}`, `now: id:${id}`] },
      );
    }
    await this.#save(names.set(name, id));
  }

  async #load(): Promise<Map<string, string>> {
    const entries = Object.entries(await readJson(this.#path) ?? {});
    return new Map(
      entries.filter((entry): entry is [string, string] => isBase64Url(entry[1], 32)),
    );
  }

  async #save(names: Map<string, string>): Promise<void> {
    await replacePrivate(this.#path, JSON.stringify(Object.fromEntries(names), null, 2));
  }
}

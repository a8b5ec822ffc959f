import { join } from "node:path";
import { StateFile } from "../disk/state_file.ts";
import { P2PError } from "../errors.ts";
import { isBase64Url } from "../wire/fields.ts";
import type { PeerEntry } from "../wire/message.ts";

/** Ids by the names that are pinned to them. */
type Names = Map<string, string>;

/**
 * The keys that names are pinned to, shared by all peers of a user, whichever processes they are. Trust on first use:
 * a name is pinned to the key that it first stands for (its id, which is the public key), and refused with another
 * until somebody says that it is right (`peer trust`).
 */
export class NameBook {
  readonly #file: StateFile<Names>;

  constructor(peersFolder: string) {
    this.#file = new StateFile(join(peersFolder, "names.json"), {
      parse,
      encode: (names) => Object.fromEntries(names),
      indent: 2,
    });
  }

  /**
   * Pins a name to the key of its entry (trust on first use): a new name's key is remembered, and another key of a
   * pinned name is refused.
   *
   * @throws {P2PError} `name-changed-key`, with both ids.
   */
  async pin(entry: PeerEntry): Promise<void> {
    // Most names are pinned already: reading takes no lock, so that no other process has to be waited for.
    if (expectSameKey(await this.#file.read(), entry)) return;
    await this.#file.update((names) =>
      expectSameKey(names, entry) ? undefined : names.set(entry.name, entry.id)
    );
  }

  /** The id that the name is pinned to, if it is. */
  async idOf(name: string): Promise<string | undefined> {
    return (await this.#file.read()).get(name);
  }

  /** The names by the ids that they are pinned to. */
  async byId(): Promise<Map<string, string>> {
    return new Map([...await this.#file.read()].map(([name, id]) => [id, name]));
  }

  /** Pins the name to `id`, whatever it was pinned to before. */
  trust({ name, id }: PeerEntry): Promise<void> {
    return this.#file.update((names) => names.set(name, id));
  }
}

function parse(value: object | null): Names {
  const entries = Object.entries(value ?? {});
  return new Map(entries.filter((entry): entry is [string, string] => isBase64Url(entry[1], 32)));
}

/**
 * Whether the name is pinned to the key of the entry; false when it is pinned to none.
 *
 * @throws {P2PError} `name-changed-key` when it is pinned to another.
 */
function expectSameKey(names: Names, { name, id }: PeerEntry): boolean {
  const known = names.get(name);
  if (known === undefined || known === id) return known === id;
  throw new P2PError(
    "name-changed-key",
    `Cannot trust ${name}: it was ${known.slice(0, 8)} and is ${id.slice(0, 8)} now; ` +
      `if that is right, say \`peer trust ${name}\``,
    { candidates: [`before: id:${known}`, `now: id:${id}`] },
  );
}

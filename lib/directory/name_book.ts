import { join } from "node:path";
import { StateFile } from "../disk/state_file.ts";
import { P2PError } from "../errors.ts";
import { isBase64Url } from "../wire/fields.ts";
import type { PeerEntry } from "../wire/message.ts";

/** Ids by the names that they stood for. */
type Names = Map<string, string>;

/**
 * The ids that names stood for when they were first used, shared by all peers of a user, whichever processes they
 * are. Trust on first use: a name that turns up with another key is refused until somebody says that it is right.
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
   * Remembers a new name, and checks a known one.
   *
   * @throws {P2PError} `name-changed-key`, with both ids.
   */
  async check(entry: PeerEntry): Promise<void> {
    // Most names are known, and nobody has to be waited for.
    if (isKnown(await this.#file.read(), entry)) return;
    await this.#file.update((names) =>
      isKnown(names, entry) ? undefined : names.set(entry.name, entry.id)
    );
  }

  /** The id that the name stands for, if it has stood for one. */
  async idOf(name: string): Promise<string | undefined> {
    return (await this.#file.read()).get(name);
  }

  /** Forgets what the name stood for and remembers `id` instead. */
  trust({ name, id }: PeerEntry): Promise<void> {
    return this.#file.update((names) => names.set(name, id));
  }
}

function parse(value: object | null): Names {
  const entries = Object.entries(value ?? {});
  return new Map(entries.filter((entry): entry is [string, string] => isBase64Url(entry[1], 32)));
}

/** Whether the name stands for the id of the entry; false when it has stood for none. */
function isKnown(names: Names, { name, id }: PeerEntry): boolean {
  const known = names.get(name);
  if (known === undefined || known === id) return known === id;
  throw new P2PError(
    "name-changed-key",
    `Cannot trust ${name}: it was ${known.slice(0, 8)} and is ${id.slice(0, 8)} now; ` +
      `if that is right, say \`peer trust ${name}\``,
    { candidates: [`before: id:${known}`, `now: id:${id}`] },
  );
}

import { join } from "node:path";
import { readPrivate, replacePrivate } from "../disk/private_file.ts";
import { P2PError } from "../errors.ts";
import type { Barred } from "../tracker/registry/registry.ts";
import { isBase64Url } from "../wire/fields.ts";

const FILE = "barred.json";

/**
 * Who was removed from the network of the tracker with this state folder, the latest last.
 *
 * @throws {P2PError} `disk` when the file cannot be read or holds something else.
 */
export async function loadBarred(folder: string): Promise<Barred[]> {
  const path = join(folder, FILE);
  const text = await readPrivate(path);
  if (text === null) return [];
  try {
    const values: unknown = JSON.parse(text);
    const barred = Array.isArray(values) ? values.map(barredOf) : [null];
    if (barred.every((one) => one !== null)) return barred;
  } catch {
    // Broken JSON is reported like JSON of something else, below.
  }
  throw new P2PError(
    "disk",
    `Cannot read ${path}: it is not a list of ids; mend it or move it away`,
  );
}

/** Keeps the list; readers see the old one or the new one. */
export async function saveBarred(folder: string, barred: readonly Barred[]): Promise<void> {
  await replacePrivate(join(folder, FILE), JSON.stringify(barred));
}

/** An id may stand alone, where a person has written it. */
function barredOf(value: unknown): Barred | null {
  const { id, name } = (typeof value === "string" ? { id: value } : value ?? {}) as Partial<Barred>;
  if (!isBase64Url(id, 32)) return null;
  return { id, ...(typeof name === "string" ? { name } : {}) };
}

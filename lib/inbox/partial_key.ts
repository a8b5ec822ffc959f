/** What an offer is recognised by: a later one that agrees in all of it goes on with what is there of it. */
export interface PartialKey {
  /** The sender's id. */
  from: string;
  /** The safe name. */
  name: string;
  /** Bytes; null for a stream, which cannot be gone on with. */
  size: number | null;
  /** Bytes. */
  pieceSize: number;
  /** Bytes of the table of a tree; null for a file. */
  table: number | null;
}

/** The key in the header of a journal; null when that says none. */
export function parsePartialKey(header: Record<string, unknown> | null): PartialKey | null {
  const { from, name, size, pieceSize, table = null } = header ?? {};
  if ([from, name].some((text) => typeof text !== "string")) return null;
  if (!Number.isSafeInteger(size) || !Number.isSafeInteger(pieceSize)) return null;
  if (table !== null && !Number.isSafeInteger(table)) return null;
  return { from, name, size, pieceSize, table } as PartialKey;
}

/** The header of the journal of a partial. */
export function headerOf({ from, name, size, pieceSize, table }: PartialKey): object {
  return { from, name, size, pieceSize, table };
}

/** The key as a text, for maps. */
export function textOfKey(key: PartialKey): string {
  return JSON.stringify(headerOf(key));
}

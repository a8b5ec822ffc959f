import type { Content } from "./content.ts";

/** What tells an opened file or folder from another version of it, a good while later; empty of a stream. */
export function stampOf({ table, size, attributes: { mtime }, key }: Content): string {
  return table === null ? fileStamp(size ?? 0, mtime) : key ?? "";
}

/**
 * The same of a file.
 *
 * @param size in bytes.
 * @param mtime in milliseconds since 1970.
 */
export function fileStamp(size: number, mtime: number | undefined): string {
  return `${size} ${mtime ?? ""}`;
}

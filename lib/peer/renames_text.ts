import type { Renamed } from "../inbox/target.ts";

/**
 * What people read of names that could not be kept; null when all were.
 *
 * @param where the names are, at the beginning of the text.
 */
export function renamesText(
  where: string,
  { renamed = 0, renames = [] }: Partial<Renamed>,
): string | null {
  if (renamed === 0) return null;
  const some = renames.map(({ from, to }) => `${onOneLine(from)} as ${onOneLine(to)}`).join(", ");
  const more = renamed > renames.length ? `${some === "" ? "" : ", "}...` : "";
  const names = renamed === 1 ? "1 name is" : `${renamed} names are`;
  return `${where}, ${names} kept otherwise, as the file system there needs: ${some}${more}`;
}

/** A notice may have several lines; a name that somebody else has chosen begins none. */
function onOneLine(name: string): string {
  return name.replace(/[\p{Cc}\p{Zl}\p{Zp}]/gu, "?");
}

/**
 * Makes text that somebody else wrote harmless on a terminal. Everything that this program prints and
 * did not write itself goes through here: names, messages, errors, log lines.
 *
 * @module
 */

import { INVISIBLE } from "../../unicode.ts";

/** Characters that {@linkcode escapeText} lets through. */
export interface EscapeOptions {
  /** Leaves LF and TAB as they are. */
  multiline?: boolean;
}

/**
 * Characters that a terminal would act on or not show: controls (C0, DEL, C1), lone surrogates, line and paragraph
 * separators, and the invisible.
 */
export const UNSAFE = new RegExp(String.raw`[\p{Cc}\p{Cs}\p{Zl}\p{Zp}]|${INVISIBLE.source}`, "gu");

/**
 * Replaces whatever a terminal would act on or not show by `\x1b` or `\u{202e}`, and leaves the rest,
 * the backslash included, as it is. The result is for people: it can't be turned back.
 */
export function escapeText(text: string, options: EscapeOptions = {}): string {
  const { multiline = false } = options;
  return text.replace(UNSAFE, (character) => {
    if (multiline && (character === "\n" || character === "\t")) return character;
    const code = character.codePointAt(0) ?? 0;
    const hex = code.toString(16).padStart(2, "0");
    return code < 0x100 && code !== 0xad ? `\\x${hex}` : `\\u{${hex}}`;
  });
}

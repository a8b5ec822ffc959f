/**
 * Makes text that somebody else wrote harmless on a terminal. Everything that this program prints and
 * did not write itself goes through here: names, messages, errors, log lines.
 *
 * @module
 */

/** What {@linkcode escapeText} lets through. */
export interface EscapeOptions {
  /** Leaves LF and TAB as they are. */
  multiline?: boolean;
}

/**
 * Controls (C0, DEL, C1), lone surrogates, line and paragraph separators, bidi controls, zero-width and
 * other invisible characters, and tags. Variation selectors only choose between glyphs.
 */
const UNSAFE =
  /[\p{Cc}\p{Cs}\p{Zl}\p{Zp}\p{Bidi_Control}\u{AD}\u{180E}\u{200B}-\u{200D}\u{2060}-\u{206F}\u{FEFF}\u{FFF9}-\u{FFFB}\u{E0000}-\u{E007F}]/gu;

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

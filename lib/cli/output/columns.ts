/**
 * Columns that text takes on a terminal.
 *
 * @module
 */

import { eastAsianWidth } from "get-east-asian-width";
import { INVISIBLE } from "../../unicode.ts";

/** Text of one column a character: nothing of it has to be looked up. */
const NARROW = /^[ -~]*$/;
/** Controls, marks that join the character before them, and what is not shown at all. */
const ZERO_WIDTH = String
  .raw`^(?:[\p{Cc}\p{Cs}\p{Mn}\p{Me}\p{Variation_Selector}]|${INVISIBLE.source})+`;
/** The forms of half width that join the character before them: the sound marks of Japanese. */
const HALF_WIDTH_MARK = /[\uff9e\uff9f]/g;

/** Made for the first text that needs it: its tables take 30 ms to load. */
let graphemes: Intl.Segmenter | undefined;
/** So are these, and no literals: V8 reads a literal, and up to 20 ms of tables for it, whenever it loads the module. */
let emoji: RegExp | undefined;
let zeroWidth: RegExp | undefined;

/** Columns of `text`: two for each wide character of East Asia and each emoji, however many parts it has. */
export function displayWidth(text: string): number {
  if (NARROW.test(text)) return text.length;
  let width = 0;
  for (const grapheme of graphemesOf(text)) width += columnsOfGrapheme(grapheme);
  return width;
}

/** `text` cut or padded to exactly `width` columns; what is cut ends in `~`. */
export function fit(text: string, width: number): string {
  const whole = displayWidth(text);
  if (whole <= width) return text + " ".repeat(width - whole);
  if (width <= 0) return "";
  let fitted = "";
  let used = 0;
  for (const grapheme of graphemesOf(text)) {
    const columns = columnsOfGrapheme(grapheme);
    if (used + columns > width - 1) break;
    fitted += grapheme;
    used += columns;
  }
  return `${fitted}~${" ".repeat(width - 1 - used)}`;
}

/** Columns of one code point by itself, as terminals that know no graphemes count. */
export function columnsOf(character: string): number {
  return zeroWidthAtStart().test(character) ? 0 : eastAsianWidth(character.codePointAt(0) ?? 0);
}

function zeroWidthAtStart(): RegExp {
  return zeroWidth ??= new RegExp(ZERO_WIDTH, "u");
}

function* graphemesOf(text: string): Generator<string> {
  graphemes ??= new Intl.Segmenter("en", { granularity: "grapheme" });
  for (const { segment } of graphemes.segment(text)) yield segment;
}

/** Columns of one grapheme: those of the first character of it that is seen, and two for an emoji. */
function columnsOfGrapheme(grapheme: string): number {
  const [first] = grapheme.replace(zeroWidthAtStart(), "");
  if (first === undefined) return 0;
  if (grapheme.length > 1) {
    emoji ??= new RegExp(String.raw`^\p{RGI_Emoji}$`, "v");
    if (emoji.test(grapheme)) return 2;
  }
  return columnsOf(first) + (grapheme.slice(1).match(HALF_WIDTH_MARK)?.length ?? 0);
}

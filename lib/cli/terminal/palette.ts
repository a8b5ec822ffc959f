import * as colors from "@std/fmt/colors";
import type { Sink } from "../output/sink.ts";

/** How text is set off. */
export interface Palette {
  /** The part of a line that matters. */
  bold(text: string): string;
  /** The part of a line that may be passed over. */
  dim(text: string): string;
  /** A success. */
  good(text: string): string;
  /** A failure. */
  bad(text: string): string;
  /** A warning. */
  warn(text: string): string;
  /** Light on dark whatever the theme: a QR code. */
  code(text: string): string;
}

const COLOURED: Palette = {
  bold: colors.bold,
  dim: colors.dim,
  good: colors.green,
  bad: colors.red,
  warn: colors.yellow,
  code: (text) => `\x1b[97;40m${text}\x1b[0m`,
};

const same = (text: string) => text;
const PLAIN: Palette = { bold: same, dim: same, good: same, bad: same, warn: same, code: same };

/** Colours for a terminal, unless `NO_COLOR` is set; nothing elsewhere. */
export function paletteFor(sink: Sink): Palette {
  return sink.isTerminal && !Deno.noColor ? COLOURED : PLAIN;
}

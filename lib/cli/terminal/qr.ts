/**
 * QR codes for a terminal: half blocks, two modules in a character.
 *
 * @module
 */

import type { Palette } from "./palette.ts";

/** Light modules around the code, as many as fit in one line; readers want some. */
const BORDER = 2;
/** Lines that are left for what stands around the code. */
const ROWS_BESIDE = 6;
/** Columns left of the code. */
const INDENT = "  ";

/** Terminal that a code is to be shown on. */
export interface QrSurface {
  columns: number;
  rows: number;
  palette: Palette;
}

/**
 * `text` as a QR code, or null where the terminal is too small for it. Loads the encoder only then.
 */
export async function qrCode(text: string, surface: QrSurface): Promise<string | null> {
  const { encode } = await import("uqr");
  return drawModules(encode(text, { ecc: "L", border: BORDER }).data, surface);
}

/** Draws rows of modules, true being dark, or null where they do not fit. */
function drawModules(
  modules: readonly (readonly boolean[])[],
  { columns, rows, palette }: QrSurface,
): string | null {
  const width = modules[0]?.length ?? 0;
  const height = Math.ceil(modules.length / 2);
  if (INDENT.length + width > columns || height + ROWS_BESIDE > rows) return null;
  const lines: string[] = [];
  for (let y = 0; y < modules.length; y += 2) {
    const [upper = [], lower = []] = modules.slice(y, y + 2);
    const cells = upper.map((dark, x) => blockOf(!dark, lower[x] === false));
    lines.push(INDENT + palette.code(cells.join("")));
  }
  return lines.join("\n");
}

/** Light modules are drawn, dark ones left out: terminals without colours mostly are dark. */
function blockOf(upper: boolean, lower: boolean): string {
  if (upper) return lower ? "\u2588" : "\u2580";
  return lower ? "\u2584" : " ";
}

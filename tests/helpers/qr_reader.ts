// A specifier of its own instead of one in deno.json: what stands there is fetched for the programs too.
import jsQr from "npm:jsqr@1.4.0";

/** Pixels of a module's side. */
const SCALE = 4;

/** The text of a QR code that is drawn in half blocks, light on dark, as a camera reads it. */
export function readQr(drawn: string): string | undefined {
  const rows = drawn.split("\n").flatMap((line) => [
    [...line].map((block) => block === "\u2588" || block === "\u2580"),
    [...line].map((block) => block === "\u2588" || block === "\u2584"),
  ]);
  const [width, height] = [(rows[0]?.length ?? 0) * SCALE, rows.length * SCALE];
  const pixels = new Uint8ClampedArray(width * height * 4);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const light = rows[Math.floor(y / SCALE)]?.[Math.floor(x / SCALE)];
      pixels.set(light ? [255, 255, 255, 255] : [0, 0, 0, 255], (y * width + x) * 4);
    }
  }
  return jsQr.default(pixels, width, height)?.data;
}

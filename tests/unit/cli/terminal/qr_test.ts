import { assert, assertEquals } from "@std/assert";
import { paletteFor } from "../../../../lib/cli/terminal/palette.ts";
import { qrCode } from "../../../../lib/cli/terminal/qr.ts";
import { readQr } from "../../../helpers/qr_reader.ts";
import { FakeSink } from "../fakes.ts";

const INVITE =
  "p2p://192.168.100.200:41235/#JUO5L_EJVRFHatyDadtt3JM2ZaEZeN2hQE7hBmypVZ0.YGFiY2RlZmdoaWprbG1ubw";
const palette = paletteFor(new FakeSink());

Deno.test("A camera reads the QR code of an invite, with and without colours", async () => {
  const plain = await qrCode(INVITE, { columns: 80, rows: 40, palette }) ?? "";
  assertEquals(readQr(plain), INVITE);
  const coloured = { ...palette, code: (text: string) => `<${text}>` };
  const code = await qrCode(INVITE, { columns: 80, rows: 40, palette: coloured }) ?? "";
  assertEquals(code, plain.replace(/^ {2}(.*)$/gm, "  <$1>"));
});

Deno.test("A QR code is shown only where all of it fits, beside what stands around it", async () => {
  const code = await qrCode(INVITE, { columns: 80, rows: 40, palette }) ?? "";
  const lines = code.split("\n");
  const [columns, rows] = [lines[0]?.length ?? 0, lines.length + 6];
  assert(columns < 50 && rows < 30, `${columns} x ${rows}`);
  assertEquals(await qrCode(INVITE, { columns, rows, palette }), code);
  assertEquals(await qrCode(INVITE, { columns: columns - 1, rows, palette }), null);
  assertEquals(await qrCode(INVITE, { columns, rows: rows - 1, palette }), null);
});

import { P2PError } from "../errors.ts";
import { verifyReceipt } from "../identity/signed_receipt.ts";
import { readRegularText } from "../disk/open_regular.ts";
import { stateError } from "../disk/private_file.ts";
import { lineOf, type Receipt } from "./receipt_book.ts";

/**
 * The receipts of this user, oldest first. A line that a crash cut short is passed over.
 *
 * @throws {P2PError} when the file is there and cannot be read.
 */
export async function readReceipts(path: string): Promise<Receipt[]> {
  const receipts: Receipt[] = [];
  for (const line of (await readLines(path)) ?? []) {
    const receipt = parse(line);
    if (receipt) receipts.push(receipt);
  }
  return receipts;
}

/**
 * Checks an exported file with nothing but what is in it.
 *
 * @param text what `peer receipts export` wrote.
 * @throws {P2PError} `integrity`, naming the first line that is not as a recipient signed it.
 */
export function verifyReceipts(text: string, path: string): Receipt[] {
  const wrong = (line: number, why: string) =>
    new P2PError("integrity", `Cannot trust ${path}: line ${line} ${why}`);
  const lines = text.split("\n");
  if (lines.length < 2) throw wrong(1, "is no receipt, or is cut short");
  if (lines.pop() !== "") throw wrong(lines.length + 1, "is cut short");
  const seen = new Set<string>();
  return lines.map((line, i) => {
    const receipt = parse(line);
    if (!receipt || lineOf(receipt) !== `${line}\n`) throw wrong(i + 1, "is no receipt");
    if (!verifyReceipt(receipt.recipient, receipt, receipt.signature)) {
      throw wrong(i + 1, "is not what its recipient signed");
    }
    if (seen.has(line)) throw wrong(i + 1, "is there twice");
    seen.add(line);
    return receipt;
  });
}

/** A line as a receipt whose fields have the right types; null for anything else. */
function parse(line: string): Receipt | null {
  let value: Partial<Receipt> | null;
  try {
    value = JSON.parse(line);
  } catch {
    return null;
  }
  const { recipient, network, transfer, sender, sha256, manifest, size, name, time, signature } =
    value ?? {};
  const texts = [recipient, network, transfer, sender, sha256 ?? manifest, name, time, signature];
  const isWhole = texts.every((text) => typeof text === "string") && Number.isSafeInteger(size);
  return isWhole ? value as Receipt : null;
}

async function readLines(path: string): Promise<string[] | null> {
  try {
    return (await readRegularText(path)).split("\n");
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return null;
    throw stateError("read", path, error);
  }
}

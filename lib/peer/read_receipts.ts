import { P2PError } from "../errors.ts";
import { KEY_BYTES, SIGNATURE_BYTES } from "../identity/keys.ts";
import { TRANSFER_BYTES, verifyReceipt } from "../identity/signed_receipt.ts";
import { readRegularText } from "../disk/open_regular.ts";
import { stateError } from "../disk/private_file.ts";
import { isBase64Url } from "../wire/fields.ts";
import { HASH_BYTES } from "../wire/limits.ts";
import { lineOf, type SignedReceipt } from "./receipt_book.ts";

const LF = 0x0a;
/** A byte that is no UTF-8 must not pass for another one, nor may one be dropped. */
const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/**
 * The receipts of this user, oldest first. A line that a crash cut short is passed over.
 *
 * @throws {P2PError} when the file is there and cannot be read.
 */
export async function readReceipts(path: string): Promise<SignedReceipt[]> {
  const text = await readRegularText(path).catch((error) => {
    if (error instanceof Deno.errors.NotFound) return "";
    throw stateError("read", path, error);
  });
  return text.split("\n").map(parse).filter((receipt) => receipt !== null);
}

/**
 * Checks an exported file with nothing but what is in it.
 *
 * @param bytes what `peer receipts export` wrote.
 * @param path names it in an error.
 * @throws {P2PError} `integrity`, naming the first line that is not as a recipient signed it.
 */
export function verifyReceipts(bytes: Uint8Array, path: string): SignedReceipt[] {
  const wrong = (line: number, why: string) =>
    new P2PError("integrity", `Cannot trust ${path}: line ${line} ${why}`);
  const lines = linesOf(bytes).map((line, i) => {
    try {
      return decoder.decode(line);
    } catch {
      throw wrong(i + 1, "is not UTF-8");
    }
  });
  if (lines.pop() !== "") throw wrong(lines.length + 1, "is cut short");
  if (lines.length === 0) throw wrong(1, "is not there: the file is empty");
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

/** What stands between the LFs. */
function linesOf(bytes: Uint8Array): Uint8Array[] {
  const lines: Uint8Array[] = [];
  let at = 0;
  for (let end; (end = bytes.indexOf(LF, at)) >= 0; at = end + 1) {
    lines.push(bytes.subarray(at, end));
  }
  return [...lines, bytes.subarray(at)];
}

/** A line as a receipt whose fields have the right shapes; null for anything else. */
function parse(line: string): SignedReceipt | null {
  let value: Partial<SignedReceipt> | null;
  try {
    value = JSON.parse(line);
  } catch {
    return null;
  }
  const { recipient, network, transfer, sender, sha256, manifest, size, name, time, signature } =
    value ?? {};
  const isWhole = [recipient, network, sender].every((id) => isBase64Url(id, KEY_BYTES)) &&
    isBase64Url(transfer, TRANSFER_BYTES) && isBase64Url(signature, SIGNATURE_BYTES) &&
    isBase64Url(sha256 ?? manifest, HASH_BYTES) && Number.isSafeInteger(size) &&
    typeof name === "string" && typeof time === "string";
  return isWhole ? value as SignedReceipt : null;
}

import { dirname, join } from "node:path";
import { openFile } from "../disk/descriptors.ts";
import { writeAll } from "../disk/file_bytes.ts";
import { stateError } from "../disk/private_file.ts";
import { P2PError } from "../errors.ts";
import { type ReceiptSubject, verifyReceipt } from "../identity/signed_receipt.ts";

/** A receipt with all that it takes to check it. */
export interface SignedReceipt extends ReceiptSubject {
  /** Id of the peer that signed. */
  recipient: string;
  /** Base64url of 64 bytes. */
  signature: string;
}

/** The receipts of what was sent, one JSON object per line, shared by all peers of a user. */
export class ReceiptBook {
  readonly #path: string;
  readonly #sender: string;
  readonly #network: string;

  /** @param folder where a user's peers are kept. */
  constructor(folder: string, sender: string, network: string) {
    this.#path = receiptsPath(folder);
    this.#sender = sender;
    this.#network = network;
  }

  /**
   * Keeps a receipt of what this peer sent; durable when it resolves.
   *
   * @throws {P2PError} `unauthorised` when its signature is wrong; `disk` and the like when it cannot be written.
   */
  async keep(signed: Omit<SignedReceipt, "network" | "sender">): Promise<void> {
    const receipt = { ...signed, network: this.#network, sender: this.#sender };
    if (!verifyReceipt(receipt.recipient, receipt, receipt.signature)) {
      throw new P2PError("unauthorised", "its signature is wrong");
    }
    try {
      await Deno.mkdir(dirname(this.#path), { recursive: true, mode: 0o700 });
      using file = await openFile(this.#path, { append: true, create: true, mode: 0o600 });
      // What a crash has left of a line before it must not take this one with it.
      await writeAll(file, `\n${lineOf(receipt)}`);
      await file.syncData();
    } catch (error) {
      throw stateError("write", this.#path, error);
    }
  }
}

/** Where the receipts of a user's peers are. */
export function receiptsPath(folder: string): string {
  return join(folder, "receipts.jsonl");
}

/** A receipt as a line of a file: what is signed, in this order and in no other form. */
export function lineOf(receipt: SignedReceipt): string {
  const { recipient, network, transfer, sender, sha256, manifest, size, name, time } = receipt;
  const content = sha256 === undefined ? { manifest } : { sha256 };
  const { signature } = receipt;
  const all = { recipient, network, transfer, sender, ...content, size, name, time, signature };
  return `${JSON.stringify(all)}\n`;
}

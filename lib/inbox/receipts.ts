import { openFile } from "../disk/descriptors.ts";
import { join } from "node:path";
import { readRegularText } from "../disk/open_regular.ts";
import type { FileStamp } from "./target.ts";
import { treeFingerprint } from "../pieces/tree_table.ts";
import { listTree } from "../pieces/tree_list.ts";

/** Receipts that are remembered. */
const REMEMBERED = 10_000;

/** Something that was received, as whoever sent it will ask for it again. */
export interface Receipt extends FileStamp {
  transfer: string;
  /** The sender's id. */
  from: string;
  /** The name it was offered under, made safe. */
  offered: string;
  /** The name it is kept under. */
  name: string;
  /** Bytes. */
  size: number;
  /** Of a tree: how many files are in it. */
  files?: number | undefined;
  /** What the manifest is recognised by, base64url: see {@linkcode Manifest.id}. */
  manifest: string;
  /** SHA-256 of the file, base64url; null when this side has not computed it. */
  sha256: string | null;
}

/** What makes two offers the same. */
export type ContentKey = Pick<Receipt, "manifest" | "from" | "offered">;

/**
 * What was received lately, so that nothing is received twice: a transfer whose last ACK was lost, and
 * content that the same sender offers again. A receipt is written before the name is taken, with the inode
 * that will have it, so that a crash in between leaves either both or a receipt that fits nothing.
 */
export class Receipts implements Disposable {
  readonly #inbox: string;
  readonly #file: Deno.FsFile;
  /** Oldest first. */
  readonly #byTransfer: Map<string, Receipt>;
  readonly #byContent = new Map<string, Receipt>();
  /** Receipts of what this process has published: a file that was moved away since has arrived all the same. */
  readonly #certain = new WeakSet<Receipt>();

  private constructor(inbox: string, file: Deno.FsFile, receipts: Map<string, Receipt>) {
    this.#inbox = inbox;
    this.#file = file;
    this.#byTransfer = receipts;
    for (const receipt of receipts.values()) this.#byContent.set(contentKey(receipt), receipt);
  }

  /** Reads those in `folder` about what is in `inbox`. */
  static async open(folder: string, inbox: string): Promise<Receipts> {
    const path = join(folder, RECEIPTS_FILE);
    const lines = (await readText(path)).split("\n");
    const isTorn = lines.pop() !== "";
    const receipts = new Map<string, Receipt>();
    for (const line of lines) {
      const receipt = parseReceipt(line);
      if (!receipt) continue;
      receipts.delete(transferKey(receipt));
      receipts.set(transferKey(receipt), receipt);
    }
    dropOldest(receipts);
    // What is appended to half a line would be lost with it.
    if (isTorn || lines.length > 2 * REMEMBERED) await rewrite(path, receipts);
    const file = await openFile(path, { append: true, create: true, mode: 0o600 });
    return new Receipts(inbox, file, receipts);
  }

  /** Writes the intent to publish; durable when it resolves. */
  async intend(receipt: Receipt): Promise<void> {
    const line = new TextEncoder().encode(`${JSON.stringify(receipt)}\n`);
    for (let at = 0; at < line.length;) at += await this.#file.write(line.subarray(at));
    await this.#file.syncData();
  }

  /** Takes note of what has been published. */
  add(receipt: Receipt): void {
    const key = transferKey(receipt);
    this.#certain.add(receipt);
    this.#byTransfer.delete(key);
    this.#byTransfer.set(key, receipt);
    this.#byContent.set(contentKey(receipt), receipt);
    for (const old of dropOldest(this.#byTransfer)) {
      if (this.#byContent.get(contentKey(old)) === old) this.#byContent.delete(contentKey(old));
    }
  }

  /** The transfer, when it has been published. */
  async ofTransfer(transfer: string, from: string): Promise<Receipt | null> {
    const receipt = this.#byTransfer.get(transferKey({ transfer, from }));
    if (!receipt || this.#certain.has(receipt)) return receipt ?? null;
    return await this.#isThere(receipt) ? receipt : null;
  }

  /** Receipt of the same content from the same sender under the same name, when it is there as it was published. */
  async ofContent(content: ContentKey): Promise<Receipt | null> {
    const receipt = this.#byContent.get(contentKey(content));
    return receipt && await this.#isThere(receipt) ? receipt : null;
  }

  /** Whether what has this inode has been published, and is only left over under its other name. */
  async hasInode(ino: number | null): Promise<boolean> {
    if (ino === null) return false;
    for (const receipt of this.#byTransfer.values()) {
      if (receipt.ino === ino && await this.#isThere(receipt)) return true;
    }
    return false;
  }

  [Symbol.dispose](): void {
    this.#file.close();
  }

  async #isThere({ name, ino, mtime, size, tree }: Receipt): Promise<boolean> {
    const path = join(this.#inbox, name);
    try {
      const there = await Deno.lstat(path);
      if (there.ino !== ino || there.mtime?.getTime() !== mtime) return false;
      if (tree === undefined) return there.isFile && there.size === size;
      return there.isDirectory && treeFingerprint((await listTree(path)).entries) === tree;
    } catch {
      return false;
    }
  }
}

/** The file of the receipts in the private folder of an inbox. */
export const RECEIPTS_FILE = "receipts.jsonl";

function transferKey({ transfer, from }: { transfer: string; from: string }): string {
  return `${transfer} ${from}`;
}

function contentKey({ manifest, from, offered }: ContentKey): string {
  return `${manifest} ${from} ${offered}`;
}

function dropOldest(receipts: Map<string, Receipt>): Receipt[] {
  const dropped: Receipt[] = [];
  for (const [key, receipt] of receipts) {
    if (receipts.size <= REMEMBERED) break;
    receipts.delete(key);
    dropped.push(receipt);
  }
  return dropped;
}

async function readText(path: string): Promise<string> {
  try {
    return await readRegularText(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return "";
    throw error;
  }
}

async function rewrite(path: string, receipts: ReadonlyMap<string, Receipt>): Promise<void> {
  const lines = [...receipts.values()].map((receipt) => `${JSON.stringify(receipt)}\n`);
  await Deno.writeTextFile(`${path}.new`, lines.join(""), { mode: 0o600 });
  await Deno.rename(`${path}.new`, path);
}

/** A line as a receipt; null for one that a crash cut short. */
function parseReceipt(line: string): Receipt | null {
  let value: Partial<Receipt> | null;
  try {
    value = JSON.parse(line);
  } catch {
    return null;
  }
  const { transfer, from, offered, name, manifest, size } = value ?? {};
  const isWhole =
    [transfer, from, offered, name, manifest].every((text) => typeof text === "string") &&
    Number.isSafeInteger(size);
  return isWhole ? value as Receipt : null;
}

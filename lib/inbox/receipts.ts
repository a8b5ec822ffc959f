import { openFile } from "../disk/descriptors.ts";
import { join } from "node:path";
import { Gate } from "../async/gate.ts";
import { stampsChanges } from "../disk/file_age.ts";
import type { NameRules } from "../disk/name_rules.ts";
import { readRegularText } from "../disk/open_regular.ts";
import { writeAll, writeOwn } from "../disk/file_bytes.ts";
import { type ContentProof, diskState, fileHas, treeHas } from "./kept_content.ts";
import { KeptTables } from "./kept_tables.ts";

/** Receipts that are remembered. */
const REMEMBERED = 10_000;

/** Contents that are read at a time to see whether they are still what they were. */
const CHECKS = 2;
/** Milliseconds that an offer waits for such a reading: its sender waits for an answer, 30 s by default. */
const PATIENCE = 15_000;

/** Something that was received, as whoever sent it will ask for it again. */
export interface Receipt extends ContentProof {
  transfer: string;
  /** The sender's id. */
  from: string;
  /** The name it was offered under, made safe. */
  offered: string;
  /** The name it is kept under. */
  name: string;
  /** Of a tree: how many files are in it; undefined for a file. */
  files?: number | undefined;
  /** SHA-256 of the file, base64url; null when this side has not computed it. */
  sha256: string | null;
  /** Inode of what was about to get the name. */
  ino: number | null;
  /** What the disk said of it when its bytes were right and it had been left alone; see {@linkcode DiskState}. */
  seen?: string | undefined;
}

/** What makes two offers the same: sender, name, and either the manifest or, whatever proved it, the SHA-256. */
export type ContentKey = Pick<Receipt, "sha256" | "from" | "offered"> & {
  manifest: string | undefined;
};

/**
 * What was received lately, so that nothing is received twice: a transfer whose last ACK was lost, and
 * content that the same sender offers again. A receipt is written before the name is taken, so that a crash in between
 * leaves either both or a receipt that fits nothing. It says what was there once; whether it still is, the bytes have to
 * say, or the disk where it can: when what it says of a file is what it said when the bytes were read.
 */
export class Receipts implements Disposable {
  readonly #inbox: string;
  readonly #tables: KeptTables;
  readonly #rules: NameRules;
  /** Readings of what is there, by the name; nobody waits for a second one of the same. */
  readonly #checks = new Map<string, Promise<boolean>>();
  readonly #readings = new Gate(CHECKS);
  #isClosed = false;
  readonly #file: Deno.FsFile;
  /** Oldest first. */
  readonly #byTransfer: Map<string, Receipt>;
  readonly #byContent = new Map<string, Receipt>();
  /** Receipts of what this process has published: a file that was moved away since has arrived all the same. */
  readonly #certain = new WeakSet<Receipt>();

  private constructor(
    { inbox, folder, rules }: { inbox: string; folder: string; rules: NameRules },
    file: Deno.FsFile,
    receipts: Map<string, Receipt>,
  ) {
    this.#inbox = inbox;
    this.#tables = new KeptTables(join(folder, TABLES_FOLDER));
    this.#rules = rules;
    this.#file = file;
    this.#byTransfer = receipts;
    for (const receipt of receipts.values()) this.#noteContent(receipt);
  }

  /** Reads those in `folder` about what is in `inbox`, where `rules` made the names what they are. */
  static async open(
    folder: string,
    inbox: string,
    rules: NameRules,
  ): Promise<Receipts> {
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
    return new Receipts({ inbox, folder, rules }, file, receipts);
  }

  /** Writes the intent to publish; durable when it resolves. */
  async intend(receipt: Receipt): Promise<void> {
    await this.#append(receipt);
    await this.#file.syncData();
  }

  /** Keeps the table of a tree, by which it is known again. */
  async keepTable(manifest: string, path: string): Promise<void> {
    await this.#tables.keep(manifest, path);
  }

  /** Takes note of what has been published. */
  add(receipt: Receipt): void {
    const key = transferKey(receipt);
    this.#certain.add(receipt);
    this.#byTransfer.delete(key);
    this.#byTransfer.set(key, receipt);
    this.#noteContent(receipt);
    for (const old of dropOldest(this.#byTransfer)) {
      for (const key of contentKeys(old)) {
        if (this.#byContent.get(key) === old) this.#byContent.delete(key);
      }
    }
  }

  /** The transfer, when it has been published. */
  async ofTransfer(transfer: string, from: string): Promise<Receipt | null> {
    const receipt = this.#byTransfer.get(transferKey({ transfer, from }));
    if (!receipt || this.#certain.has(receipt)) return receipt ?? null;
    return await this.#isThereSoon(receipt) ? receipt : null;
  }

  /**
   * Receipt of the same content from the same sender under the same name, when it is there as it was published, and
   * that is known soon enough for an offer to wait.
   */
  async ofOffer(content: ContentKey): Promise<Receipt | null> {
    const receipt = this.#ofContent(content);
    return receipt && await this.#isThereSoon(receipt) ? receipt : null;
  }

  /**
   * As {@linkcode ofOffer}, however long that takes.
   *
   * @param table path of the table of a tree, for when it was not kept.
   */
  async ofContent(content: ContentKey, table: string | null): Promise<Receipt | null> {
    const receipt = this.#ofContent(content);
    if (!receipt) return null;
    if (table !== null) await this.#tables.keep(receipt.manifest, table);
    return await this.#isThere(receipt) ? receipt : null;
  }

  /** Whether what has this inode has been published, and is only left over under its other name. */
  async hasInode(ino: number | null): Promise<boolean> {
    if (ino === null) return false;
    for (const receipt of this.#byTransfer.values()) {
      if (receipt.ino !== ino) continue;
      const there = await Deno.lstat(join(this.#inbox, receipt.name)).catch(() => null);
      if (there?.ino === ino) return true;
    }
    return false;
  }

  [Symbol.dispose](): void {
    this.#isClosed = true;
    this.#file.close();
  }

  #noteContent(receipt: Receipt): void {
    for (const key of contentKeys(receipt)) this.#byContent.set(key, receipt);
  }

  #ofContent(content: ContentKey): Receipt | undefined {
    for (const key of contentKeys(content)) {
      const receipt = this.#byContent.get(key);
      if (receipt) return receipt;
    }
    return undefined;
  }

  /** Whether it is there; false also when that takes too long to find out, which goes on. */
  async #isThereSoon(receipt: Receipt): Promise<boolean> {
    const tooLong = Promise.withResolvers<boolean>();
    const timer = setTimeout(() => tooLong.resolve(false), PATIENCE);
    try {
      return await Promise.race([this.#isThere(receipt), tooLong.promise]);
    } finally {
      clearTimeout(timer);
    }
  }

  #isThere(receipt: Receipt): Promise<boolean> {
    const key = `${receipt.name} ${receipt.manifest}`;
    const under = this.#checks.get(key);
    if (under) return under;
    const check = this.#readings.run(() => this.#look(receipt))
      .catch(() => false)
      .finally(() => this.#checks.delete(key));
    this.#checks.set(key, check);
    return check;
  }

  /** Looks at what is there: at its bytes, unless the disk vouches for them. */
  async #look(receipt: Receipt): Promise<boolean> {
    const path = join(this.#inbox, receipt.name);
    // The time is taken first: a change from here on is younger than that.
    const before = await diskState(path, Date.now());
    const isVouchedFor = await stampsChanges(path);
    if (isVouchedFor && receipt.seen === before.text) return true;
    if (!await this.#hasBytes(path, receipt)) return false;
    if (isVouchedFor && !before.isYoung && !this.#isClosed) {
      receipt.seen = before.text;
      // It costs a reading of the bytes the next time.
      await this.#append(receipt).catch(() => {});
    }
    return true;
  }

  async #hasBytes(path: string, receipt: Receipt): Promise<boolean> {
    if (receipt.files === undefined) return await fileHas(path, receipt);
    const table = await this.#tables.find(receipt.manifest);
    if (!table || !(await Deno.lstat(path)).isDirectory) return false;
    return await treeHas(path, receipt, { table, rules: this.#rules });
  }

  async #append(receipt: Receipt): Promise<void> {
    await writeAll(this.#file, `${JSON.stringify(receipt)}\n`);
  }
}

/** The file of the receipts in the private folder of an inbox. */
export const RECEIPTS_FILE = "receipts.jsonl";
/** The folder of the tables of trees that have arrived, beside it. */
export const TABLES_FOLDER = "tables";

function transferKey({ transfer, from }: { transfer: string; from: string }): string {
  return `${transfer} ${from}`;
}

function contentKeys({ manifest, sha256, from, offered }: ContentKey): string[] {
  const names = [];
  if (manifest !== undefined) names.push(`manifest ${manifest}`);
  if (sha256 !== null) names.push(`sha256 ${sha256}`);
  return names.map((name) => `${name} ${from} ${offered}`);
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
  await writeOwn(`${path}.new`, lines.join(""));
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
  const { transfer, from, offered, name, manifest, proof, size, pieceSize } = value ?? {};
  const isWhole =
    [transfer, from, offered, name, manifest, proof].every((text) => typeof text === "string") &&
    [size, pieceSize].every((bytes) => Number.isSafeInteger(bytes));
  return isWhole ? value as Receipt : null;
}

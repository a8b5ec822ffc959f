import { join, resolve } from "node:path";
import { P2PError, reasonOf } from "../errors.ts";
import { diskError } from "../disk/disk_error.ts";
import { FileTarget } from "./file_target.ts";
import { ignoreMissing } from "../disk/folder.ts";
import { type Lock, tryLock } from "../disk/lock.ts";
import { pieceCountOf } from "../pieces/manifest.ts";
import { PartialItem, removeJournal } from "./partial_item.ts";
import { PieceJournal, readJournalHeader } from "../pieces/piece_journal.ts";
import { Quota } from "./quota.ts";
import type {
  ArrivedContent,
  Destination,
  Found,
  KeptItem,
  OfferedItem,
  PartialKey,
} from "./destination.ts";
import type { PieceTarget } from "./piece_target.ts";
import { type Receipt, Receipts, RECEIPTS_FILE } from "./receipts.ts";
import type { Published, Target } from "./target.ts";
import { TreeTarget } from "./tree_target.ts";

/** Folder of partials and journals below the inbox. */
export const PARTIAL_FOLDER = ".partial";
/** The lock in a folder of partials: whoever holds it receives there, or forgets what is there. */
export const LOCK_FILE = "lock";
/** How long a partial waits for its sender, milliseconds: a week. */
const KEEP_PARTIALS = 7 * 24 * 3600_000;
/** Bytes that stay free beside what is received. */
const RESERVE = 16 * 1024 * 1024;

interface InboxOptions {
  path: string;
  partials: string;
  lock: Lock;
  unfinished: Map<string, string>;
  mode: number;
  receipts: Receipts;
  foldsCase: boolean;
  quota: Quota | undefined;
}

/**
 * The folder where what arrives is kept: final names on top, partials in a private folder of this
 * identity, which a lock keeps for one process.
 */
export class Inbox implements Destination, Disposable {
  /** Absolute path. */
  readonly path: string;
  readonly #options: InboxOptions;
  /** What was received lately. */
  readonly #receipts: Receipts;
  /** Partials that are being written, and what was offered. */
  readonly #begun = new Map<PieceTarget, { item: PartialItem; offer: OfferedItem }>();
  /** Bytes of the partials that are about to be. */
  readonly #starting = new Set<{ bytes: number }>();
  readonly #partials: string;
  readonly #mode: number;
  readonly #quota: Quota | undefined;
  /** Partials that wait to be gone on with: their paths without `.part`, by what they are a part of. */
  readonly #unfinished: Map<string, string>;

  private constructor(options: InboxOptions) {
    this.path = options.path;
    this.#receipts = options.receipts;
    this.#options = options;
    this.#partials = options.partials;
    this.#mode = options.mode;
    this.#unfinished = options.unfinished;
    this.#quota = options.quota;
  }

  /**
   * Opens the inbox, making the folder when it is missing. Partials that a process with the same identity
   * left behind wait to be gone on with when their journal says what they are and is younger than
   * `keepPartials` milliseconds; the others are swept. The folder may hold `quota` bytes in all.
   *
   * @throws {P2PError} `disk` when a part of the path is a link or no folder, or another process has it.
   */
  static async open(
    path: string,
    ownId: string,
    { keepPartials = KEEP_PARTIALS, quota: limit }: {
      keepPartials?: number | undefined;
      quota?: number | undefined;
    } = {},
  ): Promise<Inbox> {
    const inbox = resolve(path);
    const parent = join(inbox, PARTIAL_FOLDER);
    const partials = join(parent, ownId);
    try {
      await Deno.mkdir(inbox, { recursive: true });
      await makePrivateFolder(parent);
      await makePrivateFolder(partials);
      const lock = await takeLock(partials);
      try {
        const mode = await publicMode(partials);
        const foldsCase = await foldsCaseIn(partials);
        const quota = limit === undefined ? undefined : await Quota.open(inbox, limit);
        const receipts = await Receipts.open(partials, inbox);
        try {
          const unfinished = await sweep(partials, { keep: keepPartials, receipts });
          const found = { unfinished, mode, receipts, foldsCase, quota };
          return new Inbox({ path: inbox, partials, lock, ...found });
        } catch (error) {
          receipts[Symbol.dispose]();
          throw error;
        }
      } catch (error) {
        lock[Symbol.dispose]();
        throw error;
      }
    } catch (error) {
      throw diskError("use the inbox", inbox, error);
    }
  }

  async alreadyHas(offer: OfferedItem): Promise<Found | null> {
    const { transfer, from, name: offered, manifest } = offer;
    const done = await this.#receipts.ofTransfer(transfer, from);
    if (done) return { state: "saved", item: this.#kept(done) };
    const same = manifest && await this.#receipts.ofContent({ manifest, from, offered });
    if (!same) return null;
    this.#receipts.add({ ...same, transfer });
    return { state: "already", item: this.#kept(same) };
  }

  /**
   * Checks that an offer fits beside what others under way still need, and starts a partial, or goes on with
   * one of the same sender, name, size, piece size, scheme and table.
   *
   * @throws {P2PError} `no-space`, `quota` or `disk`.
   */
  async begin(offer: OfferedItem): Promise<PartialItem> {
    const reopened = await this.#reopen(offer);
    const needed = { bytes: missingOf(offer, reopened) };
    const promised = this.#promisedBytes();
    this.#starting.add(needed);
    try {
      await this.#expectRoom(needed.bytes, promised);
      const item = reopened ?? await this.#create(offer);
      this.#begun.set(item, { item, offer });
      return item;
    } catch (error) {
      if (reopened) await this.#suspend(reopened, offer);
      throw error;
    } finally {
      this.#starting.delete(needed);
    }
  }

  /** Bytes that a stream may bring beside what others under way still need; undefined without a quota. */
  async roomForStream(): Promise<number | undefined> {
    return await this.#quota?.room(this.#promisedBytes());
  }

  async publish(
    target: PieceTarget,
    content: ArrivedContent,
  ): Promise<Published & { already: boolean }> {
    const { item, offer } = this.#begunOrThrow(target);
    const { transfer, from, name: offered } = offer;
    const same = await this.#receipts.ofContent({ manifest: content.manifest, from, offered });
    if (same) {
      await this.release(item, false);
      this.#receipts.add({ ...same, transfer });
      return { name: same.name, path: join(this.path, same.name), already: true };
    }
    let receipt: Receipt | undefined;
    const published = await item.publish(offered, async (name, stamp) => {
      const files = item.files?.count;
      receipt = { transfer, from, offered, name, files, ...content, ...stamp };
      await this.#receipts.intend(receipt);
    });
    if (receipt) this.#receipts.add(receipt);
    this.#begun.delete(target);
    return { ...published, already: false };
  }

  async release(target: PieceTarget, keep: boolean): Promise<void> {
    const { item, offer } = this.#begunOrThrow(target);
    this.#begun.delete(target);
    if (keep) await this.#suspend(item, offer);
    else await item.discard();
  }

  #begunOrThrow(target: PieceTarget): { item: PartialItem; offer: OfferedItem } {
    const begun = this.#begun.get(target);
    if (!begun) throw new TypeError("the target was not begun here, or is over");
    return begun;
  }

  #kept({ name, size, files, sha256, manifest }: Receipt): KeptItem {
    return { name, path: join(this.path, name), size, files, sha256, manifest };
  }

  /** Bytes that what is being received will still take. */
  #promisedBytes(): number {
    let bytes = 0;
    for (const needed of this.#starting) bytes += needed.bytes;
    for (const { item } of this.#begun.values()) bytes += item.missingBytes;
    return bytes;
  }

  /** Keeps a partial to be gone on with when the same sender offers the same again. */
  async #suspend(item: PartialItem, key: PartialKey): Promise<void> {
    // Without a journal nobody can go on with it.
    if (key.size === null || !await item.suspend()) return await item.discard();
    const text = keyOf(key);
    const older = this.#unfinished.get(text);
    this.#unfinished.set(text, item.base);
    if (older !== undefined) await removePartial(older);
  }

  async #expectRoom(missing: number, promised: number): Promise<void> {
    // Loading it takes 8 ms, and who only sends does not need it.
    const { statfs } = await import("node:fs/promises");
    const { bavail, bsize } = await statfs(this.path);
    const free = bavail * bsize - RESERVE - promised;
    if (missing > free) {
      throw new P2PError(
        "no-space",
        `Cannot receive ${missing} bytes: ${Math.max(0, free)} are free at the receiver; ` +
          "make room there and send again",
      );
    }
    await this.#quota?.grant(missing, promised);
  }

  async #create(key: PartialKey): Promise<PartialItem> {
    const path = join(this.#partials, `${crypto.randomUUID()}.part`);
    try {
      return this.#partial(key, await this.#target(key, path, "create"));
    } catch (error) {
      throw diskError("create", path, error);
    }
  }

  /** Goes on with a partial that an earlier offer left; null when there is none, or it is of no use. */
  async #reopen(key: PartialKey): Promise<PartialItem | null> {
    const text = keyOf(key);
    const base = this.#unfinished.get(text);
    if (base === undefined) return null;
    this.#unfinished.delete(text);
    try {
      const reopened = await PieceJournal.reopen(`${base}.journal`);
      if (reopened) {
        const { log, content: { pieces: known } } = reopened;
        try {
          const target = await this.#target(key, `${base}.part`, "reopen");
          return this.#partial(key, target, { log, known });
        } catch (error) {
          log[Symbol.dispose]();
          throw error;
        }
      }
    } catch (error) {
      const { cause } = error as P2PError;
      const isGone = [error, cause].some((it) => it instanceof Deno.errors.NotFound);
      if (!isGone) throw diskError("go on with", `${base}.part`, error);
    }
    await removePartial(base);
    return null;
  }

  #target(key: PartialKey, path: string, how: "create" | "reopen"): Promise<Target> {
    if (key.table === null) return FileTarget[how](path, this.#mode);
    const { size, table: head } = key;
    const { foldsCase } = this.#options;
    return TreeTarget[how]({ path, head, size: size ?? 0, mode: this.#mode, foldsCase });
  }

  #partial(
    key: PartialKey,
    target: Target,
    reopened?: { log: PieceJournal; known: ReadonlyMap<number, Uint8Array> },
  ): PartialItem {
    const { size, pieceSize } = key;
    return new PartialItem({
      target,
      inbox: this.path,
      size,
      pieceSize,
      about: size === null
        ? null
        : { header: headerOf(key), pieces: pieceCountOf(size, pieceSize) },
      ...(reopened ? { reopened } : {}),
    });
  }

  /** Gives the lock back. */
  [Symbol.dispose](): void {
    this.#receipts[Symbol.dispose]();
    this.#options.lock[Symbol.dispose]();
  }
}

/** Bytes that are still to come. */
function missingOf({ size, pieceSize }: PartialKey, partial: PartialItem | null): number {
  return Math.max(0, (size ?? 0) - (partial?.known.size ?? 0) * pieceSize);
}

/** Deletes the partial with this path but for `.part`. */
export async function removePartial(base: string): Promise<void> {
  await removeJournal(base);
  for (const ending of [".part", ".table"]) {
    await Deno.remove(`${base}${ending}`, { recursive: true }).catch(ignoreMissing);
  }
}

/** Makes a folder of mode 0700, or makes one that is there and is no link private; it has to be ours. */
async function makePrivateFolder(path: string): Promise<void> {
  try {
    await Deno.mkdir(path, { mode: 0o700 });
  } catch (error) {
    if (!(error instanceof Deno.errors.AlreadyExists)) throw error;
    const { isDirectory } = await Deno.lstat(path);
    if (!isDirectory) {
      throw new P2PError("disk", `Cannot use ${path}: it is not a folder; move it away`);
    }
    if (Deno.build.os !== "windows") await Deno.chmod(path, 0o700);
  }
}

async function takeLock(folder: string): Promise<Lock> {
  const lock = await tryLock(join(folder, LOCK_FILE));
  if (lock) return lock;
  throw new P2PError(
    "disk",
    `Cannot use ${folder}: another peer with the same identity is receiving there; stop it first`,
  );
}

/** Deletes what nobody can go on with, and returns the paths without `.part` of the rest. */
async function sweep(
  folder: string,
  { keep, receipts }: { keep: number; receipts: Receipts },
): Promise<Map<string, string>> {
  const unfinished = new Map<string, string>();
  const names = new Set<string>();
  for await (const { name } of Deno.readDir(folder)) names.add(name);
  const wanted = new Set([LOCK_FILE, RECEIPTS_FILE]);
  for (const name of names) {
    const base = /^(.*)\.journal$/.exec(name)?.[1];
    if (base === undefined || !names.has(`${base}.part`)) continue;
    const key = await readPartialKey(join(folder, name), keep);
    if (!key || unfinished.has(keyOf(key))) continue;
    // The end came between the name and the removal.
    const { ino } = await Deno.lstat(join(folder, `${base}.part`));
    if (await receipts.hasInode(ino)) continue;
    unfinished.set(keyOf(key), join(folder, base));
    wanted.add(name).add(`${base}.part`);
    if (key.table !== null) wanted.add(`${base}.table`);
  }
  for (const name of names) {
    if (!wanted.has(name)) await Deno.remove(join(folder, name), { recursive: true });
  }
  return unfinished;
}

/** What the journal is about; null when it is too old or says nothing. */
async function readPartialKey(path: string, keep: number): Promise<PartialKey | null> {
  const { isFile, mtime } = await Deno.lstat(path);
  if (!isFile || Date.now() - (mtime?.getTime() ?? 0) > keep) return null;
  return parsePartialKey(await readJournalHeader(path));
}

/** What the header of a journal says that it is about; null when it does not. */
export function parsePartialKey(header: Record<string, unknown> | null): PartialKey | null {
  const { from, name, size, pieceSize, scheme, table = null } = header ?? {};
  if ([from, name, scheme].some((text) => typeof text !== "string")) return null;
  if (!Number.isSafeInteger(size) || !Number.isSafeInteger(pieceSize)) return null;
  if (table !== null && !Number.isSafeInteger(table)) return null;
  return { from, name, size, pieceSize, scheme, table } as PartialKey;
}

/** What the header of a journal says. */
function headerOf({ from, name, size, pieceSize, scheme, table }: PartialKey): object {
  return { from, name, size, pieceSize, scheme, table };
}

function keyOf(key: PartialKey): string {
  return JSON.stringify(headerOf(key));
}

/** Whether names that differ in case only are one file in the folder. */
async function foldsCaseIn(folder: string): Promise<boolean> {
  try {
    return (await Deno.stat(join(folder, "LOCK"))).isFile;
  } catch {
    return false;
  }
}

/** The mode that this process gives new files: 0666 & ~umask, learnt without asking for the umask. */
async function publicMode(folder: string): Promise<number> {
  const path = join(folder, "mode");
  try {
    (await Deno.open(path, { write: true, createNew: true })).close();
    const { mode } = await Deno.stat(path);
    return (mode ?? 0o644) & 0o666;
  } finally {
    await Deno.remove(path).catch((error) => {
      if (!(error instanceof Deno.errors.NotFound)) throw new Error(reasonOf(error));
    });
  }
}

import { join, resolve } from "node:path";
import { openFile } from "../disk/descriptors.ts";
import { ignoreMissing, syncFolder } from "../disk/folder.ts";
import { FOLDER_MODE, readEach, readPrivate, stateError } from "../disk/private_file.ts";
import { isUnable } from "../disk/unable.ts";
import { P2PError } from "../errors.ts";
import {
  lacking,
  noteArrival,
  noteRecipient,
  recipientKey,
  type Share,
  ShareLog,
  type ShareRecipient,
} from "./share_log.ts";

/** Shares that have come to their end and are kept. */
const MAX_KEPT = 100;
/** How long they are, in milliseconds. */
const KEPT_FOR = 30 * 24 * 60 * 60_000;

/** A share as it stands on the disk. */
export interface NotedShare extends Share {
  /** Whether a process is sending it now; false on a disk that has no locks. */
  isRunning: boolean;
}

/**
 * Who has what of all that this user's peers have sent, one file for each share: a line for what it is, then one
 * whenever something becomes of a recipient. The lines are in the hands of the system at once, so that the ledger of a
 * process that is killed is right; a power cut may take the last ones, whose recipients say again what they have. A share
 * that all have got has another name, so that whoever sends something need not read it.
 */
export class Ledger {
  readonly #folder: string;

  /** @param peersFolder of this user; the ledger is below it, and is made when it is needed. */
  constructor(peersFolder: string) {
    this.#folder = join(peersFolder, "shares");
  }

  /** A share that begins: nothing is on the disk before {@linkcode OpenShare.write}. */
  begin(share: Omit<Share, "recipients">, recipients: readonly ShareRecipient[]): OpenShare {
    const path = resolve(share.path);
    return new OpenShare(this.#folder, { ...share, path, recipients: [...recipients] });
  }

  /**
   * Goes on with a share that is noted.
   *
   * @throws {P2PError} `busy` while another process sends it, `usage` when it is not there, `disk`.
   */
  async reopen(id: string): Promise<OpenShare> {
    const share = await readShare(pathOf(this.#folder, id), id);
    if (!share) throw new P2PError("usage", `Cannot go on with ${id}: there is no such share`);
    const open = new OpenShare(this.#folder, share);
    await open.goOn();
    return open;
  }

  /** Forgets the share with this id, if it is there. */
  async remove(id: string): Promise<void> {
    for (const path of [pathOf(this.#folder, id), overPathOf(this.#folder, id)]) {
      try {
        await Deno.remove(path).catch(ignoreMissing);
      } catch (error) {
        throw stateError("write", path, error);
      }
    }
  }

  /**
   * All shares that are noted, oldest first; files that are not whole are passed over.
   *
   * @param onLeftOut hears why one cannot be read, or all of them.
   * @param options.isOpen only those that somebody may lack.
   */
  async list(
    onLeftOut: (message: string) => void = () => {},
    { isOpen = false } = {},
  ): Promise<NotedShare[]> {
    const read = async (name: string) => {
      const [, id = "", over] = /^([^.]+)(\.over)?\.jsonl$/.exec(name) ?? [];
      if (id === "" || isOpen && over) return null;
      const path = join(this.#folder, name);
      const share = await readShare(path, id);
      return share && { ...share, isRunning: !over && await isHeld(path) };
    };
    const shares: NotedShare[] = await readEach(this.#folder, read, onLeftOut);
    return shares.sort((a, b) => a.at < b.at ? -1 : 1);
  }

  /**
   * Takes out what a share makes useless: those of the same path whose recipients that lack it are all among its own,
   * and where it `isNoted` itself the oldest of those that have come to their end.
   */
  async tidy(
    { id, path, recipients }: Share,
    { isNoted, now = Date.now() }: { isNoted: boolean; now?: number },
  ): Promise<void> {
    const ids = new Set(recipients.map(recipientKey));
    const all = await this.list(undefined, { isOpen: !isNoted });
    const others = all.filter((other) => other.id !== id && !other.isRunning);
    const over = others.filter((other) => lacking(other).length === 0);
    const covered = others.filter((other) =>
      other.path === path && lacking(other).length > 0 &&
      lacking(other).every((recipient) => ids.has(recipientKey(recipient)))
    );
    const old = over.filter(({ at }, i) =>
      i < over.length - MAX_KEPT || now - Date.parse(at) > KEPT_FOR
    );
    for (const other of [...covered, ...old]) await this.remove(other.id);
  }
}

async function readShare(path: string, id: string): Promise<Share | null> {
  const share = ShareLog.parse(await readPrivate(path) ?? "");
  return share?.id === id ? share : null;
}

/** A share that is being sent: what becomes of its recipients is noted as it happens. */
export class OpenShare implements Disposable {
  readonly #folder: string;
  readonly #share: Share;
  #file: Deno.FsFile | undefined;
  /** Why the last note could not be made. */
  #failure: unknown;

  /** @param folder of the ledger. */
  constructor(folder: string, share: Share) {
    this.#folder = folder;
    this.#share = share;
  }

  /** How it stands. */
  get share(): Share {
    return this.#share;
  }

  /** Whether it is on the disk. */
  get isWritten(): boolean {
    return this.#file !== undefined;
  }

  /** What keeps notes from being made; undefined where nothing does. */
  get failure(): unknown {
    return this.#failure;
  }

  /** Notes what has become of a recipient. */
  note(recipient: ShareRecipient): void {
    noteRecipient(this.#share.recipients, recipient);
    this.#add(ShareLog.lineOf(recipient));
  }

  /** Notes that somebody has come who was called `target` while nobody of that name was there. */
  noteArrival(target: string): void {
    noteArrival(this.#share.recipients, target);
    this.#add(ShareLog.arrivalOf(target));
  }

  #add(line: string): void {
    if (!this.#file) return;
    try {
      writeAllSync(this.#file, line);
    } catch (error) {
      this.#failure = error;
    }
  }

  /**
   * Puts it on the disk as it stands, unless it is there.
   *
   * @param isDurable whether it has to be there after a power cut.
   * @throws {P2PError} `disk`
   */
  async write({ isDurable }: { isDurable: boolean }): Promise<void> {
    if (this.#file) return;
    const path = pathOf(this.#folder, this.#share.id);
    try {
      await Deno.mkdir(this.#folder, { recursive: true, mode: FOLDER_MODE });
      const file = await openFile(path, { append: true, createNew: true, mode: 0o600 });
      this.#file = file;
      await hold(file);
      // The recipients as they are now: what is noted while this is written comes behind it.
      writeAllSync(file, ShareLog.textOf(this.#share));
      if (!isDurable) return;
      await file.sync();
      await syncFolder(this.#folder);
    } catch (error) {
      throw stateError("write", path, error);
    }
  }

  /** Opens what is on the disk, to go on with it. */
  async goOn(): Promise<void> {
    const path = pathOf(this.#folder, this.#share.id);
    const file = await openFile(path, { append: true, read: true }).catch((error) => {
      throw stateError("write", path, error);
    });
    if (!await hold(file)) {
      file.close();
      throw new P2PError(
        "busy",
        `Cannot go on with ${this.#share.name}: another process is sending it`,
      );
    }
    this.#file = file;
    // What a power cut left of a line must not spoil the next one.
    writeAllSync(file, "\n");
  }

  /** Lets go of it: under another name where all have it. */
  [Symbol.dispose](): void {
    if (!this.#file) return;
    this.#file.close();
    this.#file = undefined;
    if (lacking(this.#share).length > 0) return;
    const { id } = this.#share;
    try {
      Deno.renameSync(pathOf(this.#folder, id), overPathOf(this.#folder, id));
    } catch {
      // It says the same under the old one.
    }
  }
}

function pathOf(folder: string, id: string): string {
  return join(folder, `${id}.jsonl`);
}

function overPathOf(folder: string, id: string): string {
  return join(folder, `${id}.over.jsonl`);
}

/** Locks a file as long as it is open; false while another process has it locked. */
async function hold(file: Deno.FsFile): Promise<boolean> {
  try {
    return await file.tryLock(true);
  } catch (error) {
    if (isUnable(error)) return true;
    throw error;
  }
}

async function isHeld(path: string): Promise<boolean> {
  using file = await openFile(path, { read: true }).catch(() => null);
  // It has come to its end this moment, or cannot be opened twice.
  if (!file) return false;
  try {
    return !await file.tryLock(false);
  } catch (error) {
    if (isUnable(error)) return false;
    throw error;
  }
}

/** In one call: what is noted is in the hands of the system when it returns. */
function writeAllSync(file: Deno.FsFile, text: string): void {
  let left = new TextEncoder().encode(text);
  while (left.length > 0) left = left.subarray(file.writeSync(left));
}

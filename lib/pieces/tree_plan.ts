import { delay, systemClock } from "../async/clock.ts";
import { Gate } from "../async/gate.ts";
import { openFile, patiently } from "../disk/descriptors.ts";
import { P2PError } from "../errors.ts";
import { copyStart, readExactly, writeAll } from "../disk/file_bytes.ts";
import { Sha256 } from "./hash.ts";
import type { NameOptions } from "./tree_names.ts";
import { TreePlanner } from "./tree_planner.ts";
import {
  encodeTable,
  fileAt,
  type FileCount,
  malformed,
  MAX_TABLE_LINE,
  parseEntries,
  type TreeEntry,
  type TreeFile,
} from "./tree_table.ts";

/** Bytes of a table that are read at a time: one line at least. */
const BLOCK = MAX_TABLE_LINE;
/**
 * Blocks between two timers: while the disk answers at once Deno looks at the network every 61 turns only, each of which
 * is a block here, and some milliseconds.
 */
const LOOK_EVERY = 8;
const LF = 0x0a;
/** Bytes of the largest table that is planned at once, whatever else is: that of some ten thousand files. */
const SMALL_TABLE = 1024 * 1024;

/**
 * Larger tables of this process, one after another: planning one takes some ten MiB, and a while of the processor. The
 * small ones pass them by.
 */
const largeTables = new Gate(1);

/** Blocks of all plans that are kept in memory: all of a small table, where it is the only one. */
const RECENT_BLOCKS = 64;
/** The blocks that were read last, by their places; those of plans that are over go in their turn. */
const recent = new Map<Place, PlanBlock>();

/** What a {@linkcode TreePlan} is made of. */
export interface PlanOptions extends NameOptions {
  /** Path of the table. */
  table: string;
  /** Bytes of the table. */
  head: number;
  /** Path for the table with the paths that were given in place of those offered, where they differ; over what is there. */
  rewritten: string;
  /** Ends the planning, and the waiting for it, with its reason. */
  signal?: AbortSignal | undefined;
}

/** Entries that stand together in a table. */
export interface PlanBlock {
  folders: TreeEntry[];
  files: TreeFile[];
}

/** Where a block is, and what is in it. */
interface Place {
  /** Bytes before it in the file that is read. */
  at: number;
  bytes: number;
  /** SHA-256 of its bytes. */
  sha256: string;
  /** Files before it. */
  number: number;
  /** Bytes of the transfer before its first file. */
  offset: number;
  /** Whether something in it is there without a byte of its own: folders, and empty files. */
  hasBare: boolean;
  hasFolders: boolean;
}

/**
 * A table as it is carried out: with paths that are safe to create below a fresh folder. It stays on the disk, and what is
 * needed of it is read again, block by block; what is held for as long as the plan is where they are.
 */
export class TreePlan implements FileCount {
  /** Files. */
  readonly count: number;
  readonly folders: number;
  /** Bytes of the transfer: those of the table and of all files. */
  readonly end: number;
  /** How many names had to become others here, not counting what is in their folders. */
  readonly renamed: number;
  /** Some of them, as they were offered and as they are. */
  readonly renames: readonly { from: string; to: string }[];
  readonly #places: readonly Place[];
  /** The file that the blocks are in. */
  #path: string;

  private constructor({ planner, places, path }: Planned) {
    this.count = planner.files;
    this.folders = planner.folders;
    this.end = planner.end;
    this.renamed = planner.renamed;
    this.renames = planner.renames;
    this.#places = places;
    this.#path = path;
  }

  /**
   * Plans a table, in small steps: whatever else waits for the event loop has its turn. A large one waits for those that
   * came before.
   *
   * @throws {P2PError} as {@linkcode TreePlanner.plan}; the reason of the signal; what the disk says.
   */
  static make(options: PlanOptions): Promise<TreePlan> {
    const plan = async () => new TreePlan(await planned(options));
    return options.head > SMALL_TABLE ? largeTables.run(plan) : plan();
  }

  /** The table has got another name. */
  moved(from: string, to: string): void {
    if (this.#path === from) this.#path = to;
  }

  /** Blocks of the table, by their numbers. */
  get blocks(): number {
    return this.#places.length;
  }

  /** Whether a block has folders, or with `orEmpty` folders or empty files. */
  hasFolders(index: number, { orEmpty = false } = {}): boolean {
    const place = this.#places[index];
    return place !== undefined && (orEmpty ? place.hasBare : place.hasFolders);
  }

  /**
   * The entries of a block.
   *
   * @throws what the disk says; an error when the table is not what it was.
   */
  async block(index: number): Promise<PlanBlock> {
    const place = this.#places[index];
    if (!place) return { folders: [], files: [] };
    return recent.get(place) ?? await patiently(() => this.#read(place));
  }

  /** The files of the block that has the byte at `offset` of the transfer; as {@linkcode block}. */
  async filesAt(offset: number): Promise<TreeFile[]> {
    return (await this.block(this.#indexAt(offset))).files;
  }

  /** Files that are complete when the first `bytes` of the transfer are there. */
  within(bytes: number): number {
    const place = this.#places[this.#indexAt(bytes)];
    if (!place) return 0;
    try {
      return place.number + fileAt((recent.get(place) ?? this.#read(place)).files, bytes);
    } catch {
      // So many at least; it is looked at again with the next bytes.
      return place.number;
    }
  }

  /** The last block that begins at the byte of the transfer, or before. */
  #indexAt(offset: number): number {
    let [low, high] = [0, this.#places.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.#places[middle] as Place).offset <= offset) low = middle + 1;
      else high = middle;
    }
    return Math.max(0, low - 1);
  }

  /** Reads a block within the call: a round through the event loop takes longer. */
  #read(place: Place): PlanBlock {
    const bytes = new Uint8Array(place.bytes);
    using file = Deno.openSync(this.#path);
    file.seekSync(place.at, Deno.SeekMode.Start);
    for (let filled = 0; filled < bytes.length;) {
      const n = file.readSync(bytes.subarray(filled));
      if (n === null) throw new Deno.errors.UnexpectedEof("the table is shorter than it was");
      filled += n;
    }
    // Its paths were checked when it was planned, and others may have got at it since.
    if (hashOf(bytes) !== place.sha256) {
      throw new P2PError("disk", "Cannot read the table of a tree: it was changed meanwhile");
    }
    let { number, offset } = place;
    const block = blockOf(parseEntries(bytes));
    for (const file of block.files) {
      file.number = number++;
      file.offset = offset;
      offset += file.size;
    }
    remember(place, block);
    return block;
  }
}

/** What the lines of a table come to, and where they are. */
interface Planned {
  planner: TreePlanner;
  places: Place[];
  /** The file that the places are in. */
  path: string;
}

async function planned(options: PlanOptions): Promise<Planned> {
  const { table, head, rewritten, signal } = options;
  signal?.throwIfAborted();
  const planner = new TreePlanner(head, options);
  const places: Place[] = [];
  const buffer = new Uint8Array(Math.min(BLOCK, head));
  let copy: Deno.FsFile | undefined;
  using file = await openFile(table);
  try {
    let at = 0;
    for (let from = 0; from < head;) {
      signal?.throwIfAborted();
      const { files: number, end: offset } = planner;
      let lines = await readLines(file, from, buffer.subarray(0, head - from));
      from += lines.length;
      const entries = planner.plan(lines);
      if (planner.renamed > 0) {
        copy ??= await startOf(file, at, rewritten);
        lines = encodeTable(entries);
        await writeAll(copy, lines);
      }
      const block = blockOf(entries);
      const hasFolders = block.folders.length > 0;
      const hasBare = hasFolders || block.files.some(({ size }) => size === 0);
      const sha256 = hashOf(lines);
      const place = { at, bytes: lines.length, sha256, number, offset, hasBare, hasFolders };
      places.push(place);
      if (head <= SMALL_TABLE) remember(place, block);
      at += lines.length;
      if (places.length % LOOK_EVERY === 0) await delay(systemClock, 0);
    }
  } finally {
    copy?.close();
  }
  return { planner, places, path: copy ? rewritten : table };
}

function remember(place: Place, block: PlanBlock): void {
  recent.set(place, block);
  const [oldest] = recent.keys();
  if (recent.size > RECENT_BLOCKS && oldest) recent.delete(oldest);
}

/** Reads the whole lines that begin at `offset`, as many as fit into the buffer. */
async function readLines(
  file: Deno.FsFile,
  offset: number,
  buffer: Uint8Array<ArrayBuffer>,
): Promise<Uint8Array<ArrayBuffer>> {
  await readExactly(file, offset, buffer);
  const end = buffer.lastIndexOf(LF) + 1;
  if (end > 0) return buffer.subarray(0, end);
  throw malformed(
    buffer.length < BLOCK ? "it does not end with a line" : `a line is longer than ${BLOCK} bytes`,
  );
}

/** A new file with the first `bytes` of the table. */
async function startOf(from: Deno.FsFile, bytes: number, path: string): Promise<Deno.FsFile> {
  const file = await openFile(path, { write: true, create: true, truncate: true, mode: 0o600 });
  try {
    await copyStart(file, { from, bytes });
    return file;
  } catch (error) {
    file.close();
    throw error;
  }
}

/** The entries of some lines by their kind. */
function blockOf(entries: readonly (TreeEntry | TreeFile)[]): PlanBlock {
  const block: PlanBlock = { folders: [], files: [] };
  for (const entry of entries) {
    if (entry.size === null) block.folders.push(entry);
    else block.files.push(entry as TreeFile);
  }
  return block;
}

function hashOf(bytes: Uint8Array): string {
  const hash = new Sha256();
  hash.update(bytes);
  return hash.digest();
}

import { encodeHex } from "@std/encoding/hex";
import { join } from "node:path";
import { Gate } from "../async/gate.ts";
import { ignoreMissing } from "../disk/folder.ts";
import { sha256 } from "../pieces/hash.ts";
import { type JournalContent, type JournalPiece, PieceJournal } from "../pieces/piece_journal.ts";

/** Hashed bytes between two writes to the disk: what a killed sender hashes again. */
const WRITE_EVERY = 32 * 1024 * 1024;
/** Manifests that are kept; those used longest ago go first. */
const MOST = 1000;

/** What is asked of the cache. */
export interface CacheKey {
  /** Changes whenever the content may have changed. */
  key: string;
  /** Bytes. */
  size: number;
  /** Bytes. */
  pieceSize: number;
  /** How many pieces the content has. */
  pieces: number;
}

/**
 * Piece hashes of files that were sent, so that an unchanged file is not hashed again: one file each, named
 * by a hash of the key. Only a cache: whatever is wrong with it costs a hashing.
 */
export class ManifestCache {
  readonly #folder: string;

  /** Keeps them in `folder`, which is made when it is needed. */
  constructor(folder: string) {
    this.#folder = folder;
  }

  /** What is known of the content, and where to note more. */
  async open(key: CacheKey): Promise<CachedManifest> {
    const name = encodeHex(sha256(new TextEncoder().encode(key.key)));
    const path = join(this.#folder, `${name}.manifest`);
    const found = await PieceJournal.reopen(path).catch(() => null);
    const { header = {}, pieces = new Map() }: Partial<JournalContent> = found?.content ?? {};
    const isSame = header.key === name && header.size === key.size &&
      header.pieceSize === key.pieceSize;
    const hashed = { ...key, key: name };
    if (found && isSame) {
      return new CachedManifest(path, hashed, { log: found.log, header, pieces });
    }
    found?.log[Symbol.dispose]();
    // Also what is no log at all.
    await Deno.remove(path).catch(() => {});
    if (!found) await this.#makeRoom();
    return new CachedManifest(path, hashed);
  }

  async #makeRoom(): Promise<void> {
    await Deno.mkdir(this.#folder, { recursive: true, mode: 0o700 });
    const paths: string[] = [];
    for await (const { name } of Deno.readDir(this.#folder)) paths.push(join(this.#folder, name));
    if (paths.length < MOST) return;
    const times = paths.map((path) => ({ path, at: Deno.statSync(path).mtime?.getTime() ?? 0 }));
    times.sort((a, b) => a.at - b.at);
    for (const { path } of times.slice(0, paths.length - MOST / 2)) {
      await Deno.remove(path).catch(ignoreMissing);
    }
  }
}

/** The cached manifest of one content. Failures to write are ignored. */
export class CachedManifest implements AsyncDisposable {
  /** Hashes of the pieces from the first on, as many as are known without a gap. */
  readonly hashes: readonly Uint8Array[];
  /** SHA-256 of the whole, base64url; null when that is not known. */
  readonly sha256: string | null;
  readonly #path: string;
  readonly #key: CacheKey;
  #log: PieceJournal | undefined;
  #unwritten: JournalPiece[] = [];
  /** One change of the file after another. */
  readonly #changes = new Gate(1);

  constructor(
    path: string,
    key: CacheKey,
    found?: {
      log: PieceJournal;
      header: Record<string, unknown>;
      pieces: ReadonlyMap<number, Uint8Array>;
    },
  ) {
    this.#path = path;
    this.#key = key;
    this.#log = found?.log;
    const hashes: Uint8Array[] = [];
    for (let index = 0; index < key.pieces; index++) {
      const hash = found?.pieces.get(index);
      if (!hash) break;
      hashes.push(hash);
    }
    this.hashes = hashes;
    const { sha256 } = found?.header ?? {};
    this.sha256 = typeof sha256 === "string" ? sha256 : null;
  }

  /** Whether nothing has to be hashed any more. */
  get isComplete(): boolean {
    const { pieces } = this.#key;
    return this.hashes.length === pieces && (pieces > 0 || this.sha256 !== null);
  }

  /** Notes the hash of a piece. */
  note(index: number, hash: Uint8Array): void {
    this.#unwritten.push({ index, hash });
    if (this.#unwritten.length * this.#key.pieceSize >= WRITE_EVERY) this.#write(null);
  }

  /** All pieces are noted. */
  finish(sha256: string | null): void {
    this.#write(sha256);
  }

  /** What is cached is wrong. */
  drop(): void {
    void this.#changes.run(async () => {
      this.#close();
      await Deno.remove(this.#path).catch(() => {});
    });
  }

  /** Resolves when all is written. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#changes.run(() => this.#close());
  }

  #write(sha256: string | null): void {
    const pieces = this.#unwritten.splice(0);
    const written = this.#changes.run(async () => {
      const { pieces: count, ...header } = this.#key;
      this.#log ??= await PieceJournal.create(this.#path, { ...header, sha256 }, count);
      if (pieces.length > 0) this.#log.note(pieces);
      if (sha256 !== null) this.#log.describe({ ...header, sha256 });
    });
    // What cannot be written costs a hashing.
    written.catch(() => {});
  }

  #close(): void {
    this.#log?.[Symbol.dispose]();
    this.#log = undefined;
  }
}

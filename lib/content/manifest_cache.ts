import { encodeBase64Url } from "@std/encoding/base64url";
import { encodeHex } from "@std/encoding/hex";
import { join } from "node:path";
import { Gate } from "../async/gate.ts";
import { asP2PError, P2PError } from "../errors.ts";
import { ignoreMissing } from "../disk/folder.ts";
import { sha256 } from "../pieces/hash.ts";
import {
  type JournalContent,
  type JournalPiece,
  type PieceHashes,
  PieceJournal,
} from "../pieces/piece_journal.ts";
import { isPieceSize, pieceCountOf, pieceSizeFor } from "../pieces/manifest.ts";
import type { Scheme } from "../pieces/scheme.ts";

/** Hashed bytes between two writes to the disk: at most so many a killed sender has to hash or send again. */
const WRITE_EVERY = 8 * 1024 * 1024;
/** Manifests that are kept; those used longest ago go first. */
const MOST = 1000;

/** The content that the cache is asked for. */
export interface CacheKey {
  /** {@linkcode Content.key}, which is another whenever the content may have changed. */
  key: string;
  /** Bytes of the content. */
  size: number;
  /** Bytes of a piece, at most. */
  pieceSize: number;
  /** {@linkcode Content.isSettled} now, when the hashes are made that will be noted. */
  isSettled: boolean;
}

/**
 * Piece hashes of contents that were sent, so that an unchanged one is not hashed again: one file each, named by a hash
 * of the key. What is wrong with such a file costs a hashing; but hashes that are believed under the key of other bytes
 * would have the sender offer what is no longer there, and the recipient answer that it has it. Hence they say whether
 * the content was settled when they were made.
 */
export class ManifestCache {
  readonly #folder: string;

  /** @param folder of the files, which is made when it is needed. */
  constructor(folder: string) {
    this.#folder = folder;
  }

  /**
   * Opens the manifest of a content: with what is known of it, and to note more. What was sent in smaller pieces before
   * keeps these: recipients may have some of them.
   */
  async open(key: CacheKey): Promise<CachedManifest> {
    const name = encodeHex(sha256(new TextEncoder().encode(key.key)));
    const path = join(this.#folder, `${name}.manifest`);
    const found = await PieceJournal.reopen(path).catch((error) => asP2PError(error));
    if (found instanceof P2PError && found.code === "file-not-found") {
      return new CachedManifest(path, { ...key, key: name }, { makeRoom: () => this.#makeRoom() });
    }
    const hashed = { ...key, key: name };
    if (found && !(found instanceof P2PError)) {
      const { journal, content: { header, pieces } } = found;
      const isSame = header.key === name && header.size === key.size;
      const pieceSize = isSame ? usablePieceSize(header.pieceSize, key.pieceSize) : null;
      if (pieceSize !== null) {
        const kept = { ...hashed, pieceSize };
        return new CachedManifest(path, kept, { found: { journal, header, pieces } });
      }
      journal[Symbol.dispose]();
    }
    // A file that is no journal at all would stay in the way for ever.
    await Deno.remove(path).catch(() => {});
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

/** The piece size of a journal where a content may go on with it that has pieces of `most` bytes at most; else null. */
function usablePieceSize(pieceSize: unknown, most: number): number | null {
  return isPieceSize(pieceSize) && pieceSize <= most ? pieceSize : null;
}

/** The cached manifest of one content. Failures to write are ignored. */
export class CachedManifest implements AsyncDisposable {
  /** The hashes that are known. */
  readonly hashes: PieceHashes;
  /** SHA-256 of the whole content, base64url; null when that is not known. */
  readonly sha256: string | null;
  /** The piece from which on the hashes are independent in the manifest that was complete last; null when none was. */
  readonly independentFrom: number | null;
  /** Whether the content was settled when the hashes were made: else its bytes may be others by now. */
  readonly wasSettled: boolean;
  readonly #path: string;
  readonly #key: CacheKey;
  /** Makes the folder, and room in it. What keeps it from that costs a hashing the next time. */
  readonly #makeRoom: (() => Promise<void>) | undefined;
  #journal: PieceJournal | undefined;
  #unwritten: JournalPiece[] = [];
  /** One change of the file after another. */
  readonly #changes = new Gate(1);

  constructor(
    path: string,
    key: CacheKey,
    { found, makeRoom }: {
      found?: JournalContent & { journal: PieceJournal };
      makeRoom?: () => Promise<void>;
    } = {},
  ) {
    this.#makeRoom = makeRoom;
    this.#path = path;
    this.#key = key;
    this.#journal = found?.journal;
    this.hashes = found?.pieces ?? { independent: new Map(), prefix: new Map() };
    const { sha256, isSettled, independentFrom } = found?.header ?? {};
    this.wasSettled = isSettled === true;
    const last = this.hashes.prefix.get(this.pieces - 1);
    this.sha256 = typeof sha256 === "string" ? sha256 : last ? encodeBase64Url(last) : null;
    this.independentFrom = typeof independentFrom === "number" ? independentFrom : null;
  }

  /** Whether nothing is known. */
  get isEmpty(): boolean {
    return this.hashes.prefix.size + this.hashes.independent.size === 0;
  }

  /** Bytes of every piece but the last. */
  get pieceSize(): number {
    return this.#key.pieceSize;
  }

  /** Pieces that the content has. */
  get pieces(): number {
    return pieceCountOf(this.#key.size, this.#key.pieceSize);
  }

  /**
   * From which piece on the hashes are independent in a manifest of which all are known, and which serves an offer under
   * the scheme; null when there is none. The one that was completed last comes first: its id is the one that was told.
   */
  completeFrom(scheme: Scheme): number | null {
    if (this.pieces === 0 && this.sha256 === null) return null;
    const ways = scheme === "independent" ? [0] : [this.independentFrom, this.pieces, 0];
    const known = this.run("prefix").length;
    return ways.find((from): from is number =>
      from !== null && known >= from &&
      from + this.run("independent", from).length >= this.pieces
    ) ?? null;
  }

  /** Known hashes under the scheme from piece `start` on, up to the first one that is not known. */
  run(scheme: Scheme, start = 0): Uint8Array[] {
    const run: Uint8Array[] = [];
    for (let index = start; index < this.pieces; index++) {
      const hash = this.hashes[scheme].get(index);
      if (!hash) break;
      run.push(hash);
    }
    return run;
  }

  /** Notes the hash of a piece; written when there are enough of them. */
  note(piece: JournalPiece): void {
    this.#unwritten.push(piece);
    if (this.#unwritten.length * this.#key.pieceSize >= WRITE_EVERY) this.#write();
  }

  /** Writes what has been noted, and that it is all of a manifest whose hashes are independent from that piece on. */
  finish(sha256: string | null, independentFrom: number): void {
    this.#write({
      sha256: sha256 ?? this.sha256,
      independentFrom: Math.min(independentFrom, this.pieces),
    });
  }

  /** Keeps what is only believed after a comparison no longer than it is needed: until everybody has the content. */
  settle(): void {
    if (!this.#key.isSettled) void this.drop();
  }

  /**
   * Deletes the manifest, which turned out to be wrong; resolves when it is gone. Of small pieces, as of a swarm, their
   * size is kept: in another one what recipients have of them is of no use.
   */
  async drop(): Promise<void> {
    const { size, pieceSize } = this.#key;
    await this.#changes.run(async () => {
      this.#close();
      await Deno.remove(this.#path).catch(() => {});
      if (pieceSize === pieceSizeFor(size)) return;
      const kept = PieceJournal.create(this.#path, this.#key, this.pieces);
      this.#journal = await kept.catch(() => undefined);
    });
  }

  /** Closes the manifest; resolves when all that was to be written is. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#changes.run(() => this.#close());
  }

  #write(all?: { sha256: string | null; independentFrom: number }): void {
    const pieces = this.#unwritten.splice(0);
    const written = this.#changes.run(async () => {
      const header = this.#key;
      if (!this.#journal) await this.#makeRoom?.().catch(() => {});
      this.#journal ??= await PieceJournal.create(this.#path, { ...header, ...all }, this.pieces);
      if (pieces.length > 0) this.#journal.note(pieces);
      if (all) this.#journal.describe({ ...header, ...all });
    });
    // A manifest that cannot be written costs a hashing the next time.
    written.catch(() => {});
  }

  #close(): void {
    this.#journal?.[Symbol.dispose]();
    this.#journal = undefined;
  }
}

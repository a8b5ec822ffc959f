import type { FileCount } from "../pieces/tree_table.ts";

/**
 * Bytes that are sent, wherever they come from: a file, a folder or a stream. Read front to back once; where
 * `isSeekable`, also at any place and again.
 */
export interface Content extends AsyncDisposable {
  /** Name under which it is offered. */
  readonly name: string;
  /** What errors call it. */
  readonly path: string;
  /** Bytes; null when nobody knows before the end. */
  readonly size: number | null;
  /** Bytes of the table that a tree begins with; null for anything else. */
  readonly table: number | null;
  /**
   * Under which hashes of the content may be remembered: another one whenever its bytes may have changed. Null where
   * that cannot be told, as of a stream, or of a file that was written to just before it was opened.
   */
  readonly key: string | null;
  /** Whether `skipTo` and `readAt` work. */
  readonly isSeekable: boolean;
  /** The files of a tree; null for anything else. */
  readonly files: FileCount | null;
  /** Paths below it that are left out. */
  readonly skipped: readonly string[];
  /** Has `read` begin at `offset`; before the first `read`. */
  skipTo(offset: number): void;
  /**
   * The next bytes: as many as `into` has, fewer only at the end. They may be in other memory of the same
   * size; that of `into` is then gone.
   */
  read(into: Uint8Array<ArrayBuffer>): Promise<Uint8Array<ArrayBuffer>>;
  /** Fills `into` from `offset` on; fewer bytes only at the end. */
  readAt(offset: number, into: Uint8Array): Promise<number>;
  /**
   * To be called after the last byte has been read.
   *
   * @throws {P2PError} `source-changed` when it is not what it was when it was opened.
   */
  expectUnchanged(): Promise<void>;
}

import type { FileAttributes } from "../disk/file_mode.ts";
import type { P2PError } from "../errors.ts";
import type { FileCount } from "../pieces/tree_table.ts";

/** A part of a content whose file does not look any more as it did when the content was opened. */
export interface SuspectPart {
  /** Path of the file. */
  path: string;
  /** Its bytes in the content, from `start` to before `end`. */
  start: number;
  end: number;
}

/**
 * Bytes to be sent, wherever they come from: a file, a folder or a stream. They are read once from front to back; of
 * what `isSeekable` any part can be read again beside that.
 */
export interface Content extends AsyncDisposable {
  /** Name under which the content is offered. */
  readonly name: string;
  /** Path, or for a stream its name, that errors name. */
  readonly path: string;
  /** Bytes in all, a tree's table included; null for a stream, whose size nobody knows before its end. */
  readonly size: number | null;
  /** Bytes of the table that a tree begins with; null for anything else. */
  readonly table: number | null;
  /**
   * Key under which hashes of the content may be remembered: what the disk says of it. Null of a stream.
   */
  readonly key: string | null;
  /**
   * Whether the key was another one if the bytes were others. Not of what was written to shortly before it was opened:
   * what is remembered of that is compared with the bytes before it is believed.
   */
  readonly isSettled: boolean;
  /** Whether `skipTo` and `readAt` work; on anything else they throw a TypeError. */
  readonly isSeekable: boolean;
  /** What is kept of the file or folder beside its bytes; empty for a stream. */
  readonly attributes: FileAttributes;
  /** The files of a tree; null for anything else. */
  readonly files: FileCount | null;
  /** Relative paths of what a folder holds and is not sent: links, sockets, devices. */
  readonly skipped: readonly string[];
  /** Whether links in a folder were followed. */
  readonly follows?: boolean;
  /** Why some of what a folder holds cannot be sent, each with its path. */
  readonly failed: readonly P2PError[];
  /** Paths of files that have grown since they were looked at: sent is what was there then. */
  readonly grown: readonly string[];
  /** Has `read` begin at `offset`, in bytes; only before the first `read`. */
  skipTo(offset: number): void;
  /**
   * Reads the next bytes: as many as `into` has, fewer only at the end. They may be in another ArrayBuffer of the same
   * size; that of `into` is detached then and must not be touched.
   */
  read(into: Uint8Array<ArrayBuffer>): Promise<Uint8Array<ArrayBuffer>>;
  /** Fills `into` from `offset` on; fewer bytes only at the end. */
  readAt(offset: number, into: Uint8Array): Promise<number>;
  /**
   * What has to be compared with what was read, after the last byte has been: other times, a longer file or another one
   * in its place do not mean that the bytes are others.
   *
   * @throws {P2PError} `source-changed` when a file became shorter.
   */
  suspects(): Promise<readonly SuspectPart[]>;
}

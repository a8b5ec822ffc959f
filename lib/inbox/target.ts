import type { FileCount } from "../pieces/tree_table.ts";

/** Names inside a folder that had to become others here: how many, and some of them. */
export interface Renamed {
  renamed: number;
  renames: readonly { from: string; to: string }[];
}

/** A published file or folder. */
export interface Published extends Partial<Renamed> {
  /** The final name in the inbox. */
  name: string;
  /** Absolute path. */
  path: string;
  /** What reads it, where that was asked for and it was not here before. */
  reader?: ContentReader;
}

/** What has been published, for others to have: they may still be receiving it. */
export interface ContentReader {
  /**
   * Fills `into` with bytes of the transfer, from `offset` on; whoever owns the inbox may have changed them by now.
   *
   * @throws when they cannot be read, or are not there.
   */
  read(offset: number, into: Uint8Array): Promise<void>;
  /** Lets go of it. */
  close(): Promise<void>;
}

/**
 * Where the bytes of one transfer go while they arrive: under a random name in a private folder until
 * they are published. One write at a time; `sync` may run beside it.
 */
export interface Target {
  /** Path in the private folder. */
  readonly path: string;
  /** Bytes at the start that have to be written before any other (a tree's table); 0 for a file. */
  readonly head: number;
  /** Path of the table of a tree, once all of it is there; null for a file. */
  readonly table: string | null;
  /** The files of a tree, once its table is there. */
  readonly files: FileCount | null;
  /** Files and folders: 1 for a file, and for a tree whose table is not there. */
  readonly entries: number;
  /** Names inside it that are others here; of a file there are none. */
  readonly renamed?: Renamed;
  /** Writes bytes of the transfer; they must stay as they are until it resolves. */
  write(offset: number, bytes: Uint8Array): Promise<void>;
  /**
   * Fills `into` with bytes of the transfer that were written, from `offset` on; also beside a write.
   *
   * @throws when they cannot be read, or are not there.
   */
  read(offset: number, into: Uint8Array): Promise<void>;
  /** Gives up a write that takes long: nothing that is written is of use any more, or it will come again. */
  stop?(): void;
  /** Throws away all that was written. */
  restart(): Promise<void>;
  /** Makes durable what was written before the call. */
  sync(): Promise<void>;
  /** Gives what is written its final modes and times, and makes it durable; after the last write. */
  settle(): Promise<void>;
  /** Gives it the path; false when something is there, which is never touched. */
  moveTo(path: string): Promise<boolean>;
  /** Takes it back from the path: the name could not be made durable. */
  takeBack(path: string): Promise<void>;
  /** What reads it at the path where it has been published, until it is closed; before `remove`. */
  reader(path: string): Promise<ContentReader>;
  /** Closes its handles. */
  close(): void;
  /** Deletes what is left of it in the private folder. */
  remove(): Promise<void>;
}

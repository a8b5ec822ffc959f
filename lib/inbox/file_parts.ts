import { fileAt, type TreeFile } from "../pieces/tree_table.ts";

/** A part of a file that some bytes of the transfer are. */
export interface FilePart {
  file: TreeFile;
  /** Bytes of the file before the part. */
  start: number;
  /** Bytes of the file up to the end of the part. */
  end: number;
}

/**
 * The parts of files from a byte of the transfer on.
 *
 * @throws {Deno.errors.UnexpectedEof} when none of the files has that byte.
 */
export function* partsIn(files: readonly TreeFile[], offset: number): Generator<FilePart> {
  const first = fileAt(files, offset);
  if (first === files.length) throw new Deno.errors.UnexpectedEof("the tree ends before");
  for (let i = first; i < files.length; i++) {
    const file = files[i] as TreeFile;
    const start = Math.max(0, offset - file.offset);
    if (file.size > 0) yield { file, start, end: file.size };
  }
}

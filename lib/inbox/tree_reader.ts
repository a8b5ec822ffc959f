import { openFile } from "../disk/descriptors.ts";
import { readExactly } from "../disk/file_bytes.ts";
import type { TreePlan } from "../pieces/tree_plan.ts";
import { partsIn } from "./file_parts.ts";

/** Where a {@linkcode TreeReader} finds a folder. */
export interface TreePlace {
  /** Path of the folder. */
  root: string;
  /** Path of its table. */
  table: string;
  /** Bytes of the table. */
  head: number;
  plan: TreePlan;
}

/** Reads the bytes of a transfer back from the folder that they have become: its table, then the files. */
export class TreeReader {
  readonly #place: TreePlace;

  constructor(place: TreePlace) {
    this.#place = place;
  }

  /**
   * Fills `into` with the bytes of the transfer from `offset` on.
   *
   * @throws {Deno.errors.UnexpectedEof} when they are not there.
   */
  async read(offset: number, into: Uint8Array): Promise<void> {
    const { root, table, head: headBytes, plan } = this.#place;
    const head = into.subarray(0, Math.max(0, headBytes - offset));
    if (head.length > 0) await readFrom(table, offset, head);
    for (let at = head.length; at < into.length;) {
      for (const { file, start, end } of partsIn(await plan.filesAt(offset + at), offset + at)) {
        const part = into.subarray(at, at + end - start);
        at += part.length;
        await readFrom(`${root}/${file.path}`, start, part);
        if (at === into.length) break;
      }
    }
  }
}

async function readFrom(path: string, offset: number, into: Uint8Array): Promise<void> {
  using file = await openFile(path, { read: true });
  await readExactly(file, offset, into);
}

/**
 * What is in the inbox, looked at again: its bytes, and what the disk says of it.
 *
 * @module
 */

import { isYoung, stateOf } from "../disk/file_age.ts";
import type { NameRules } from "../disk/name_rules.ts";
import { ignoreMissing } from "../disk/folder.ts";
import { openRegular } from "../disk/open_regular.ts";
import { visitTree } from "../disk/tree_walk.ts";
import { Sha256 } from "../pieces/hash.ts";
import { Manifest } from "../pieces/manifest.ts";
import { type PlanBlock, TreePlan } from "../pieces/tree_plan.ts";
import { independentFromOf } from "../pieces/scheme.ts";
import { Verification } from "../pieces/verification.ts";

/** What a content is proven by. */
export interface ContentProof {
  /** The id of its manifest, base64url. */
  manifest: string;
  /** Bytes. */
  size: number;
  /** Bytes. */
  pieceSize: number;
  /** How its pieces were proven, by name: see {@linkcode proofName}. */
  proof: string;
}

/** What the disk says of a file or folder. */
export interface DiskState {
  /** Another one whenever something has changed that the disk tells of. */
  text: string;
  /** Whether a change could leave it as it is; see {@linkcode isYoung}. */
  isYoung: boolean;
}

const encoder = new TextEncoder();

/**
 * What the disk says of what is at a path, of a folder with all that is in it.
 *
 * @param now milliseconds since 1970, taken before the call.
 */
export async function diskState(path: string, now: number): Promise<DiskState> {
  const top = await Deno.lstat(path);
  if (!top.isDirectory) return { text: stateOf(top).join(" "), isYoung: isYoung(top, now) };
  const hash = new Sha256();
  let hasYoung = isYoung(top, now);
  const { skipped, failed } = await visitTree(path, {
    onEntry: (path, info) => {
      hash.update(encoder.encode(`${JSON.stringify([path, info.mode, ...stateOf(info)])}\n`));
      // Another disk below this one may say less of its files.
      hasYoung ||= isYoung(info, now) || info.dev !== top.dev;
    },
  });
  hash.update(encoder.encode(JSON.stringify([skipped, failed.map(({ message }) => message)])));
  return { text: hash.digest(), isYoung: hasYoung };
}

/** Whether a regular file has the very bytes. */
export async function fileHas(path: string, proof: ContentProof): Promise<boolean> {
  const { isFile, size } = await Deno.lstat(path);
  if (!isFile || size !== proof.size) return false;
  const prover = new Prover(proof, null);
  await prover.addFile(path, size);
  return prover.isRight;
}

/**
 * Whether a folder has what a table lists, each file with its very bytes, and nothing else.
 *
 * @param table its path.
 * @param rules those that made the names in the table the ones in the folder.
 */
export async function treeHas(
  path: string,
  proof: ContentProof,
  { table, rules }: { table: string; rules: NameRules },
): Promise<boolean> {
  const { size: head } = await Deno.lstat(table);
  const rewritten = `${table}.${crypto.randomUUID()}`;
  try {
    const plan = await TreePlan.make({ table, head, rewritten, ...rules });
    // The disk may show the names in another case or form, so that they are counted and not compared.
    let count = 0;
    const { skipped, failed } = await visitTree(path, { onEntry: () => void count++ });
    if (skipped.length + failed.length > 0 || count !== plan.folders + plan.count) return false;
    const prover = new Prover(proof, head);
    await prover.addFile(table, head);
    for (let index = 0; index < plan.blocks; index++) {
      if (!await hasBlock(path, await plan.block(index), prover)) return false;
    }
    return prover.isRight;
  } finally {
    await Deno.remove(rewritten).catch(ignoreMissing);
  }
}

/** Whether a folder has what is in a part of the table; the bytes go to the prover. */
async function hasBlock(
  path: string,
  { folders, files }: PlanBlock,
  prover: Prover,
): Promise<boolean> {
  for (const folder of folders) {
    if (!(await Deno.lstat(`${path}/${folder.path}`)).isDirectory) return false;
  }
  for (const file of files) {
    const { isFile, size } = await Deno.lstat(`${path}/${file.path}`);
    if (!isFile || size !== file.size) return false;
    await prover.addFile(`${path}/${file.path}`, size);
  }
  return true;
}

/** Hashes bytes that come one after another as the sender of a content did. */
class Prover {
  readonly #proof: ContentProof;
  readonly #manifest: Manifest;
  readonly #verification: Verification;
  readonly #piece: Uint8Array<ArrayBuffer>;
  #filled = 0;

  constructor(proof: ContentProof, table: number | null) {
    // What another version proved in a way of its own has another id.
    const independentFrom = independentFromOf(proof.proof) ?? Infinity;
    this.#proof = proof;
    this.#manifest = new Manifest(proof.pieceSize, { table, scheme: "prefix", independentFrom });
    this.#verification = new Verification(this.#manifest, { hasDigest: false });
    this.#piece = new Uint8Array(Math.min(proof.pieceSize, proof.size));
  }

  /** Whether all that was added is the content. */
  get isRight(): boolean {
    this.#prove();
    const { size, manifest, pieceSize } = this.#proof;
    if (this.#manifest.count !== Math.ceil(size / pieceSize)) return false;
    this.#manifest.finish({ size, sha256: null });
    return this.#manifest.id === manifest;
  }

  /** Adds the bytes of a file, as many as it had; fewer make the content a wrong one. */
  async addFile(path: string, size: number): Promise<void> {
    using file = await openRegular(path);
    for (let left = size; left > 0;) {
      const room = Math.min(left, this.#piece.length - this.#filled);
      const n = await file.read(this.#piece.subarray(this.#filled, this.#filled + room));
      if (n === null) return;
      left -= n;
      this.#fill(n);
    }
  }

  #fill(bytes: number): void {
    this.#filled += bytes;
    if (this.#filled === this.#piece.length) this.#prove();
  }

  #prove(): void {
    if (this.#filled === 0) return;
    const hash = this.#verification.prove(this.#piece.subarray(0, this.#filled));
    this.#manifest.add(this.#manifest.count, hash);
    this.#filled = 0;
  }
}

/**
 * One file, at the least: pieces of 1 MiB, each hashed at both ends; reading, hashing and writing overlap.
 *
 * @module
 */

import { createHash } from "node:crypto";
import { readFull, writeAll } from "./baseline_bytes.ts";

const PIECE = 1024 * 1024;
/** Deno copies what a file is given to write; small copies need no fresh memory of the kernel's each. */
const FILE_WRITE = 256 * 1024;

type Read = (into: Uint8Array) => Promise<number | null>;
type Write = (bytes: Uint8Array) => Promise<number>;

/** Receives, and resolves when the file is on disk. */
export async function receiveFile(
  conn: Deno.Conn,
  path: string,
  hashFile: boolean,
): Promise<void> {
  using file = await Deno.open(path, { write: true, createNew: true });
  const write: Write = (bytes) => file.write(bytes.subarray(0, FILE_WRITE));
  await move((into) => conn.read(into), write, hashFile);
  await file.sync();
}

/** Sends; the end of the file is the end of the connection. */
export async function sendFile(conn: Deno.Conn, path: string, hashFile: boolean): Promise<void> {
  using file = await Deno.open(path);
  await move((into) => file.read(into), (bytes) => conn.write(bytes), hashFile);
}

async function move(read: Read, write: Write, hashFile: boolean): Promise<void> {
  const buffers = [new Uint8Array(PIECE), new Uint8Array(PIECE)] as const;
  const whole = createHash("sha256");
  let writing: Promise<void> = Promise.resolve();
  for (let turn = 0;; turn++) {
    const buffer = buffers[turn % 2 === 0 ? 0 : 1];
    const piece = await readFull(read, buffer);
    createHash("sha256").update(piece).digest();
    if (hashFile) whole.update(piece);
    await writing;
    writing = writeAll(write, piece);
    if (piece.length < PIECE) break;
  }
  await writing;
  whole.digest();
}

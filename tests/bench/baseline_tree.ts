/**
 * Many small files, at the least: one after another on one connection, each as the lengths of its path and
 * its content, its path, its SHA-256 and its content. The receiver checks, writes and syncs each, several at
 * a time, and the folders at the end.
 *
 * @module
 */

import { createHash } from "node:crypto";
import { dirname, join, relative } from "@std/path";
import { writeAll } from "./baseline_bytes.ts";

/** Bytes of the two lengths and the hash. */
const HEAD = 2 + 4 + 32;
/** What leaves in one write. */
const BATCH = 256 * 1024;
/** Files that are read, or written and synced, at a time. */
const PARALLEL = 32;

/** Sends every file below `root`; the end of the connection is the end of the tree. */
export async function sendTree(conn: Deno.Conn, root: string): Promise<void> {
  let batch: Uint8Array[] = [];
  let size = 0;
  const flush = async () => {
    await writeAll((bytes) => conn.write(bytes), concat(batch, size));
    [batch, size] = [[], 0];
  };
  let group: string[] = [];
  const read = async () => {
    for (const record of await Promise.all(group.map((path) => recordOf(root, path)))) {
      batch.push(record);
      size += record.length;
    }
    group = [];
    if (size >= BATCH) await flush();
  };
  for await (const path of filesBelow(root)) {
    if (group.push(path) === PARALLEL) await read();
  }
  await read();
  await flush();
}

/** Receives a tree to the new folder `root`, and resolves when it is on disk. */
export async function receiveTree(conn: Deno.Conn, root: string): Promise<void> {
  const source = new Buffered(conn);
  const folders = new Set<string>([root]);
  const writing = new Set<Promise<void>>();
  await Deno.mkdir(root);
  for (let head = await source.take(HEAD); head.length > 0; head = await source.take(HEAD)) {
    const view = new DataView(head.buffer, head.byteOffset);
    const [pathLength, size, hash] = [view.getUint16(0), view.getUint32(2), head.slice(6)];
    const path = join(root, new TextDecoder().decode(await source.take(pathLength)));
    const content = (await source.take(size)).slice();
    if (!createHash("sha256").update(content).digest().equals(hash)) throw new Error("wrong hash");
    const folder = dirname(path);
    if (!folders.has(folder)) await Deno.mkdir(folder, { recursive: true });
    folders.add(folder);
    const write: Promise<void> = writeSynced(path, content).finally(() => writing.delete(write));
    writing.add(write);
    if (writing.size >= PARALLEL) await Promise.race(writing);
  }
  await Promise.all(writing);
  for (const folder of folders) {
    using handle = await Deno.open(folder);
    await handle.sync();
  }
}

async function writeSynced(path: string, content: Uint8Array): Promise<void> {
  using file = await Deno.open(path, { write: true, createNew: true });
  await writeAll((bytes) => file.write(bytes), content);
  await file.sync();
}

async function recordOf(root: string, path: string): Promise<Uint8Array> {
  const [name, content] = [
    new TextEncoder().encode(relative(root, path)),
    await Deno.readFile(path),
  ];
  const head = new Uint8Array(HEAD);
  const view = new DataView(head.buffer);
  view.setUint16(0, name.length);
  view.setUint32(2, content.length);
  head.set(createHash("sha256").update(content).digest(), 6);
  return concat([head, name, content], HEAD + name.length + content.length);
}

async function* filesBelow(folder: string): AsyncGenerator<string> {
  for await (const { name, isDirectory } of Deno.readDir(folder)) {
    if (isDirectory) yield* filesBelow(join(folder, name));
    else yield join(folder, name);
  }
}

function concat(parts: readonly Uint8Array[], size: number): Uint8Array {
  const bytes = new Uint8Array(size);
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}

/** Takes blocks of known length from a connection that is read in large chunks. */
class Buffered {
  readonly #conn: Deno.Conn;
  #buffer = new Uint8Array(BATCH);
  #start = 0;
  #end = 0;

  constructor(conn: Deno.Conn) {
    this.#conn = conn;
  }

  /** The next `length` bytes, valid until the next call; empty at the end. */
  async take(length: number): Promise<Uint8Array> {
    while (this.#end - this.#start < length) {
      if (this.#buffer.length - this.#start < Math.max(length, BATCH / 2)) this.#move(length);
      const read = await this.#conn.read(this.#buffer.subarray(this.#end));
      if (read === null) {
        if (this.#end > this.#start) throw new Error("the tree ends in a file");
        return new Uint8Array();
      }
      this.#end += read;
    }
    this.#start += length;
    return this.#buffer.subarray(this.#start - length, this.#start);
  }

  #move(length: number): void {
    const left = this.#buffer.subarray(this.#start, this.#end);
    const buffer = new Uint8Array(Math.max(BATCH, length));
    buffer.set(left);
    [this.#buffer, this.#start, this.#end] = [buffer, 0, left.length];
  }
}

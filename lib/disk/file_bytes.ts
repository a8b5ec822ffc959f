import { openFile } from "./descriptors.ts";

/** Bytes that are copied at a time. */
const COPIED = 128 * 1024;

/**
 * Writes a file that only its owner may read, over what is there, or behind it with `append`. `Deno.writeFile` with a
 * mode would set that once more, which not every disk lets it.
 */
export async function writeOwn(
  path: string,
  content: Uint8Array | string,
  { append = false }: { append?: boolean } = {},
): Promise<void> {
  using file = await openFile(path, {
    write: true,
    create: true,
    mode: 0o600,
    ...(append ? { append } : { truncate: true }),
  });
  await writeAll(file, content);
}

/**
 * Fills `into` from a place of an open file.
 *
 * @param offset bytes from the start of the file.
 * @throws {Deno.errors.UnexpectedEof} when the file ends before.
 */
export async function readExactly(
  file: Deno.FsFile,
  offset: number,
  into: Uint8Array,
): Promise<void> {
  await file.seek(offset, Deno.SeekMode.Start);
  for (let filled = 0; filled < into.length;) {
    const n = await file.read(into.subarray(filled));
    if (n === null) throw new Deno.errors.UnexpectedEof("the file is shorter than it was");
    filled += n;
  }
}

/** Writes all of it, in as many writes as that takes; a text in UTF-8. */
export async function writeAll(file: Deno.FsFile, content: Uint8Array | string): Promise<void> {
  let left = typeof content === "string" ? new TextEncoder().encode(content) : content;
  while (left.length > 0) left = left.subarray(await file.write(left));
}

/**
 * Writes the first bytes of another file, where the file stands. `Deno.copyFile` copies the mode as well, which not every
 * disk lets it.
 */
export async function copyStart(
  file: Deno.FsFile,
  { from, bytes }: { from: Deno.FsFile; bytes: number },
): Promise<void> {
  const buffer = new Uint8Array(Math.min(COPIED, bytes));
  for (let at = 0; at < bytes; at += buffer.length) {
    const part = buffer.subarray(0, bytes - at);
    await readExactly(from, at, part);
    await writeAll(file, part);
  }
}

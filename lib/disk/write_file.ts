import { openFile } from "./descriptors.ts";

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

/** Writes all of it, in as many writes as that takes; a text in UTF-8. */
export async function writeAll(file: Deno.FsFile, content: Uint8Array | string): Promise<void> {
  let left = typeof content === "string" ? new TextEncoder().encode(content) : content;
  while (left.length > 0) left = left.subarray(await file.write(left));
}

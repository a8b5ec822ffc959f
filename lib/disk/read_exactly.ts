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

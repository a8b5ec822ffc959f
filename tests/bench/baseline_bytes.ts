/**
 * Whole reads and whole writes.
 *
 * @module
 */

/** Fills `into`, or what there is until the end; the filled part. */
export async function readFull(
  read: (into: Uint8Array) => Promise<number | null>,
  into: Uint8Array,
): Promise<Uint8Array> {
  let filled = 0;
  while (filled < into.length) {
    const n = await read(into.subarray(filled));
    if (n === null) break;
    filled += n;
  }
  return into.subarray(0, filled);
}

/** Writes all of `bytes`. */
export async function writeAll(
  write: (bytes: Uint8Array) => Promise<number>,
  bytes: Uint8Array,
): Promise<void> {
  for (let at = 0; at < bytes.length;) at += await write(bytes.subarray(at));
}

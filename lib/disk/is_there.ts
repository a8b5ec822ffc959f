/** Whether something is at a path, also a link that leads nowhere; false where that cannot be told. */
export async function isThere(path: string): Promise<boolean> {
  return await Deno.lstat(path).then(() => true, () => false);
}

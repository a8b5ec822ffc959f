/** Mounts a small disk; null, with the reason printed, where that is not allowed. */
export async function mountTmpfs(path: string, mib: number): Promise<AsyncDisposable | null> {
  await Deno.mkdir(path, { recursive: true });
  const args = ["-t", "tmpfs", "-o", `size=${mib}m`, "none", path];
  const mounted = await new Deno.Command("mount", { args }).output().then(
    ({ success }) => success,
    () => false,
  );
  if (!mounted) {
    // deno-lint-ignore no-console
    console.log(`not tested: this user may not mount a tmpfs`);
    return null;
  }
  return {
    async [Symbol.asyncDispose]() {
      await new Deno.Command("umount", { args: ["-l", path] }).output();
    },
  };
}

import { join } from "@std/path";

const MIB = 1024 * 1024;

/** A small disk. */
export class Tmpfs implements AsyncDisposable {
  readonly path: string;

  private constructor(path: string) {
    this.path = path;
  }

  /** @param inodes files and folders that it has room for; by default many. */
  static async mount(path: string, mib: number, inodes = 0): Promise<Tmpfs> {
    await Deno.mkdir(path, { recursive: true });
    const args = ["-t", "tmpfs", "-o", `size=${mib}m,nr_inodes=${inodes}`, "none", path];
    const { success } = await new Deno.Command("mount", { args }).output();
    if (!success) throw new Error(`cannot mount ${path}`);
    return new Tmpfs(path);
  }

  /** Leaves no byte free. */
  async fill(): Promise<void> {
    const zeros = new Uint8Array(MIB);
    using file = await Deno.open(join(this.path, "filler"), { write: true, create: true });
    try {
      while (true) await file.write(zeros);
    } catch {
      // It is full.
    }
  }

  async empty(): Promise<void> {
    await Deno.remove(join(this.path, "filler"));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // Lazily: the peer that uses it ends later.
    await new Deno.Command("umount", { args: ["-l", this.path] }).output();
  }
}

/** Why there can be no {@linkcode Tmpfs} here. */
export async function whyNoTmpfs(): Promise<string | undefined> {
  const needs = ["run", "read", "write"] as const;
  if (needs.some((name) => Deno.permissions.querySync({ name }).state !== "granted")) {
    return undefined;
  }
  const path = await Deno.makeTempDir({ prefix: "p2p-mount-" });
  try {
    await using _ = await Tmpfs.mount(path, 1);
    return undefined;
  } catch {
    return "may not mount a tmpfs";
  } finally {
    await Deno.remove(path);
  }
}

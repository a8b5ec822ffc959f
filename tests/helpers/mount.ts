import { fromFileUrl, join } from "@std/path";

/** A file system that a test mounts for itself. */
export class Mount implements AsyncDisposable {
  readonly path: string;

  private constructor(path: string) {
    this.path = path;
  }

  /** Memory as a disk that says nothing of its size: `statfs` gives 0 everywhere. */
  static async ramfs(path: string): Promise<Mount> {
    await Deno.mkdir(path);
    await command("mount", "-t", "ramfs", "none", path);
    return new Mount(path);
  }

  /** A disk with room on which what is in {@linkcode path} may take `mib` MiB only: EDQUOT comes then. */
  static async withQuota(folder: string, mib: number): Promise<Mount> {
    const image = join(folder, "quota.img");
    const path = join(folder, "quota");
    await Deno.mkdir(path);
    {
      using file = await Deno.open(image, { write: true, createNew: true });
      await file.truncate(512 * 1024 * 1024);
    }
    await command("mkfs.btrfs", "-q", image);
    await command("mount", "-o", "loop", image, path);
    const mount = new Mount(path);
    try {
      await command("btrfs", "quota", "enable", path);
      await command("btrfs", "qgroup", "limit", `${mib}M`, path);
      return mount;
    } catch (error) {
      await mount[Symbol.asyncDispose]();
      throw error;
    }
  }

  /**
   * A folder as an odd disk shows it: where a name has an inode of its own, and with the oddities that `odd_disk.py`
   * lists. What was there on an earlier mount is there again.
   */
  static async odd(path: string, ...oddities: string[]): Promise<Mount> {
    const folder = `${path}.real`;
    await Deno.mkdir(path, { recursive: true });
    await Deno.mkdir(folder, { recursive: true });
    const script = fromFileUrl(new URL("odd_disk.py", import.meta.url));
    await command("/usr/bin/python3", script, folder, path, ...oddities);
    return new Mount(path);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await command("umount", "-l", this.path);
  }
}

/** Why a test cannot have such a file system here. */
export async function whyNoMount(
  mount: (folder: string) => Promise<Mount>,
): Promise<string | undefined> {
  const needs = ["run", "read", "write"] as const;
  if (needs.some((name) => Deno.permissions.querySync({ name }).state !== "granted")) {
    return undefined;
  }
  const folder = await Deno.makeTempDir({ prefix: "p2p-mount-" });
  try {
    await using _ = await mount(folder);
    return undefined;
  } catch (error) {
    return `cannot mount: ${(error as Error).message.trim().split("\n")[0]}`;
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

async function command(name: string, ...args: string[]): Promise<void> {
  const { success, stderr } = await new Deno.Command(name, { args }).output();
  if (!success) throw new Error(`${name}: ${new TextDecoder().decode(stderr)}`);
}

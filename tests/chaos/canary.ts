import { join } from "@std/path";

/** What nobody may touch: a tree of files beside those that the programs own. */
export class Canary {
  readonly #root: string;
  readonly #owned: readonly string[];
  #before = "";

  private constructor(root: string, owned: readonly string[]) {
    this.#root = root;
    this.#owned = owned;
  }

  /** Plants some files in `root` and remembers all that is below it but for the `owned` folders. */
  static async plant(root: string, owned: readonly string[]): Promise<Canary> {
    for (const folder of ["canary", "canary/etc"]) {
      await Deno.mkdir(join(root, folder), { recursive: true });
      await Deno.writeTextFile(join(root, folder, "passwd"), "root:x:0:0");
    }
    const canary = new Canary(root, owned);
    canary.#before = await canary.#snapshot();
    return canary;
  }

  /** What has changed since, in words; null when nothing has. */
  async changes(): Promise<string | null> {
    const now = await this.#snapshot();
    return now === this.#before ? null : `before:\n${this.#before}\nnow:\n${now}`;
  }

  async #snapshot(): Promise<string> {
    const lines: string[] = [];
    const list = async (folder: string) => {
      for await (const { name, isDirectory } of Deno.readDir(folder)) {
        const path = join(folder, name);
        if (this.#owned.includes(path)) continue;
        const { mode, size, mtime } = await Deno.lstat(path);
        lines.push(`${path} ${mode} ${isDirectory ? "" : `${size} ${mtime?.getTime()}`}`);
        if (isDirectory) await list(path);
      }
    };
    await list(this.#root);
    return lines.sort().join("\n");
  }
}

import { join } from "@std/path";

/** Sets the file system to "shut down" without writing its journal out (EXT4_IOC_SHUTDOWN) on a line of input. */
const SWITCH = `
import fcntl, os, struct, sys
folder = os.open(sys.argv[1], os.O_RDONLY)
print("ready", flush=True)
sys.stdin.readline()
EXT4_IOC_SHUTDOWN, NO_LOG_FLUSH = 0x8004587D, 2
fcntl.ioctl(folder, EXT4_IOC_SHUTDOWN, struct.pack("I", NO_LOG_FLUSH))
`;

/**
 * Nothing gets to the disk by itself while a run lasts: the journal is committed when somebody syncs (and
 * every five minutes), and no heuristic allocates blocks for who does not.
 */
const MOUNT_OPTIONS = "loop,commit=300,noauto_da_alloc";

/**
 * An ext4 file system in a file, whose power can be cut: what was not synced by then is gone. What a disk
 * itself may lose (a cache that is not flushed) is not part of it.
 */
export class Ext4Image implements AsyncDisposable {
  /** Where it is mounted. */
  readonly path: string;
  readonly #image: string;
  #switch: PowerSwitch | undefined;

  private constructor(path: string, image: string) {
    this.path = path;
    this.#image = image;
  }

  /** Makes one of `size` bytes, none of which are used yet, and mounts it below `folder`. */
  static async create(folder: string, size: number): Promise<Ext4Image> {
    const [path, image] = [join(folder, "disk"), join(folder, "disk.ext4")];
    await Deno.mkdir(path);
    using file = await Deno.open(image, { write: true, createNew: true });
    await file.truncate(size);
    await command("mkfs.ext4", "-q", "-F", image);
    const disk = new Ext4Image(path, image);
    await disk.mount();
    return disk;
  }

  /** Mounts it; after a cut the journal is replayed, as after a start of the machine. */
  async mount(): Promise<void> {
    await command("mount", "-o", MOUNT_OPTIONS, this.#image, this.path);
    this.#switch = await PowerSwitch.on(this.path);
  }

  /** Drops what is not synced, at once; nothing can be read or written any more. */
  async cut(): Promise<void> {
    await this.#switch?.cut();
  }

  /** Unmounts it; nobody may use it any longer. */
  async unmount(): Promise<void> {
    await this.#switch?.[Symbol.asyncDispose]();
    this.#switch = undefined;
    await command("umount", this.path);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#switch) await this.unmount();
  }
}

/** A process that waits to cut the power: starting one at that moment would take too long. */
class PowerSwitch implements AsyncDisposable {
  readonly #child: Deno.ChildProcess;
  readonly #input: WritableStreamDefaultWriter<Uint8Array>;
  readonly #output: ReadableStreamDefaultReader<Uint8Array>;

  private constructor(child: Deno.ChildProcess) {
    this.#child = child;
    this.#input = child.stdin.getWriter();
    this.#output = child.stdout.getReader();
  }

  static async on(path: string): Promise<PowerSwitch> {
    const child = new Deno.Command("/usr/bin/python3", {
      args: ["-c", SWITCH, path],
      stdin: "piped",
      stdout: "piped",
    }).spawn();
    const powerSwitch = new PowerSwitch(child);
    await powerSwitch.#output.read();
    return powerSwitch;
  }

  async cut(): Promise<void> {
    await this.#input.write(new TextEncoder().encode("\n"));
    const { code } = await this.#child.status;
    if (code !== 0) throw new Error("Cannot cut the power: the kernel refuses EXT4_IOC_SHUTDOWN");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      this.#child.kill("SIGKILL");
    } catch {
      // It has done its work.
    }
    await this.#child.status;
    await this.#input.abort().catch(() => {});
    await this.#output.cancel();
  }
}

/** Why there can be no {@linkcode Ext4Image} here; null when there can. */
export async function whyNoImage(): Promise<string | null> {
  if (Deno.build.os !== "linux") return "only Linux has ext4";
  if (Deno.uid() !== 0) return "only root may mount";
  const own = await Deno.makeTempDir({ prefix: "p2p-mount-" });
  try {
    await using disk = await Ext4Image.create(own, 16 * 1024 * 1024);
    await disk.cut();
    return null;
  } catch (error) {
    return error instanceof Error ? error.message : `${error}`;
  } finally {
    await Deno.remove(own, { recursive: true });
  }
}

async function command(name: string, ...args: string[]): Promise<void> {
  const { success, stderr } = await new Deno.Command(name, { args }).output();
  if (!success) throw new Error(`${name} fails: ${new TextDecoder().decode(stderr).trim()}`);
}

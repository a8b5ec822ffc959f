import { P2PError } from "../errors.ts";
import type { Content } from "./content.ts";
import type { AgeOptions } from "../disk/file_age.ts";
import { diskError } from "../disk/disk_error.ts";
import { FileContent } from "./file_content.ts";
import { onDemand } from "../on_demand.ts";
import type { TreeOptions } from "./tree_content.ts";

/** How a path is opened. */
export type OpenOptions = TreeOptions & AgeOptions;

/**
 * Opens what is at a path: a file, or a folder with all that is in it.
 *
 * @throws {P2PError} `file-not-found` or `disk`, naming the path.
 */
export async function openContent(
  path: string,
  options: OpenOptions = {},
): Promise<Content> {
  if (path === "") throw new P2PError("usage", "Cannot send '': it is no path");
  try {
    const { isDirectory, isFile } = await Deno.stat(path);
    if (isDirectory) {
      const { TreeContent } = await onDemand<typeof import("./tree_content.ts")>(
        "./tree_content.ts",
        import.meta.url,
      );
      return await TreeContent.open(path, options);
    }
    if (isFile) return await FileContent.open(path, options);
  } catch (thrown) {
    const error = diskError("read", path, thrown);
    if (error.code === "file-not-found" && path.includes("\ufffd")) throw notText(path);
    throw error.cause instanceof Deno.errors.NotCapable ? closedToDeno(path) : error;
  }
  throw new P2PError(
    "disk",
    `Cannot send ${path}: it is no regular file and no folder; ${wayToPipe(path)}`,
  );
}

/** How what a path gives is sent through standard input. */
function wayToPipe(path: string): string {
  const way = "peer send - --name NAME";
  if (/\/fd\/0$|^\/dev\/stdin$/.test(path)) return `\`${way}\` sends what it gives`;
  // What a shell puts in the place of <(COMMAND): there is no such path for whoever reads this.
  if (/\/fd\/\d+$/.test(path)) return `\`COMMAND | ${way}\` sends what a command prints`;
  return `\`${way} < ${path}\` sends what it gives`;
}

/** A path that the command line had to give another text than it has: nothing that Deno calls takes other bytes. */
function notText(path: string): P2PError {
  const remedy = "rename it, or send the folder around it, which leaves out no more than that";
  return new P2PError(
    "file-not-found",
    `Cannot send ${path}: there is no such file, or its name is not UTF-8; ${remedy}`,
  );
}

/** A path below /dev, /proc or /sys: Deno opens those for a program that may do everything, and for no other. */
function closedToDeno(path: string): P2PError {
  return new P2PError(
    "disk",
    `Cannot send ${path}: it is below /dev, /proc or /sys, which this program may not open; ` +
      wayToPipe(path),
  );
}

import { P2PError } from "../errors.ts";
import type { Content } from "./content.ts";
import type { AgeOptions } from "../disk/file_age.ts";
import { diskError } from "../disk/disk_error.ts";
import { FileContent } from "./file_content.ts";
import { TreeContent, type TreeOptions } from "./tree_content.ts";

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
    if (isDirectory) return await TreeContent.open(path, options);
    if (isFile) return await FileContent.open(path, options);
  } catch (thrown) {
    const error = diskError("read", path, thrown);
    throw error.cause instanceof Deno.errors.NotCapable ? closedToDeno(path) : error;
  }
  throw new P2PError(
    "disk",
    `Cannot send ${path}: it is no regular file and no folder; ` +
      `\`peer send - --name NAME < ${path}\` sends what it gives`,
  );
}

/** A path below /dev, /proc or /sys: Deno opens those for a program that may do everything, and for no other. */
function closedToDeno(path: string): P2PError {
  const remedy = /\/fd\/\d+$/.test(path)
    ? "`COMMAND | peer send - --name NAME` sends what a command prints"
    : `\`peer send - --name NAME < ${path}\` sends a file`;
  return new P2PError(
    "disk",
    `Cannot send ${path}: it is below /dev, /proc or /sys, which this program may not open; ${remedy}`,
  );
}

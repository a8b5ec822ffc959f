import { P2PError } from "../errors.ts";
import type { Content } from "./content.ts";
import type { AgeOptions } from "../disk/file_age.ts";
import { diskError } from "../disk/disk_error.ts";
import { FileContent } from "./file_content.ts";
import { TreeContent } from "./tree_content.ts";

/**
 * Opens what is at a path: a file, or a folder with all that is in it.
 *
 * @throws {P2PError} `file-not-found` or `disk`, naming the path.
 */
export async function openContent(
  path: string,
  options: { follow?: boolean } & AgeOptions = {},
): Promise<Content> {
  if (path === "") throw new P2PError("usage", "Cannot send '': it is no path");
  let info: Deno.FileInfo;
  try {
    info = await Deno.stat(path);
  } catch (error) {
    throw diskError("read", path, error);
  }
  return info.isDirectory
    ? await TreeContent.open(path, options)
    : await FileContent.open(path, options);
}

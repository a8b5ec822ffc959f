import { join } from "node:path";
import { P2PError } from "../errors.ts";
import { diskError } from "./disk_error.ts";
import { Yielder } from "../async/yielder.ts";

/** Entries that are looked at before something else gets its turn. */
const TURN = 64;

/** How a folder is gone through. */
export interface VisitOptions {
  /** Whether links are taken for what they point to. */
  follow?: boolean;
  /** Called with the relative path of each file and folder: folders before what is in them, by their names. */
  onEntry(path: string, info: Deno.FileInfo): void;
}

/**
 * Goes through all that is below a folder. Links are skipped, or with `follow` taken for what they point
 * to; one that leads back to a folder above itself is skipped all the same.
 *
 * @returns relative paths of what is no file and no folder: links that are not followed, sockets, devices.
 * @throws {P2PError} `disk` or `file-not-found`, naming the path.
 */
export async function visitTree(
  root: string,
  { follow = false, onEntry }: VisitOptions,
): Promise<string[]> {
  const skipped: string[] = [];
  const above = new Set<string>([await realPath(root)]);
  const turns = new Yielder(TURN);

  const visit = async (relative: string): Promise<void> => {
    const folder = join(root, relative, "/");
    for (const { name, isSymlink } of list(folder)) {
      const turn = turns.step();
      if (turn) await turn;
      const path = relative === "" ? name : `${relative}/${name}`;
      expectUtf8(path);
      const info = statOf(`${folder}${name}`, isSymlink, follow);
      if (info?.isFile) onEntry(path, info);
      else if (info?.isDirectory) await enter(path, info, isSymlink);
      else skipped.push(path);
    }
  };

  const enter = async (path: string, info: Deno.FileInfo, isLink: boolean): Promise<void> => {
    if (!follow) {
      onEntry(path, info);
      return await visit(path);
    }
    const real = await realPath(join(root, path));
    if (isLink && [...above].some((folder) => isWithin(folder, real))) {
      skipped.push(path);
      return;
    }
    onEntry(path, info);
    above.add(real);
    await visit(path);
    above.delete(real);
  };

  await visit("");
  return skipped;
}

/** The entries of a folder by their names; synchronous, as an iteration over promises takes five times as long. */
function list(folder: string): Deno.DirEntry[] {
  try {
    return [...Deno.readDirSync(folder)].sort((a, b) => a.name < b.name ? -1 : 1);
  } catch (error) {
    throw diskError("read", folder, error);
  }
}

/** The information of a path; null for a link that is not followed, or leads nowhere. */
function statOf(path: string, isLink: boolean, follow: boolean): Deno.FileInfo | null {
  if (isLink && !follow) return null;
  try {
    // A round through the event loop costs more than the call, and there may be a hundred thousand files.
    return Deno.statSync(path);
  } catch (error) {
    if (isLink && error instanceof Deno.errors.NotFound) return null;
    if (isLink && error instanceof Deno.errors.FilesystemLoop) return null;
    throw diskError("read", path, error);
  }
}

/** Whether a folder is another one or below it. */
function isWithin(folder: string, other: string): boolean {
  return join(folder, "/").startsWith(join(other, "/"));
}

async function realPath(path: string): Promise<string> {
  try {
    return await Deno.realPath(path);
  } catch (error) {
    throw diskError("read", path, error);
  }
}

/** Throws for a name that is not UTF-8: Deno shows another in its place, under which there is nothing. */
function expectUtf8(path: string): void {
  if (path.toWellFormed() === path && !path.includes("\ufffd")) return;
  throw new P2PError("disk", `Cannot send ${path}: its name is not UTF-8; rename it`);
}

import { join } from "node:path";
import { randomToken } from "../async/random.ts";
import { loadOrCreatePrivate } from "../disk/private_file.ts";

/** What opens the pages of a program to other machines: kept in its state folder, so that it is the same after a restart. */
export async function tokenIn(folder: string): Promise<string> {
  const make = () => `${randomToken(16)}\n`;
  return (await loadOrCreatePrivate(join(folder, "http.token"), make)).trim();
}

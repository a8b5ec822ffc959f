import { ExitCode } from "../errors.ts";
import { loadBarred } from "./barred_file.ts";
import type { CommandContext } from "./program.ts";
import { folderOf } from "./tracker_setup.ts";

/** `tracker removed`: who was removed from the network. Needs no running tracker. */
export async function removed({ command, env, emit }: CommandContext): Promise<ExitCode> {
  const barred = await loadBarred(folderOf(command, env));
  for (const one of barred) emit({ event: "barred", ...one });
  if (barred.length === 0) emit({ event: "notice", message: "Nobody has been removed" });
  return ExitCode.done;
}

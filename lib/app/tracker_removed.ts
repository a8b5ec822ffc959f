import { ExitCode } from "../errors.ts";
import { readBarred } from "../tracker/store/sqlite_store.ts";
import type { CommandContext } from "./program.ts";
import { folderOf } from "./tracker_setup.ts";
import { registryPath } from "./tracker_state.ts";

/** `tracker removed`: who was removed from the network. Needs no running tracker. */
export function removed({ command, env, emit }: CommandContext): Promise<ExitCode> {
  const barred = readBarred(registryPath(folderOf(command, env)));
  for (const one of barred) emit({ event: "barred", ...one });
  if (barred.length === 0) emit({ event: "notice", message: "Nobody has been removed" });
  return Promise.resolve(ExitCode.done);
}

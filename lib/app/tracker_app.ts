import { TRACKER_PROGRAM } from "../cli/arguments/programs.ts";
import type { ExitCode } from "../errors.ts";
import { type Program, runProgram } from "./program.ts";

/** The `tracker` program. Each command is loaded when it is run, so that none waits for what others need. */
const PROGRAM: Program = {
  spec: TRACKER_PROGRAM,
  services: ["run"],
  commands: {
    run: async (context) => await (await import("./tracker_run.ts")).run(context),
    invite: async (context) => await (await import("./tracker_invite.ts")).invite(context),
    peers: async (context) => await (await import("./tracker_peers.ts")).peers(context),
    shares: async (context) => await (await import("./shares.ts")).trackerShares(context),
    broadcast: async (context) => await (await import("./tracker_broadcast.ts")).broadcast(context),
    removed: async (context) => await (await import("./tracker_removed.ts")).removed(context),
    restore: async (context) => await (await import("./tracker_restore.ts")).restore(context),
    remove: async (context) => await (await import("./tracker_remove.ts")).remove(context),
  },
};

/** Runs the `tracker` program and resolves with its exit code. */
export function runTracker(args: readonly string[]): Promise<ExitCode> {
  return runProgram(PROGRAM, args);
}

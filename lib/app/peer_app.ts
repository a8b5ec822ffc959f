import { PEER_PROGRAM } from "../cli/arguments/programs.ts";
import type { ExitCode } from "../errors.ts";
import { broadcast } from "./broadcast.ts";
import { forget } from "./forget.ts";
import { history } from "./history.ts";
import { menu } from "./menu.ts";
import { peers } from "./peers.ts";
import { ping } from "./ping.ts";
import { type Program, runProgram } from "./program.ts";
import { receive } from "./receive.ts";
import { resume } from "./resume.ts";
import { run } from "./run.ts";
import { send } from "./send.ts";
import { trust } from "./trust.ts";

/**
 * The `peer` program. Its commands need the same modules, so they are loaded at once: a dynamic import takes about
 * 10 ms of its own. Only `share` needs a tracker's as well.
 */
const PROGRAM: Program = {
  spec: PEER_PROGRAM,
  menus: ["menu"],
  commands: {
    menu,
    run,
    peers,
    ping,
    broadcast,
    send,
    share: async (context) => await (await import("./share.ts")).share(context),
    receive,
    trust,
    history,
    resume,
    forget,
  },
};

/** Runs the `peer` program and resolves with its exit code. */
export function runPeer(args: readonly string[]): Promise<ExitCode> {
  return runProgram(PROGRAM, args);
}

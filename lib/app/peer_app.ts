import { PEER_PROGRAM } from "../cli/arguments/programs.ts";
import type { ExitCode } from "../errors.ts";
import { type Program, runProgram } from "./program.ts";

/** The `peer` program. Each command is loaded when it is run, so that none waits for what others need. */
const PROGRAM: Program = {
  spec: PEER_PROGRAM,
  menus: ["menu"],
  commands: {
    menu: async (context) => await (await import("./menu.ts")).menu(context),
    run: async (context) => await (await import("./run.ts")).run(context),
    peers: async (context) => await (await import("./peers.ts")).peers(context),
    ping: async (context) => await (await import("./ping.ts")).ping(context),
    broadcast: async (context) => await (await import("./broadcast.ts")).broadcast(context),
    send: async (context) => await (await import("./send.ts")).send(context),
    share: async (context) => await (await import("./share.ts")).share(context),
    receive: async (context) => await (await import("./receive.ts")).receive(context),
    trust: async (context) => await (await import("./trust.ts")).trust(context),
    history: async (context) => await (await import("./history.ts")).history(context),
    resume: async (context) => await (await import("./resume.ts")).resume(context),
    forget: async (context) => await (await import("./forget.ts")).forget(context),
  },
};

/** Runs the `peer` program and resolves with its exit code. */
export function runPeer(args: readonly string[]): Promise<ExitCode> {
  return runProgram(PROGRAM, args);
}

import { onDemand } from "../on_demand.ts";
import { PEER_PROGRAM } from "../cli/arguments/programs.ts";
import type { ExitCode } from "../errors.ts";
import { broadcast } from "./broadcast.ts";
import { peers } from "./peers.ts";
import { ping } from "./ping.ts";
import { type Program, runProgram } from "./program.ts";
import { resume } from "./resume.ts";
import { send } from "./send.ts";
import { trust } from "./trust.ts";

/**
 * The `peer` program. Commands that only ask or send need the same modules and are loaded at once. The others, which need
 * the inbox, the menu or a tracker's half as well, are read when they are called.
 */
const PROGRAM: Program = {
  spec: PEER_PROGRAM,
  menus: ["menu"],
  services: ["run"],
  commands: {
    menu: async (context) =>
      await (await onDemand<typeof import("./menu.ts")>("./menu.ts", import.meta.url)).menu(
        context,
      ),
    run: async (context) =>
      await (await onDemand<typeof import("./run.ts")>("./run.ts", import.meta.url)).run(context),
    peers,
    ping,
    broadcast,
    send,
    share: async (context) =>
      await (await onDemand<typeof import("./share.ts")>("./share.ts", import.meta.url)).share(
        context,
      ),
    receive: async (context) =>
      await (await onDemand<typeof import("./receive.ts")>("./receive.ts", import.meta.url))
        .receive(context),
    trust,
    history: async (context) =>
      await (await onDemand<typeof import("./history.ts")>("./history.ts", import.meta.url))
        .history(context),
    receipts: async (context) =>
      await (await onDemand<typeof import("./receipts.ts")>("./receipts.ts", import.meta.url))
        .receipts(context),
    queue: async (context) =>
      await (await onDemand<typeof import("./queue.ts")>("./queue.ts", import.meta.url)).queue(
        context,
      ),
    shares: async (context) =>
      await (await onDemand<typeof import("./shares.ts")>("./shares.ts", import.meta.url)).shares(
        context,
      ),
    resume,
    forget: async (context) =>
      await (await onDemand<typeof import("./forget.ts")>("./forget.ts", import.meta.url)).forget(
        context,
      ),
  },
};

/** Runs the `peer` program and resolves with its exit code. */
export function runPeer(args: readonly string[]): Promise<ExitCode> {
  return runProgram(PROGRAM, args);
}

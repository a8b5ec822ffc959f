import { ExitCode } from "../errors.ts";
import { oneShot } from "./peer_setup.ts";
import type { Command } from "./program.ts";

/** `peer ping`: whether a peer answers, and how soon. */
export const ping: Command = oneShot(async (peer, { command }) => {
  await peer.ping(command.positionals[0] ?? "");
  return ExitCode.done;
}, ({ positionals }) => positionals);

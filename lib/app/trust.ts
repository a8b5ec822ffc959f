import { ExitCode } from "../errors.ts";
import { oneShot } from "./peer_setup.ts";
import type { Command } from "./program.ts";

/** `peer trust`: takes the key that a name answers with now for the key of that name. */
export const trust: Command = oneShot(async (peer, { command, emit }) => {
  const entry = await peer.trust(command.positionals[0] ?? "");
  emit({ event: "notice", message: `${entry.name} is id:${entry.id} from now on` });
  return ExitCode.done;
});

import { untilAborted } from "../async/abort.ts";
import { textOf } from "../cli/arguments/arguments.ts";
import { ExitCode } from "../errors.ts";
import { listed } from "./peer_setup.ts";
import type { Command, CommandContext } from "./program.ts";
import { stateFolders } from "./state_folder.ts";
import { sayIfUnwritable, startWhenPossible } from "./waiting.ts";

/**
 * `peer run`: receives until a signal comes; then lets transfers under way end, until a second one. A signal that comes
 * while it still waits for its tracker ends it in the same way: it has nothing to leave.
 */
export async function run(context: CommandContext): Promise<ExitCode> {
  try {
    return await runListed(context);
  } catch (error) {
    if (error === context.signal.reason && context.signal.aborted) return ExitCode.done;
    throw error;
  }
}

const runListed: Command = listed(async (peer, { signal, again, emit }) => {
  await Promise.race([untilAborted(signal), peer.refused]);
  if (peer.isBusy) {
    emit({
      event: "notice",
      message: "Waiting for transfers under way; interrupt again to stop now",
    });
  }
  await peer.stop(again);
  return ExitCode.done;
}, {
  more: { deliversQueue: true },
  start: async (join, context) => {
    const { command: { values }, env } = context;
    await sayIfUnwritable(stateFolders(textOf(values, "state"), env).peers, context);
    await startWhenPossible(join, context);
  },
});

import { untilAborted } from "../async/abort.ts";
import { ExitCode } from "../errors.ts";
import { listed } from "./peer_setup.ts";
import type { Command } from "./program.ts";

/** `peer run`: receives until a signal comes; then lets transfers under way end, until a second one. */
export const run: Command = listed(async (peer, { signal, again, emit }) => {
  await Promise.race([untilAborted(signal), peer.refused]);
  if (peer.isBusy) {
    emit({
      event: "notice",
      message: "Waiting for transfers under way; interrupt again to stop now",
    });
  }
  await peer.stop(again);
  return ExitCode.done;
});

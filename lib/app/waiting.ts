import { join } from "node:path";
import { systemClock } from "../async/clock.ts";
import { untilItWorks } from "../async/until_it_works.ts";
import { asP2PError, attributed, isRetriable, reasonOf } from "../errors.ts";
import { isNotThereYet } from "../net/listen.ts";
import type { CommandContext } from "./program.ts";

/**
 * Starts a service, and waits for the tracker, route, name or address that it lacks, as at the boot of a machine. That
 * it waits is said once.
 *
 * @throws what will not pass: refused trust, a wrong flag, a port in use; the reason of the signal that ends it.
 */
export function startWhenPossible<T>(
  start: () => Promise<T>,
  { emit, signal }: Pick<CommandContext, "emit" | "signal">,
): Promise<T> {
  return untilItWorks(start, {
    mayPass: (error) => isRetriable(error) || isNotThereYet(error),
    onWaiting: (error) => {
      const message = `${attributed(asP2PError(error))}. Trying again until it works`;
      emit({ event: "notice", message });
    },
    clock: systemClock,
    signal,
  });
}

/**
 * Says when nothing can be kept in a state folder now: a service whose key is there runs all the same, and fails what
 * has to be kept, as a name that is pinned or a member that is removed, when it is asked for that.
 */
export async function sayIfUnwritable(
  folder: string,
  { emit }: Pick<CommandContext, "emit">,
): Promise<void> {
  const path = join(folder, `${crypto.randomUUID()}.tmp`);
  try {
    // A file with a byte in it: an empty one may have room where nothing else has.
    await Deno.writeFile(path, new Uint8Array(1), { createNew: true, mode: 0o600 });
  } catch (error) {
    const message = `Cannot write in ${folder}: ${reasonOf(error)}; this program runs on, and ` +
      "nothing new is kept there until that is mended";
    emit({ event: "notice", message });
  } finally {
    await Deno.remove(path).catch(() => {});
  }
}

import { ExitCode } from "../errors.ts";
import { formatAddress, otherAddresses } from "../address.ts";
import type { CommandContext } from "./program.ts";
import { operate } from "./tracker_setup.ts";

/** `tracker peers`: who is there, as the running tracker lists it. */
export async function peers(context: CommandContext): Promise<ExitCode> {
  await using client = await operate(context);
  for (const entry of await client.refresh()) {
    const { id, name, reachable, away } = entry;
    context.emit({
      event: "peer",
      id,
      name,
      address: formatAddress(entry),
      ...otherAddresses(entry.addresses),
      reachable,
      ...(entry.groups ? { groups: entry.groups } : {}),
      ...(away ? { away: true as const } : {}),
    });
  }
  return ExitCode.done;
}

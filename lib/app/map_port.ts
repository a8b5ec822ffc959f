import { isOn, type ParsedCommand } from "../cli/arguments/arguments.ts";
import { P2PError } from "../errors.ts";
import type { PortMap, PortMapOptions } from "../net/port_map/port_map.ts";
import { onDemand } from "../on_demand.ts";
import type { CommandContext } from "./program.ts";

/**
 * Checks that `--map-port` goes with the other flags.
 *
 * @throws {P2PError} `usage`
 */
export function checkMapPort({ values, explicit }: ParsedCommand): void {
  if (!isOn(values, "map-port")) return;
  if (isOn(values, "insecure")) {
    throw new P2PError(
      "usage",
      "Cannot use --map-port with --insecure: whoever is on the Internet could join; leave one of " +
        "them out",
    );
  }
  if (!explicit.has("advertise")) return;
  throw new P2PError(
    "usage",
    "Cannot use --map-port with --advertise: the router says what the address is; leave one of " +
      "them out",
  );
}

/**
 * With `--map-port`, has a router lead a port to what listens here, under the same port, as an invite has one for all its
 * addresses. Undefined without the flag.
 */
export async function mapPort(
  { command: { values }, emit }: Pick<CommandContext, "command" | "emit">,
  { place, onChange }: Required<Pick<PortMapOptions, "place" | "onChange">>,
): Promise<PortMap | undefined> {
  if (!isOn(values, "map-port")) return undefined;
  const { PortMap } = await onDemand<typeof import("../net/port_map/port_map.ts")>(
    "../net/port_map/port_map.ts",
    import.meta.url,
  );
  const notice = (message: string) => emit({ event: "notice", message });
  return new PortMap({ place, samePort: true, onChange, notice });
}

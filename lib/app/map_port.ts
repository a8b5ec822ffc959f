import { isOn } from "../cli/arguments/arguments.ts";
import { P2PError } from "../errors.ts";
import type { PortMap, PortMapOptions } from "../net/port_map/port_map.ts";
import { onDemand } from "../on_demand.ts";
import type { CommandContext } from "./program.ts";

/**
 * With `--map-port`, has a router lead a port to what listens here, under the same port, as an invite has one for all its
 * addresses. Undefined without the flag.
 *
 * @throws {P2PError} `usage` with `--advertise`.
 */
export async function mapPort(
  { command: { values, explicit }, emit }: Pick<CommandContext, "command" | "emit">,
  { place, onChange }: Required<Pick<PortMapOptions, "place" | "onChange">>,
): Promise<PortMap | undefined> {
  if (!isOn(values, "map-port")) return undefined;
  if (explicit.has("advertise")) {
    throw new P2PError(
      "usage",
      "Cannot use --map-port with --advertise: the router says what the address is; leave one of " +
        "them out",
    );
  }
  const { PortMap } = await onDemand<typeof import("../net/port_map/port_map.ts")>(
    "../net/port_map/port_map.ts",
    import.meta.url,
  );
  const notice = (message: string) => emit({ event: "notice", message });
  return new PortMap({ place, samePort: true, onChange, notice });
}

import { type Address, isWildcard } from "../address.ts";
import { machineAddresses } from "../net/interfaces.ts";

/** Address that a share listens on, and those that its invite names or could name. */
export interface SharePlace {
  host: string;
  /** Address that the invite names instead of the one listened on. */
  advertise: Partial<Address> | undefined;
  /** Other addresses of this machine that the invite could name. */
  others: string[];
}

/** The place of a share by its flags: `auto` is every address of the machine, named by the likeliest one. */
export function sharePlace(
  { host: asked, advertise }: { host: string; advertise?: { host: string; port: number | null } },
  own: readonly string[] = machineAddresses(),
): SharePlace {
  // IPv6 is for machines that have nothing else.
  const host = asked !== "auto" ? asked : own[0]?.includes(":") ? "::" : "0.0.0.0";
  if (advertise) {
    const port = advertise.port === null ? {} : { port: advertise.port };
    return { host, advertise: { host: advertise.host, ...port }, others: [] };
  }
  if (!isWildcard(host)) return { host, advertise: undefined, others: [] };
  const [first = host === "::" ? "::1" : "127.0.0.1", ...others] = own.filter((address) =>
    host === "::" || !address.includes(":")
  );
  return { host, advertise: { host: first }, others };
}

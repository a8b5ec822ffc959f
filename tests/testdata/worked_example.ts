/** Who takes part in the worked examples of PROTOCOL.md: what changes here has to change there. */

import { Identity } from "../../lib/identity/keys.ts";

/** The bytes `from`, `from + 1`, ... */
export function run(from: number, length: number): Uint8Array<ArrayBuffer> {
  return Uint8Array.from({ length }, (_, i) => from + i);
}

export const dialler: Identity = Identity.fromSeed(run(0x00, 32));
export const listener: Identity = Identity.fromSeed(run(0x20, 32));
export const network: Identity = Identity.fromSeed(run(0x40, 32));

import { encodeBase64Url } from "@std/encoding/base64url";
import type { PeerEntry } from "../../lib/wire/message.ts";

/** The id of the `n`th peer that a test makes up. */
export function idOf(n: number): string {
  const bytes = new Uint8Array(32);
  new DataView(bytes.buffer).setUint32(0, n);
  return encodeBase64Url(bytes);
}

/** An entry of the `n`th peer. */
export function entryOf(n: number, changes: Partial<PeerEntry> = {}): PeerEntry {
  return { id: idOf(n), name: `p${n}`, host: "10.0.0.1", port: 5000, reachable: true, ...changes };
}

/** Epochs that can be told apart, numbered from `n + 1`. */
export function epochs(n = 0): () => string {
  return () => encodeBase64Url(new Uint8Array(16).fill(++n));
}

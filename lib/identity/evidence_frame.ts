import { concat } from "@std/bytes/concat";
import { HASH_BYTES } from "../wire/limits.ts";
import type { MessageOf } from "../wire/message.ts";
import type { Evidence } from "./evidence.ts";

/** Evidence as it travels: the fields of an EVIDENCE, and its body. */
export function encodeEvidence(
  { hashes, entries, ...evidence }: Evidence,
): { message: Omit<MessageOf<"EVIDENCE">, "seq">; body: Uint8Array<ArrayBuffer> } {
  return {
    message: { verb: "EVIDENCE", ...evidence, pieces: hashes.length / HASH_BYTES },
    body: concat([hashes, entries]),
  };
}

/** The evidence of an EVIDENCE; what does not fit together is none that proves anything. */
export function decodeEvidence(message: MessageOf<"EVIDENCE">, body: Uint8Array): Evidence {
  const { verb: _, seq: __, pieces, ...evidence } = message;
  const end = pieces * HASH_BYTES;
  return { ...evidence, hashes: body.slice(0, end), entries: body.slice(end) };
}

import { P2PError } from "../errors.ts";

/** Who may put files into an inbox: every member, the peers that are named, or whoever a person lets. */
export type AcceptRule = { who: "members" | "ask" } | { who: "peers"; peers: string[] };

/** Words of the flag that are no peers. */
const WORDS = ["ask", "members", "all"];
/** Characters of an id that have to be given: a key with a shorter start is found by trying. */
const MIN_ID = 8;

/**
 * Reads the value of `--accept`.
 *
 * @throws {P2PError} `usage`
 */
export function parseAcceptRule(text: string): AcceptRule {
  if (text === "ask" || text === "members") return { who: text };
  const peers = text.split(",").map((part) => part.trim()).filter(Boolean);
  const word = peers.find((peer) => WORDS.includes(peer));
  if (word !== undefined || peers.length === 0) {
    throw new P2PError(
      "usage",
      `Cannot use --accept ${text}: ${word ?? "it"} names no peer; write ask, members, or peers ` +
        "separated by commas",
    );
  }
  const address = peers.find((peer) => peer.includes(":") && !peer.startsWith("id:"));
  if (address !== undefined) {
    throw new P2PError(
      "usage",
      `Cannot use --accept ${text}: ${address} is an address, which anybody may have next; write a ` +
        "name, or id: and the start of an id",
    );
  }
  const short = peers.find((peer) => peer.startsWith("id:") && peer.length < 3 + MIN_ID);
  if (short !== undefined) {
    throw new P2PError(
      "usage",
      `Cannot use --accept ${text}: ${short} is too short; write at least ${MIN_ID} characters of the id`,
    );
  }
  return { who: "peers", peers };
}

import type { PeerLists } from "../peer_lists.ts";
import type { Roster } from "../roster.ts";
import type { Handlers } from "./handlers.ts";

/** PEERS. */
export function listHandlers(
  { lists, roster }: { lists: PeerLists; roster: Roster },
): Handlers<"PEERS"> {
  return {
    PEERS: ({ session, message }) => lists.answer(session, message, roster.of(session)),
  };
}

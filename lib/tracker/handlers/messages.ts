import type { Clock } from "../../async/clock.ts";
import { P2PError } from "../../errors.ts";
import { verifyMessage } from "../../identity/signed_text.ts";
import { type Rates, RequestLimits } from "../../net/request_buckets.ts";
import { encodeFrame } from "../../wire/frame.ts";
import { sourceHost } from "../dial_backs.ts";
import { MAX_TOLD } from "../../wire/limits.ts";
import type { Roster } from "../roster.ts";
import type { TrackerNetwork } from "../tracker_network.ts";
import type { Handlers, Request } from "./handlers.ts";

/** What the verbs of messages need. */
export interface MessageOptions {
  roster: Roster;
  network: TrackerNetwork;
  clock: Clock;
  onBroadcast?: ((author: string, text: Uint8Array, delivered: number) => void) | undefined;
}

/** Broadcasts, each of which goes to every member. */
const RATES: Rates = {
  key: { rate: 2, burst: 20 },
  address: { rate: 20, burst: 200 },
  all: { rate: 50, burst: 500 },
};

/** BROADCAST. */
export function messageHandlers(options: MessageOptions): Handlers<"BROADCAST"> {
  const limits = new RequestLimits({ ...RATES, clock: options.clock });
  return {
    BROADCAST(request) {
      check(request, limits, options.network.id);
      const { session, message } = request;
      const to = broadcastToPeers(request, options);
      const told = to.length > MAX_TOLD ? {} : { to };
      session.post({ verb: "OK", re: message.seq, delivered: to.length, ...told });
    },
  };
}

/**
 * Relays a signed message to every registered peer but the session it came on.
 *
 * @returns the ids of those it went to.
 */
function broadcastToPeers(
  { session: author, message, body: text }: Request<"BROADCAST">,
  { roster, onBroadcast }: MessageOptions,
): string[] {
  const { id, name, time, signature } = message;
  const from = author.remote.id;
  const frame = encodeFrame({ verb: "MESSAGE", id, from, name, time, signature }, text);
  const to: string[] = [];
  for (const { session } of roster) {
    if (!session || session === author) continue;
    session.postEncoded(frame);
    to.push(session.remote.id);
  }
  onBroadcast?.(from, text, to.length);
  return to;
}

function check(
  { session, message, body: text }: Request<"BROADCAST">,
  limits: RequestLimits,
  network: string | undefined,
): void {
  const { id: from } = session.remote;
  const { id, time, name, signature } = message;
  if (from === "") throw new P2PError("unauthorised", "Cannot broadcast: say HELLO first");
  if (!limits.has(from, sourceHost(session))) {
    throw new P2PError(
      "rate-limited",
      "Cannot broadcast: there are too many at once; wait a moment",
    );
  }
  if (!isText(text)) {
    throw new P2PError("invalid", "Cannot broadcast: the text is empty or not UTF-8");
  }
  if (network && !verifyMessage(from, { network, id, time, name }, text, signature)) {
    throw new P2PError("unauthorised", "Cannot broadcast: the signature is not the sender's");
  }
  limits.take(from, sourceHost(session));
}

function isText(bytes: Uint8Array): boolean {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes) !== "";
  } catch {
    return false;
  }
}

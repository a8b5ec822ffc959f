import { formatAddress, mayBeDialledFor } from "../../address.ts";
import { P2PError, reasonOf } from "../../errors.ts";
import type { Session } from "../../net/session.ts";
import type { MessageOf } from "../../wire/message.ts";
import { type DialBacks, sourceHost } from "../dial_backs.ts";
import { LEFT } from "../left_reason.ts";
import { entryFor, tellable, withAddresses } from "../views.ts";
import { expectPeerName } from "../registry/names.ts";
import type { Roster } from "../roster.ts";
import type { Handlers, Request } from "./handlers.ts";

/** What the verbs of membership need. */
export interface MembershipOptions {
  roster: Roster;
  dialBacks: DialBacks;
  /** False lists every peer as unreachable. */
  dialBack: boolean;
  /** See `TrackerOptions.contents`. */
  contents?: number | undefined;
  /** Whether the tracker listens on loopback, so that nobody comes from elsewhere. */
  isLocal: boolean;
  /** Whether peers may be listed under another address than they come from. */
  allowAdvertise: boolean;
}

/** How long in milliseconds a peer whose key registers anew may take to show that it is alive. */
const SIGN_OF_LIFE = 1_000;

/** REGISTER and UNREGISTER. */
export function membershipHandlers(
  options: MembershipOptions,
): Handlers<"REGISTER" | "UNREGISTER"> {
  const { roster } = options;
  return {
    REGISTER: (request) => register(options, request),
    async UNREGISTER({ session, message }) {
      const member = roster.of(session);
      if (member) await roster.drop(member, LEFT.unregistered);
      session.post({ verb: "OK", re: message.seq });
    },
  };
}

/**
 * Lists the peer of a session under the address it comes from, after dialling back there, and under those that it
 * claims: a peer that cannot be dialled is listed as unreachable and told why.
 */
async function register(
  { roster, dialBacks, dialBack, contents, isLocal, allowAdvertise }: MembershipOptions,
  { session, message }: Request<"REGISTER">,
): Promise<void> {
  const { id, role } = session.remote;
  if (id === "" || role !== "peer") {
    throw new P2PError("unauthorised", "Cannot register: only a peer that said HELLO may");
  }
  const source = sourceHost(session);
  const { name, port, groups = [] } = message;
  const host = advertisedHost(message, session, allowAdvertise);
  expectPeerName(name);
  // Only now: nobody is dialled for what is refused, and it is not counted as one that is.
  dialBacks.expectAllowed(session);
  const claimed = [...message.addresses ?? [], { host: source, port }];
  const addresses = withAddresses(tellable(claimed, session, [{ host, port }]));
  const inGroups = groups.length > 0 ? { groups } : {};
  const wanted = { id, name, host, port, reachable: dialBack, ...addresses, ...inGroups };
  const older = roster.get(id)?.session ?? null;
  const answering = older && older !== session ? answers(older) : false;
  const reason = dialBack
    ? await dialBacks.ofNew(wanted, session).then(() => undefined, (error) => {
      // One text for every failure at an address of its choice: it is not to look around with the tracker's eyes.
      return wanted.host === source ? reasonOf(error) : "Cannot reach the advertised address";
    })
    : undefined;
  const alive = await answering ? older : null;
  if (session.connection.closed) return;
  const reachable = dialBack && reason === undefined;
  const { entry: listed, displaced } = await roster.register(
    { ...wanted, reachable },
    session,
    alive,
  );
  // The tracker's own machine can dial it, and no other.
  const isHidden = !isLocal && reachable &&
    !entryFor("elsewhere", listed, () => listed.host).reachable;
  const why = isHidden
    ? "Only this machine can dial it; let it listen for the others, with --host auto"
    : reason && `${reason}; open port ${port} of this machine to the others`;
  session.post({
    verb: "OK",
    re: message.seq,
    name: listed.name,
    host: listed.host,
    port,
    ...withAddresses(listed.addresses ?? []),
    reachable: reachable && !isHidden,
    ...(contents === undefined ? {} : { contents }),
    ...(displaced ? { replaced: formatAddress(displaced) } : {}),
    ...(why === undefined ? {} : { reason: why }),
  });
}

/** Whether the peer of a session is alive: one that lost its connection comes back while the old one still stands. */
async function answers(session: Session): Promise<boolean> {
  if (session.connection.closed) return false;
  return await session.request({ verb: "PING" }, { timeout: SIGN_OF_LIFE })
    .then(() => true, () => false);
}

/**
 * Under which address to list the peer: as it asks for, where that is allowed, or where its session comes from.
 *
 * @throws {P2PError} `invalid`.
 */
function advertisedHost(
  { host }: MessageOf<"REGISTER">,
  session: Session,
  isAllowed: boolean,
): string {
  const source = sourceHost(session);
  if (host === undefined || (isAllowed && host === source)) return source;
  if (!isAllowed) {
    throw new P2PError(
      "invalid",
      `Cannot list the address ${host}: start the tracker with --allow-advertise, ` +
        "or the peer without --advertise",
    );
  }
  if (mayBeDialledFor(host, session.connection.local.host)) return host;
  throw new P2PError(
    "invalid",
    `Cannot list the address ${host}: it is not an IP address that others can dial; ` +
      "start the peer with another --advertise",
  );
}

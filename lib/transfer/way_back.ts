import { onAbort } from "../async/abort.ts";
import { type Clock, delay } from "../async/clock.ts";
import { asP2PError, isRetriable, isSilence, P2PError } from "../errors.ts";
import { formatAddress } from "../address.ts";
import type { Session } from "../net/session.ts";
import type { PeerEntry } from "../wire/message.ts";
import type { PeerLink } from "./peer_link.ts";
import { AWAY_TIME } from "./settings.ts";

/** Pause in milliseconds between two looks at where the peer is. */
const LOOK_EVERY = 500;
/** Milliseconds after which a dial that is not answered is made anew: its next SYN may be as far away (RFC 6298, 5.5). */
const DIAL_AGAIN_AFTER = 3_000;
/** How long in milliseconds a dial may take, whatever is seen of a slow line: longer than one that fails by itself. */
const LONGEST_DIAL = 12_000;
/** Shortest time in milliseconds in which the old session may show that it lives once there is another one. */
const LAST_PONG = 500;
/** Times what a PONG takes on the new one that the old one has for that. */
const LAST_PONG_TIMES = 3;
/** Milliseconds between two signs of life of a session: a single one may have been on its way since the line went. */
const SIGN_PAUSE = 2_000;

/** What {@linkcode findWayBack} needs. */
export interface WayBackOptions {
  /** The peer, where it was. */
  entry: PeerEntry;
  /** The session that has fallen silent. */
  silent: Session;
  open: (entry: PeerEntry, signal: AbortSignal) => Promise<PeerLink>;
  /** Where the peer is now, as far as that can be found out soon. */
  locate: (entry: PeerEntry) => Promise<PeerEntry>;
  clock: Clock;
  signal: AbortSignal;
}

/**
 * Opens another link to a peer whose session has fallen silent, wherever it is listed meanwhile, and resolves with it
 * when the silent one does not answer even then.
 *
 * TCP doubles the pause between its retransmissions (RFC 6298, 5.5), so it may sleep through as much time after the
 * return of a line as that was away, and Deno cannot set TCP_USER_TIMEOUT: only a new connection finds the line at once.
 *
 * @throws {P2PError} `connection-lost` when the silent session is heard again; why that was closed, if not because it
 * broke; once it has, what answers in the peer's place; why nothing does, when it has been away for `AWAY_TIME`.
 */
export async function findWayBack(options: WayBackOptions): Promise<PeerLink> {
  const { silent, clock, signal } = options;
  const over = new AbortController();
  using _ = onAbort(signal, () => over.abort(signal.reason));
  try {
    const link = await search(options, over);
    const hasWoken = await link.ask(async (session) => {
      const asked = clock.now();
      await session.request({ verb: "PING" });
      const timeout = Math.max(LAST_PONG, LAST_PONG_TIMES * (clock.now() - asked));
      return await isAlive(silent, { timeout, clock });
    });
    if (!hasWoken) return link;
    await link.close();
    throw heardAgain();
  } finally {
    over.abort(heardAgain());
  }
}

/** Whether a session answers in time, or gives signs of life while what it is asked waits behind a piece. */
async function isAlive(
  session: Session,
  { timeout, clock }: { timeout: number; clock: Clock },
): Promise<boolean> {
  for (const time of [timeout, SIGN_PAUSE]) {
    const asked = clock.now();
    const answer = session.request({ verb: "PING" }, { timeout: time });
    const hasAnswered = await answer.then(() => true, () => false);
    if (hasAnswered) return true;
    if (session.connection.closed || session.lastHeard < asked) return false;
  }
  return true;
}

/** Dials until it works; `over` aborts then. A dial that goes on for long keeps nobody from dialling a new address. */
function search(
  { entry, silent, open, locate, clock }: WayBackOptions,
  over: AbortController,
): Promise<PeerLink> {
  const { promise: found, resolve, reject } = Promise.withResolvers<PeerLink>();
  let silentAt = clock.now();
  let underWay = 0;
  let latest = { where: "", since: 0 };
  let failure: P2PError | undefined;
  const dial = async (to: PeerEntry) => {
    const since = clock.now();
    const late = new AbortController();
    const cancel = clock.after(LONGEST_DIAL, () => {
      late.abort(new P2PError("timeout", `Cannot reach ${to.name}: no answer in time`));
    });
    latest = { where: whereIs(to), since };
    underWay++;
    try {
      const link = await open(to, AbortSignal.any([over.signal, late.signal]));
      if (over.signal.aborted) return void link.close();
      resolve(link);
      over.abort(heardAgain());
    } catch (error) {
      if (over.signal.aborted) return;
      failure = asP2PError(error);
      if (silent.connection.closed && !isSilence(failure)) reject(failure);
    } finally {
      cancel();
      underWay--;
    }
  };
  const dialOn = async (): Promise<never> => {
    for (let current = entry;;) {
      over.signal.throwIfAborted();
      const { closed } = silent.connection;
      if (closed && !isRetriable(closed)) throw closed;
      const now = clock.now();
      const silence = now - silent.lastHeard;
      if (closed || silence >= SIGN_PAUSE) silentAt = now;
      else if (now - silentAt >= 2 * SIGN_PAUSE) throw heardAgain();
      const isAway = silence >= AWAY_TIME;
      if (failure && (isAway || closed && !isSilence(failure))) throw failure;
      const isDue = now - latest.since >= DIAL_AGAIN_AFTER || whereIs(current) !== latest.where;
      if (underWay === 0 || isDue) void dial(current);
      const listed = await locate(entry);
      if (whereIs(listed) === whereIs(current)) await delay(clock, LOOK_EVERY, over.signal);
      current = listed;
    }
  };
  return Promise.race([found, dialOn()]);
}

function whereIs({ host, port, addresses = [] }: PeerEntry): string {
  return [{ host, port }, ...addresses].map(formatAddress).join(" ");
}

function heardAgain(): P2PError {
  return new P2PError("connection-lost", "The connection that was silent is there again");
}

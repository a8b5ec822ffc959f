import { onDemand } from "../on_demand.ts";
import { onAbort } from "../async/abort.ts";
import { type Clock, delay } from "../async/clock.ts";
import { asP2PError, isRetriable, P2PError } from "../errors.ts";
import { randomToken } from "../async/random.ts";
import type { Credentials } from "../net/handshake.ts";
import { KeyedGate } from "../async/gate.ts";
import { dismiss, openSession } from "../net/open_session.ts";
import type { Session } from "../net/session.ts";
import { cameTo } from "../net/transport.ts";
import { patientTime } from "../net/slow_line.ts";
import { type Address, formatAddress } from "../address.ts";
import type { TrackerClient } from "../directory/tracker_client.ts";
import type { PeerEntry } from "../wire/message.ts";
import type { DialAnswers, DialRequest } from "./dial_answers.ts";
import { candidatesOf, scoped } from "../net/candidates.ts";
import { race } from "../net/race.ts";
import type { Ways } from "../transfer/link_pool.ts";

/** What a {@linkcode Dialler} needs. */
export interface DiallerOptions {
  credentials: Credentials;
  tracker: TrackerClient;
  /** Where others can dial this peer, the port and what else it has to say; starts to listen when it does not yet. */
  listening: () => Promise<{ port: number; addresses?: Address[] }>;
  /** Whether an address is one at which this peer itself listens. */
  isOwn?: (address: Address) => boolean;
  /** Remembers how peers were reached. */
  paths?: Paths;
  clock: Clock;
}

/** How peers were reached last: `host:port`, or {@linkcode DIALLED_BACK}; undefined as their entries suggest. */
export interface Paths {
  /** How the peer with the id was reached last. */
  pathTo(id: string): string | undefined;
  /** Remembers how it was; never rejects. */
  keepPath(id: string, path: string | undefined): Promise<void>;
}

/** The path to a peer that dialled this one, having been asked to. */
const DIALLED_BACK = "dialled back";
/** The path to a peer through the tracker. */
export const RELAYED_PATH = "relay";

interface Expected {
  id: string;
  resolve: (session: Session) => void;
}

/** A session, and how it came about. */
interface Reached {
  session: Session;
  path: string;
}

/** A way that led nowhere, and why: an address that was dialled, or another path. */
interface Tried {
  way: Address | typeof DIALLED_BACK | typeof RELAYED_PATH;
  error: P2PError;
}

/** How long in milliseconds all ways together may take. */
const REACH_TIMEOUT = 10_000;
/** Milliseconds that the dials have before the other side is asked to dial: about what a slow line takes. */
const HEAD_START = 1_000;
/** Milliseconds that all direct ways have before the tracker passes bytes on, and the same where it did so last. */
const DIRECT_HEAD_START = 1_500;
const DIRECT_HEAD_START_AGAIN = 500;

/** Peers that are being reached under one id at a time: a listener closes some when too many greet it at once. */
const DIALS_PER_PEER = 16;

/** Opens sessions to peers: dials them at all their addresses, and has the tracker ask them to dial this one. */
export class Dialler {
  readonly #options: DiallerOptions;
  readonly #expected = new Map<string, Expected>();
  /** Sessions that this side opened or waited for. */
  readonly #sessions = new Set<Session>();
  /** By the peer's id. */
  readonly #gates = new KeyedGate(DIALS_PER_PEER);
  readonly #stop = new AbortController();
  #answers: DialAnswers | undefined;

  constructor(options: DiallerOptions) {
    this.#options = options;
  }

  /**
   * Opens a session to a listed peer, on whichever way is the first to lead there: its addresses, and its dial to this
   * machine. What the tracker thinks of its addresses decides only whether it is asked at once or after a moment. Where
   * none of them leads there in time, and the tracker relays, through the tracker. The caller runs the session.
   *
   * @throws {P2PError} within `REACH_TIMEOUT`: `peer-unreachable`, with what each way came to; `wrong-key` when another
   * key answers everywhere; what the peer itself refused it with; the signal's reason.
   */
  async open(entry: PeerEntry, ways: Ways = {}): Promise<Session> {
    return await this.#gates.run(entry.id, () => this.#reach(entry, ways));
  }

  /** Dials a peer that asked for it through the tracker: see {@linkcode DialAnswers.answer}. */
  async answer(asked: DialRequest, serve: (session: Session) => Promise<void>): Promise<void> {
    const answers = this.#answers ?? await this.#loadAnswers();
    await answers.answer(asked, (session) => serve(this.#track(session)));
  }

  /** Whether the session is one that {@linkcode open} waits for; whoever waits runs it then. */
  acceptDialBack(session: Session): boolean {
    const { token, id } = session.remote;
    const expected = token === undefined ? undefined : this.#expected.get(token);
    if (token === undefined || expected?.id !== id) return false;
    this.#expected.delete(token);
    expected.resolve(this.#track(session));
    return true;
  }

  /** Looks after a session to a peer that was opened elsewhere, as after its own. */
  adopt(session: Session): Session {
    return this.#track(session);
  }

  /** Ends the sessions with a peer. */
  async refuse(id: string, error: P2PError): Promise<void> {
    const theirs = [...this.#sessions].filter(({ remote }) => remote.id === id);
    await Promise.all(theirs.map((session) => session.refuse(error)));
  }

  /** Opens no more sessions, and ends those that it opened or waited for. */
  async close(): Promise<void> {
    this.#stop.abort(new P2PError("interrupted", "This peer is stopping"));
    await Promise.all([...this.#sessions].map((session) => session.close()));
  }

  #track(session: Session): Session {
    this.#sessions.add(session);
    session.ended.then(() => this.#sessions.delete(session));
    return session;
  }

  /**
   * Loads what only those need that others ask to dial: one-shot commands are not listed. Where it fails, for want of a
   * descriptor, the next one who asks has it tried again.
   */
  async #loadAnswers(): Promise<DialAnswers> {
    const { DialAnswers } = await onDemand<typeof import("./dial_answers.ts")>(
      "./dial_answers.ts",
      import.meta.url,
    );
    const { credentials, tracker, clock } = this.#options;
    return this.#answers ??= new DialAnswers({
      credentials,
      tracker,
      clock,
      signal: this.#stop.signal,
    });
  }

  async #reach(entry: PeerEntry, { isDirect = false, signal }: Ways): Promise<Session> {
    const { tracker, credentials, clock, paths } = this.#options;
    const last = paths?.pathTo(entry.id);
    const via = tracker.remoteHost ?? tracker.address.host;
    // Those whom a share sends to listen for nobody.
    const isShare = tracker.trackerId === credentials.identity.id;
    const usual = isShare ? [] : candidatesOf(entry, { via });
    const addresses = last === undefined || isShare ? usual : candidatesOf(entry, { via, last });
    const over = new AbortController();
    using _ = onAbort(this.#stop.signal, () => over.abort(this.#stop.signal.reason));
    using _called = onAbort(signal, () => over.abort(signal?.reason));
    const attempt: Attempt = { entry, until: clock.now() + REACH_TIMEOUT, tried: [], over };
    const dialling = race(
      addresses.map((address) => (lost: AbortSignal) => this.#dial(address, lost, attempt)),
      { clock, signal: over.signal, drop: ({ session }) => dismiss(session) },
    );
    const isHopeful = entry.reachable && last !== DIALLED_BACK && last !== RELAYED_PATH;
    const dialledBack = this.#dialledBack(attempt, isHopeful ? dialling : undefined);
    const all = [dialling, dialledBack];
    if (!isDirect && tracker.relays && !isShare) {
      const headStart = last === RELAYED_PATH ? DIRECT_HEAD_START_AGAIN : DIRECT_HEAD_START;
      all.push(this.#relayed(attempt, { direct: Promise.any(all), headStart }));
    }
    let reached: Reached;
    try {
      reached = await Promise.any(all);
    } catch {
      if (over.signal.aborted) throw over.signal.reason;
      throw unreached(attempt, {
        // Timers may be early by some milliseconds.
        isLate: clock.now() >= attempt.until - HEAD_START,
        relays: tracker.relays || isShare,
      });
    } finally {
      over.abort(new P2PError("interrupted", "Another way was faster"));
    }
    for (const way of all) {
      way.then((other) => other !== reached && dismiss(other.session), () => {});
    }
    const [first] = usual;
    const isUsual = first !== undefined && reached.path === formatAddress(first);
    const path = isUsual ? undefined : reached.path;
    if (path !== last) await paths?.keepPath(entry.id, path);
    return reached.session;
  }

  async #dial(
    address: Address,
    lost: AbortSignal,
    { entry, until, tried, over }: Attempt,
  ): Promise<Reached> {
    const { credentials, tracker, clock, isOwn } = this.#options;
    try {
      if (entry.id !== credentials.identity.id && isOwn?.(address)) {
        throw new P2PError("peer-unreachable", "this peer itself listens there");
      }
      const session = await openSession({
        address: await scoped(address, tracker.localHost),
        id: entry.id,
        timeout: until - clock.now(),
        credentials,
        clock,
        signal: this.#stop.signal,
        lost,
      });
      return { session: this.#track(session), path: formatAddress(address) };
    } catch (thrown) {
      const error = asP2PError(thrown);
      if (!lost.aborted) tried.push({ way: address, error });
      // Who says no has proven to be the one: at its other addresses it says the same.
      if (error.remote && !isRetriable(error) && credentials.membership) over.abort(error);
      throw error;
    }
  }

  /** Has the peer dial this one, once `dialling` has failed or had its head start. */
  async #dialledBack(
    { entry, until, tried, over: { signal } }: Attempt,
    dialling: Promise<unknown> | undefined,
  ): Promise<Reached> {
    const { clock } = this.#options;
    if (dialling) {
      const isOver = new Promise<void>((resolve) => dialling.catch(() => resolve()));
      await Promise.race([isOver, delay(clock, HEAD_START, signal)]);
    }
    const token = randomToken(16);
    const { promise, resolve, reject } = Promise.withResolvers<Session>();
    this.#expected.set(token, { id: entry.id, resolve });
    const cancel = clock.after(patientTime(until - clock.now()), () => {
      reject(new P2PError("peer-unreachable", "it did not"));
    });
    using _ = onAbort(signal, () => reject(signal.reason));
    try {
      // It may dial before the tracker has answered, and the tracker may not answer in time.
      await Promise.race([promise, this.#askToDial(entry, token)]);
      return { session: await promise, path: DIALLED_BACK };
    } catch (error) {
      if (!signal.aborted) tried.push({ way: DIALLED_BACK, error: asP2PError(error) });
      promise.then(dismiss, () => {});
      throw error;
    } finally {
      cancel();
      this.#expected.delete(token);
    }
  }

  /** Goes through the tracker, once the `direct` ways have failed or had their head start. */
  async #relayed(
    { entry, until, tried, over: { signal } }: Attempt,
    { direct, headStart }: { direct: Promise<unknown>; headStart: number },
  ): Promise<Reached> {
    const { clock, tracker, credentials } = this.#options;
    const isOver = new Promise<void>((resolve) => direct.catch(() => resolve()));
    await Promise.race([isOver, delay(clock, headStart, signal)]);
    try {
      const { openRelayed } = await onDemand<typeof import("./relayed.ts")>(
        "./relayed.ts",
        import.meta.url,
      );
      const timeout = until - clock.now();
      const { address } = tracker;
      const session = await openRelayed(entry.id, { credentials, address, clock, timeout, signal });
      return { session: this.#track(session), path: RELAYED_PATH };
    } catch (error) {
      if (!signal.aborted) tried.push({ way: RELAYED_PATH, error: asP2PError(error) });
      throw error;
    }
  }

  async #askToDial({ id }: PeerEntry, token: string): Promise<void> {
    const { tracker, listening } = this.#options;
    if (!tracker.isConnected) {
      throw new P2PError("tracker-unreachable", "the tracker cannot be asked now");
    }
    await tracker.requestDial(id, { ...await listening(), token });
  }
}

/** What the ways to one peer share. */
interface Attempt {
  entry: PeerEntry;
  /** When it is over, by the clock, milliseconds. */
  until: number;
  /** What has failed so far. */
  tried: Tried[];
  /** Ends all of them. */
  over: AbortController;
}

/** The failure of all ways to a peer: each with what it came to, and what can be done. */
function unreached(
  { entry: { name, id, port }, tried }: Attempt,
  { isLate, relays }: { isLate: boolean; relays: boolean },
): P2PError {
  const who = `${name} (id:${id.slice(0, 8)})`;
  const dials = tried.filter(({ way }) => typeof way !== "string");
  const others = tried.filter(({ way }) => typeof way === "string");
  const told = [...dials, ...others].map(cameToNothing).join("; ");
  const [first] = dials;
  const cause = first?.error;
  const isOther = ({ error }: Tried) => error.code === "wrong-key";
  if (cause && dials.every(isOther)) {
    return new P2PError("wrong-key", `Cannot trust ${who}: another key answers (${told})`, {
      cause,
    });
  }
  const remedy = `open port ${port} there, or a port of this machine with --port` +
    (relays ? "" : "; a tracker that is started with --relay needs neither");
  // What has answered is worth another try, unless that would cost as much time again.
  const busy = tried.map(({ error }) => error).find((error) =>
    isRetriable(error) && (error.remote || error.code === "connection-lost")
  );
  const code = isLate || !busy ? "peer-unreachable" : busy.code;
  return new P2PError(code, `Cannot reach ${who}: ${told}; ${remedy}`, { cause });
}

/** What a way came to, in a few words. */
function cameToNothing({ way, error }: Tried): string {
  if (typeof way !== "string") return cameTo(way, error);
  const text = error.remote ? `it said: ${error.message}` : error.message;
  if (way === RELAYED_PATH) return `through the tracker: ${text}`;
  return `asked to dial this machine: ${
    error.remote ? `the tracker said: ${error.message}` : text
  }`;
}

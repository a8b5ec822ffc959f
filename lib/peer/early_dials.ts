import { formatAddress } from "../address.ts";
import type { Clock } from "../async/clock.ts";
import type { TrackerClient } from "../directory/tracker_client.ts";
import { P2PError } from "../errors.ts";
import { candidatesOf } from "../net/candidates.ts";
import type { Credentials } from "../net/handshake.ts";
import { dismiss, openSession } from "../net/open_session.ts";
import { race } from "../net/race.ts";
import type { Session } from "../net/session.ts";
import type { Ways } from "../transfer/link_pool.ts";
import type { PeerEntry } from "../wire/message.ts";
import type { Dialler, Paths } from "./dialler.ts";

/** What {@linkcode EarlyDials} need. */
export interface EarlyDialsOptions {
  credentials: Credentials;
  tracker: Pick<TrackerClient, "address">;
  /** Opens sessions in the usual way, and looks after those that were opened early once they are used. */
  dialler: Pick<Dialler, "open" | "adopt">;
  paths: Pick<Paths, "pathTo">;
  clock: Clock;
}

/**
 * Sessions to peers that are dialled where they were last, while the tracker is still being asked who is there: each of the
 * two greetings takes several round trips. Invariant: nothing but HELLO and AUTH is said on one of them until
 * {@linkcode EarlyDials.open} is called with the entry of that id in the list that counts now. Of a peer that is not on
 * that list any more, or was removed from the network, it comes to nothing.
 */
export class EarlyDials {
  readonly #options: EarlyDialsOptions;
  /** By the peers' ids. */
  readonly #dials = new Map<string, Promise<Session>>();
  readonly #stop = new AbortController();

  constructor(options: EarlyDialsOptions) {
    this.#options = options;
  }

  /** Dials a peer by an entry that may be out of date. One that was reached otherwise than by dialling is left alone. */
  begin(entry: PeerEntry): void {
    const { credentials, tracker, paths, clock } = this.#options;
    const { signal } = this.#stop;
    const last = paths.pathTo(entry.id);
    const addresses = candidatesOf(entry, { via: tracker.address.host, last });
    const [first] = addresses;
    if (!first || signal.aborted || this.#dials.has(entry.id)) return;
    if (last !== undefined && last !== formatAddress(first)) return;
    const dial = (address: typeof first) => (lost: AbortSignal) =>
      openSession({ address, id: entry.id, credentials, clock, signal, lost });
    const session = race(addresses.map(dial), { clock, signal, drop: dismiss });
    session.catch(() => {});
    this.#dials.set(entry.id, session);
  }

  /**
   * Opens a session to a listed peer: gives the one that was begun early, unless the usual way is faster. The caller runs
   * it.
   *
   * @throws {P2PError} as the usual way does.
   */
  async open(entry: PeerEntry, ways: Ways = {}): Promise<Session> {
    const { dialler, clock } = this.#options;
    const early = this.#dials.get(entry.id);
    if (!early) return await dialler.open(entry, ways);
    this.#dials.delete(entry.id);
    const { signal = this.#stop.signal } = ways;
    return await race([async () => dialler.adopt(await early), () => dialler.open(entry, ways)], {
      clock,
      signal: AbortSignal.any([this.#stop.signal, signal]),
      drop: dismiss,
    });
  }

  /** Ends those that nobody has asked for. */
  close(): void {
    this.#stop.abort(new P2PError("interrupted", "This peer is stopping"));
    for (const session of this.#dials.values()) session.then(dismiss, () => {});
    this.#dials.clear();
  }
}

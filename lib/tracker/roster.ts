import { formatAddress } from "../address.ts";
import { KeyedGate } from "../async/gate.ts";
import type { Clock } from "../async/clock.ts";
import { P2PError } from "../errors.ts";
import type { Session } from "../net/session.ts";
import type { PeerEntry } from "../wire/message.ts";
import type { LeftReason } from "./left_reason.ts";
import type { Watched } from "./liveness.ts";
import { type Told, TOLD_NOTHING } from "./peer_lists.ts";
import type { Registry } from "./registry/registry.ts";

/** A registered peer and its session to this tracker. */
export interface Member extends Watched {
  /** Of its registration: a later one of the same id has another. */
  readonly token: string;
  /** When it was listed, milliseconds of the tracker's clock. */
  readonly since: number;
  /** What the session has been told of the list. */
  told: Told;
}

/** What a {@linkcode Roster} needs. */
export interface RosterOptions {
  registry: Registry;
  clock: Clock;
  onJoined?: ((entry: PeerEntry) => void) | undefined;
  onLeft?: ((entry: PeerEntry, reason: LeftReason) => void) | undefined;
}

/** Time in milliseconds after which the registration of a tracker that has died is over. */
export const LEASE = 60_000;

/**
 * The members and their sessions. Invariant: what happens to one id happens one after the other, in the
 * registry, here and for the observer, however long the registry takes.
 *
 * How a member leaves the list:
 *
 * | what happens                            | called by                 | here      | reason         | session       |
 * | --------------------------------------- | ------------------------- | --------- | -------------- | ------------- |
 * | UNREGISTER                              | handlers/membership.ts    | `drop`    | `unregistered` | goes on       |
 * | BYE                                     | serve.ts `#onClosed`      | `drop`    | `goodbye`      | has ended     |
 * | session breaks, no answer to a dial     | serve.ts, liveness.ts     | `drop`    | `lost`         | has ended     |
 * | no answer to PING, none to a dial       | liveness.ts               | `drop`    | `silent`       | aborted here  |
 * | registry has given its lease away       | leases.ts, `renew`        | `drop`    | `lost`         | aborted here  |
 * | `Tracker.dismiss` (of a share)          | serve.ts                  | `release` | `dismissed`    | closed by it  |
 * | REMOVE by the operator                  | handlers/operating.ts     | `release` | `removed`      | refused by it |
 * | REGISTER of its key on another session  | handlers/membership.ts    |`register`| `replaced`     | refused here  |
 *
 * Each of these but the last ends in `#remove`, which has the registry `unregister` it. `Registry.expire` removes what
 * is no member of any tracker: registrations whose tracker has died and renews no lease.
 */
export class Roster implements Iterable<Member> {
  readonly #options: RosterOptions;
  readonly #members = new Map<string, Member>();
  /** By id. */
  readonly #turns = new KeyedGate(1);

  constructor(options: RosterOptions) {
    this.#options = options;
  }

  /** How many members there are. */
  get size(): number {
    return this.#members.size;
  }

  [Symbol.iterator](): Iterator<Member> {
    return this.#members.values();
  }

  /** The member with the id. */
  get(id: string): Member | undefined {
    return this.#members.get(id);
  }

  /** The member that has registered on this session, and on no other since. */
  of(session: Session): Member | undefined {
    const member = this.#members.get(session.remote.id);
    return member?.session === session ? member : undefined;
  }

  /**
   * Registers the peer of `session`; resolves with its entry as listed. An older session of the same key is
   * told that it has been replaced, and closed. When that is `alive`, which has just answered, two peers have one key:
   * the entry that the older one had is in `displaced`.
   *
   * @throws {P2PError} as {@linkcode Registry.register} does.
   */
  register(
    entry: PeerEntry,
    session: Session,
    alive: Session | null = null,
  ): Promise<{ entry: PeerEntry; displaced?: PeerEntry }> {
    const { id } = entry;
    return this.#turns.run(id, async () => {
      const { registry, clock, onJoined, onLeft } = this.#options;
      const { entry: listed, token } = await registry.register(entry, { lease: LEASE });
      const known = this.#members.get(id);
      const isSame = known?.session === session;
      const isAlive = !isSame && alive !== null && known?.session === alive;
      const isOther = !isSame && known !== undefined && !isSamePlace(known.entry, listed);
      if (known?.session && !isSame) void known.session.refuse(replaced(listed));
      this.#members.set(id, {
        entry: listed,
        session,
        token,
        since: known && !isOther && !isAlive ? known.since : clock.now(),
        checkedAt: clock.now(),
        checking: false,
        told: isSame ? known.told : TOLD_NOTHING,
      });
      if (known && (isAlive || isOther)) {
        const where = formatAddress(listed);
        onLeft?.(known.entry, {
          code: "replaced",
          text: isAlive
            ? `sent away by a peer with the same key at ${where}: its state folder is used twice`
            : `came back at ${where}`,
        });
      }
      if (!known || isAlive || isOther) onJoined?.(listed);
      return { entry: listed, ...(isAlive ? { displaced: known.entry } : {}) };
    });
  }

  /** Takes a member off the list, unless it has registered anew. A session that is lost or silent ends. */
  drop(member: Member, reason: LeftReason): Promise<void> {
    const { id } = member.entry;
    return this.#turns.run(id, async () => {
      if (this.#members.get(id) === member) await this.#remove(member, reason);
    });
  }

  /** Takes whoever has the id off the list; resolves with its session, which goes on. */
  release(id: string, reason: LeftReason): Promise<Session | null> {
    return this.#turns.run(id, async () => {
      const member = this.#members.get(id);
      if (!member) return null;
      await this.#remove(member, reason);
      return member.session;
    });
  }

  /** Renews the leases of all members; one that the registry has given away or forgotten is dropped. */
  async renew(): Promise<void> {
    const { registry } = this.#options;
    const gone: LeftReason = { code: "lost", text: "its registration has ended" };
    await Promise.all([...this].map(async (member) => {
      if (!await registry.touch(member.entry.id, member.token)) await this.drop(member, gone);
    }));
  }

  async #remove({ entry, token, session }: Member, reason: LeftReason): Promise<void> {
    const { registry, onLeft } = this.#options;
    this.#members.delete(entry.id);
    try {
      await registry.unregister(entry.id, token);
    } catch {
      // A registry that cannot be reached forgets the entry when its lease is over.
    }
    if (reason.code === "lost" || reason.code === "silent") {
      session?.abort(new P2PError("timeout", `Dropped ${entry.name}: ${reason.text}`));
    }
    onLeft?.(entry, reason);
  }
}

function isSamePlace(a: PeerEntry, b: PeerEntry): boolean {
  return a.name === b.name && a.host === b.host && a.port === b.port;
}

/** For the old session of a peer that came back, which is dead; one that is alive is of a copy of the state folder. */
function replaced(by: PeerEntry): P2PError {
  return new P2PError(
    "replaced",
    `Cannot stay: another peer with the same key has registered from ${
      formatAddress(by)
    }, so this ` +
      "state folder is used twice; give this one a state folder of its own with --state DIR",
  );
}

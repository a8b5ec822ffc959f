import type { Clock } from "../async/clock.ts";
import { asP2PError } from "../errors.ts";
import type { Session } from "../net/session.ts";
import { type EncodedFrame, encodedReply, encodeFrame } from "../wire/frame.ts";
import { MAX_BARRED, MAX_PEERS_PER_FRAME, PEERS_PER_FRAME } from "../wire/limits.ts";
import type { MessageOf } from "../wire/message.ts";
import type { Awaitable, Changes, Registry, RegistryEvent } from "./registry/registry.ts";
import { entryFor, type View, viewOf } from "./views.ts";

/** What a session has been told of the list. Replaced and never changed. */
export interface Told {
  readonly epoch: string;
  readonly revision: number;
  /**
   * `whole`: all up to the revision. `asking`: a frame that ended with `more`, or nothing yet, so that the
   * peer is about to ask. `waiting`: it has not asked since the last push.
   */
  readonly state: "whole" | "asking" | "waiting";
}

/** What a session has been told before its first list. */
export const TOLD_NOTHING: Told = { epoch: "", revision: 0, state: "asking" };

/** A member as far as lists go. */
export interface Reader {
  readonly session: Session | null;
  told: Told;
}

/** What {@linkcode PeerLists} needs. */
export interface PeerListsOptions {
  registry: Registry;
  members: Iterable<Reader> & { readonly size: number };
  /** An address of this machine that others may know it by. */
  ownHost: () => string;
  clock: Clock;
}

/** A page of the list as bytes. */
interface Page {
  readonly frame: EncodedFrame;
  /** Where whoever gets it is afterwards. */
  readonly told: Told;
}

/** What members that have been told the same are sent. */
interface Push {
  readonly frames: readonly EncodedFrame[];
  readonly told: Told;
}

/** Changes within this time, milliseconds, reach the members in one push. */
const PUSH_DELAY = 50;
/**
 * Shortest time between two pushes, milliseconds for each member: telling one takes 30 to 60 us, so that
 * pushes take at most a fifth of a core, however fast members come.
 */
const SPACING_PER_MEMBER = 0.3;
/** Longest time between a change and its push, milliseconds. */
const MAX_SPACING = 1000;

/** Pages that are kept at once, of up to 64 KiB each. */
const MAX_PAGES = 256;

/**
 * Tells sessions who is there: those that ask, and all members soon after each change. What many are told
 * is read and encoded once for each {@linkcode View}.
 */
export class PeerLists {
  readonly #options: PeerListsOptions;
  /** The latest of the barred, and the list that they were taken of. */
  #barred: { of: readonly string[]; latest: string[] } = { of: [], latest: [] };
  /**
   * Full pages by what was asked for. One that is followed by others stays true while peers join, since they
   * stand in the others: thousands that come at once are given the same bytes.
   */
  readonly #pages = new Map<string, Page>();
  /** How often the pages have been forgotten: one that was read before that is not kept after it. */
  #pagesVersion = 0;
  /** Where the members were after the last push. */
  #front: Told = TOLD_NOTHING;
  #pushedAt = -Infinity;
  #isPushing = false;
  #isStopped = false;
  #cancel: (() => void) | undefined;

  constructor(options: PeerListsOptions) {
    this.#options = options;
  }

  /** Answers PEERS. `member` is whose session it is, if it has registered. */
  async answer(session: Session, asked: MessageOf<"PEERS">, member?: Reader): Promise<void> {
    const before = member?.told;
    const view = viewOf(session);
    const { frame, told } = this.#pages.get(keyOf(asked, view)) ?? await this.#page(asked, view);
    session.postEncoded(encodedReply(frame, asked.seq));
    if (!member) return;
    if (member.told === before) {
      member.told = told;
    } else {
      // A push has overtaken this answer, which may be older: what it took back is told again.
      member.told = { ...told, state: "waiting" };
      this.soon();
    }
  }

  /** Tells the members of a change of the registry, soon. */
  onChange({ kind }: RegistryEvent): void {
    if (kind === "returned") return;
    if (kind !== "joined") this.#forgetPages();
    this.soon();
  }

  #forgetPages(): void {
    this.#pagesVersion++;
    this.#pages.clear();
  }

  /** Tells every member what changed, soon, in as few frames as possible. */
  soon(): void {
    if (this.#isStopped || this.#cancel) return;
    const { clock, members } = this.#options;
    const spacing = Math.min(MAX_SPACING, members.size * SPACING_PER_MEMBER);
    const wait = Math.max(PUSH_DELAY, this.#pushedAt + spacing - clock.now());
    this.#cancel = clock.after(wait, () => {
      this.#cancel = undefined;
      if (this.#isPushing) this.soon();
      else void this.#push();
    });
  }

  /** Pushes no more. */
  stop(): void {
    this.#isStopped = true;
    this.#cancel?.();
  }

  async #push(): Promise<void> {
    this.#isPushing = true;
    try {
      this.#pushedAt = this.#options.clock.now();
      if (!await this.#tellAll()) this.soon();
    } catch {
      // A registry that cannot be reached now is asked again.
      this.soon();
    } finally {
      this.#isPushing = false;
    }
  }

  /** One push; false when somebody was left out who has to be told yet. */
  async #tellAll(): Promise<boolean> {
    const pushes = new Map<string, Promise<Push>>();
    let isComplete = true;
    let front: Told | undefined;
    for (const member of [...this.#options.members]) {
      const { session, told } = member;
      if (!session || session.connection.closed) continue;
      const from = this.#startFor(told);
      const view = viewOf(session);
      const key = `${from.epoch} ${from.revision} ${from.state} ${view}`;
      const pending = pushes.get(key) ?? this.#read(from, view);
      pushes.set(key, pending);
      const push = await pending;
      if (push.told.state === "whole") front ??= push.told;
      if (isUpTo(told, push.told)) continue;
      if (member.told !== told) {
        isComplete = false;
      } else if (told.state === "asking" && push.told.state === "asking") {
        // Half a list: whoever is about to ask for it would fetch the rest twice.
        member.told = { ...told, state: "waiting" };
        isComplete = false;
      } else {
        for (const frame of push.frames) session.postEncoded(frame);
        member.told = push.told;
      }
    }
    this.#front = front ?? this.#front;
    return isComplete;
  }

  /**
   * Where the changes for a member begin. Whoever has seen the last push gets what all get, a few changes of
   * which it may have fetched since: it costs no reading and no encoding of its own.
   */
  #startFor(told: Told): Told {
    return told.state === "whole" && isUpTo(told, this.#front) ? this.#front : told;
  }

  /** Reads a page, and keeps it if others will ask for the same. */
  async #page(asked: MessageOf<"PEERS">, view: View): Promise<Page> {
    const { registry } = this.#options;
    const { since, epoch, limit = PEERS_PER_FRAME } = asked;
    const version = this.#pagesVersion;
    const barred = await this.#latestBarred();
    const { frame, changes } = await encodeMost(
      Math.min(limit, MAX_PEERS_PER_FRAME),
      (most) => registry.changes(since, epoch, most),
      (changes) => this.#encode({ ...changes, barred }, view),
    );
    const page = { frame, told: toldBy(changes) };
    // Who is away is told to the operator as it is, and kept by nobody.
    const isFollowed = page.told.state === "asking" && view !== "operator";
    if (isFollowed && version === this.#pagesVersion) this.#keep(keyOf(asked, view), page);
    return page;
  }

  #keep(key: string, page: Page): void {
    this.#pages.set(key, page);
    for (const oldest of this.#pages.keys()) {
      if (this.#pages.size <= MAX_PAGES) return;
      this.#pages.delete(oldest);
    }
  }

  async #read(from: Told, view: View): Promise<Push> {
    const { registry } = this.#options;
    const barred = await this.#latestBarred();
    const next = ({ revision, epoch }: { revision: number; epoch: string }, isAsking: boolean) =>
      encodeMost(
        PEERS_PER_FRAME,
        (most) => registry.changes(revision, epoch, most),
        // Nobody has to ask for what comes by itself: thousands would.
        (changes) => {
          const more = changes.more && (isAsking || changes.full);
          return this.#encode({ ...changes, more, barred }, view);
        },
      );
    // Whoever has a part of the list only, or one of another epoch, fetches the rest page by page.
    const isAsking = from.state !== "whole";
    let { frame, changes } = await next(from, isAsking);
    const frames = [frame];
    while (changes.more && !isAsking && !changes.full) {
      const page = await next(changes, false);
      if (page.changes.full) break; // Another epoch has begun: who has been told this much asks for the whole list.
      ({ frame, changes } = page);
      frames.push(frame);
    }
    return { frames, told: toldBy(changes) };
  }

  #encode(list: Omit<MessageOf<"PEER_LIST">, "verb">, view: View): EncodedFrame {
    let own: string | undefined;
    // Read once for a page: it is a call to the system.
    const ownHost = () => own ??= this.#options.ownHost();
    const peers = list.peers.map((entry) => entryFor(view, entry, ownHost));
    return encodeFrame({ verb: "PEER_LIST", ...list, peers });
  }

  /** The latest of the barred: peers refuse them too. The tracker itself refuses all. */
  async #latestBarred(): Promise<string[]> {
    const all = await this.#options.registry.barred();
    if (all !== this.#barred.of) this.#barred = { of: all, latest: all.slice(-MAX_BARRED) };
    return this.#barred.latest;
  }
}

/** Encodes as many changes as fit a frame, and not more than `most`: peers with many addresses take room. */
async function encodeMost(
  most: number,
  read: (most: number) => Awaitable<Changes>,
  encode: (changes: Changes) => EncodedFrame,
): Promise<{ frame: EncodedFrame; changes: Changes }> {
  while (true) {
    const changes = await read(most);
    try {
      return { frame: encode(changes), changes };
    } catch (error) {
      if (most === 1 || asP2PError(error).code !== "too-long") throw error;
      most = Math.ceil(most / 2);
    }
  }
}

/** What a page is kept under. */
function keyOf({ since, epoch, limit }: MessageOf<"PEERS">, view: View): string {
  return `${since} ${epoch} ${limit} ${view}`;
}

function toldBy({ epoch, revision, more }: Changes): Told {
  return { epoch, revision, state: more ? "asking" : "whole" };
}

/** Whether a list of one position holds all that one of the other holds. */
function isUpTo(told: Told, other: Told): boolean {
  return told.epoch === other.epoch && told.revision >= other.revision;
}

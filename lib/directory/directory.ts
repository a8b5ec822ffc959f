import { tellOnce } from "../tell_once.ts";
import { P2PError, reasonOf } from "../errors.ts";
import { type Clock, delay } from "../async/clock.ts";
import type { Credentials, Remote } from "../net/handshake.ts";
import { formatAddress } from "../address.ts";
import type { TrackerClient } from "./tracker_client.ts";
import type { PeerEntry } from "../wire/message.ts";
import { isPeerName, peerNameKey } from "../wire/peer_name.ts";
import { NameBook } from "./name_book.ts";
import { type Cached, PeerCache } from "./peer_cache.ts";
import { type Known, resolveKnown } from "./absent.ts";
import { namesEach, type Recipients, resolveRecipients, resolveTarget } from "./target.ts";

/** Longest time in milliseconds that a session waits for the tracker to say who it is with. */
const MEETING_TIME = 1_000;
/** How long in milliseconds a list that was asked for is good enough, once, to find those in it who are named. */
const NEW_FOR = 1_000;

/** The same for where a peer is now that was lost. */
const LOCATING_TIME = 1_000;

/** What a {@linkcode Directory} needs. */
export interface DirectoryOptions {
  credentials: Credentials;
  tracker: TrackerClient;
  /** Folder of this user's peers; null keeps neither names nor the list. */
  folder: string | null;
  clock: Clock;
  /** Hears what a person should know. */
  notice?: ((message: string) => void) | undefined;
}

/** The peers of the network as the tracker lists them, or as they were seen last, and whom a target means. */
export class Directory {
  /** Undefined where names are not kept. */
  readonly names: NameBook | undefined;
  readonly #options: DirectoryOptions;
  readonly #cache: PeerCache | undefined;
  readonly #notice: (message: string) => void = () => {};
  #cached: PeerEntry[] = [];
  /** How peers were reached last where that was not the usual way, by their ids. */
  #paths: Record<string, string> = {};
  #asking: Promise<unknown> | undefined;
  /** Until when the list that {@linkcode update} got counts as new; it is used up by its first use. */
  #newUntil = -Infinity;
  /** Ids by the keys of the names that are pinned to them, as read last; null when they could not be read. */
  #pins: ReadonlyMap<string, string> | null = new Map();

  constructor(options: DirectoryOptions) {
    this.#options = options;
    const { folder } = options;
    if (folder === null) return;
    this.#notice = tellOnce(options.notice ?? (() => {}));
    this.names = new NameBook(folder, this.networkKey);
    this.#cache = new PeerCache(folder);
  }

  /** All of them as last heard of, without asking. */
  get known(): PeerEntry[] {
    const { entries } = this.#options.tracker.list;
    return entries.length > 0 ? entries : this.#cached;
  }

  /** The others as last heard of, without asking. */
  get knownOthers(): PeerEntry[] {
    return this.#withoutSelf(this.known);
  }

  /** All of them: brought up to date where the tracker can be asked. */
  async entries(): Promise<PeerEntry[]> {
    const { tracker } = this.#options;
    return tracker.isConnected ? await tracker.refresh() : this.known;
  }

  /** Asks the tracker and keeps its list; resolves with the others. */
  async update(): Promise<PeerEntry[]> {
    const { tracker, clock } = this.#options;
    const entries = await tracker.refresh();
    this.#newUntil = clock.now() + NEW_FOR;
    const paths = await this.#tryCache((cache) => cache.save(this.networkKey, entries));
    this.#paths = { ...paths, ...this.#paths };
    return this.#withoutSelf(entries);
  }

  /** Uses what is kept of the list, which only serves while the tracker is down: a failure is said, and nothing else. */
  async #tryCache<T>(use: (cache: PeerCache) => Promise<T>): Promise<T | undefined> {
    try {
      return this.#cache && await use(this.#cache);
    } catch (error) {
      this.#notice(
        `Cannot keep the list of peers for when the tracker is down: ${reasonOf(error)}`,
      );
      return undefined;
    }
  }

  /** Has the list that was kept last serve until the tracker gives one; false when there is none. */
  async recall(): Promise<boolean> {
    const cached = await this.#loadCache();
    this.#cached = cached?.peers ?? [];
    return this.#cached.length > 0;
  }

  /** Loads the list that was kept last, and how its peers were reached. */
  async #loadCache(): Promise<Pick<Cached, "peers" | "seen"> | undefined> {
    const cached = await this.#tryCache((cache) => cache.load(this.networkKey));
    this.#paths = { ...cached?.paths, ...this.#paths };
    return cached;
  }

  /** How the peer with the id was reached last; undefined: as its entry suggests, or never. */
  pathTo(id: string): string | undefined {
    return this.#paths[id];
  }

  /** Remembers how a peer was reached, also for the next command of this user. */
  async keepPath(id: string, path: string | undefined): Promise<void> {
    if (path === undefined) delete this.#paths[id];
    else this.#paths[id] = path;
    await this.#tryCache((cache) => cache.savePath(this.networkKey, id, path));
  }

  /**
   * Who a session, an offer, a message or an entry of the list is of: the one answer to that question. It is the name
   * that the tracker lists the id under, unless that name is pinned to another key; undefined for one that goes by its
   * id.
   *
   * @param claimed a name that the author of a message gives itself: it counts where nobody else goes by it.
   */
  nameOf(id: string, claimed?: string): string | undefined {
    const { list, trackerId } = this.#options.tracker;
    const listed = list.get(id)?.name;
    if (listed === undefined && id !== "" && id === trackerId) return "tracker";
    const isFree = claimed !== undefined && isPeerName(claimed) && !list.hasName(claimed);
    const name = listed ?? (isFree ? claimed : undefined);
    return name === undefined || this.#isOfAnother(name, id) ? undefined : name;
  }

  #isOfAnother(name: string, id: string): boolean {
    if (this.#pins === null) return true;
    const pinned = this.#pins.get(peerNameKey(name));
    return pinned !== undefined && pinned !== id;
  }

  /**
   * Reads the names that are pinned, for {@linkcode nameOf}: another process of this user may have pinned some. As long
   * as they cannot be read, which is said once, everybody goes by the id.
   */
  async readNames(): Promise<void> {
    try {
      this.#pins = await this.names?.read() ?? new Map();
    } catch (error) {
      this.#notice(reasonOf(error));
      this.#pins = null;
    }
  }

  /**
   * Asks the tracker who a peer is that it has not told of yet: it tells of newcomers a moment later, and some are faster.
   * One that is not listed, or a tracker that does not answer, holds nobody up for longer than `MEETING_TIME`.
   */
  async meet({ id, role }: Remote): Promise<void> {
    const { tracker, clock } = this.#options;
    await this.readNames();
    const isStranger = () => role === "peer" && tracker.isConnected && !tracker.list.get(id);
    if (!isStranger()) return;
    const asking = async () => {
      // What was asked before this peer was listed does not tell of it.
      await this.#ask();
      if (isStranger()) await this.#ask();
    };
    const over = new AbortController();
    try {
      await Promise.race([asking(), delay(clock, MEETING_TIME, over.signal)]);
    } catch {
      // The tracker cannot say: the peer goes by its id.
    } finally {
      over.abort();
    }
  }

  /** Asks for the list, together with whoever asks now. */
  #ask(): Promise<unknown> {
    this.#asking ??= this.#options.tracker.refresh().finally(() => this.#asking = undefined);
    return this.#asking;
  }

  /**
   * The entry as the tracker lists it now; the known one while that cannot be asked, lists none, or does not answer
   * soon: its line may be away as well.
   */
  async current(entry: PeerEntry): Promise<PeerEntry> {
    const { tracker, clock } = this.#options;
    const asking = tracker.revive().then(() => this.#ask());
    const over = new AbortController();
    await Promise.race([asking, delay(clock, LOCATING_TIME, over.signal)]).catch(() => {});
    over.abort();
    return this.known.find(({ id }) => id === entry.id) ?? entry;
  }

  /**
   * The peer that a name, `id:` and a prefix, or `host:port` means.
   *
   * @throws {P2PError} `peer-unknown` or `peer-ambiguous`, with the candidates; `name-changed-key`.
   */
  async resolve(target: string): Promise<PeerEntry> {
    const entry = resolveTarget(target, await this.#entriesFor([target]));
    await this.names?.pin(entry);
    await this.readNames();
    return entry;
  }

  /**
   * Whom `--to` means; none means the only other peer. Their names are not pinned here: `SendService` pins each when it
   * takes a link to it, so that one changed key fails one recipient.
   *
   * @throws {P2PError} `peer-unknown` or `peer-ambiguous` when none of them is there; `usage` when none is named among
   * several.
   */
  async recipients(to: readonly string[]): Promise<Recipients> {
    const recipients = this.#choose(to, await this.#entriesFor(to));
    const isFixed = to.length === 0 || namesEach(to) && recipients.missing.length === 0;
    if (isFixed) return recipients;
    return { ...recipients, look: async () => this.#choose(to, await this.entries()) };
  }

  /**
   * Whom `--to` means, those included who are known and not there now.
   *
   * @throws {P2PError} as {@linkcode recipients}; `peer-unknown` when nobody of those named has ever been seen.
   */
  async thereOrAway(to: readonly string[]): Promise<Known> {
    if (to.length === 0) return { ...await this.recipients(to), absent: [] };
    const entries = await this.#entriesFor(to);
    const { peers = [], seen = [] } = await this.#loadCache() ?? {};
    const { credentials: { identity }, tracker: { list } } = this.#options;
    return resolveKnown(to, {
      entries,
      others: this.#withoutSelf(entries),
      seen: [...peers, ...seen].filter(({ id }) => !list.isBarred(id)),
      pins: await this.names?.read() ?? new Map(),
      own: identity.id,
    });
  }

  /** Remembers who is there, for when they are away. */
  async note(present: readonly PeerEntry[]): Promise<void> {
    await this.#tryCache((cache) => cache.note(this.networkKey, present));
  }

  /** All of them, asked for unless that has just been done. */
  async #entriesFor(to: readonly string[]): Promise<PeerEntry[]> {
    const { clock, tracker: { list } } = this.#options;
    const isNew = clock.now() < this.#newUntil;
    this.#newUntil = -Infinity;
    // Who is missing may have come this moment, and `all` means whoever is there.
    const hasAll = isNew && namesEach(to) &&
      this.#tryToChoose(to, list.entries)?.missing.length === 0;
    return hasAll ? list.entries : await this.entries();
  }

  /** Whom `--to` would mean by the list that was kept last, which may be out of date; nobody when it is about others. */
  async likelyRecipients(to: readonly string[]): Promise<readonly PeerEntry[]> {
    const cached = await this.#loadCache();
    return this.#tryToChoose(to, cached?.peers ?? [])?.peers ?? [];
  }

  #tryToChoose(to: readonly string[], entries: PeerEntry[]): Recipients | undefined {
    try {
      return this.#choose(to, entries);
    } catch {
      return undefined;
    }
  }

  #choose(to: readonly string[], entries: PeerEntry[]): Recipients {
    const others = this.#withoutSelf(entries);
    if (to.length > 0) return resolveRecipients(to, entries, others);
    const [only] = others;
    if (only && others.length === 1) return { peers: [only], missing: [] };
    if (others.length === 0) {
      throw new P2PError("peer-unknown", "Cannot send: no other peer is there");
    }
    throw new P2PError("usage", "Cannot choose a recipient: several peers are there; say which", {
      candidates: others.map(({ name }) => name),
    });
  }

  /**
   * Accepts that a name stands for another key than before.
   *
   * @throws {P2PError} `peer-unknown` or `peer-ambiguous`, with the candidates.
   */
  async trust(name: string): Promise<PeerEntry> {
    const entry = resolveTarget(name, await this.entries());
    await this.names?.trust(entry);
    await this.readNames();
    return entry;
  }

  /** What the network goes by in the state of this user: its id, or its tracker's address with `--insecure`. */
  get networkKey(): string {
    const { credentials: { membership }, tracker } = this.#options;
    return membership?.id ?? `insecure ${formatAddress(tracker.address)}`;
  }

  /**
   * Leaves this peer out. A one-shot command shares its identity with the peer that runs on this machine;
   * where all peers are on this machine (its tracker is on loopback) that one is another peer.
   */
  #withoutSelf(entries: PeerEntry[]): PeerEntry[] {
    const { credentials: { identity, role }, tracker } = this.#options;
    const isAnother = role === "client" && tracker.isLocal;
    return entries.filter(({ id }) => id !== identity.id || isAnother);
  }
}

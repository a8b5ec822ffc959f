import { join } from "node:path";
import type { AppEvent, HistoryEvent } from "../cli/events.ts";
import { type Clock, systemClock } from "../clock.ts";
import { asP2PError, isRetriable, P2PError } from "../errors.ts";
import { certificatePem } from "../identity/certificate.ts";
import { type Identity, randomToken } from "../identity/keys.ts";
import type { Membership } from "../identity/network.ts";
import type { Credentials, Remote } from "../net/handshake.ts";
import { ASKING_ONLY } from "../net/open_session.ts";
import { RateLimit, REFUSALS_TOLD } from "../net/rate_limit.ts";
import { Server } from "../net/server.ts";
import type { Session } from "../net/session.ts";
import { type Address, formatAddress, isLoopback, listen } from "../net/transport.ts";
import { hexOf } from "../store/hash.ts";
import { Inbox } from "../store/inbox.ts";
import type { Content } from "../store/content.ts";
import { ManifestCache } from "../store/manifest_cache.ts";
import { openContent } from "../store/open_content.ts";
import { Source } from "../store/source.ts";
import { type ListChange, TrackerClient } from "../tracker/client.ts";
import { RateLimiter } from "../transfer/rate_limiter.ts";
import { RateMeter } from "../transfer/rate_meter.ts";
import type { Offer, Received } from "../transfer/incoming.ts";
import type { Delivery } from "../transfer/outgoing.ts";
import { Receiver } from "../transfer/receiver.ts";
import type { Frame } from "../wire/frame.ts";
import type { MessageOf, PeerEntry } from "../wire/message.ts";
import { isPeerName } from "../wire/peer_name.ts";
import { Acceptance, type AcceptRule, type AskPerson } from "./acceptance.ts";
import { Dialler } from "./dialler.ts";
import { Carriers } from "./carriers.ts";
import { History } from "./history.ts";
import { composeMessage, MessageInbox } from "./messages.ts";
import { recvAck, type SendReport, sendToAll, stillToGet } from "./sending.ts";
import { Outbox } from "./outbox.ts";
import { NameBook, PeerCache } from "./state.ts";
import { resolveRecipients, resolveTarget } from "./target.ts";

/** Settings of a {@linkcode Peer}. Times are milliseconds. */
export interface PeerOptions {
  identity: Identity;
  /** Null with `--insecure`. */
  membership: Membership | null;
  tracker: Address;
  /** `peer` is listed and receives; `client` is a one-shot command. */
  role: "peer" | "client";
  name: string;
  /** Where to listen; by default on loopback for a tracker there, else on the address that reached it. */
  host?: string | undefined;
  /** 0 takes a free one. */
  port?: number | undefined;
  /** Under which address the tracker should list this peer, where it allows that. */
  advertise?: { host: string; port: number | null } | undefined;
  /** The inbox. */
  received: string;
  /** Folder of this user's peers: names, cached list, history. */
  folder: string;
  /** Who may put files into the inbox; by default every member. */
  accept?: AcceptRule | undefined;
  /** Asks the person at the terminal, if there is one. */
  askPerson?: AskPerson | undefined;
  /** Largest file in bytes that is accepted. */
  maxSize?: number | undefined;
  /** Bytes that the inbox may hold in all. */
  quota?: number | undefined;
  /** Bytes of files per second, in each direction, for all transfers together. */
  limitRate?: number | undefined;
  ackTimeout?: number | undefined;
  /** How long to go on trying to reach a recipient after the usual tries. */
  giveUpAfter?: number | undefined;
  /** How long what was received in part waits for its sender. */
  keepPartials?: number | undefined;
  /** Where the one file goes that is received, in place of the inbox. */
  outlet?: ((bytes: Uint8Array) => Promise<void>) | undefined;
  /** Recipients served at a time. */
  parallel?: number | undefined;
  /** A network for once: its names and its list are not kept. */
  transient?: boolean | undefined;
  /** The port at which a tracker in this process takes sessions for this peer, which listens nowhere then. */
  claimPort?: number | undefined;
  /**
   * Asked before an offer of a file: throws to refuse it. What it resolves with is called when the offer
   * came to nothing all the same.
   */
  takeOffer?: ((offer: OfferedFile) => Promise<() => void>) | undefined;
  /** The tracker ended the session, with BYE (null) or ERROR; true when there is no use in coming back. */
  onTrackerEnded?: ((error: P2PError | null) => boolean) | undefined;
  emit?: (event: AppEvent) => void;
  clock?: Clock;
  random?: () => number;
}

/** What {@linkcode PeerOptions.takeOffer} decides on. All but `from` is the sender's word. */
export interface OfferedFile {
  /** The sender's id. */
  from: string;
  transfer: string;
  name: string;
  size: number | null;
}

/**
 * A peer: registered with a tracker, listening for others, sending and receiving. The composition root:
 * each method hands its work to the module that does it.
 */
export class Peer implements AsyncDisposable {
  readonly history: History;
  readonly outbox: Outbox;
  readonly #options: PeerOptions;
  readonly #clock: Clock;
  readonly #emit: (event: AppEvent) => void;
  readonly #tracker: TrackerClient;
  readonly #dialler: Dialler;
  readonly #carriers: Carriers;
  readonly #names: NameBook | undefined;
  readonly #cache: PeerCache | undefined;
  readonly #manifests: ManifestCache;
  readonly #acceptance: Acceptance;
  readonly #messages: MessageInbox;
  readonly #refusals: RateLimit;
  readonly #rates: { up?: RateLimiter; down?: RateLimiter };
  readonly #sends = new Set<Promise<unknown>>();
  /** Entries of the history that are being written. */
  readonly #notes = new Set<Promise<void>>();
  readonly #stopping = new AbortController();
  readonly #refused = Promise.withResolvers<never>();
  #cached: PeerEntry[] = [];
  #inbox: Inbox | undefined;
  #receiver: Receiver | undefined;
  #server: Server | undefined;
  #name: string;

  constructor(options: PeerOptions) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    this.#emit = options.emit ?? (() => {});
    this.#name = options.name;
    if (!options.transient) {
      this.#names = new NameBook(options.folder);
      this.#cache = new PeerCache(options.folder);
    }
    this.#manifests = new ManifestCache(join(options.folder, "manifests"));
    this.history = new History(options.folder);
    this.outbox = new Outbox(options.folder);
    this.#refusals = new RateLimit({ ...REFUSALS_TOLD, clock: this.#clock });
    this.#rates = this.#makeRates();
    this.#acceptance = new Acceptance({
      rule: options.accept ?? { who: "members" },
      names: this.#names,
      entries: async ({ fresh }) => fresh ? await this.#entries() : this.#cachedOrKnown(),
      ownName: () => this.#name,
      askPerson: options.askPerson,
    });
    this.#messages = new MessageInbox(options.membership?.id);
    this.#tracker = new TrackerClient({
      address: options.tracker,
      credentials: this.#credentials,
      registration: () => this.#registration(),
      observer: {
        onListChanged: (change) => this.#onListChanged(change),
        onMessage: (message, text) => this.#onRelayed(message, text),
        onDial: (message) => this.#onDial(message),
        onLost: ({ message: reason }) => this.#emit({ event: "tracker-lost", reason }),
        onRegistered: (reply) => this.#onRegistered(reply),
        onRefused: (error) => this.#refused.reject(error),
        onEnded: (error) => options.onTrackerEnded?.(error) ?? false,
      },
      clock: this.#clock,
      ...(options.random ? { random: options.random } : {}),
    });
    this.#dialler = new Dialler({
      credentials: this.#credentials,
      tracker: this.#tracker,
      listeningPort: () => this.#listeningPort(),
      clock: this.#clock,
    });
    this.#carriers = new Carriers({ open: (entry) => this.#open(entry), clock: this.#clock });
    this.#refused.promise.catch(() => {});
  }

  /** Own id. */
  get id(): string {
    return this.#options.identity.id;
  }

  /** Own name, as the tracker gave it. */
  get name(): string {
    return this.#name;
  }

  /** Where it listens; undefined before {@linkcode startListening}. */
  get address(): Address | undefined {
    return this.#server?.address;
  }

  /** Absolute path of the inbox; undefined before {@linkcode startListening}. */
  get inboxPath(): string | undefined {
    return this.#inbox?.path;
  }

  /** The others as last heard of, without asking. */
  get knownPeers(): PeerEntry[] {
    const { entries } = this.#tracker.list;
    return (entries.length > 0 ? entries : this.#cached).filter((entry) => !this.#isSelf(entry));
  }

  /** Whether the tracker can be asked now. */
  get isConnected(): boolean {
    return this.#tracker.isConnected;
  }

  /** Whether the tracker lists this peer, as far as it knows. */
  get isRegistered(): boolean {
    return this.#tracker.isRegistered;
  }

  /** Whether the network is a share: its tracker has the network's own key, and sends to whoever joins. */
  get isShare(): boolean {
    const { membership } = this.#options;
    return membership !== null && this.#tracker.trackerId === membership.id;
  }

  /** Whether something is being sent or received. */
  get isBusy(): boolean {
    return this.#sends.size > 0 || (this.#receiver?.activeCount ?? 0) > 0;
  }

  /** Rejects when the tracker refuses this peer for good; else never settles. */
  get refused(): Promise<never> {
    return this.#refused.promise;
  }

  /** Connects to the tracker; {@linkcode start} does the rest. */
  async connect(): Promise<void> {
    await this.#tracker.connect();
  }

  /** Joins as a listed peer: connects, listens, registers. */
  async start(): Promise<void> {
    if (!this.isConnected) await this.connect();
    await this.startListening();
    await this.registerWithTracker();
  }

  /**
   * Joins as a one-shot command, which is not listed. While the tracker is down the list that was seen
   * last serves.
   *
   * @throws {P2PError} `tracker-unreachable` when there is no such list.
   */
  async join(): Promise<void> {
    try {
      await this.#tracker.connect();
      await this.updatePeersList();
    } catch (thrown) {
      const error = asP2PError(thrown);
      this.#cached = await this.#cache?.load(this.#networkKey) ?? [];
      if (error.code !== "tracker-unreachable" || this.#cached.length === 0) throw error;
      this.#emit({
        event: "notice",
        message: `${error.message}. Going on with the peers that were there last`,
      });
    }
  }

  /** Opens the inbox and listens for other peers. */
  async startListening(): Promise<void> {
    const { identity, membership, port = 0, role } = this.#options;
    const host = this.#options.host ?? this.#ownHost();
    const { keepPartials, quota } = this.#options;
    this.#inbox = await Inbox.open(this.#options.received, this.id, { keepPartials, quota });
    this.#receiver = this.#makeReceiver(this.#inbox);
    this.#listen({ host, port });
    if (role !== "peer") return;
    this.#emit({
      event: "listening",
      host,
      port: this.#listeningPort(),
      id: identity.id,
      name: this.#options.name,
      inbox: this.#inbox.path,
      secure: membership !== null,
    });
  }

  /** Registers and waits for the tracker's OK; from then on the peer comes back by itself. */
  async registerWithTracker(): Promise<void> {
    await this.#tracker.register();
  }

  /** Unregisters and waits for the tracker's OK. */
  async unregisterFromTracker(): Promise<void> {
    if (!this.#tracker.isConnected) return;
    await this.#tracker.unregister();
    this.#emit({ event: "unregistered" });
  }

  /** Brings the list of peers up to date. */
  async updatePeersList(): Promise<PeerEntry[]> {
    const entries = await this.#tracker.refresh();
    await this.#cache?.save(this.#networkKey, entries);
    return entries.filter((entry) => !this.#isSelf(entry));
  }

  /** Whether the session is one that this peer waits for, and runs then: see {@linkcode PeerOptions.claimPort}. */
  claim(session: Session): boolean {
    return this.#dialler.claim(session);
  }

  /** Runs a session that another peer opened (or that this one opened because it was asked to). */
  async handlePeer(session: Session): Promise<void> {
    if (this.#dialler.claim(session)) return await session.ended;
    const receiver = this.#receiver;
    await session.run({
      allocate: (verb, length) =>
        receiver ? receiver.allocate(session, verb, length) : new Uint8Array(length),
      onMessage: (frame) => this.#onPeerMessage(frame, session),
      onClosed: () => receiver?.onSessionClosed(session),
    });
  }

  /**
   * Measures the round trip to a peer.
   *
   * @param target a name, `id:` and a prefix, or `host:port`.
   * @returns milliseconds.
   */
  async ping(target: string): Promise<number> {
    const entry = await this.#resolve(target);
    const session = await this.#open(entry);
    const running = session.run(ASKING_ONLY);
    try {
      const asked = this.#clock.now();
      await session.request({ verb: "PING" }, { timeout: 10_000 });
      const ms = this.#clock.now() - asked;
      this.#emit({ event: "pong", peer: entry.name, address: formatAddress(entry), ms });
      return ms;
    } finally {
      await session.close();
      await running;
    }
  }

  /**
   * Sends a message to everybody: through the tracker, or while it is down to each peer that is known.
   *
   * @returns how many got it.
   */
  async sendBroadcastMessage(text: string): Promise<number> {
    const { identity, membership } = this.#options;
    const message = composeMessage(text, { identity, network: membership?.id, name: this.#name });
    let delivered: number;
    try {
      delivered = await this.#tracker.broadcast(message.header, message.text);
    } catch (error) {
      if (!isRetriable(error) || (error as P2PError).code === "rate-limited") throw error;
      delivered = await this.#sendToEach(message);
    }
    this.#emit({ event: "broadcast-sent", id: message.header.id, delivered });
    return delivered;
  }

  /** Waits for a recipient's ACK and makes a line of the report of it. */
  recvAck(entry: PeerEntry, sending: Promise<Delivery>): ReturnType<typeof recvAck> {
    return recvAck(entry, sending);
  }

  /**
   * Sends a file, or a folder with all that is in it; resolves when every recipient has it on disk or has
   * failed.
   *
   * @param to names, `id:` prefixes, addresses or `all`; none means the only other peer.
   * @throws {P2PError} when it cannot be read or no recipient can be found; failures of single recipients
   * are in the report.
   */
  async sendFile(
    path: string,
    to: readonly string[],
    { signal, follow = false }: { signal?: AbortSignal; follow?: boolean } = {},
  ): Promise<SendReport> {
    const recipients = await this.recipients(to);
    const content = await openContent(path, { follow });
    const { name, size } = content;
    const job = { transfer: randomToken(16), signal };
    // Nobody can go on in a network that is gone.
    if (this.#options.transient) return await this.#send(content, recipients, job);
    const id = crypto.randomUUID();
    const unsent = { id, path, name, size: size ?? 0, follow, at: new Date().toISOString() };
    await this.outbox.put({ ...unsent, to: recipients.map(({ id, name }) => ({ id, name })) });
    const report = await this.#send(content, recipients, job);
    const left = stillToGet(report, recipients);
    if (left.length === 0) await this.outbox.remove(id);
    else await this.outbox.put({ ...unsent, to: left.map(({ id, name }) => ({ id, name })) });
    return report;
  }

  /** As {@linkcode sendFile}, for bytes that come from elsewhere and can be read once. */
  async sendStream(
    content: Content,
    to: readonly string[],
    { signal }: { signal?: AbortSignal } = {},
  ): Promise<SendReport> {
    return await this.#send(content, await this.recipients(to), {
      transfer: randomToken(16),
      signal,
    });
  }

  async #send(
    content: Content,
    recipients: readonly PeerEntry[],
    { transfer, signal }: { transfer: string; signal: AbortSignal | undefined },
  ): Promise<SendReport> {
    await using source = await Source.open(content, this.#manifests);
    this.#sayWhatIsSkipped(content);
    const tried = new Set<string>();
    const sending = sendToAll({
      transfer,
      source,
      recipients,
      connect: async (entry) => {
        // A recipient that was started again listens elsewhere.
        const current = tried.has(entry.id) ? await this.#current(entry) : entry;
        tried.add(entry.id);
        await this.#names?.check(current);
        return await this.#carriers.take(current);
      },
      emit: this.#emit,
      ackTimeout: this.#options.ackTimeout ?? 30_000,
      giveUpAfter: this.#options.giveUpAfter,
      parallel: this.#options.parallel ?? 4,
      rate: this.#rates.up,
      clock: this.#clock,
      signal: AbortSignal.any([this.#stopping.signal, ...(signal ? [signal] : [])]),
    });
    this.#sends.add(sending);
    try {
      const report = await sending;
      await this.#remember(report, content.path);
      return report;
    } finally {
      this.#sends.delete(sending);
    }
  }

  /** Whom `to` means; none means the only other peer. */
  async recipients(to: readonly string[]): Promise<readonly PeerEntry[]> {
    const entries = await this.#entries();
    const others = entries.filter((entry) => !this.#isSelf(entry));
    if (to.length > 0) return resolveRecipients(to, entries, others);
    const [only] = others;
    if (only && others.length === 1) return [only];
    if (others.length === 0) {
      throw new P2PError("peer-unknown", "Cannot send: no other peer is there");
    }
    throw new P2PError("usage", "Cannot choose a recipient: several peers are there; say which", {
      candidates: others.map(({ name }) => name),
    });
  }

  /** Takes a frame of an incoming transfer; false when it is none. */
  async receiveFile(frame: Frame, session: Session): Promise<boolean> {
    return await this.#receiver?.onMessage(frame, session) ?? false;
  }

  /** Accepts that a name stands for another key than before. */
  async trust(name: string): Promise<PeerEntry> {
    const entry = resolveTarget(name, await this.#entries());
    await this.#names?.trust(entry);
    return entry;
  }

  /**
   * Unregisters, takes nothing new, and lets transfers under way end; an aborted signal ends them.
   */
  async stop(signal?: AbortSignal): Promise<void> {
    await this.unregisterFromTracker().catch(() => {});
    const idle = Promise.allSettled([...this.#sends, this.#receiver?.drained()]);
    const aborted = Promise.withResolvers<void>();
    if (signal?.aborted) aborted.resolve();
    signal?.addEventListener("abort", () => aborted.resolve(), { once: true });
    await Promise.race([idle, aborted.promise]);
    await this[Symbol.asyncDispose]();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopping.abort(new P2PError("interrupted", "This peer is stopping"));
    await this.#tracker.close();
    this.#server?.stopAccepting();
    await this.#receiver?.[Symbol.asyncDispose]();
    await this.#carriers[Symbol.asyncDispose]();
    await this.#dialler.close();
    await this.#server?.close();
    await Promise.allSettled([...this.#sends, ...this.#notes]);
    this.#inbox?.[Symbol.dispose]();
    this.#inbox = undefined;
  }

  get #credentials(): Credentials {
    const { identity, membership, role } = this.#options;
    return { identity, membership, role };
  }

  /** What the cached list is filed under. */
  get #networkKey(): string {
    return this.#options.membership?.id ?? `insecure ${formatAddress(this.#options.tracker)}`;
  }

  #registration(): { name: string; port: number; host?: string } {
    const { advertise } = this.#options;
    const port = advertise?.port ?? this.#listeningPort();
    // The name as given: at a tracker that was restarted peers of one name must not swap theirs.
    return { name: this.#name, port, ...(advertise ? { host: advertise.host } : {}) };
  }

  #ownHost(): string {
    const { tracker } = this.#options;
    // Nobody dials those whom a share sends to.
    if (isLoopback(tracker.host) || this.isShare) return "127.0.0.1";
    return this.#tracker.localHost ?? "127.0.0.1";
  }

  #listen(address: Address): void {
    const { identity, membership } = this.#options;
    const tls = membership
      ? {
        cert: certificatePem({ subjectKey: identity.publicKey, issuer: identity }),
        key: identity.pkcs8Pem(),
      }
      : null;
    this.#server = new Server(listen(address, tls), {
      credentials: () => this.#credentials,
      admit: (remote) => this.#admit(remote),
      onSession: (session) => this.handlePeer(session),
      onRefused: (error, from) => this.#onRefusedCaller(error, from),
      clock: this.#clock,
    });
  }

  /** The port that others can dial; a one-shot command starts to listen when it needs one. */
  #listeningPort(): number {
    const { claimPort } = this.#options;
    if (claimPort !== undefined) return claimPort;
    if (!this.#server) this.#listen({ host: this.#ownHost(), port: 0 });
    return this.address?.port ?? 0;
  }

  #admit({ id }: Remote): void {
    if (!this.#tracker.list.isBarred(id)) return;
    throw new P2PError("barred", "Cannot connect: this peer has been removed from the network");
  }

  #onRefusedCaller(error: P2PError, from: Address): void {
    // Connections that merely end are everyday; those that fail to prove themselves are not.
    if (error.code === "connection-lost" || error.code === "timeout") return;
    if (!this.#refusals.take(from.host)) return;
    this.#emit({ event: "notice", message: `Refused ${formatAddress(from)}: ${error.message}` });
  }

  async #entries(): Promise<PeerEntry[]> {
    return this.#tracker.isConnected ? await this.#tracker.refresh() : this.#cachedOrKnown();
  }

  #cachedOrKnown(): PeerEntry[] {
    const { entries } = this.#tracker.list;
    return entries.length > 0 ? entries : this.#cached;
  }

  /**
   * Whether the entry is this peer. A one-shot command shares its identity with the peer that runs on this
   * machine; where all peers are on this machine (its tracker is on loopback) that one is another peer.
   */
  #isSelf({ id }: PeerEntry): boolean {
    const { role, tracker } = this.#options;
    return id === this.id && !(role === "client" && isLoopback(tracker.host));
  }

  /** The entry as the tracker lists it now; the known one while that cannot be asked or lists none. */
  async #current(entry: PeerEntry): Promise<PeerEntry> {
    const entries = await this.#entries().catch(() => []);
    return entries.find(({ id }) => id === entry.id) ?? entry;
  }

  async #resolve(target: string): Promise<PeerEntry> {
    const entry = resolveTarget(target, await this.#entries());
    await this.#names?.check(entry);
    return entry;
  }

  #open(entry: PeerEntry): Promise<Session> {
    return this.#dialler.open(entry);
  }

  async #onPeerMessage(frame: Frame, session: Session): Promise<void> {
    const { message, body } = frame;
    const isOffer = message.verb === "SEND_FILE" || message.verb === "SEND_TREE";
    const undo = isOffer ? await this.#takeOffer(message, session) : undefined;
    try {
      if (await this.receiveFile(frame, session)) return;
    } catch (error) {
      undo?.();
      throw error;
    }
    if (message.verb !== "MESSAGE") {
      throw new P2PError(
        "unexpected-verb",
        `Cannot answer ${message.verb}: a peer does not take it`,
      );
    }
    if (session.remote.id !== "" && message.from !== session.remote.id) {
      throw new P2PError("unauthorised", "Cannot take a message: its author is somebody else");
    }
    this.#showMessage(message, body);
    if (message.seq !== undefined) session.post({ verb: "OK", re: message.seq });
  }

  async #takeOffer(
    { transfer, name, size }: MessageOf<"SEND_FILE" | "SEND_TREE">,
    { remote: { id: from } }: Session,
  ): Promise<(() => void) | undefined> {
    return await this.#options.takeOffer?.({ from, transfer, name, size });
  }

  /** A bad message is its author's fault, and no reason to leave the tracker that relayed it. */
  #onRelayed(message: MessageOf<"MESSAGE">, body: Uint8Array): void {
    try {
      this.#showMessage(message, body);
    } catch (error) {
      this.#emit({ event: "notice", message: asP2PError(error).message });
    }
  }

  #showMessage(message: MessageOf<"MESSAGE">, body: Uint8Array): void {
    const text = this.#messages.open(message, body);
    if (text === null) return;
    const { id, from, time: sent } = message;
    this.#emit({ event: "message", id, from, name: this.#authorName(message), text, sent });
  }

  /** The listed name; a claimed one only where nobody else goes by it. */
  #authorName({ from, name }: MessageOf<"MESSAGE">): string {
    const listed = this.#nameOf(from);
    if (listed !== undefined) return listed;
    if (from === this.#tracker.trackerId) return "tracker";
    const isFree = isPeerName(name) && !this.#tracker.list.hasName(name);
    return isFree ? name : `id:${from.slice(0, 8)}`;
  }

  /** Sends a message straight to every known peer. */
  async #sendToEach({ header, text }: ReturnType<typeof composeMessage>): Promise<number> {
    const known = this.knownPeers;
    if (known.length === 0) {
      throw new P2PError(
        "tracker-unreachable",
        "Cannot broadcast: there is no tracker and no peer",
      );
    }
    const results = await Promise.allSettled(known.map(async (entry) => {
      const session = await this.#open(entry);
      const running = session.run(ASKING_ONLY);
      try {
        await session.request({ verb: "MESSAGE", from: this.id, ...header }, { body: text });
      } finally {
        await session.close();
        await running;
      }
    }));
    return results.filter(({ status }) => status === "fulfilled").length;
  }

  /** Another peer cannot be dialled by this one's caller: dial it, then serve it as if it had dialled. */
  #onDial({ peer: id, host, port, token }: MessageOf<"DIAL">): void {
    // A tracker that asks for itself is where this peer has found it; it may not know that address.
    const address = id === this.#tracker.trackerId ? this.#tracker.address : { host, port };
    this.#dialler.answer({ id, ...address, token }, (session) => this.handlePeer(session)).catch(
      (error) => this.#emit({ event: "notice", message: asP2PError(error).message }),
    );
  }

  #onRegistered({ name, host, port, reachable, reason }: MessageOf<"OK">): void {
    this.#name = name ?? this.#name;
    this.#emit({
      event: "registered",
      tracker: formatAddress(this.#tracker.address),
      name: this.#name,
      host: host ?? "",
      port: port ?? 0,
      reachable: reachable ?? true,
      ...(reason === undefined ? {} : { reason }),
    });
  }

  #onListChanged({ joined, left }: ListChange): void {
    if (this.#options.role !== "peer") return;
    for (const entry of joined) {
      this.#acceptance.onListed(entry).catch(({ message }) =>
        this.#emit({ event: "notice", message })
      );
      if (entry.id !== this.id) this.#emit({ event: "peer-joined", ...brief(entry) });
    }
    for (const entry of left) {
      if (entry.id !== this.id) this.#emit({ event: "peer-left", ...brief(entry) });
    }
  }

  #nameOf(id: string): string | undefined {
    return this.#tracker.list.get(id)?.name;
  }

  #makeRates(): { up?: RateLimiter; down?: RateLimiter } {
    const { limitRate: rate } = this.#options;
    if (rate === undefined) return {};
    const options = { rate, clock: this.#clock };
    return { up: new RateLimiter(options), down: new RateLimiter(options) };
  }

  #makeReceiver(inbox: Inbox): Receiver {
    const meters = new Map<string, RateMeter>();
    const from = (offer: Offer) => this.#nameOf(offer.from) ?? offer.from;
    const acceptance = this.#acceptance;
    return new Receiver({
      inbox,
      admit: (offer) => acceptance.check(offer.from),
      ask: acceptance.asks
        ? (offer, signal) => acceptance.ask({ ...offer, peer: from(offer) }, signal)
        : undefined,
      maxSize: this.#options.maxSize,
      outlet: this.#options.outlet,
      rate: this.#rates.down,
      clock: this.#clock,
      observer: {
        onStarted: (offer) => {
          meters.set(offer.transfer, new RateMeter(this.#clock.now()));
          const { transfer, name, size } = offer;
          const peers = [from(offer)];
          this.#emit({
            event: "transfer-started",
            transfer,
            name,
            size,
            direction: "receive",
            peers,
          });
        },
        onProgress: (offer, bytes, files) => {
          const rate = meters.get(offer.transfer)?.update(bytes, this.#clock.now()) ?? 0;
          const { transfer, size } = offer;
          this.#emit({
            event: "transfer-progress",
            transfer,
            peer: from(offer),
            bytes,
            size,
            rate,
            ...(files === undefined ? {} : { files }),
          });
        },
        onReceived: (offer, received) => {
          meters.delete(offer.transfer);
          this.#onReceived(offer, received, from(offer));
        },
        onFailed: (offer, error) => {
          meters.delete(offer.transfer);
          this.#onNotReceived(offer, from(offer), error);
        },
        onRefused: (offer, error) => {
          if (this.#refusals.take(offer.from)) this.#onNotReceived(offer, from(offer), error);
        },
      },
    });
  }

  #onNotReceived(
    { transfer, name }: Offer,
    from: string,
    { code, message }: Pick<P2PError, "code" | "message">,
  ): void {
    this.#emit({ event: "receive-failed", transfer, name, from, code, message });
  }

  #onReceived({ transfer }: Offer, received: Received, from: string): void {
    const { path, name, size, files, seconds, already } = received;
    const sha256 = received.sha256 === null ? null : hexOf(received.sha256);
    this.#emit({
      event: "file-received",
      transfer,
      path,
      size,
      sha256,
      ...(files === undefined ? {} : { files }),
      from,
      seconds,
      ...(already ? { already } : {}),
    });
    const note = this.#addHistory({
      direction: "receive",
      at: new Date().toISOString(),
      name,
      size,
      peer: from,
      state: already ? "already" : "received",
      path,
      ...(sha256 === null ? {} : { sha256 }),
    }).finally(() => this.#notes.delete(note));
    this.#notes.add(note);
  }

  #sayWhatIsSkipped({ path, skipped }: Content): void {
    if (skipped.length === 0) return;
    const what = skipped.length === 1
      ? "1 link or special file"
      : `${skipped.length} links or special files`;
    const some = skipped.slice(0, 5).join(", ") + (skipped.length > 5 ? ", ..." : "");
    this.#emit({
      event: "notice",
      message: `Not sent of ${path}: ${what} (${some}); ` +
        "--follow sends what links point to",
    });
  }

  async #remember({ name, size, sha256, recipients }: SendReport, path: string): Promise<void> {
    const at = new Date().toISOString();
    for (const { peer, state } of recipients) {
      await this.#addHistory({
        direction: "send",
        at,
        name,
        size,
        peer,
        state,
        path: join(path),
        ...(sha256 ? { sha256 } : {}),
      });
    }
  }

  /** A history that cannot be written must not fail what has been delivered. */
  async #addHistory(entry: Omit<HistoryEvent, "event">): Promise<void> {
    try {
      await this.history.add(entry);
    } catch (error) {
      this.#emit({
        event: "notice",
        message: `Cannot write the history: ${asP2PError(error).message}`,
      });
    }
  }
}

function brief({ id, name, ...address }: PeerEntry): { id: string; name: string; address: string } {
  return { id, name, address: formatAddress(address) };
}

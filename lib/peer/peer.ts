import { onDemand } from "../on_demand.ts";
import { join } from "node:path";
import { untilAborted } from "../async/abort.ts";
import type { Clock } from "../async/clock.ts";
import type { Content } from "../content/content.ts";
import { ManifestCache } from "../content/manifest_cache.ts";
import { Directory } from "../directory/directory.ts";
import type { Known } from "../directory/absent.ts";
import type { Recipients } from "../directory/target.ts";
import { type ListChange, type Registration, TrackerClient } from "../directory/tracker_client.ts";
import { asP2PError, attributed, P2PError } from "../errors.ts";
import type { AppEvent } from "../events.ts";
import type { AddressWatch } from "../net/address_watch.ts";
import type { Credentials } from "../net/handshake.ts";
import type { PortMap } from "../net/port_map/port_map.ts";
import { refuseUnexpected } from "../net/open_session.ts";
import { REFUSALS_TOLD, RequestLimits } from "../net/request_buckets.ts";
import type { Session } from "../net/session.ts";
import { type Address, formatAddress, otherAddresses } from "../address.ts";
import { BandwidthLimiter } from "../async/bandwidth_limiter.ts";
import { LinkPool } from "../transfer/link_pool.ts";
import type { LinkServices, PeerLink } from "../transfer/peer_link.ts";
import { type TransferSettings, transferSettings } from "../transfer/settings.ts";
import { MAX_ADDRESSES } from "../wire/limits.ts";
import type { MessageOf, PeerEntry, ReportedRecipient, ReportedShare } from "../wire/message.ts";
import { Dialler, RELAYED_PATH } from "./dialler.ts";
import { EarlyDials } from "./early_dials.ts";
import { swarmSigner } from "../identity/evidence.ts";
import { receiptSigner } from "../identity/signed_receipt.ts";
import { Convictions } from "./convictions.ts";
import { ReceiptBook } from "./receipt_book.ts";
import { History, HistoryWriter } from "./history.ts";
import { barred, PeerListener } from "./listener.ts";
import { Messenger, type Spread } from "./messenger.ts";
import { AcceptPolicy } from "./offer_policy.ts";
import type { PeerOptions } from "./options.ts";
import { Ledger } from "./ledger.ts";
import type { QueueDelivery } from "./queue_delivery.ts";
import type { Receiving } from "./receiving.ts";
import type { RelayAnswers } from "./relayed.ts";
import type { SendReport } from "./send_job.ts";
import { type SendOptions, SendService } from "./send_service.ts";
import { ShareReporter } from "./share_reporter.ts";

export type { OfferedFile } from "./offer_policy.ts";
export type { PeerOptions } from "./options.ts";

/**
 * A peer: registered with a tracker, listening for others, sending and receiving. The composition root:
 * each method hands its work to the module that does it.
 */
export class Peer implements AsyncDisposable {
  readonly history: History;
  readonly ledger: Ledger;
  readonly #options: PeerOptions;
  readonly #settings: TransferSettings;
  readonly #clock: Clock;
  readonly #emit: (event: AppEvent) => void;
  readonly #tracker: TrackerClient;
  readonly #directory: Directory;
  readonly #listener: PeerListener;
  readonly #dialler: Dialler;
  readonly #earlyDials: EarlyDials;
  readonly #policy: AcceptPolicy;
  readonly #messenger: Messenger;
  readonly #links: LinkPool;
  readonly #sender: SendService;
  readonly #historyWriter: HistoryWriter;
  /** Absent with `--insecure`. */
  readonly #convictions: Convictions | undefined;
  /** Buckets of the refused connections and offers that are told of, by address. */
  readonly #refusals: RequestLimits;
  /** Limit of all that goes out: what is sent, and what is passed on in a swarm. */
  readonly #outgoing: BandwidthLimiter | undefined;
  readonly #stopping = new AbortController();
  /** Promise that rejects when the tracker refuses this peer for good. */
  readonly #refusedByTracker = Promise.withResolvers<never>();
  #receiving: Receiving | undefined;
  #watch: AddressWatch | undefined;
  #portMap: PortMap | undefined;
  /** Own address as the tracker sees it. */
  #seenHost: string | undefined;
  #relayAnswers: RelayAnswers | undefined;
  #queueDelivery: QueueDelivery | undefined;
  #contents: number | undefined;
  #name: string;

  constructor(options: PeerOptions) {
    const { identity, membership, role, folder, transient } = options;
    const settings = transferSettings(options);
    const { clock } = settings;
    const emit = options.emit ?? (() => {});
    const credentials = { identity, membership, role };
    const ownName = () => this.#name;
    this.#options = options;
    this.#clock = clock;
    this.#settings = settings;
    this.#emit = emit;
    this.#name = options.name;
    this.history = new History(folder);
    this.ledger = new Ledger(folder);
    this.#historyWriter = new HistoryWriter(this.history, ownName, emit);
    this.#refusals = new RequestLimits({ ...REFUSALS_TOLD, clock });
    this.#outgoing = this.#makeLimiter();
    const tracker = this.#makeTrackerClient(credentials);
    const directory = new Directory({
      credentials,
      tracker,
      folder: transient ? null : folder,
      notice: (message) => emit({ event: "notice", message }),
      clock,
    });
    this.#tracker = tracker;
    this.#directory = directory;
    this.#listener = new PeerListener({
      credentials,
      tracker,
      isShare: () => this.isShare,
      dialBackPort: options.dialBackPort,
      host: options.host,
      port: options.port ?? 0,
      onSession: (session) => this.handlePeer(session),
      refusals: this.#refusals,
      emit,
      clock,
    });
    const dialler = new Dialler({
      credentials,
      tracker,
      listening: () => this.#expectListening(),
      isOwn: (address) => this.#listener.isOwn(address),
      paths: directory,
      clock,
    });
    this.#dialler = dialler;
    const earlyDials = new EarlyDials({ credentials, tracker, dialler, paths: directory, clock });
    this.#earlyDials = earlyDials;
    this.#policy = new AcceptPolicy({
      rule: options.accept ?? { who: "members" },
      takeOffer: options.takeOffer,
      nameOf: (id) => directory.nameOf(id),
      names: directory.names,
      entries: async ({ fresh }) => fresh ? await directory.entries() : directory.known,
      ownName,
      askPerson: options.askPerson,
    });
    this.#links = new LinkPool({
      open: (entry, ways) => earlyDials.open(entry, ways),
      locate: (entry) => directory.current(entry),
      services: () => this.#services(),
      isProven: membership !== null,
      idleTime: settings.keepSessions,
      clock,
    });
    this.#convictions = this.#makeConvictions();
    const links = this.#links;
    this.#messenger = new Messenger({ credentials, ownName, tracker, directory, links, emit });
    this.#sender = new SendService({
      directory,
      links,
      settings,
      ledger: transient ? null : this.ledger,
      reportOf: (share) =>
        new ShareReporter({
          share,
          report: (report) => tracker.report(report),
          session: () => tracker.session,
          clock,
        }),
      manifests: new ManifestCache(join(folder, "manifests")),
      history: this.#historyWriter,
      justice: this.#convictions,
      receipts: membership ? new ReceiptBook(folder, identity.id, membership.id) : undefined,
      limiter: this.#outgoing,
      signal: this.#stopping.signal,
      emit,
    });
    this.#refusedByTracker.promise.catch(() => {});
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
    return this.#listener.address;
  }

  /** Absolute path of the inbox; undefined before {@linkcode startListening}. */
  get inboxPath(): string | undefined {
    return this.#receiving?.inbox.path;
  }

  /** The others as last heard of, without asking. */
  get knownPeers(): PeerEntry[] {
    return this.#directory.knownOthers;
  }

  /** The name under which the peer with this id is known. */
  readonly nameOf = (id: string): string | undefined => this.#directory.nameOf(id);

  /** Whether this user reached the peer through the tracker last. */
  wasRelayed(id: string): boolean {
    return this.#directory.pathTo(id) === RELAYED_PATH;
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

  /** How many files and folders a share hands to each peer, as it says; undefined before it has, and elsewhere. */
  get contents(): number | undefined {
    return this.#contents;
  }

  /** Whether something is being sent or received. */
  get isBusy(): boolean {
    return this.#sender.activeCount > 0 || (this.#receiving?.downloads.activeCount ?? 0) > 0;
  }

  /** Rejects when the tracker refuses this peer for good; else never settles. */
  get refused(): Promise<never> {
    return this.#refusedByTracker.promise;
  }

  /** Connects to the tracker; {@linkcode start} does the rest. */
  async connect(): Promise<void> {
    await Promise.all([this.#tracker.connect(), this.#directory.readNames()]);
  }

  /** Joins as a listed peer: connects, listens, registers. What has been done already is not done again. */
  async start(): Promise<void> {
    // Before others can take all descriptors: a module is a file that has to be opened.
    this.#queueDelivery ??= await this.#makeQueueDelivery();
    if (!this.isConnected) await this.connect();
    if (this.address === undefined) await this.startListening();
    await this.#queueDelivery?.announce();
    await this.registerWithTracker();
    await this.#queueDelivery?.start();
    // A router takes its time, and what it says is told to the tracker then.
    if (this.#options.mapPort && !this.isShare) await this.#mapPort();
  }

  /**
   * Joins as a one-shot command, which is not listed. While the tracker is down the list that was seen
   * last serves.
   *
   * @param to whom this peer is about to talk to, as {@linkcode recipients} takes it: those whom the list that was seen
   * last has are dialled meanwhile.
   * @throws {P2PError} `tracker-unreachable` when there is no such list.
   */
  async join(to?: readonly string[]): Promise<void> {
    const dialling = to && this.#dialEarly(to);
    try {
      await this.connect();
      await this.updatePeersList();
      await dialling;
    } catch (thrown) {
      const error = asP2PError(thrown);
      const hasList = await this.#directory.recall();
      if (error.code !== "tracker-unreachable" || !hasList) throw error;
      this.#emit({
        event: "notice",
        message: `${attributed(error)}. Going on with the peers that were there last`,
      });
    }
  }

  /** Opens the inbox and listens for other peers. */
  async startListening(): Promise<void> {
    const { membership, role } = this.#options;
    const { inbox } = this.#receiving ??= await this.#openReceiving();
    const { host, port } = await this.#listener.listen();
    if (role !== "peer") return;
    if (!this.isShare) await this.#watchAddresses();
    this.#emit({
      event: "listening",
      host,
      port,
      id: this.id,
      name: this.#options.name,
      inbox: inbox.path,
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
    return await this.#directory.update();
  }

  /** Whether the session is one that this peer waits for, and runs then: see {@linkcode PeerOptions.dialBackPort}. */
  acceptDialBack(session: Session): boolean {
    return this.#dialler.acceptDialBack(session);
  }

  /** Runs a session that another peer opened (or that this one opened because it was asked to). */
  async handlePeer(session: Session): Promise<void> {
    if (this.#dialler.acceptDialBack(session)) return await session.ended;
    if (session.remote.token !== undefined) return await refuseUnexpected(session);
    await this.#directory.meet(session.remote);
    await this.#links.accept(session);
  }

  /**
   * Measures the round trip to a peer.
   *
   * @param target a name, `id:` and a prefix, or `host:port`.
   * @returns milliseconds.
   */
  async ping(target: string): Promise<number> {
    const entry = await this.#directory.resolve(target);
    return await this.#links.ask(entry, async (session, path) => {
      const asked = this.#clock.now();
      await session.request({ verb: "PING" }, { timeout: 10_000 });
      const ms = this.#clock.now() - asked;
      this.#emit({ event: "pong", peer: entry.name, ...path, ms });
      return ms;
    });
  }

  /**
   * Sends a message to everybody: through the tracker, or while it is down to each peer that is known.
   *
   * @returns how many got it, and how many did not.
   * @throws {P2PError} when it reached nobody.
   */
  async sendBroadcastMessage(text: string): Promise<{ delivered: number; failed: number }> {
    return await this.#messenger.broadcast(text);
  }

  /**
   * Sends a file, or a folder with all that is in it; resolves when every recipient has it on disk or has
   * failed.
   *
   * @param to names, `id:` prefixes, addresses or `all`; none means the only other peer.
   * @throws {P2PError} when it cannot be read or no recipient can be found; failures of single recipients,
   * and those who are not there, are in the report.
   */
  async sendFile(
    path: string,
    to: readonly string[],
    { signal, follow = false, strict = false, ...more }: Partial<SendOptions> = {},
  ): Promise<SendReport> {
    const recipients = await this.recipients(to);
    return await this.#sender.sendFile(path, recipients, { signal, follow, strict, ...more });
  }

  /** As {@linkcode sendFile}, for bytes that come from elsewhere and can be read once. */
  async sendStream(
    content: Content,
    to: readonly string[],
    { signal }: { signal?: AbortSignal } = {},
  ): Promise<SendReport> {
    return await this.#sender.sendContent(content, await this.recipients(to), { signal });
  }

  /** All shares that the tracker has been told of. */
  async shares(): Promise<ReportedShare[]> {
    return await this.#tracker.shares();
  }

  /** The recipients of one of them. */
  async recipientsOf(share: ReportedShare): Promise<ReportedRecipient[]> {
    return await this.#tracker.recipientsOf(share);
  }

  /** Whom `to` means; none means the only other peer. */
  async recipients(to: readonly string[]): Promise<Recipients> {
    return await this.#directory.recipients(to);
  }

  /** What the network goes by in the state of this user. */
  get networkKey(): string {
    return this.#directory.networkKey;
  }

  /** Whom `to` means, those included who are known and not there now; none means the only other peer. */
  async thereOrAway(to: readonly string[]): Promise<Known> {
    return await this.#directory.thereOrAway(to);
  }

  /**
   * Sends what has been opened, and closes it, to those who have been found: without a note that would have it resumed,
   * for the queue has what does not get there.
   *
   * @throws {P2PError} when it cannot be read; failures of single recipients are in the report.
   */
  async deliver(
    content: Content,
    recipients: Recipients,
    signal?: AbortSignal,
  ): Promise<SendReport> {
    return await this.#sender.sendContent(content, recipients, { signal });
  }

  /** Sends a message to all who are there, and says to whom; that nobody was is no failure. */
  async spread(text: string): Promise<Spread> {
    return await this.#messenger.spread(text);
  }

  /** Accepts that a name stands for another key than before. */
  async trust(name: string): Promise<PeerEntry> {
    return await this.#directory.trust(name);
  }

  /** Unregisters, takes nothing new, and lets transfers under way end; an aborted signal ends them. */
  async stop(signal?: AbortSignal): Promise<void> {
    await this.unregisterFromTracker().catch(() => {});
    const idle = Promise.allSettled([
      this.#queueDelivery?.drained(),
      this.#sender.drained(),
      this.#receiving?.downloads.drained(),
    ]);
    await Promise.race([idle, untilAborted(signal)]);
    await this[Symbol.asyncDispose]();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopping.abort(new P2PError("interrupted", "This peer is stopping"));
    const unmapped = this.#portMap?.[Symbol.asyncDispose]();
    const undelivered = this.#queueDelivery?.[Symbol.asyncDispose]();
    await this.#tracker.close();
    this.#watch?.[Symbol.dispose]();
    this.#listener.stopAccepting();
    await this.#receiving?.downloads[Symbol.asyncDispose]();
    await this.#links[Symbol.asyncDispose]();
    this.#earlyDials.close();
    await this.#dialler.close();
    await this.#listener.close();
    await Promise.all([
      this.#sender.drained(),
      this.#historyWriter.drained(),
      unmapped,
      undelivered,
    ]);
    this.#receiving?.inbox[Symbol.dispose]();
    this.#receiving = undefined;
  }

  async #dialEarly(to: readonly string[]): Promise<void> {
    const likely = await this.#directory.likelyRecipients(to);
    for (const entry of likely.slice(0, this.#settings.parallel)) this.#earlyDials.begin(entry);
  }

  /** Where others can dial this peer, which starts to listen if it does not yet. */
  async #expectListening(): Promise<{ port: number; addresses?: Address[] }> {
    const port = await this.#listener.expectPort();
    const { host, port: mapped } = this.#options.advertise ?? {};
    const advertised = host === undefined ? [] : [{ host, port: mapped ?? port }];
    const addresses = [...advertised, ...this.#addresses].slice(0, MAX_ADDRESSES);
    return addresses.length > 0 ? { port, addresses } : { port };
  }

  /** Where others on other machines may dial this peer, beyond its router at last. */
  get #addresses(): Address[] {
    const outside = this.#portMap?.outside;
    const own = this.#listener.addresses;
    return outside ? [...own.slice(0, MAX_ADDRESSES - 1), outside] : own;
  }

  async #registration(): Promise<Registration> {
    const { advertise, groups = [] } = this.#options;
    await this.#listener.follow();
    const outside = this.#portMap?.outside;
    // At the address that the tracker sees, a router's, it is the router's port that leads here.
    const isSeen = outside !== undefined && outside.host === this.#seenHost;
    const port = advertise?.port ?? (isSeen ? outside.port : this.#listener.port) ?? 0;
    const addresses = this.isShare ? [] : this.#addresses;
    return {
      // The name as given: at a tracker that was restarted peers of one name must not swap theirs.
      name: this.#name,
      port,
      ...(advertise ? { host: advertise.host } : {}),
      ...(addresses.length > 0 ? { addresses } : {}),
      ...(groups.length > 0 ? { groups: [...new Set(groups)].sort() } : {}),
    };
  }

  /** Follows the machine to its addresses of now. */
  #onAddressesChanged(): void {
    const { isLost, address } = this.#listener;
    if (isLost && address) {
      this.#emit({
        event: "notice",
        message:
          `Others cannot reach this peer: this machine no longer has the address ${address.host}; ` +
          "start it without --host to listen on all that there are",
      });
    }
    this.#portMap?.refresh();
    this.#links.lookAgain();
    this.#renewListing();
  }

  /** Has the tracker list the addresses of now. */
  #renewListing(): void {
    this.#tracker.renew((host) => this.#listener.isGone(host)).catch((error) => {
      this.#emit({ event: "notice", message: attributed(asP2PError(error)) });
    });
  }

  /** Has a router lead to this peer, from now on until it stops. */
  async #mapPort(): Promise<void> {
    if (this.#portMap) return;
    const { PortMap } = await onDemand<typeof import("../net/port_map/port_map.ts")>(
      "../net/port_map/port_map.ts",
      import.meta.url,
    );
    this.#portMap = new PortMap({
      place: () => ({
        port: this.#listener.port ?? 0,
        hosts: this.#listener.addresses.map(({ host }) => host),
      }),
      onChange: () => this.#renewListing(),
      notice: (message) => this.#emit({ event: "notice", message }),
      clock: this.#clock,
    });
  }

  /** What this peer does for others: a one-shot command receives nothing. */
  #services(): LinkServices {
    if (this.#options.role !== "peer") return {};
    return {
      downloads: this.#receiving?.downloads,
      onText: (incoming, session) => this.#messenger.onDirect(incoming, session),
    };
  }

  /** A peer that cannot dial this one asks, through the tracker, to be dialled: served then as if it had dialled. */
  #onDial({ verb: _, peer: id, ...where }: MessageOf<"DIAL">): void {
    // A tracker that asks for itself is where this peer has found it; it may not know that address.
    const address = id === this.#tracker.trackerId ? this.#tracker.address : {};
    this.#dialler.answer({ id, ...where, ...address }, (session) => this.handlePeer(session)).catch(
      (error) => {
        if (!this.#refusals.take(id)) return;
        this.#emit({ event: "notice", message: attributed(asP2PError(error)) });
      },
    );
  }

  /** A peer that has no other path to this one asks for it through the tracker: served then as if it had dialled. */
  #onJoin(asked: MessageOf<"JOIN">): void {
    this.#answerRelayed(asked).catch((error) => {
      if (!this.#refusals.take(asked.peer)) return;
      const { message } = asP2PError(error);
      const who = asked.peer.slice(0, 8);
      this.#emit({ event: "notice", message: `Cannot meet ${who} at the tracker: ${message}` });
    });
  }

  async #answerRelayed(asked: MessageOf<"JOIN">): Promise<void> {
    this.#relayAnswers ??= await this.#loadRelayAnswers();
    await this.#relayAnswers.answer(asked);
  }

  async #loadRelayAnswers(): Promise<RelayAnswers> {
    const { RelayAnswers } = await onDemand<typeof import("./relayed.ts")>(
      "./relayed.ts",
      import.meta.url,
    );
    const { identity, membership, role } = this.#options;
    return this.#relayAnswers ??= new RelayAnswers({
      credentials: { identity, membership, role },
      tracker: this.#tracker,
      take: (bare, relay) => this.#listener.take(bare, relay),
      clock: this.#clock,
      signal: this.#stopping.signal,
    });
  }

  #onRegistered(
    { name, host, port, addresses, reachable, reason, replaced, contents }: MessageOf<"OK">,
  ): void {
    this.#name = name ?? this.#name;
    void this.#convictions?.tellAll();
    this.#seenHost = host;
    this.#contents = contents;
    this.#emit({
      event: "registered",
      tracker: formatAddress(this.#tracker.address),
      name: this.#name,
      host: host ?? "",
      port: port ?? 0,
      ...otherAddresses(addresses),
      reachable: reachable ?? true,
      ...(reason === undefined ? {} : { reason }),
      ...(replaced === undefined ? {} : { replaced }),
    });
  }

  #onListChanged({ joined, changed, left, barred: removed }: ListChange): void {
    for (const id of removed) void this.#bar(id);
    for (const { id } of [...joined, ...changed]) this.#links.lookAgain(id);
    this.#queueDelivery?.onListChanged({ joined, changed, left, barred: removed });
    if (this.#options.role !== "peer") return;
    for (const entry of joined) {
      this.#policy.onListed(entry).catch(({ message }) => this.#emit({ event: "notice", message }));
      if (entry.id === this.id) continue;
      const name = this.nameOf(entry.id);
      this.#emit({ event: "peer-joined", ...brief(entry, name ?? entry.id) });
      if (name === undefined) this.#emit({ event: "notice", message: anotherKey(entry) });
    }
    for (const entry of left) {
      if (entry.id === this.id) continue;
      this.#emit({
        event: "peer-left",
        ...brief(entry, this.#directory.nameOf(entry.id, entry.name) ?? entry.id),
      });
    }
    void this.#directory.readNames();
  }

  /** Ends all sessions with a peer that has been removed from the network, whoever opened them. */
  async #bar(id: string): Promise<void> {
    await Promise.all([this.#listener.refuse(id), this.#dialler.refuse(id, barred())]);
  }

  #makeTrackerClient(credentials: Credentials): TrackerClient {
    const { tracker: address, random } = this.#options;
    return new TrackerClient({
      address,
      credentials,
      registration: () => this.#registration(),
      observer: {
        onListChanged: (change) => this.#onListChanged(change),
        onMessage: (message, body) => this.#messenger.onRelayed({ message, body }),
        onEvidence: (evidence) => this.#convictions?.heard(evidence),
        onDial: (message) => this.#onDial(message),
        onJoin: (message) => this.#onJoin(message),
        onLost: ({ message: reason }) => {
          this.#emit({ event: "tracker-lost", reason });
          // A router that has another address now ends the sessions through it.
          this.#portMap?.refresh();
        },
        onRegistered: (reply) => this.#onRegistered(reply),
        onRefused: (error) => this.#refusedByTracker.reject(error),
        onEnded: (error) => this.#options.onTrackerEnded?.(error) ?? false,
      },
      clock: this.#clock,
      ...(random ? { random } : {}),
    });
  }

  async #watchAddresses(): Promise<void> {
    const [{ AddressWatch }, { machineAddresses }] = await Promise.all([
      onDemand<typeof import("../net/address_watch.ts")>(
        "../net/address_watch.ts",
        import.meta.url,
      ),
      onDemand<typeof import("../net/interfaces.ts")>("../net/interfaces.ts", import.meta.url),
    ]);
    this.#watch = new AddressWatch({
      read: machineAddresses,
      onChange: () => this.#onAddressesChanged(),
      clock: this.#clock,
    });
  }

  async #openReceiving(): Promise<Receiving> {
    const { openReceiving } = await onDemand<typeof import("./receiving.ts")>(
      "./receiving.ts",
      import.meta.url,
    );
    const { identity, membership, received, keepPartials, quota, streamTo, transient } =
      this.#options;
    return await openReceiving({
      id: this.id,
      received,
      keepPartials,
      quota,
      streamTo,
      transient,
      settings: this.#settings,
      policy: this.#policy,
      limiter: this.#makeLimiter(),
      swarm: {
        meet: (id) => this.#meet(id),
        outgoing: this.#outgoing,
        justice: this.#convictions,
      },
      directory: this.#directory,
      history: this.#historyWriter,
      signReceipt: membership ? receiptSigner(identity, membership.id) : undefined,
      refusals: this.#refusals,
      emit: this.#emit,
      clock: this.#clock,
    });
  }

  /** What sends what waits in the queue of this user; undefined where another peer does, or nothing is to be begun. */
  async #makeQueueDelivery(): Promise<QueueDelivery | undefined> {
    if (!this.#options.deliversQueue) return undefined;
    const [{ QueueDelivery }, { Queue }] = await Promise.all([
      onDemand<typeof import("./queue_delivery.ts")>("./queue_delivery.ts", import.meta.url),
      onDemand<typeof import("./queue.ts")>("./queue.ts", import.meta.url),
    ]);
    return new QueueDelivery({
      queue: new Queue(this.#options.folder),
      own: this.id,
      network: () => this.networkKey,
      listed: () => this.knownPeers,
      note: (present) => this.#directory.note(present.filter(({ id }) => id !== this.id)),
      send: (content, to, signal) => this.deliver(content, { peers: [to], missing: [] }, signal),
      tell: (to, message) => this.#messenger.tell(to, message),
      emit: this.#emit,
      clock: this.#clock,
    });
  }

  /** A link to another member of a swarm, whom the tracker has to list: a sharer may name whomever it likes. */
  async #meet(id: string): Promise<PeerLink> {
    const entry = this.knownPeers.find((entry) => entry.id === id);
    if (!entry) throw new P2PError("peer-unknown", `Cannot find id:${id.slice(0, 8)}: not listed`);
    // Bytes that go through the tracker twice are the sharer's to send.
    return await this.#links.take(entry, { isDirect: true });
  }

  #makeConvictions(): Convictions | undefined {
    const { identity, membership } = this.#options;
    if (!membership) return undefined;
    return new Convictions({
      signer: swarmSigner(identity, membership.id),
      own: this.id,
      tell: (evidence) => this.#tracker.accuse(evidence),
      nameOf: this.nameOf,
      onConvicted: (id) => this.#receiving?.downloads.onConvicted(id),
      emit: this.#emit,
    });
  }

  /** Limiter of one direction, for all its transfers together. */
  #makeLimiter(): BandwidthLimiter | undefined {
    const { limitRate: rate } = this.#options;
    return rate === undefined ? undefined : new BandwidthLimiter({ rate, clock: this.#clock });
  }
}

function brief(
  { id, ...address }: PeerEntry,
  name: string,
): { id: string; name: string; address: string } {
  return { id, name, address: formatAddress(address) };
}

/** What is said of a peer whose name is pinned to another key. */
export function anotherKey({ id, name }: PeerEntry): string {
  return `id:${id.slice(0, 8)} goes by its id: the name ${name} is another key's here; ` +
    `if it is the same peer with a new key, say \`peer trust ${name}\``;
}

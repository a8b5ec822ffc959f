import { aborted } from "../async/abort.ts";
import type { Clock } from "../async/clock.ts";
import { MemoryBudget } from "../async/memory_budget.ts";
import { SharedBytes } from "../async/shared_bytes.ts";
import { asP2PError, P2PError } from "../errors.ts";
import type { Destination, Found } from "../inbox/destination.ts";
import type { ReceiptSigner } from "../identity/signed_receipt.ts";
import { HostCounts } from "../net/host_counts.ts";
import type { Session } from "../net/session.ts";
import { onDemand } from "../on_demand.ts";
import { pieceCountOf } from "../pieces/manifest.ts";
import { MAX_SWARM_PIECES } from "../wire/limits.ts";
import type { MessageOf } from "../wire/message.ts";
import type { BandwidthLimiter } from "../async/bandwidth_limiter.ts";
import { Download, type DownloadOptions } from "./download.ts";
import { expectReceivable, isSameContent, type Offer, offerOf, type Received } from "./offer.ts";
import { LargeTurns } from "./large_turns.ts";
import type { PeerLink } from "./peer_link.ts";
import type { TransferObserver, TransferSettings } from "./settings.ts";
import type { SwarmJustice } from "./swarm/justice.ts";
import { WaitingOffers } from "./waiting_offers.ts";

/** What the application hears of what arrives. */
export interface DownloadsObserver {
  /** An offer was accepted; returns who hears how the transfer goes. */
  onStarted(offer: Offer): TransferObserver;
  /** A file is on disk under its final name. */
  onReceived(offer: Offer, received: Received): void;
  /** An offer was turned down. */
  onRefused?(offer: Offer, error: P2PError): void;
  /** A transfer ended without a file; what is worth it waits to be gone on with. */
  onFailed(offer: Offer, error: P2PError): void;
}

/** What an {@linkcode OfferPolicy} is asked about. */
export interface OfferQuestion {
  offer: Offer;
  /** The content is there already: nothing will be written. */
  isKept: boolean;
  /** Aborts when no answer is wanted any more. */
  signal: AbortSignal;
}

/** Decides which offers are taken. */
export interface OfferPolicy {
  /** Whether a person may be asked, which takes minutes: the sender is told meanwhile. */
  readonly asksPerson: boolean;
  /**
   * Decides on an offer.
   *
   * @returns what takes the consent back when the offer came to nothing all the same.
   * @throws {P2PError} `refused`, with who refuses and why.
   */
  decide(question: OfferQuestion): Promise<() => void>;
}

/** Settings of {@linkcode Downloads}. */
export interface DownloadsOptions {
  destination: Destination;
  observer: DownloadsObserver;
  settings: Pick<TransferSettings, "clock" | "maxSize" | "random" | "seedFor">;
  /** By default every offer is taken. */
  policy?: OfferPolicy | undefined;
  /** Bandwidth that the transfers which come in share. */
  limiter?: BandwidthLimiter | undefined;
  /** Signs that something has arrived; without it there are no receipts. */
  signReceipt?: ReceiptSigner | undefined;
  /** What it takes to have pieces of other recipients; without it only the sender is asked. */
  swarm?: SwarmHooks | undefined;
}

/** What {@linkcode Downloads} need to take part in swarms. */
export interface SwarmHooks {
  /** Gives a link to the peer with the id. */
  meet(id: string): Promise<PeerLink>;
  /** Bandwidth of all that goes out. */
  outgoing?: BandwidthLimiter | undefined;
  /** What members sign; absent without keys. */
  justice?: SwarmJustice | undefined;
}

/** Bytes of pieces that all transfers together may have on their way, but for two small pieces each. */
const WINDOWS = 32 * 1024 * 1024;

/** Verified bytes that may wait for the disk, of all transfers together, before less is read. */
const MAX_UNWRITTEN = 64 * 1024 * 1024;

/** Bytes of hashes that all transfers under way may have: those of eight with the most pieces. */
const MAX_HASH_BYTES = 256 * 1024 * 1024;

/** Transfers at once; over it offers are answered with `busy`. */
const MAX_TRANSFERS = 1024;
/** Transfers of one sender at once: nobody takes all the places. */
const MAX_PER_SENDER = 128;
/** Transfers from one network (a /24 or /64) at once, whoever sends them: whoever has an address has as many keys. */
const MAX_PER_NETWORK = 256;

/** Things that have arrived and are served to others at once: each holds a descriptor and its hashes. */
const MAX_SEEDS = 32;

/** How long in milliseconds an older session of a sender may take to show that it lives. */
const PROBE_TIMEOUT = 1_000;
/** The same where a piece has come in part: what its sender says next waits behind the rest of it. */
const SLOW_PROBE_TIMEOUT = 10_000;
/** Silence in milliseconds after which it has to. */
const PROBE_AFTER = 500;

/** An offer. */
export type OfferMessage = MessageOf<"SEND_FILE" | "SEND_TREE">;

/** The request that an offer came with. */
export interface OfferRequest {
  link: PeerLink;
  /** Number to answer to; another one when the offer is made anew before it is answered. */
  seq: number;
  /** Aborts when the offer is taken back. */
  signal: AbortSignal;
}

/**
 * Everything that a peer receives: offers become downloads, which outlive their link for a while, so that
 * their sender can go on. The links give the frames of a download to it.
 */
export class Downloads implements AsyncDisposable {
  readonly #options: DownloadsOptions;
  readonly #clock: Clock;
  readonly #active = new Map<string, Download>();
  /** Those that have ended well and are served to others, the oldest first. */
  readonly #seeds = new Map<string, Download>();
  /** Transfers under way, or about to be, by their sender's id. */
  readonly #ofSender = new Map<string, number>();
  /** The same by where they were offered from. */
  readonly #hosts = new HostCounts();
  /** Offers that are being accepted: their downloads are about to be. */
  readonly #starting = new Map<string, Promise<void>>();
  readonly #waiting: WaitingOffers;
  readonly #windows = new MemoryBudget(WINDOWS);
  readonly #unwritten = new SharedBytes(MAX_UNWRITTEN);
  readonly #hashes = new SharedBytes(MAX_HASH_BYTES);
  readonly #turns = new LargeTurns();
  #closed = false;

  constructor(options: DownloadsOptions) {
    this.#options = options;
    this.#clock = options.settings.clock;
    this.#waiting = new WaitingOffers(this.#clock);
  }

  /** Transfers under way. */
  get activeCount(): number {
    return this.#active.size;
  }

  /** The download of a transfer that the peer with the id `from` has offered. */
  find(transfer: string, from: string): Download | undefined {
    return this.#active.get(keyOf(transfer, from));
  }

  /**
   * Answers an offer: goes on with a transfer that is under way, says that it is there already, or begins one.
   *
   * @throws {P2PError} why it is not taken, for the sender to hear.
   */
  async onOffer(message: OfferMessage, asked: OfferRequest): Promise<void> {
    const { link } = asked;
    const { id: from } = link.session.remote;
    const offer = offerOf(message, from);
    const active = this.find(offer.transfer, from);
    if (active?.isEnding) {
      await active.ended;
      return await this.onOffer(message, asked);
    }
    if (active) return active.resume(link, offer, asked.seq);
    const found = await this.#options.destination.alreadyHas(offer);
    if (found?.state === "saved") return this.#answerFound(asked, offer, found);
    try {
      await this.#take(offer, asked, found);
    } catch (thrown) {
      const error = asP2PError(thrown);
      this.#options.observer.onRefused?.(offer, error);
      throw error;
    }
  }

  /** Opens links to other recipients of a transfer, as its sharer says. */
  onNeighbours(sharer: PeerLink, { transfer, peers }: MessageOf<"NEIGHBOURS">): void {
    const { swarm } = this.#options;
    const download = this.find(transfer, sharer.session.remote.id);
    if (!swarm || !download || download.sender !== sharer) return;
    // Who cannot be reached is no neighbour: the sharer has everything.
    for (const id of download.swarm?.strangers(peers) ?? []) {
      this.#meet(download, id, swarm).catch(() => {});
    }
  }

  /** Has nothing to do with a peer in any swarm any more. */
  onConvicted(id: string): void {
    for (const download of [...this.#active.values(), ...this.#seeds.values()]) {
      download.swarm?.banId(id);
    }
  }

  /** Takes another recipient of a transfer as its neighbour; false where that is not to be. */
  onSwarm(link: PeerLink, { transfer, sharer = "" }: MessageOf<"SWARM">): boolean {
    const download = this.find(transfer, sharer) ?? this.#seeds.get(keyOf(transfer, sharer));
    if (!download?.admits(link)) return false;
    download.join(link);
    return true;
  }

  async #meet(download: Download, id: string, { meet }: SwarmHooks): Promise<void> {
    const link = await meet(id);
    if (!download.admits(link)) return link.release();
    const { transfer, from } = download.offer;
    link.session.post({ verb: "SWARM", transfer, ...(from === "" ? {} : { sharer: from }) });
    download.join(link);
  }

  /** Takes nothing new; resolves when what is under way has ended. Transfers without a sender fail now. */
  async drained(): Promise<void> {
    await this.#close();
    for (const download of this.#active.values()) {
      if (!download.sender) await download.fail(lost());
    }
    await Promise.all([...this.#active.values()].map(({ ended }) => ended));
    await Promise.all(this.#starting.values());
  }

  /** Fails what is under way: partials that are worth it are kept for a later offer, the others deleted. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#close();
    await Promise.all([...this.#active.values()].map((download) =>
      // A sender that is gone already is what ended it, also here.
      download.fail(download.sender ? shuttingDown() : lost())
    ));
    // Those that were being accepted see that it is over, and take back what they have made.
    await Promise.all(this.#starting.values());
  }

  async #close(): Promise<void> {
    this.#closed = true;
    this.#waiting.abort(shuttingDown());
    await Promise.all([...this.#seeds.values()].map((seed) => seed.stopSeeding()));
  }

  /** Takes an offer that the policy agrees to. */
  async #take(offer: Offer, asked: OfferRequest, found: Found | null): Promise<void> {
    expectReceivable(offer);
    if (!found) {
      await this.#suspendAbandoned(offer, asked.link);
      await this.#placeFor(offer, asked);
      this.#check(offer, asked);
    }
    const undo = await this.#decide(offer, asked, found !== null);
    try {
      if (found) {
        this.#answerFound(asked, offer, found);
        const { isRelayed } = asked.link;
        const received = { ...found.item, already: true, seconds: 0, bytesReceived: 0, isRelayed };
        return this.#options.observer.onReceived(offer, received);
      }
      // While a person was asked other transfers may have begun.
      this.#check(offer, asked);
      await this.#begin(offer, asked);
    } catch (error) {
      undo();
      throw error;
    }
  }

  async #decide(
    offer: Offer,
    { link, signal }: OfferRequest,
    isKept: boolean,
  ): Promise<() => void> {
    const { policy } = this.#options;
    if (!policy) return () => {};
    let deciding: Promise<() => void> | undefined;
    const decide = (signal: AbortSignal) => deciding = policy.decide({ offer, isKept, signal });
    try {
      if (!policy.asksPerson || isKept) {
        return await Promise.race([decide(signal), aborted(signal)]);
      }
      const { transfer, from } = offer;
      const { session } = link;
      const waiting = { key: keyOf(transfer, from), transfer, from, session, signal };
      return await this.#waiting.wait(waiting, decide);
    } catch (error) {
      // A consent that comes too late.
      deciding?.then((undo) => undo(), () => {});
      throw error;
    }
  }

  async #begin(offer: Offer, asked: OfferRequest): Promise<void> {
    const { destination, observer, limiter, settings } = this.#options;
    const { link, signal } = asked;
    const key = keyOf(offer.transfer, offer.from);
    // An offer may have come on another link meanwhile, too.
    const active = this.#active.get(key);
    if (active) return active.resume(link, offer, asked.seq);
    if (this.#starting.has(key)) {
      throw new P2PError("busy", "Cannot receive: the same offer is being accepted; try again");
    }
    const over = Promise.withResolvers<void>();
    this.#starting.set(key, over.promise);
    const host = hostOf(asked);
    this.#count(offer.from, host, 1);
    let hasBegun = false;
    try {
      const target = await destination.begin(offer);
      if (this.#closed || !link.isOpen || signal.aborted) {
        // What an earlier try left of it waits for the next one.
        await destination.release(target, target.known.size > 0);
        throw this.#closed ? shuttingDown() : signal.aborted ? signal.reason : lost();
      }
      const download = new Download({
        offer,
        target,
        destination,
        share: this.#windows.join(),
        unwritten: this.#unwritten,
        hashes: this.#hashes,
        turns: this.#turns,
        clock: settings.clock,
        maxSize: settings.maxSize,
        lane: limiter?.lane(),
        swarm: await this.#swarmFor(offer, target.isReadable),
        signReceipt: this.#options.signReceipt,
        observer: observer.onStarted(offer),
        seedFor: settings.seedFor,
        onEnd: (outcome) => this.#onEnd(offer, host, outcome),
        onOver: () => this.#seeds.delete(key),
      });
      this.#active.set(key, download);
      hasBegun = true;
      download.begin(link, asked.seq);
    } finally {
      this.#starting.delete(key);
      over.resolve();
      if (!hasBegun) this.#count(offer.from, host, -1);
    }
  }

  /** What makes the supply of an offer that is for several, where they can have pieces of this side. */
  async #swarmFor(offer: Offer, isReadable: boolean): Promise<DownloadOptions["swarm"]> {
    const { swarm, limiter, settings: { clock, random } } = this.#options;
    const { size, pieceSize, scheme } = offer;
    // Pieces come in any order.
    if (scheme !== "independent") return undefined;
    // A sharer does not wait to be asked: who receives slowly on purpose is served alone.
    if (!offer.swarm || !swarm || !isReadable || limiter || size === null) return undefined;
    const pieceCount = pieceCountOf(size, pieceSize);
    if (pieceCount > MAX_SWARM_PIECES) return undefined;
    const { SwarmSupply } = await onDemand<typeof import("./swarm/swarm_supply.ts")>(
      "./swarm/swarm_supply.ts",
      import.meta.url,
    );
    const { outgoing, justice } = swarm;
    const given = { offer, pieceCount, outgoing, justice, clock, random };
    return (parts) => new SwarmSupply({ ...parts, ...given });
  }

  #onEnd(offer: Offer, host: string, outcome: Received | P2PError): void {
    const { observer } = this.#options;
    const key = keyOf(offer.transfer, offer.from);
    const download = this.#active.get(key);
    this.#active.delete(key);
    if (download?.isSeeding) this.#addSeed(key, download);
    this.#count(offer.from, host, -1);
    if (outcome instanceof P2PError) observer.onFailed(offer, outcome);
    else observer.onReceived(offer, outcome);
  }

  #addSeed(key: string, seed: Download): void {
    if (this.#closed) return void seed.stopSeeding();
    this.#seeds.set(key, seed);
    const [oldest] = this.#seeds.values();
    if (this.#seeds.size > MAX_SEEDS) void oldest?.stopSeeding();
  }

  /** Answers the offer of something that is here. */
  #answerFound(
    { link, seq }: OfferRequest,
    { transfer, from, manifest, sha256 }: Offer,
    { state, item: { name, size, ...item } }: Found,
  ): void {
    // The sender has to recognise it: it does not know the manifest of everything whose SHA-256 it knows.
    const isBySha256 = state === "already" && manifest === undefined && sha256 !== undefined;
    const what = isBySha256 ? { sha256 } : { manifest: item.manifest };
    const receipt = this.#options.signReceipt?.({ transfer, sender: from, size, name, ...what });
    link.session.post({ verb: "ACK", re: seq, transfer, state, name, ...what, ...receipt });
  }

  #count(from: string, host: string, change: 1 | -1): void {
    if (change > 0) this.#hosts.add(host);
    else this.#hosts.remove(host);
    const count = (this.#ofSender.get(from) ?? 0) + change;
    if (count > 0) this.#ofSender.set(from, count);
    else this.#ofSender.delete(from);
  }

  /**
   * Ends what the sender's last run left half done, which is the offer's to go on with, unless that run is
   * alive and sends the same content a second time.
   */
  async #suspendAbandoned(offer: Offer, link: PeerLink): Promise<void> {
    const reason = new P2PError(
      "connection-lost",
      "The sender was started again, and goes on in a new transfer",
    );
    for (const download of this.#active.values()) {
      if (!isSameContent(download.offer, offer)) continue;
      const { sender } = download;
      if (sender === link || sender && await this.#isAlive(sender.session)) continue;
      sender?.session.abort(reason);
      await download.fail(reason);
    }
  }

  /** Whether the other side of a session still answers; one that has just been heard is not asked. */
  async #isAlive(session: Session): Promise<boolean> {
    if (this.#clock.now() - session.lastHeard < PROBE_AFTER) return !session.connection.closed;
    return await session.isAlive(
      session.connection.isReceivingBody ? SLOW_PROBE_TIMEOUT : PROBE_TIMEOUT,
    );
  }

  get #isFull(): boolean {
    return this.#active.size + this.#starting.size >= MAX_TRANSFERS;
  }

  #hasAll(from: string): boolean {
    return (this.#ofSender.get(from) ?? 0) >= MAX_PER_SENDER;
  }

  #isNetworkFull(host: string): boolean {
    return this.#hosts.of(host).network >= MAX_PER_NETWORK;
  }

  /** Where no place is left, waits for those that are about to be: what was cancelled is being deleted. */
  async #placeFor({ from }: Offer, asked: OfferRequest): Promise<void> {
    const host = hostOf(asked);
    while (this.#isFull || this.#hasAll(from) || this.#isNetworkFull(host)) {
      const ending = [...this.#active.values()].find(({ isEnding, offer }) =>
        isEnding && (this.#isFull || this.#isNetworkFull(host) || offer.from === from)
      );
      if (!ending) return;
      await ending.ended;
    }
  }

  /** Checks the limits of this peer. */
  #check({ size, from }: Offer, asked: OfferRequest): void {
    if (this.#closed) throw shuttingDown();
    if (this.#isFull) {
      throw new P2PError(
        "busy",
        "Cannot receive: too many transfers are under way; try again later",
      );
    }
    if (this.#hasAll(from)) {
      throw new P2PError(
        "busy",
        `Cannot receive: ${MAX_PER_SENDER} transfers of this sender are under way; try again later`,
      );
    }
    if (this.#isNetworkFull(hostOf(asked))) {
      throw new P2PError(
        "busy",
        `Cannot receive: ${MAX_PER_NETWORK} transfers from this network are under way; try again later`,
      );
    }
    const { maxSize } = this.#options.settings;
    if (size !== null && maxSize !== undefined && size > maxSize) {
      throw new P2PError(
        "refused",
        `Cannot receive ${size} bytes: the receiver takes up to ${maxSize}; ` +
          "its owner can raise --max-size there",
        { flag: "max-size" },
      );
    }
  }
}

/** What a transfer is known by: another peer that knows its id gets nowhere. */
function keyOf(transfer: string, from: string): string {
  return `${transfer} ${from}`;
}

/** The address that an offer came from. */
function hostOf({ link }: OfferRequest): string {
  return link.session.connection.remote.host;
}

function lost(): P2PError {
  return new P2PError("connection-lost", "Cannot receive: the sender is gone");
}

function shuttingDown(): P2PError {
  return new P2PError("shutting-down", "Cannot receive: the receiver is shutting down");
}

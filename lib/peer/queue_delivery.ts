import { formatAddress } from "../address.ts";
import { Gate } from "../async/gate.ts";
import type { Clock } from "../async/clock.ts";
import type { Content } from "../content/content.ts";
import { openContent } from "../content/open_content.ts";
import { stampOf } from "../content/stamp.ts";
import type { ListChange } from "../directory/peer_list.ts";
import type { Lock } from "../disk/lock.ts";
import { asP2PError, P2PError, reasonOf } from "../errors.ts";
import type { AppEvent } from "../events.ts";
import { tellOnce } from "../tell_once.ts";
import type { PeerEntry } from "../wire/message.ts";
import type { Queue } from "./queue.ts";
import { dequeuedEvent } from "./queue_events.ts";
import {
  afterFailure,
  type FailedTry,
  isDue,
  isExpired,
  type Queued,
  type QueuedFile,
  type QueueState,
} from "./queued.ts";
import type { SendReport } from "./send_job.ts";

/** What a {@linkcode QueueDelivery} needs. */
export interface QueueDeliveryOptions {
  queue: Queue;
  /** Own id. */
  own: string;
  /** What the network goes by in the queue. */
  network: () => string;
  /** The peers that are listed now. */
  listed: () => readonly PeerEntry[];
  /** Remembers who is there. */
  note: (present: readonly PeerEntry[]) => Promise<void>;
  /** Sends an opened content to a peer, and closes it. */
  send: (content: Content, to: PeerEntry, signal: AbortSignal) => Promise<SendReport>;
  /** Sends a message straight to a peer. */
  tell: (to: PeerEntry, message: { id: string; time: string; text: string }) => Promise<void>;
  emit: (event: AppEvent) => void;
  clock: Clock;
  /** The time of day, in milliseconds since 1970. */
  now?: () => number;
}

/** Recipients that are served at a time; each gets one thing after the other. */
const PARALLEL = 4;
/** Milliseconds until the queue is looked at again, whatever a file system says of its folder. */
const LOOK_EVERY = 60_000;
/** Milliseconds from a change to the look: what changes together is looked at once. */
const LOOK_AFTER = 100;

/** How a try ended: with all of it there, changed since it was queued or not, or with an error. */
type Sent = { isChanged: boolean } | Pick<FailedTry, "error" | "wasReached">;

/** An entry that is being sent. */
interface Delivery {
  id: string;
  stop: AbortController;
}

/**
 * Sends what is in the queue to those who are there: looks at it when it starts, when the list of peers or the folder
 * changes, and every minute.
 */
export class QueueDelivery implements AsyncDisposable {
  readonly #options: QueueDeliveryOptions & { now: () => number };
  readonly #notice: (message: string) => void;
  /** Deliveries by the ids of their recipients: one at a time each. */
  readonly #active = new Map<string, Delivery>();
  readonly #running = new Set<Promise<void>>();
  readonly #turns = new Gate(PARALLEL);
  /** Ids of those who wait for something and have left since they were tried. */
  readonly #left = new Set<string>();
  /** Peers that have come since the last look. */
  #unnoted: PeerEntry[] = [];
  /** Recipients of what waited at the last look. */
  #awaited: ReadonlySet<string> = new Set();
  #looking: Promise<void> | undefined;
  #isDirty = false;
  #isClosed = false;
  #marker: Lock | undefined;
  #watcher: Deno.FsWatcher | undefined;
  #watching: Promise<void> | undefined;
  #timer: () => void = () => {};
  #soon: (() => void) | undefined;

  constructor(options: QueueDeliveryOptions) {
    this.#options = { now: Date.now, ...options };
    this.#notice = tellOnce((message) => options.emit({ event: "notice", message }));
  }

  /** Says that this peer delivers, and watches the folder: whoever sees it listed is to find that said. */
  async announce(): Promise<void> {
    const { queue, network } = this.#options;
    try {
      this.#marker ??= await queue.announce(network()) ?? undefined;
      if (this.#isClosed) return this.#unmark();
      this.#watcher ??= Deno.watchFs(queue.folder, { recursive: false });
      this.#watching ??= this.#watch(this.#watcher);
    } catch {
      // A folder that cannot be watched, or made, is looked at every minute.
    }
  }

  /** Begins: resolves when the queue has been looked at, and what can be sent is on its way. */
  async start(): Promise<void> {
    this.#unnoted.push(...this.#options.listed());
    await this.look();
  }

  /** Takes note of who has come and gone. */
  onListChanged({ joined, changed, left }: ListChange): void {
    if (this.#isClosed) return;
    for (const { id } of left) if (this.#awaited.has(id)) this.#left.add(id);
    this.#unnoted.push(...joined);
    if (joined.length + changed.length > 0) this.#lookSoon();
  }

  #lookSoon(): void {
    if (this.#isClosed) return;
    this.#soon ??= this.#options.clock.after(LOOK_AFTER, () => {
      this.#soon = undefined;
      void this.look();
    });
  }

  /** Looks at the queue, once more when that is being done just now. */
  look(): Promise<void> {
    this.#isDirty = true;
    return this.#looking ??= this.#lookOften();
  }

  /** Begins nothing new, and resolves when what is under way has come to its end. */
  async drained(): Promise<void> {
    this.#close();
    await Promise.all(this.#running);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#close();
    for (const { stop } of this.#active.values()) {
      stop.abort(new P2PError("interrupted", "This peer is stopping"));
    }
    await Promise.all([this.#looking, this.#watching, ...this.#running]);
    this.#unmark();
  }

  #unmark(): void {
    this.#marker?.[Symbol.dispose]();
    this.#marker = undefined;
  }

  #close(): void {
    this.#isClosed = true;
    this.#timer();
    this.#soon?.();
    this.#watcher?.close();
    this.#watcher = undefined;
  }

  async #watch(watcher: Deno.FsWatcher): Promise<void> {
    try {
      for await (const { kind, paths } of watcher) {
        // Entries alone, and not their locks; to read one is no change.
        if (kind !== "access" && paths.some((path) => path.endsWith(".json"))) this.#lookSoon();
      }
    } catch {
      // A file system that stops to tell is looked at every minute.
    }
  }

  async #lookOften(): Promise<void> {
    while (this.#isDirty && !this.#isClosed) {
      this.#isDirty = false;
      this.#timer();
      let pause = LOOK_EVERY;
      try {
        pause = await this.#lookOnce();
      } catch (error) {
        this.#notice(`Cannot use the queue: ${reasonOf(error)}`);
      }
      if (!this.#isClosed) {
        this.#timer = this.#options.clock.after(pause, () => void this.look());
      }
    }
    // At once, not when the promise has settled: what is asked for from here on is another look.
    this.#looking = undefined;
  }

  /** Begins what is due; in how many milliseconds something may be due that is not now. */
  async #lookOnce(): Promise<number> {
    const { queue, emit, own, listed, note, network, now } = this.#options;
    await note(this.#unnoted.splice(0));
    // A peer that said that it delivers may have been killed since.
    this.#marker ??= await queue.announce(network()).catch(() => null) ?? undefined;
    const all = (await queue.list(this.#notice)).filter((entry) => entry.network === network());
    if (all.some((entry) => isExpired(entry, now()))) {
      for (const entry of await queue.expire(network())) emit(dequeuedEvent(entry, "expired"));
    }
    const entries = all.filter((entry) => entry.to.id !== own && !isExpired(entry, now()));
    this.#awaited = new Set(entries.map(({ to }) => to.id));
    for (const id of this.#left) if (!this.#awaited.has(id)) this.#left.delete(id);
    this.#endWhatIsGone(new Set(all.map(({ id }) => id)));
    const peers = new Map(listed().map((entry) => [entry.id, entry]));
    let pause = LOOK_EVERY;
    for (const entry of entries) {
      const to = peers.get(entry.to.id);
      if (!to) continue;
      if (this.#isDue(entry, to)) this.#begin(entry, to);
      else if (entry.state.is === "paused") {
        pause = Math.min(pause, Math.max(LOOK_AFTER, Date.parse(entry.state.until) - now()));
      }
    }
    return pause;
  }

  #isDue(entry: Queued, to: PeerEntry): boolean {
    const { own, now } = this.#options;
    const isBack = this.#left.has(to.id);
    return isDue(entry, { address: formatAddress(to), own, now: now(), isBack });
  }

  /** Ends what is being sent and was taken out of the queue. */
  #endWhatIsGone(there: ReadonlySet<string>): void {
    for (const { id, stop } of this.#active.values()) {
      if (there.has(id)) continue;
      stop.abort(new P2PError("interrupted", "It was taken out of the queue"));
    }
  }

  #begin({ id }: Queued, to: PeerEntry): void {
    if (this.#isClosed || this.#active.has(to.id)) return;
    const stop = new AbortController();
    this.#active.set(to.id, { id, stop });
    const delivering = this.#turns.run(() => this.#deliver(id, to, stop.signal))
      .catch((error) => {
        this.#notice(`Cannot use the queue: ${reasonOf(error)}`);
        return false;
      })
      .then((isOver) => {
        this.#active.delete(to.id);
        this.#running.delete(delivering);
        // What another peer holds, or cannot be written, is looked at with the next change.
        if (isOver) void this.look();
      });
    this.#running.add(delivering);
  }

  /** Sends an entry; false when another peer is doing that. */
  async #deliver(id: string, to: PeerEntry, signal: AbortSignal): Promise<boolean> {
    const { queue, emit, own, now } = this.#options;
    if (this.#isClosed) return false;
    using held = await queue.hold(id);
    const entry = held && await queue.get(id);
    if (!entry || !this.#isDue(entry, to)) return held !== null;
    const trying: Queued = { ...entry, tries: entry.tries + 1, state: { is: "trying", by: own } };
    if (!await queue.replace(trying)) return true;
    this.#left.delete(to.id);
    const sent = await this.#send(trying, to, signal);
    if (!("error" in sent)) {
      if (await queue.remove(id)) emit(dequeuedEvent(trying, "delivered", sent));
      return true;
    }
    // A peer that stops goes on when it is started again, and what was taken out stays out.
    if (signal.aborted) return true;
    const address = formatAddress(to);
    const state = afterFailure(trying, { ...sent, address, own, now: now() });
    if (await queue.replace({ ...trying, state })) this.#sayIfFailed(trying, state);
    return true;
  }

  /** Sends what an entry holds. */
  async #send(entry: Queued, to: PeerEntry, signal: AbortSignal): Promise<Sent> {
    const { what, at } = entry;
    try {
      if (what.kind === "file") return await this.#sendFile(what, to, signal);
      await this.#options.tell(to, { id: what.message, time: at, text: what.text });
      return { isChanged: false };
    } catch (error) {
      return { error: asP2PError(error), wasReached: false };
    }
  }

  async #sendFile(what: QueuedFile, to: PeerEntry, signal: AbortSignal): Promise<Sent> {
    const content = await open(what);
    const isChanged = stampOf(content) !== what.stamp;
    const { failures: [error], recipients } = await this.#options.send(content, to, signal);
    const wasReached = recipients.some(({ via }) => via !== undefined);
    return error ? { error, wasReached } : { isChanged };
  }

  #sayIfFailed(entry: Queued, state: QueueState): void {
    if (state.is !== "failed") return;
    const { what, to: { name } } = entry;
    const subject = what.kind === "file" ? what.name : "A message";
    const message = `${subject} for ${name} stays in the queue as failed: ${state.reason}; it is ` +
      `tried again when ${name} goes and comes back, or when it is queued again`;
    this.#options.emit({ event: "notice", message });
  }
}

/** Opens what was queued: one that cannot be opened has failed, whatever it is. */
async function open({ path, follow, strict }: QueuedFile): Promise<Content> {
  try {
    return await openContent(path, { follow, strict });
  } catch (error) {
    const { message } = asP2PError(error);
    throw new P2PError("file-not-found", message, { cause: error });
  }
}

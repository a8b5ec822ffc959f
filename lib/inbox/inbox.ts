import { join, resolve } from "node:path";
import { diskError } from "../disk/disk_error.ts";
import { P2PError } from "../errors.ts";
import type { ArrivedContent, Destination, Found, KeptItem, OfferedItem } from "./destination.ts";
import { PartialItem } from "./partial_item.ts";
import type { PartialKey } from "./partial_key.ts";
import { KEEP_PARTIALS, Partials } from "./partials.ts";
import type { PieceTarget } from "./piece_target.ts";
import { Quota } from "./quota.ts";
import type { Receipt } from "./receipts.ts";
import type { Published } from "./target.ts";

/** Bytes that stay free beside what is received. */
const RESERVE = 16 * 1024 * 1024;

/**
 * The folder where what arrives is kept: final names on top, what is being received in a private folder of this
 * identity.
 */
export class Inbox implements Destination, Disposable {
  /** Absolute path. */
  readonly path: string;
  readonly #partials: Partials;
  readonly #quota: Quota | undefined;
  /** Offers whose partials are being written, by the partial. */
  readonly #begun = new Map<PartialItem, OfferedItem>();
  /** Bytes of the partials that are about to be. */
  readonly #starting = new Set<{ bytes: number }>();

  private constructor(path: string, partials: Partials, quota: Quota | undefined) {
    this.path = path;
    this.#partials = partials;
    this.#quota = quota;
  }

  /**
   * Opens the inbox, making the folder when it is missing. Partials that a process with the same identity
   * left behind wait to be gone on with when their journal says what they are and is younger than
   * `keepPartials` milliseconds; the others are swept. The folder may hold `quota` bytes in all.
   *
   * @throws {P2PError} `disk` when a part of the path is a link or no folder, or another process has it.
   */
  static async open(
    path: string,
    ownId: string,
    { keepPartials = KEEP_PARTIALS, quota: limit }: {
      keepPartials?: number | undefined;
      quota?: number | undefined;
    } = {},
  ): Promise<Inbox> {
    const inbox = resolve(path);
    try {
      await Deno.mkdir(inbox, { recursive: true });
      await using stack = new AsyncDisposableStack();
      const partials = stack.use(await Partials.open(inbox, ownId, { keep: keepPartials }));
      const quota = limit === undefined ? undefined : await Quota.open(inbox, limit);
      stack.move();
      return new Inbox(inbox, partials, quota);
    } catch (error) {
      throw diskError("use the inbox", inbox, error);
    }
  }

  async alreadyHas(offer: OfferedItem): Promise<Found | null> {
    const { transfer, from, name: offered, manifest } = offer;
    const done = await this.#partials.receipts.ofTransfer(transfer, from);
    if (done) return { state: "saved", item: this.#kept(done) };
    const same = manifest && await this.#partials.receipts.ofContent({ manifest, from, offered });
    if (!same) return null;
    this.#partials.receipts.add({ ...same, transfer });
    return { state: "already", item: this.#kept(same) };
  }

  /**
   * Checks that an offer fits beside what others under way still need, and starts a partial, or goes on with
   * one of the same sender, name, size, piece size, scheme and table.
   *
   * @throws {P2PError} `no-space`, `quota` or `disk`.
   */
  async begin(offer: OfferedItem): Promise<PartialItem> {
    const reopened = await this.#partials.reopen(offer);
    const needed = { bytes: missingOf(offer, reopened) };
    try {
      await this.#takeRoom(needed);
      const item = reopened ?? await this.#partials.create(offer);
      this.#begun.set(item, offer);
      return item;
    } catch (error) {
      if (reopened) await this.#partials.suspend(reopened, offer);
      throw error;
    } finally {
      this.#starting.delete(needed);
    }
  }

  /** Bytes that a stream may bring beside what others under way still need; undefined without a quota. */
  async roomForStream(): Promise<number | undefined> {
    return await this.#quota?.room(() => this.#promisedBytes());
  }

  async publish(
    target: PieceTarget,
    content: ArrivedContent,
  ): Promise<Published & { already: boolean }> {
    const { item, offer } = this.#begunOrThrow(target);
    const { transfer, from, name: offered } = offer;
    const same = await this.#partials.receipts.ofContent({
      manifest: content.manifest,
      from,
      offered,
    });
    if (same) {
      await this.release(item, false);
      this.#partials.receipts.add({ ...same, transfer });
      return { name: same.name, path: join(this.path, same.name), already: true };
    }
    let receipt: Receipt | undefined;
    const published = await item.publish(offered, async (name, stamp) => {
      const files = item.files?.count;
      receipt = { transfer, from, offered, name, files, ...content, ...stamp };
      await this.#partials.receipts.intend(receipt);
    });
    if (receipt) this.#partials.receipts.add(receipt);
    this.#begun.delete(item);
    return { ...published, already: false };
  }

  async release(target: PieceTarget, keep: boolean): Promise<void> {
    const { item, offer } = this.#begunOrThrow(target);
    this.#begun.delete(item);
    if (keep) await this.#partials.suspend(item, offer);
    else await item.discard();
  }

  /** The partial that `target` is, and what was offered for it. */
  #begunOrThrow(target: PieceTarget): { item: PartialItem; offer: OfferedItem } {
    const item = target instanceof PartialItem ? target : undefined;
    const offer = item && this.#begun.get(item);
    if (offer) return { item, offer };
    throw new TypeError("the target was not begun here, or is over");
  }

  #kept({ name, size, files, sha256, manifest }: Receipt): KeptItem {
    return { name, path: join(this.path, name), size, files, sha256, manifest };
  }

  /** Bytes that what is being received will still take. */
  #promisedBytes(): number {
    let bytes = 0;
    for (const needed of this.#starting) bytes += needed.bytes;
    for (const item of this.#begun.keys()) bytes += item.missingBytes;
    return bytes;
  }

  /** Checks that there is room, on the disk and under the quota, and takes it for what is about to begin. */
  async #takeRoom(needed: { bytes: number }): Promise<void> {
    // Loading it takes 8 ms, and who only sends does not need it.
    const { statfs } = await import("node:fs/promises");
    const { bavail, bsize } = await statfs(this.path);
    const free = bavail * bsize - RESERVE - this.#promisedBytes();
    if (needed.bytes > free) {
      throw new P2PError(
        "no-space",
        `Cannot receive ${needed.bytes} bytes: ${Math.max(0, free)} are free at the receiver; ` +
          "make room there and send again",
      );
    }
    const take = () => void this.#starting.add(needed);
    if (!this.#quota) return take();
    await this.#quota.grant(needed.bytes, () => this.#promisedBytes(), take);
  }

  /** Gives the lock back. */
  [Symbol.dispose](): void {
    this.#partials[Symbol.dispose]();
  }
}

/** Bytes that are still to come. */
function missingOf({ size, pieceSize }: PartialKey, partial: PartialItem | null): number {
  return Math.max(0, (size ?? 0) - (partial?.known.size ?? 0) * pieceSize);
}

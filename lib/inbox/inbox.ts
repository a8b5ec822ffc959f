import { join, resolve } from "node:path";
import { KeyedGate } from "../async/gate.ts";
import { diskError } from "../disk/disk_error.ts";
import { tellOnce } from "../tell_once.ts";
import type { Destination, Found, KeptItem, OfferedItem, ProvenContent } from "./destination.ts";
import { PartialItem } from "./partial_item.ts";
import { KEEP_PARTIALS, Partials, type RoomOf } from "./partials.ts";
import { makeInboxFolder } from "./private_folder.ts";
import type { PieceTarget } from "./piece_target.ts";
import type { ContentKey, Receipt } from "./receipts.ts";
import { type Claim, Room } from "./room.ts";
import type { Published } from "./target.ts";

/** What was offered for a partial, and the room that it has taken. */
interface Begun {
  offer: OfferedItem;
  claim: Claim;
}

/**
 * The folder where what arrives is kept: final names on top, what is being received in a private folder of this
 * identity.
 */
export class Inbox implements Destination, Disposable {
  /** Absolute path. */
  readonly path: string;
  readonly #partials: Partials;
  readonly #room: Room;
  /** Turns of what is being published, by its sender and name. */
  readonly #publishing = new KeyedGate(1);
  /** Partials that are being written. */
  readonly #begun = new Map<PartialItem, Begun>();

  private constructor(path: string, partials: Partials, room: Room) {
    this.path = path;
    this.#partials = partials;
    this.#room = room;
  }

  /**
   * Opens the inbox, making the folder when it is missing. Partials that a process with the same identity
   * left behind wait to be gone on with when their journal says what they are and is younger than
   * `keepPartials` milliseconds; the others are swept. The folder may hold `quota` bytes in all; see
   * {@linkcode RoomOptions} for `isCareful`. What a person should
   * know goes to `notice`.
   *
   * @throws {P2PError} `disk` when a part of the path is a link or no folder, or another process has it.
   */
  static async open(
    path: string,
    ownId: string,
    { keepPartials = KEEP_PARTIALS, quota, isCareful, notice = () => {} }: {
      keepPartials?: number | undefined;
      quota?: number | undefined;
      isCareful?: boolean | undefined;
      notice?: (message: string) => void;
    } = {},
  ): Promise<Inbox> {
    const inbox = resolve(path);
    try {
      await makeInboxFolder(inbox);
      const once = tellOnce(notice);
      await warnOfOthers(inbox, once);
      const partials = await Partials.open(inbox, ownId, { keep: keepPartials, notice: once });
      return new Inbox(inbox, partials, new Room({ folder: inbox, quota, isCareful, notice }));
    } catch (error) {
      throw diskError("use the inbox", inbox, error);
    }
  }

  async alreadyHas(offer: OfferedItem): Promise<Found | null> {
    const { transfer, from, name: offered, manifest, sha256 = null } = offer;
    const done = await this.#partials.receipts.ofTransfer(transfer, from);
    if (done) return { state: "saved", item: this.#kept(done, manifest) };
    if (manifest === undefined && sha256 === null) return null;
    const same = await this.#partials.receipts.ofOffer({ manifest, sha256, from, offered });
    if (!same) return null;
    this.#partials.receipts.add({ ...same, transfer });
    return { state: "already", item: this.#kept(same, manifest) };
  }

  /**
   * Checks that an offer fits beside what others under way still need, and starts a partial, or goes on with
   * one of the same sender, name, size, piece size and table.
   *
   * @throws {P2PError} `no-space`, `quota` or `disk`.
   */
  async begin(offer: OfferedItem): Promise<PartialItem> {
    const claim: Claim = {
      bytes: offer.size ?? 0,
      isOpen: offer.size === null,
      entries: 1,
      present: () => 0,
      base: undefined,
    };
    const room: RoomOf = { grow: (to) => this.#room.grow(claim, to) };
    await this.#partials.expectThere();
    const reopened = await this.#partials.reopen(offer, room);
    if (reopened) describe(claim, reopened);
    try {
      await this.#room.take(claim);
      const item = reopened ?? await this.#partials.create(offer, room);
      describe(claim, item);
      this.#begun.set(item, { offer, claim });
      return item;
    } catch (error) {
      this.#room.drop(claim);
      if (reopened) await this.#partials.suspend(reopened, offer);
      throw error;
    }
  }

  async publish(
    target: PieceTarget,
    content: ProvenContent,
    { keepsReading = false }: { keepsReading?: boolean } = {},
  ): Promise<Published & { already: boolean }> {
    const { item, offer } = this.#begunOrThrow(target);
    const { manifest, sha256 } = content;
    const key = { manifest, sha256, from: offer.from, offered: offer.name };
    // Of the same that arrives several times at once the first is kept, and the others find it.
    return await this.#publishing.run(
      JSON.stringify([key.from, key.offered]),
      () => this.#publish(item, { offer, content, key, keepsReading }),
    );
  }

  async #publish(
    item: PartialItem,
    { offer, content, key, keepsReading }: {
      offer: OfferedItem;
      content: ProvenContent;
      key: ContentKey;
      keepsReading: boolean;
    },
  ): Promise<Published & { already: boolean }> {
    const { transfer, from, name: offered } = offer;
    const same = await this.#partials.receipts.ofContent(key, item.table);
    if (same) {
      await this.release(item, false);
      const sha256 = content.sha256 ?? same.sha256;
      const known = { ...same, ...content, sha256, pieceSize: offer.pieceSize };
      this.#partials.receipts.add({ ...known, transfer });
      return { name: same.name, path: join(this.path, same.name), already: true };
    }
    const { pieceSize } = offer;
    if (item.table !== null) await this.#partials.receipts.keepTable(content.manifest, item.table);
    let receipt: Receipt | undefined;
    const intend = async (name: string, ino: number | null) => {
      const files = item.files?.count;
      receipt = { transfer, from, offered, name, files, ...content, pieceSize, ino };
      await this.#partials.receipts.intend(receipt);
    };
    const published = await item.publish(offered, { intend, keepsReading });
    if (receipt) this.#partials.receipts.add(receipt);
    this.#end(item);
    return { ...published, already: false };
  }

  async release(target: PieceTarget, keep: boolean): Promise<void> {
    const { item, offer } = this.#begunOrThrow(target);
    this.#end(item);
    if (keep) await this.#partials.suspend(item, offer);
    else await item.discard();
  }

  /** The partial that `target` is, and what was offered for it. */
  #begunOrThrow(target: PieceTarget): { item: PartialItem; offer: OfferedItem } {
    const item = target instanceof PartialItem ? target : undefined;
    const begun = item && this.#begun.get(item);
    if (begun) return { item, offer: begun.offer };
    throw new TypeError("the target was not begun here, or is over");
  }

  #end(item: PartialItem): void {
    const begun = this.#begun.get(item);
    this.#begun.delete(item);
    if (begun) this.#room.drop(begun.claim);
  }

  /** What a receipt is about, under the manifest that the sender knows it by now. */
  #kept({ name, size, files, sha256, ...receipt }: Receipt, manifest = receipt.manifest): KeptItem {
    return { name, path: join(this.path, name), size, files, sha256, manifest };
  }

  /** Gives the lock back. */
  [Symbol.dispose](): void {
    this.#partials[Symbol.dispose]();
  }
}

/** Says that others can exchange what has arrived, where they can: everybody may write, and delete what is not theirs. */
async function warnOfOthers(inbox: string, notice: (message: string) => void): Promise<void> {
  const { mode } = await Deno.stat(inbox);
  if (mode === null || (mode & 0o002) === 0 || (mode & 0o1000) !== 0) return;
  notice(
    `Others on this machine can write to ${inbox}: they may exchange what has arrived there; ` +
      "`chmod o-w` ends that",
  );
}

/** Says in a claim what is there of it. */
function describe(claim: Claim, item: PartialItem): void {
  claim.base = item.base;
  claim.present = () => item.presentBytes;
  claim.entries = Math.max(claim.entries, item.entries);
}

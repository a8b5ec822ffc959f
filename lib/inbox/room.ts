import type { StatsFs } from "node:fs";
import { type Clock, systemClock } from "../async/clock.ts";
import { Gate } from "../async/gate.ts";
import { tellOnce } from "../tell_once.ts";
import { P2PError, reasonOf } from "../errors.ts";
import { countedBytes, ENTRY, type Usage, usageOf } from "./quota.ts";

/** Bytes that stay free beside what is received. */
const RESERVE = 16 * 1024 * 1024;
/**
 * Bytes that stay free beside what nobody has said the size of, or what comes from somebody who is not known: this part
 * of what was free at first, and at most so many.
 */
const CAREFUL_RESERVE = { part: 1 / 10, most: 1024 ** 3 };
/** Inodes that stay free: this part of all that the disk has, and at most so many. */
const INODE_RESERVE = { part: 1 / 20, most: 1024 };
/** Bytes that a stream is given room for at a time, where there are so many. */
const STRIDE = 8 * 1024 * 1024;

/**
 * How long in milliseconds the folder may be counted, as anybody can ask for more than there is: this part of the time,
 * so much at a time, and so much beyond that by one count. A large folder is counted every five seconds then.
 */
const COUNTING = { part: 1 / 5, burst: 1_000, debt: 1_000 };

/** Room that something being received has taken; what it says grows with {@linkcode Room.grow}. */
export interface Claim {
  /** Bytes in all, with those of an earlier run. */
  bytes: number;
  /** Whether the sender does not know how many: a stream may have no end. */
  isOpen?: boolean;
  /** Files and folders. */
  entries: number;
  /** Bytes of it that are on the disk. */
  present(): number;
  /** Path without its ending of what is there of it: the claim counts for it. */
  base: string | undefined;
}

/** What a {@linkcode Room} needs. */
export interface RoomOptions {
  /** The folder, which has to be there when room is taken. */
  folder: string;
  /** Bytes that the folder may hold in all, hidden files and partials included; undefined for all that the disk has. */
  quota: number | undefined;
  /** Whether to leave more of the disk free where there is no quota: whoever sends is not known. */
  isCareful?: boolean | undefined;
  /** Hears what a person should know. */
  notice: (message: string) => void;
  clock?: Clock;
}

/**
 * The room for what is being received: on the disk, of which a reserve stays free, and under the quota. Whatever comes
 * takes its room before it is written, one request after another, so that no two get the same. The folder is counted at
 * first, and again before anything is turned down, as somebody may have made room; but not more often than a part of the
 * time allows, so that nobody has it counted all the time.
 */
export class Room {
  readonly #folder: string;
  readonly #quota: number | undefined;
  readonly #isCareful: boolean;
  readonly #clock: Clock;
  readonly #notice: (message: string) => void;
  readonly #claims = new Set<Claim>();
  /** Claims that there was no whole stride for: each further one would have the folder counted in vain. */
  readonly #tight = new WeakSet<Claim>();
  readonly #requests = new Gate(1);
  /** What the folder holds at most: what was counted last, and what was granted since. */
  #used: Usage | undefined;
  /** Bytes that were free when the disk was first asked. */
  #freeAtFirst: number | undefined;
  /** Milliseconds that may go into counting, and when they were that many. */
  #allowance = COUNTING.burst;
  #allowedAt: number;

  constructor(
    { folder, quota, isCareful = false, notice, clock = systemClock }: RoomOptions,
  ) {
    this.#clock = clock;
    this.#allowedAt = clock.now();
    this.#folder = folder;
    this.#quota = quota;
    this.#isCareful = isCareful;
    this.#notice = tellOnce(notice);
  }

  /**
   * Takes room for a claim, which counts until it is {@linkcode drop dropped}.
   *
   * @throws {P2PError} `no-space` or `quota` when there is none.
   */
  take(claim: Claim): Promise<void> {
    return this.#requests.run(async () => {
      await this.#grant({
        bytes: Math.max(0, claim.bytes - claim.present()),
        entries: claim.entries,
      }, claim);
      this.#claims.add(claim);
    });
  }

  /**
   * Takes more room for a claim, until it is for `bytes` and for `entries`: a stream says only as it goes on how many
   * bytes it has, a folder only with its table what is in it.
   *
   * @throws {P2PError} `no-space` or `quota` when there is none.
   */
  async grow(claim: Claim, { bytes = 0, entries = 0 }: Partial<Claim>): Promise<void> {
    const isEnough = () => bytes <= claim.bytes && entries <= claim.entries;
    if (isEnough()) return;
    await this.#requests.run(async () => {
      if (isEnough()) return;
      const more = {
        bytes: Math.max(0, bytes - claim.bytes),
        entries: Math.max(0, entries - claim.entries),
      };
      const isStriding = more.bytes > 0 && !this.#tight.has(claim);
      const stride = isStriding ? Math.max(STRIDE, more.bytes) : more.bytes;
      try {
        await this.#grant({ ...more, bytes: stride }, claim);
        more.bytes = stride;
      } catch (error) {
        if (stride === more.bytes) throw error;
        this.#tight.add(claim);
        await this.#grant(more, claim);
      }
      claim.bytes += more.bytes;
      claim.entries += more.entries;
    });
  }

  /** Gives back what a claim has taken and not used: it is over. */
  drop(claim: Claim): void {
    this.#claims.delete(claim);
  }

  /** Checks that there is room for so much more. */
  async #grant(
    more: { bytes: number; entries: number },
    { isOpen = false }: Claim,
  ): Promise<void> {
    await this.#expectFree(more, isOpen || this.#isCareful);
    const quota = this.#quota;
    if (quota === undefined) return;
    const isOver = (used: Usage) => countedBytes(plus(used, more)) > quota;
    // What fits into no folder is no reason to look into this one.
    const isWorthCounting = (used: Usage) => isOver(used) && !isOver(NOTHING) && this.#mayCount();
    if (!this.#used || isWorthCounting(this.#used)) this.#used = await this.#count();
    if (isOver(this.#used)) {
      const room = Math.max(0, quota - countedBytes(this.#used));
      throw new P2PError(
        "quota",
        `Cannot receive ${textOf(more)}: the receiver's quota of ${quota} leaves ${room}; ` +
          "make room in its inbox and send again",
      );
    }
    this.#used = plus(this.#used, more);
  }

  /** Whether enough time has passed since the folder was counted, in relation to how long that took. */
  #mayCount(): boolean {
    const now = this.#clock.now();
    const more = (now - this.#allowedAt) * COUNTING.part;
    this.#allowance = Math.min(COUNTING.burst, this.#allowance + more);
    this.#allowedAt = now;
    return this.#allowance > 0;
  }

  /** What the folder holds, and what the claims will bring; what is there of a claim counts with it. */
  async #count(): Promise<Usage> {
    const began = this.#clock.now();
    const claims = [...this.#claims];
    const promised = claims.reduce(plus, { bytes: 0, overhead: 0 });
    const skip = new Set(claims.flatMap(({ base }) => base === undefined ? [] : [base]));
    const onLeftOut = (path: string, reason: string) =>
      this.#notice(`Cannot count ${path} for --quota: ${reason}; it is left out`);
    const { bytes, overhead } = await usageOf(this.#folder, { skip, onLeftOut });
    const took = this.#clock.now() - began;
    this.#allowance = Math.max(-COUNTING.debt, this.#allowance - took);
    return { bytes: bytes + promised.bytes, overhead: overhead + promised.overhead };
  }

  async #expectFree(
    more: { bytes: number; entries: number },
    isCareful: boolean,
  ): Promise<void> {
    // Before the disk is asked: what is written meanwhile would else count as free and as present.
    let bytes = 0;
    let entries = 0;
    for (const claim of this.#claims) {
      const missing = Math.max(0, claim.bytes - claim.present());
      // The files of a folder are there with its last byte.
      if (missing > 0 && claim.entries > 1) entries += claim.entries;
      bytes += missing;
    }
    const disk = await this.#free();
    const { part, most } = CAREFUL_RESERVE;
    this.#freeAtFirst ??= disk.bytes;
    // With a quota the bound is known.
    const reserve = isCareful && this.#quota === undefined
      ? Math.max(RESERVE, Math.min(most, this.#freeAtFirst * part))
      : RESERVE;
    const room = Math.max(0, Math.floor(disk.bytes - reserve - bytes - entries * ENTRY));
    if (more.bytes + (more.entries > 1 ? more.entries * ENTRY : 0) > room) {
      throw new P2PError(
        "no-space",
        `Cannot receive ${textOf(more)}: ${room} are free at the receiver; ` +
          "make room there and send again",
      );
    }
    if (more.entries > disk.entries - entries) {
      throw new P2PError(
        "no-space",
        `Cannot receive ${textOf(more)}: the receiver's disk has room for ` +
          `${Math.max(0, disk.entries - entries)} files; make room there and send again`,
      );
    }
  }

  /** Bytes and inodes that are free on the disk; infinitely many where it does not say. */
  async #free(): Promise<{ bytes: number; entries: number }> {
    try {
      // Loading it takes 8 ms, and who only sends does not need it.
      const { statfs } = await import("node:fs/promises");
      const disk = await statfs(this.#folder) as StatsFs & { frsize?: number };
      const { bavail, blocks, bsize, files, ffree } = disk;
      // POSIX counts blocks in the unit of `frsize`, which older versions of Deno leave out.
      const unit = disk.frsize || bsize;
      const reserve = Math.min(INODE_RESERVE.most, files * INODE_RESERVE.part);
      const entries = files > 0 ? ffree - reserve : Infinity;
      // A disk without a single block is one that says nothing, as many in user space and some on the network.
      if (blocks > 0 && unit > 0) return { bytes: bavail * unit, entries };
      this.#noticeUnknown("it says 0");
    } catch (error) {
      this.#noticeUnknown(reasonOf(error));
    }
    return { bytes: Infinity, entries: Infinity };
  }

  #noticeUnknown(reason: string): void {
    this.#notice(
      `Cannot tell how much is free on the disk of ${this.#folder}: ${reason}; ` +
        "files are received until it is full",
    );
  }
}

/** What an empty folder holds. */
const NOTHING: Usage = { bytes: 0, overhead: 0 };

function plus(usage: Usage, { bytes, entries }: { bytes: number; entries: number }): Usage {
  return { bytes: usage.bytes + bytes, overhead: usage.overhead + entries * ENTRY };
}

function textOf({ bytes, entries }: { bytes: number; entries: number }): string {
  return entries > 1
    ? `${entries} files and folders of at least ${ENTRY} bytes each`
    : `${bytes} bytes`;
}

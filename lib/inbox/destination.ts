import type { FileAttributes } from "../disk/file_mode.ts";
import type { PartialKey } from "./partial_key.ts";
import type { PieceTarget } from "./piece_target.ts";
import type { Published } from "./target.ts";

/** Something that is offered. */
export interface OfferedItem extends PartialKey {
  transfer: string;
  /** The manifest's id, base64url, when the sender knew it. */
  manifest?: string | undefined;
  /** SHA-256 of the file, base64url, when the sender knew it. */
  sha256?: string | undefined;
  /** What is to be kept of it beside its bytes. */
  attributes?: FileAttributes | undefined;
}

/** What has come of a content when all of it is there and verified. */
export interface ArrivedContent {
  /** The manifest's id, base64url. */
  manifest: string;
  /** Bytes. */
  size: number;
  /** SHA-256 of the file, base64url; null when this side has not computed it. */
  sha256: string | null;
}

/** The same, with the name of how its pieces were proven: see {@linkcode proofName}. */
export interface ProvenContent extends ArrivedContent {
  proof: string;
}

/** Something that is kept under its name. */
export interface KeptItem extends ArrivedContent, Published {
  /** Files of a tree. */
  files?: number | undefined;
}

/**
 * The item that an offer would bring, when it is here before a piece was asked for: `saved` by this very transfer,
 * whose last ACK the sender did not get, or `already` by an earlier transfer of the same sender.
 */
export interface Found {
  state: "saved" | "already";
  item: KeptItem;
}

/**
 * Where offers are received, and what has become of them. A target that was begun is ended by `publish` or by
 * `release`.
 */
export interface Destination {
  /** The item of the offer, if all of it is here. Notes its transfer as received, so that it is `saved` the next time. */
  alreadyHas(offer: OfferedItem): Promise<Found | null>;
  /**
   * Begins to receive, or goes on with what an earlier run left.
   *
   * @throws {P2PError} `no-space`, `quota`, `disk` or `refused`.
   */
  begin(offer: OfferedItem): Promise<PieceTarget>;
  /**
   * Makes what has arrived durable and gives it its name, unless the sender has sent the very same before: then
   * `already` is true and there is no second copy.
   *
   * @param how.keepsReading whether it is read afterwards: see {@linkcode Published.reader}.
   * @throws {P2PError} `disk` or `no-space`; nothing is published then.
   */
  publish(
    target: PieceTarget,
    content: ProvenContent,
    how: { keepsReading: boolean },
  ): Promise<Published & { already: boolean }>;
  /** Ends a target whose transfer failed: deletes it, or with `keep` lets a later offer go on with it. */
  release(target: PieceTarget, keep: boolean): Promise<void>;
}

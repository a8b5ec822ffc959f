import { P2PError } from "../errors.ts";
import { safeName } from "../disk/file_name.ts";
import type { KeptItem, OfferedItem } from "../inbox/destination.ts";
import { pieceCountOf } from "../pieces/manifest.ts";
import type { Scheme } from "../pieces/scheme.ts";
import { schemeOf } from "../pieces/verification.ts";
import { MAX_PIECES } from "../wire/limits.ts";
import type { MessageOf } from "../wire/message.ts";

/** What a sender offers. */
export interface Offer extends OfferedItem {
  /** How the hashes prove the pieces. */
  scheme: Scheme;
  /** Whether those who receive it may have pieces of each other. */
  swarm: boolean;
}

/** A file or tree that has arrived, is verified and durable. */
export interface Received extends KeptItem {
  /** The sender sent it before; nothing new was made. */
  already: boolean;
  /** Seconds from offer to publication. */
  seconds: number;
  /** Bytes of pieces that came for it: without what was there from an earlier try. */
  bytesReceived: number;
  /** Whether the last of them came through the tracker. */
  isRelayed: boolean;
}

/**
 * The offer of a message, with a name that is safe to create.
 *
 * @param from the sender's id.
 * @throws {P2PError} `invalid` when this version does not know its scheme.
 */
export function offerOf(
  message: MessageOf<"SEND_FILE" | "SEND_TREE">,
  from: string,
): Offer {
  const { transfer, name, size, pieceSize, manifest, mtime, executable, mode, swarm = false } =
    message;
  const attributes = { mtime, executable, mode };
  const isTree = message.verb === "SEND_TREE";
  const table = isTree ? message.table : null;
  const sha256 = isTree ? undefined : message.sha256;
  const scheme = schemeOf(message.scheme);
  return {
    transfer,
    from,
    name: safeName(name),
    size,
    pieceSize,
    scheme,
    swarm,
    table,
    manifest,
    sha256,
    attributes,
  };
}

/**
 * Checks that an offer fits together.
 *
 * @throws {P2PError} `invalid` when nobody could receive it.
 */
export function expectReceivable({ size, pieceSize, table }: OfferedItem): void {
  if ((table ?? 0) > (size ?? Infinity)) {
    throw new P2PError("invalid", "Cannot receive a tree: its table is larger than all of it");
  }
  if (size !== null && pieceCountOf(size, pieceSize) > MAX_PIECES) {
    throw new P2PError(
      "invalid",
      `Cannot receive ${size} bytes in pieces of ${pieceSize}: too many`,
    );
  }
}

/** Whether what one transfer has is of use to the other offer. */
export function isSameContent(a: OfferedItem, b: OfferedItem): boolean {
  return a.from === b.from && a.name === b.name && a.size === b.size &&
    a.pieceSize === b.pieceSize && a.table === b.table;
}

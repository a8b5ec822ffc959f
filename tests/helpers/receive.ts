/** Contents that an inbox receives, without anybody who sends them. */

import { randomToken } from "../../lib/async/random.ts";
import type { OfferedItem } from "../../lib/inbox/destination.ts";
import type { Inbox } from "../../lib/inbox/inbox.ts";
import type { Published } from "../../lib/inbox/target.ts";
import { Manifest } from "../../lib/pieces/manifest.ts";
import { sha256 } from "../../lib/pieces/hash.ts";
import { offerOf, proofOf } from "./partials.ts";
import { type TestTree, transferOf } from "./tree.ts";

const PIECE = 16 * 1024;

/** What is received: its bytes as they are sent. */
export interface Sent {
  offer: OfferedItem & { manifest: string };
  bytes: Uint8Array<ArrayBuffer>;
}

/** A file as it is offered, each time under a transfer of its own. */
export function fileSent(name: string, bytes: Uint8Array<ArrayBuffer>): Sent {
  return sentOf(name, bytes, null);
}

/** A tree as it is offered, each time under a transfer of its own. */
export async function treeSent(name: string, tree: TestTree): Promise<Sent> {
  const { table, bytes } = await transferOf(tree);
  return sentOf(name, bytes, table.length);
}

function sentOf(name: string, bytes: Uint8Array<ArrayBuffer>, table: number | null): Sent {
  const manifest = new Manifest(PIECE, { table });
  for (const [index, piece] of piecesOf(bytes).entries()) manifest.add(index, sha256(piece));
  manifest.finish({ size: bytes.length, sha256: null });
  const { id: manifestId = "" } = manifest;
  const offer = { ...offerOf(bytes.length, PIECE), transfer: randomToken(), name, table };
  return { offer: { ...offer, manifest: manifestId }, bytes };
}

/** Has the inbox receive what is sent, whatever it has of it. */
export async function receiveSent(
  inbox: Inbox,
  { offer, bytes }: Sent,
): Promise<Published & { already: boolean }> {
  const item = await inbox.begin(offer);
  try {
    for (const [index, piece] of piecesOf(bytes).entries()) {
      await item.write(index, piece, proofOf(piece));
    }
    const { manifest } = offer;
    const content = { manifest, proof: "independent", size: bytes.length, sha256: null };
    return await inbox.publish(item, content);
  } catch (error) {
    await inbox.release(item, false);
    throw error;
  }
}

export function receive(inbox: Inbox, name: string, bytes: Uint8Array<ArrayBuffer>) {
  return receiveSent(inbox, fileSent(name, bytes));
}

export async function receiveTree(inbox: Inbox, name: string, tree: TestTree) {
  return await receiveSent(inbox, await treeSent(name, tree));
}

function piecesOf(bytes: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer>[] {
  const pieces = [];
  for (let at = 0; at < bytes.length; at += PIECE) pieces.push(bytes.subarray(at, at + PIECE));
  return pieces;
}

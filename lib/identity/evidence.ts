/**
 * What the members of a swarm sign so that whoever serves wrong data convicts itself: the sharer the hashes of its pieces,
 * in blocks, and who serves them what it has served; no I/O. lib/wire/PROTOCOL.md, "Evidence", is the normative text, and
 * tests/unit/identity/evidence_test.ts holds its worked example.
 *
 * @module
 */

import { createHash } from "node:crypto";
import { concat } from "@std/bytes/concat";
import { equals } from "@std/bytes/equals";
import { decodeBase64Url, encodeBase64Url } from "@std/encoding/base64url";
import { P2PError } from "../errors.ts";
import { isBase64Url } from "../wire/fields.ts";
import { BLOCK_PIECES, HASH_BYTES, PROTOCOL_VERSION, SERVED_ENTRY } from "../wire/limits.ts";
import { decodeExactly, uint16, uint64 } from "./bytes.ts";
import { type Identity, KEY_BYTES, SIGNATURE_BYTES, verifySignature } from "./keys.ts";

/** First bytes of what is signed, so that no signature of anything else can pass for that of either. */
const BLOCK_DOMAIN = new TextEncoder().encode("p2p-block");
const SERVED_DOMAIN = new TextEncoder().encode("p2p-served");
/** Bytes of a transfer's id. */
const TRANSFER_BYTES = 16;
const INDEX_BYTES = 4;

/** What a sharer signs: the hashes of some of its pieces. Ids are base64url. */
export interface BlockSubject {
  network: string;
  transfer: string;
  /** Number of the block. */
  block: number;
  /** Digest of the block: see {@linkcode blockDigest}. */
  digest: Uint8Array;
}

/** What somebody signs who has served pieces. */
export interface ServedSubject {
  network: string;
  transfer: string;
  /** Id of the sharer: transfers of two may have one id. */
  sharer: string;
  /** Entries, one after another. */
  entries: Uint8Array;
}

/** One piece that was served, as whoever served it says. */
export interface ServedEntry {
  index: number;
  /** The piece, as it stands in the server's manifest. */
  hash: Uint8Array;
  /** The block of that manifest that says so. */
  digest: Uint8Array;
}

/** That a member of a swarm has signed for a piece that its sharer has signed otherwise. */
export interface Evidence {
  transfer: string;
  sharer: string;
  /** Id of whom it convicts. */
  server: string;
  block: number;
  /** The piece. */
  index: number;
  /** Hashes of the pieces of the block. */
  hashes: Uint8Array;
  /** The sharer's signature of the block. */
  blockSignature: string;
  /** What was served. */
  entries: Uint8Array;
  /** The server's signature of that. */
  servedSignature: string;
}

/** Signs and checks what the members of the swarms of a network sign. */
export interface SwarmSigner {
  /** Id of the network. */
  readonly network: string;
  /** The signature of a block, base64url. */
  signBlock(subject: Omit<BlockSubject, "network">): string;
  /** The signature of what was served, base64url. */
  signServed(subject: Omit<ServedSubject, "network">): string;
}

/** A signer for a peer in a network. */
export function swarmSigner(identity: Identity, network: string): SwarmSigner {
  return {
    network,
    signBlock: (subject) => encodeBase64Url(identity.sign(blockBytes({ ...subject, network }))),
    signServed: (subject) => encodeBase64Url(identity.sign(servedBytes({ ...subject, network }))),
  };
}

/** What a block goes by: the SHA-256 of the hashes of its pieces. */
export function blockDigest(hashes: Uint8Array): Uint8Array {
  return createHash("sha256").update(hashes).digest();
}

/** Whether the peer `sharer` has signed the block; false too for fields that do not fit their place. */
export function verifyBlock(sharer: string, subject: BlockSubject, signature: string): boolean {
  return isSigned(sharer, () => blockBytes(subject), signature);
}

/** Whether the peer `server` has signed that it has served this. */
export function verifyServed(server: string, subject: ServedSubject, signature: string): boolean {
  return isSigned(server, () => servedBytes(subject), signature);
}

/** Entries as they are signed and sent. */
export function encodeServed(entries: readonly ServedEntry[]): Uint8Array<ArrayBuffer> {
  return concat(entries.map(({ index, hash, digest }) => concat([uint32(index), hash, digest])));
}

/** The entries of a statement; null when it is not made of whole ones, or of none. */
export function decodeServed(bytes: Uint8Array): ServedEntry[] | null {
  if (bytes.length === 0 || bytes.length % SERVED_ENTRY !== 0) return null;
  const entries: ServedEntry[] = [];
  for (let at = 0; at < bytes.length; at += SERVED_ENTRY) {
    const index = new DataView(bytes.buffer, bytes.byteOffset + at).getUint32(0);
    const hash = bytes.slice(at + INDEX_BYTES, at + INDEX_BYTES + HASH_BYTES);
    const digest = bytes.slice(at + INDEX_BYTES + HASH_BYTES, at + SERVED_ENTRY);
    entries.push({ index, hash, digest });
  }
  return entries;
}

/**
 * Why the evidence convicts nobody; null when it does. Whoever signed two blocks of one number convicts nobody with it: a
 * server names the block that it relied on.
 */
export function whyNoProof(network: string, evidence: Evidence): string | null {
  const { transfer, sharer, server, block, index, hashes, entries } = evidence;
  const place = index - block * BLOCK_PIECES;
  const isInBlock = place >= 0 && (place + 1) * HASH_BYTES <= hashes.length;
  if (!isInBlock || hashes.length > BLOCK_PIECES * HASH_BYTES) {
    return "the piece is not in the block";
  }
  if (server === sharer) return "a sharer is judged by its manifest";
  const digest = blockDigest(hashes);
  const about = { network, transfer };
  if (!verifyBlock(sharer, { ...about, block, digest }, evidence.blockSignature)) {
    return "the sharer has not signed the block";
  }
  if (!verifyServed(server, { ...about, sharer, entries }, evidence.servedSignature)) {
    return "it has not signed that it has served this";
  }
  const right = hashes.subarray(place * HASH_BYTES, (place + 1) * HASH_BYTES);
  const isWrong = (entry: ServedEntry) =>
    entry.index === index && equals(entry.digest, digest) && !equals(entry.hash, right);
  return decodeServed(entries)?.some(isWrong) ? null : "what it has signed is not wrong";
}

function isSigned(id: string, bytes: () => Uint8Array, signature: string): boolean {
  if (!isBase64Url(id, KEY_BYTES) || !isBase64Url(signature, SIGNATURE_BYTES)) return false;
  try {
    return verifySignature(id, bytes(), decodeBase64Url(signature));
  } catch (error) {
    if (error instanceof P2PError) return false;
    throw error;
  }
}

function blockBytes({ network, transfer, block, digest }: BlockSubject): Uint8Array<ArrayBuffer> {
  return concat([
    BLOCK_DOMAIN,
    uint16(PROTOCOL_VERSION),
    decodeExactly("the network id", network, KEY_BYTES),
    decodeExactly("the transfer", transfer, TRANSFER_BYTES),
    uint64(block),
    digest,
  ]);
}

function servedBytes(
  { network, transfer, sharer, entries }: ServedSubject,
): Uint8Array<ArrayBuffer> {
  return concat([
    SERVED_DOMAIN,
    uint16(PROTOCOL_VERSION),
    decodeExactly("the network id", network, KEY_BYTES),
    decodeExactly("the transfer", transfer, TRANSFER_BYTES),
    decodeExactly("the sharer's id", sharer, KEY_BYTES),
    entries,
  ]);
}

function uint32(value: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(INDEX_BYTES);
  new DataView(bytes.buffer).setUint32(0, value);
  return bytes;
}

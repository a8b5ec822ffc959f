/**
 * A network is a key, whose public half is its id, and a secret that its members share. The first tracker
 * makes and keeps both; a peer keeps the invite it joined with. Either is `network.json`, 0600, in the
 * state folder of that program.
 *
 * @module
 */

import { decodeBase64Url, encodeBase64Url } from "@std/encoding/base64url";
import { join } from "node:path";
import { P2PError } from "../errors.ts";
import { isBase64Url } from "../wire/fields.ts";
import { formatInvite, type Invite, parseInvite, SECRET_BYTES } from "./invite.ts";
import { Identity, KEY_BYTES } from "./keys.ts";
import { loadOrCreatePrivate, readPrivate, replacePrivate } from "../disk/private_file.ts";
import { randomBytes } from "../async/random.ts";

/** What a member knows of its network. */
export interface Membership {
  /** The network's public key, base64url, 43 characters. */
  id: string;
  /** 16 bytes. */
  secret: Uint8Array;
}

/** What the first tracker keeps: it certifies trackers with the key and can change the secret. */
export interface NetworkKey {
  /** Its public half is the network's id. */
  key: Identity;
  /** 16 bytes. */
  secret: Uint8Array;
}

const FILE = "network.json";

/**
 * The network whose key is kept in `dir`. Where there is none it is made, by exactly one of the processes that ask at
 * once.
 *
 * @throws {P2PError} `disk` when the file cannot be read or written, or holds something else.
 */
export async function loadOrCreateNetwork(dir: string): Promise<NetworkKey> {
  const path = join(dir, FILE);
  const text = await loadOrCreatePrivate(
    path,
    () => encodeNetwork({ key: Identity.generate(), secret: randomBytes(SECRET_BYTES) }),
  );
  return decodeNetwork(path, text);
}

/**
 * Gives the network in `dir` a new secret and returns it. Invites with the old one admit nobody from then on;
 * the key, and with it the id, stays.
 *
 * @throws {P2PError} `disk`
 */
export async function rotateSecret(dir: string): Promise<NetworkKey> {
  const { key } = await loadOrCreateNetwork(dir);
  const network = { key, secret: randomBytes(SECRET_BYTES) };
  await replacePrivate(join(dir, FILE), encodeNetwork(network));
  return network;
}

/**
 * Keeps the invite that this peer joined with.
 *
 * @throws {P2PError} `disk`
 */
export async function rememberNetwork(dir: string, invite: Invite): Promise<void> {
  await replacePrivate(join(dir, FILE), encode({ invite: formatInvite(invite) }));
}

/**
 * The invite that this peer joined with, or `null` when it has joined no network.
 *
 * @throws {P2PError} `disk` when the file cannot be read or holds something else.
 */
export async function recallNetwork(dir: string): Promise<Invite | null> {
  const path = join(dir, FILE);
  const text = await readPrivate(path);
  if (text === null) return null;
  const { invite } = decode(text);
  try {
    if (typeof invite === "string") return parseInvite(invite);
  } catch {
    // The error below names the path and quotes nothing: the file holds a secret.
  }
  throw new P2PError(
    "disk",
    `Cannot read the network: ${path} holds no invite; delete it and join again with --join -`,
  );
}

function encodeNetwork({ key, secret }: NetworkKey): string {
  return encode({ seed: encodeBase64Url(key.seed), secret: encodeBase64Url(secret) });
}

function decodeNetwork(path: string, text: string): NetworkKey {
  const { seed, secret } = decode(text);
  if (!isBase64Url(seed, KEY_BYTES) || !isBase64Url(secret, SECRET_BYTES)) {
    throw new P2PError(
      "disk",
      `Cannot read the network: ${path} holds no key and secret; restore it from a backup, or ` +
        "move it away to start with a new network that every peer has to join",
    );
  }
  return { key: Identity.fromSeed(decodeBase64Url(seed)), secret: decodeBase64Url(secret) };
}

function encode(values: Record<string, string>): string {
  return `${JSON.stringify(values, null, 2)}\n`;
}

/** The fields of a JSON object; none for any other text. Errors of `JSON.parse` quote it and stay here. */
function decode(text: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null ? value as Record<string, unknown> : {};
  } catch {
    return {};
  }
}

/**
 * All messages of the protocol as one discriminated union, and the way from untrusted JSON to them.
 * PROTOCOL.md beside this file is the normative text.
 *
 * @module
 */

import type { Address } from "../address.ts";
import { isErrorCode, P2PError } from "../errors.ts";
import { Fields, type Range } from "./fields.ts";
import {
  BLOCK_PIECES,
  HASH_BYTES,
  MAX_ADDRESSES,
  MAX_BARRED,
  MAX_HASHES,
  MAX_NAME,
  MAX_NEIGHBOURS,
  MAX_PEERS_PER_FRAME,
  MAX_PIECE,
  MAX_PIECES,
  MAX_RANGES,
  MAX_REPORTED_NAME,
  MAX_SERVED,
  MAX_TABLE,
  MAX_TEXT,
  MAX_TOLD,
  MIN_PIECE,
  PROTOCOL_VERSION,
  REPORTED_RECIPIENTS,
  SERVED_ENTRY,
  SHARES_PER_FRAME,
} from "./limits.ts";

/** What a side is: a peer, a tracker, a one-shot command of a peer, or a tracker's operator. */
export const ROLES = ["peer", "tracker", "client", "operator"] as const;
/** One of {@linkcode ROLES}. */
export type Role = typeof ROLES[number];

/** What a receiver says in ACK. */
export const ACK_STATES = ["ready", "waiting", "syncing", "saved", "already"] as const;
/** One of {@linkcode ACK_STATES}. */
export type AckState = typeof ACK_STATES[number];

/** A peer as the tracker lists it. */
export interface PeerEntry {
  /** Public key, base64url, 43 characters. */
  id: string;
  name: string;
  host: string;
  port: number;
  /** False when the tracker's dial-back failed: others ask the tracker to have it dial them. */
  reachable: boolean;
  /** Where else it says that it can be had, the likeliest first. */
  addresses?: Address[];
  /** Groups that it says it is in, in order. */
  groups?: string[];
  /** True while it has not come back to a tracker that was restarted, which remembers it; told to the operator alone. */
  away?: boolean;
}

/** A path inside a tree that another one had to take the place of. */
export interface Rename {
  from: string;
  to: string;
}

/** States of a recipient in a REPORT. */
export const REPORTED_STATES = ["offered", "accepted", "delivered", "already", "failed"] as const;

/** Where a recipient of a share stands, as its sharer reports it. */
export interface ReportedRecipient {
  /** Absent of somebody who was never there. */
  id?: string;
  name: string;
  state: typeof REPORTED_STATES[number];
  /** Verified so far. */
  bytes?: number;
  /** Of how many peers it has its pieces. */
  sources?: number;
  /** Why it has failed. */
  code?: string;
}

/** What a share is. */
export interface ShareSummary {
  /** Its id at its sharer. */
  share: string;
  name: string;
  size: number;
  /** Of a folder: how many files are in it. */
  files?: number;
  /** When it was begun. */
  at: string;
  /** How many recipients there are. */
  total: number;
}

/** A share as the tracker tells of it. */
export interface ReportedShare extends ShareSummary {
  /** Id of the sharer. */
  from: string;
  /** Name of the sharer, where it is listed. */
  sender?: string;
  /** How many recipients have it, and how many have failed. */
  delivered: number;
  failed: number;
  /** `lost`: the sharer's session has ended before the share. */
  state: "running" | "over" | "lost";
}

/** One frame's header, validated. Sizes are bytes, times ISO 8601. Bodies travel beside it. */
export type Message =
  | {
    verb: "HELLO";
    protocol: number;
    role: Role;
    /** The sender's identity. */
    id: string;
    /** 32 random bytes, fresh for each connection. */
    nonce: string;
    /** The network's public key; absent without TLS. */
    network?: string;
    /** Set when a peer dials because a CONNECT asked for it: the token of that request. */
    token?: string;
    /** Of a tracker: true when it listens on loopback, so that all its members are on its machine. */
    local?: boolean;
    /** Of a tracker: true when it passes bytes on between members, as RELAY asks for. */
    relay?: boolean;
  }
  | { verb: "AUTH"; mac: string; signature: string }
  | {
    verb: "OK";
    re: number;
    name?: string;
    host?: string;
    port?: number;
    /** To REGISTER: where else it is listed. */
    addresses?: Address[];
    reachable?: boolean;
    reason?: string;
    /** Address of a peer with the same key that was there and alive, and has been sent away. */
    replaced?: string;
    /** Of a share: how many files and folders it hands to each peer. */
    contents?: number;
    delivered?: number;
    /** Ids of those that a broadcast was passed on to. */
    to?: string[];
    invite?: string;
  }
  | { verb: "ERROR"; re?: number; code: string; message: string }
  | {
    verb: "BYE";
    /** Of a tracker that will be back: peers come back after a random time of up to so many milliseconds. */
    within?: number;
  }
  | { verb: "PING"; seq?: number }
  | { verb: "PONG"; re?: number }
  | {
    verb: "REGISTER";
    seq: number;
    name: string;
    port: number;
    host?: string;
    /** Where else it can be had, the likeliest first. */
    addresses?: Address[];
    /** Groups that it is in, in order. */
    groups?: string[];
  }
  | { verb: "UNREGISTER"; seq: number }
  /** `limit`: how many entries the client takes in one frame; `PEERS_PER_FRAME` when it is absent. */
  | { verb: "PEERS"; seq: number; epoch?: string; since: number; limit?: number }
  | {
    verb: "PEER_LIST";
    /** Absent when the tracker sends changes unasked. */
    re?: number;
    epoch: string;
    /** The list is whole up to this revision. */
    revision: number;
    /** True when it replaces what is known instead of changing it. */
    full: boolean;
    /** True when another request with `since: revision` gets more. */
    more: boolean;
    peers: PeerEntry[];
    gone: string[];
    /** Ids that the network has barred. */
    barred: string[];
  }
  | { verb: "BROADCAST"; seq: number; id: string; time: string; name: string; signature: string }
  | {
    verb: "MESSAGE";
    seq?: number;
    id: string;
    from: string;
    name: string;
    time: string;
    signature: string;
  }
  | {
    verb: "CONNECT";
    seq: number;
    peer: string;
    port: number;
    token: string;
    /** Where else to dial, the likeliest first. */
    addresses?: Address[];
  }
  | {
    verb: "DIAL";
    peer: string;
    host: string;
    port: number;
    token: string;
    /** Where else to dial, the likeliest first. */
    addresses?: Address[];
  }
  /** Asks the tracker to join this connection with one that `peer` opens. */
  | { verb: "RELAY"; seq: number; peer: string; token: string }
  /** Without a `seq` the tracker asks for a connection to join with that of `peer`; with one this is it. */
  | { verb: "JOIN"; seq?: number; peer: string; token: string }
  | { verb: "REMOVE"; seq: number; id: string }
  | { verb: "RESTORE"; seq: number; id: string }
  | { verb: "ROTATE"; seq: number }
  | {
    verb: "SEND_FILE";
    seq: number;
    transfer: string;
    name: string;
    /** Null when the sender does not know it yet (a stream). */
    size: number | null;
    pieceSize: number;
    /** How the hashes prove the pieces: `independent` or `prefix` (PROTOCOL.md, "Schemes"). */
    scheme: string;
    /** The manifest's id, when the sender knows it before it reads. */
    manifest?: string;
    /** SHA-256 of the file, base64url, when the sender knows it before it reads. */
    sha256?: string;
    /** Time of the last write, milliseconds since 1970, before which it is negative. */
    mtime?: number;
    /** Whether its owner may execute it. */
    executable?: boolean;
    /** Permissions, 0 to 0777, that it must not get more than. */
    mode?: number;
    /** Whether recipients may have pieces of each other: the sender is asked only for what it announces. */
    swarm?: boolean;
  }
  | {
    verb: "SEND_TREE";
    seq: number;
    transfer: string;
    name: string;
    /** Bytes of the table and of all files. */
    size: number;
    pieceSize: number;
    /** As in SEND_FILE. */
    scheme: string;
    /** Bytes of the table, which comes first. */
    table: number;
    manifest?: string;
    /** As in SEND_FILE, of the folder itself. */
    mtime?: number;
    executable?: boolean;
    mode?: number;
    swarm?: boolean;
  }
  | {
    verb: "ACK";
    re?: number;
    transfer: string;
    state: AckState;
    /** With `ready`: pieces that are verified and on disk already. */
    have?: Range[];
    /** With `ready`: it takes part in the swarm that was offered. With `saved`: it goes on serving the others. */
    swarm?: boolean;
    /** With `ready`, under `prefix`: the first piece that has to be proven by its own hash, as all after it. */
    independentFrom?: number;
    /** With `saved` and `already`: the name it is kept under. */
    name?: string;
    /** With `saved` and `already`: the id of the manifest, 32 bytes in base64url. */
    manifest?: string;
    /**
     * With `already`, in place of the manifest where the offer named none: the SHA-256 that it named. With `saved`: that
     * of the file, where it was proven by a running hash.
     */
    sha256?: string;
    /** With `saved` and `already`: the receipt's time, ISO 8601, and its signature, 64 bytes in base64url. */
    time?: string;
    signature?: string;
    /** With `saved`: how many names inside a tree are others here. */
    renamed?: number;
    /** With `renamed`: some of them, as they were offered and as they are. */
    renames?: Rename[];
  }
  | {
    verb: "HASHES";
    transfer: string;
    /** Index of the piece that the first hash of the body belongs to. */
    start: number;
    /** Scheme of the hashes in the body, where it is another one than was offered. */
    scheme?: string;
    /** In a swarm, where the body ends a block: the sharer's signature of it, 64 bytes in base64url. */
    signature?: string;
    /** In the last HASHES of a transfer: the whole file. */
    last?: { size: number; sha256: string | null };
  }
  | { verb: "GET"; transfer: string; index: number }
  | { verb: "PIECE"; transfer: string; index: number }
  /** Of a recipient to another: the body says which pieces it has served it, and is signed. */
  | { verb: "SERVED"; transfer: string; signature: string }
  /**
   * That `server` has signed for a piece otherwise than the sharer: the body has the `pieces` hashes of the block, then
   * that of the SERVED. With a `seq` it asks the tracker to tell everybody; without, it does.
   */
  | {
    verb: "EVIDENCE";
    seq?: number;
    transfer: string;
    sharer: string;
    server: string;
    block: number;
    index: number;
    pieces: number;
    blockSignature: string;
    servedSignature: string;
  }
  | {
    verb: "HAVE";
    transfer: string;
    pieces: Range[];
    /** In a swarm, to the sharer: of how many peers the receiver has its pieces. */
    sources?: number;
  }
  /** Of a sharer to one recipient: it is to be the first that has the piece, which comes unasked. */
  | { verb: "GIVE"; transfer: string; index: number }
  /** Takes a GET back: the piece has come from somebody else. */
  | { verb: "WITHDRAW"; transfer: string; index: number }
  /** Of a sharer: ids of recipients that this one is to open a session to. */
  | { verb: "NEIGHBOURS"; transfer: string; peers: string[] }
  /** Of a recipient to another: both have pieces of each other from now on. */
  | {
    verb: "SWARM";
    transfer: string;
    /** Id of the sharer; absent without identities (`--insecure`). */
    sharer?: string;
  }
  | { verb: "CANCEL"; transfer: string; code: string; message: string }
  /** Of a sharer to its tracker: how a share goes. Recipients that have not changed since the last one are left out. */
  | ShareSummary & {
    verb: "REPORT";
    seq: number;
    recipients: ReportedRecipient[];
    /** It has come to its end. */
    over?: boolean;
  }
  /** Asks for what was reported; with `share`, of `from`, for its recipients. `start`: how many to leave out. */
  | { verb: "SHARES"; seq: number; start: number; from?: string; share?: string }
  | {
    verb: "SHARE_LIST";
    re: number;
    shares: ReportedShare[];
    recipients: ReportedRecipient[];
    /** True when a greater `start` gets more. */
    more: boolean;
  };

/** A message's verb. */
export type Verb = Message["verb"];

/** The message with the given verb. */
export type MessageOf<V extends Verb> = Extract<Message, { verb: V }>;

/** The members of the union that have the key, optional or not. */
export type WithKey<M, K extends string> = M extends unknown ? K extends keyof M ? M : never
  : never;

/** Messages that ask: one with a `seq` is answered by a frame whose `re` is that number. */
export type RequestMessage = WithKey<Message, "seq">;

/** Messages that may answer one. */
export type ReplyMessage = WithKey<Message, "re">;

/** The verb that answers each request: nothing else does, but ERROR (PROTOCOL.md, "Verbs"). */
export const REPLIES = {
  PING: "PONG",
  REGISTER: "OK",
  UNREGISTER: "OK",
  PEERS: "PEER_LIST",
  BROADCAST: "OK",
  MESSAGE: "OK",
  CONNECT: "OK",
  RELAY: "OK",
  JOIN: "OK",
  REMOVE: "OK",
  RESTORE: "OK",
  ROTATE: "OK",
  SEND_FILE: "ACK",
  SEND_TREE: "ACK",
  REPORT: "OK",
  SHARES: "SHARE_LIST",
  EVIDENCE: "OK",
} as const satisfies Record<RequestMessage["verb"], ReplyMessage["verb"]>;

/** What answers a request of the verb. */
export type ReplyTo<V extends RequestMessage["verb"]> = MessageOf<typeof REPLIES[V]>;

type Decoder<V extends Verb> = (fields: Fields) => Omit<MessageOf<V>, "verb">;

const ID = 32;
const TOKEN = 16;
const SIGNATURE = 64;
const NAME = 64 * 4;
const HOST = 253;
/** Bytes of a host, which may stand in brackets, a colon and a port. */
const ADDRESS = HOST + 8;
const TIME = 40;
const REASON = 2048;
const SCHEME = 32;
const MAX_RENAMES = 8;
const MAX_SOURCES = 65_535;
/** Bytes of the id of a share. */
const SHARE = 36;
const MAX_REPORTED = 1_000_000;

const seq = (f: Fields) => f.integer("seq", 1);
const transfer = (f: Fields) => f.bytes("transfer", TOKEN);
const sha256 = (f: Fields) => f.bytes("sha256", HASH_BYTES);
const index = (f: Fields) => f.integer("index", 0, MAX_PIECES - 1);
const port = (f: Fields) => f.integer("port", 1, 65535);

/** The version comes first: the other fields of another version may have another shape. */
function ourVersion(f: Fields): number {
  const protocol = f.integer("protocol");
  if (protocol === PROTOCOL_VERSION) return protocol;
  throw new P2PError(
    "version",
    `Cannot talk: the other side speaks protocol ${protocol}, this one ${PROTOCOL_VERSION}; ` +
      "update the older one",
  );
}

/** `{ [name]: value }`, or nothing when the field is absent: optional fields stay absent. */
function maybe<K extends string, T>(
  f: Fields,
  name: K,
  get: (name: string) => T,
): { [P in K]?: T } {
  return f.has(name) ? { [name]: get(name) } as { [P in K]?: T } : {};
}

function rename(f: Fields): Rename {
  return { from: f.string("from", MAX_NAME), to: f.string("to", MAX_NAME) };
}

function peerEntry(f: Fields): PeerEntry {
  return {
    id: f.bytes("id", ID),
    name: f.string("name", NAME),
    host: f.string("host", HOST),
    port: port(f),
    reachable: f.boolean("reachable"),
    ...addresses(f),
    ...maybe(f, "groups", (n) => f.groups(n)),
    ...maybe(f, "away", (n) => f.boolean(n)),
  };
}

function addresses(f: Fields): { addresses?: Address[] } {
  return maybe(f, "addresses", (n) => f.objects(n, MAX_ADDRESSES, address));
}

function address(f: Fields): Address {
  return { host: f.string("host", HOST), port: port(f) };
}

const DECODERS: { [V in Verb]: Decoder<V> } = {
  HELLO: (f) => ({
    protocol: ourVersion(f),
    role: f.oneOf("role", ROLES),
    id: f.bytes("id", ID),
    nonce: f.bytes("nonce", 32),
    ...maybe(f, "network", (n) => f.bytes(n, ID)),
    ...maybe(f, "token", (n) => f.bytes(n, TOKEN)),
    ...maybe(f, "local", (n) => f.boolean(n)),
    ...maybe(f, "relay", (n) => f.boolean(n)),
  }),
  AUTH: (f) => ({ mac: f.bytes("mac", 32), signature: f.bytes("signature", SIGNATURE) }),
  OK: (f) => ({
    re: f.integer("re", 1),
    ...maybe(f, "name", (n) => f.string(n, NAME)),
    ...maybe(f, "host", (n) => f.string(n, HOST)),
    ...maybe(f, "port", () => port(f)),
    ...addresses(f),
    ...maybe(f, "reachable", (n) => f.boolean(n)),
    ...maybe(f, "reason", (n) => f.string(n, REASON)),
    ...maybe(f, "replaced", (n) => f.string(n, ADDRESS)),
    ...maybe(f, "contents", (n) => f.integer(n, 1)),
    ...maybe(f, "delivered", (n) => f.integer(n)),
    ...maybe(f, "to", (n) => f.byteStrings(n, MAX_TOLD, ID)),
    ...maybe(f, "invite", (n) => f.string(n, REASON)),
  }),
  ERROR: (f) => ({
    ...maybe(f, "re", (n) => f.integer(n, 1)),
    code: f.string("code", 64),
    message: f.string("message", REASON),
  }),
  BYE: (f) => maybe(f, "within", (n) => f.integer(n)),
  PING: (f) => ({ ...maybe(f, "seq", (n) => f.integer(n, 1)) }),
  PONG: (f) => ({ ...maybe(f, "re", (n) => f.integer(n, 1)) }),
  REGISTER: (f) => ({
    seq: seq(f),
    name: f.string("name", NAME),
    port: port(f),
    ...maybe(f, "host", (n) => f.string(n, HOST)),
    ...addresses(f),
    ...maybe(f, "groups", (n) => f.groups(n)),
  }),
  UNREGISTER: (f) => ({ seq: seq(f) }),
  PEERS: (f) => ({
    seq: seq(f),
    ...maybe(f, "epoch", (n) => f.bytes(n, TOKEN)),
    since: f.integer("since"),
    ...maybe(f, "limit", (n) => f.integer(n, 1)),
  }),
  PEER_LIST: (f) => ({
    ...maybe(f, "re", (n) => f.integer(n, 1)),
    epoch: f.bytes("epoch", TOKEN),
    revision: f.integer("revision"),
    full: f.boolean("full"),
    more: f.boolean("more"),
    peers: f.objects("peers", MAX_PEERS_PER_FRAME, peerEntry),
    gone: f.byteStrings("gone", MAX_PEERS_PER_FRAME, ID),
    barred: f.byteStrings("barred", MAX_BARRED, ID),
  }),
  BROADCAST: (f) => ({
    seq: seq(f),
    id: f.bytes("id", TOKEN),
    time: f.string("time", TIME),
    name: f.string("name", NAME),
    signature: f.bytes("signature", SIGNATURE),
  }),
  MESSAGE: (f) => ({
    ...maybe(f, "seq", (n) => f.integer(n, 1)),
    id: f.bytes("id", TOKEN),
    from: f.bytes("from", ID),
    name: f.string("name", NAME),
    time: f.string("time", TIME),
    signature: f.bytes("signature", SIGNATURE),
  }),
  CONNECT: (f) => ({
    seq: seq(f),
    peer: f.bytes("peer", ID),
    port: port(f),
    token: f.bytes("token", TOKEN),
    ...addresses(f),
  }),
  DIAL: (f) => ({
    peer: f.bytes("peer", ID),
    host: f.string("host", HOST),
    port: port(f),
    token: f.bytes("token", TOKEN),
    ...addresses(f),
  }),
  RELAY: (f) => ({ seq: seq(f), peer: f.bytes("peer", ID), token: f.bytes("token", TOKEN) }),
  JOIN: (f) => ({
    ...maybe(f, "seq", (n) => f.integer(n, 1)),
    peer: f.bytes("peer", ID),
    token: f.bytes("token", TOKEN),
  }),
  REMOVE: (f) => ({ seq: seq(f), id: f.bytes("id", ID) }),
  RESTORE: (f) => ({ seq: seq(f), id: f.bytes("id", ID) }),
  ROTATE: (f) => ({ seq: seq(f) }),
  SEND_FILE: (f) => ({
    seq: seq(f),
    transfer: transfer(f),
    name: f.string("name", MAX_NAME),
    size: f.has("size") ? f.integer("size") : null,
    pieceSize: f.integer("pieceSize", MIN_PIECE, MAX_PIECE),
    scheme: f.string("scheme", SCHEME),
    ...maybe(f, "manifest", (n) => f.bytes(n, HASH_BYTES)),
    ...maybe(f, "sha256", (n) => f.bytes(n, HASH_BYTES)),
    ...maybe(f, "mtime", (n) => f.integer(n, Number.MIN_SAFE_INTEGER)),
    ...maybe(f, "executable", (n) => f.boolean(n)),
    ...maybe(f, "mode", (n) => f.integer(n, 0, 0o777)),
    ...maybe(f, "swarm", (n) => f.boolean(n)),
  }),
  SEND_TREE: (f) => ({
    seq: seq(f),
    transfer: transfer(f),
    name: f.string("name", MAX_NAME),
    size: f.integer("size"),
    pieceSize: f.integer("pieceSize", MIN_PIECE, MAX_PIECE),
    scheme: f.string("scheme", SCHEME),
    table: f.integer("table", 0, MAX_TABLE),
    ...maybe(f, "manifest", (n) => f.bytes(n, HASH_BYTES)),
    ...maybe(f, "mtime", (n) => f.integer(n, Number.MIN_SAFE_INTEGER)),
    ...maybe(f, "executable", (n) => f.boolean(n)),
    ...maybe(f, "mode", (n) => f.integer(n, 0, 0o777)),
    ...maybe(f, "swarm", (n) => f.boolean(n)),
  }),
  ACK: (f) => ({
    ...maybe(f, "re", (n) => f.integer(n, 1)),
    transfer: transfer(f),
    state: f.oneOf("state", ACK_STATES),
    ...maybe(f, "have", (n) => f.ranges(n, MAX_RANGES, MAX_PIECES)),
    ...maybe(f, "swarm", (n) => f.boolean(n)),
    ...maybe(f, "independentFrom", (n) => f.integer(n, 0, MAX_PIECES)),
    ...maybe(f, "name", (n) => f.string(n, MAX_NAME)),
    ...maybe(f, "manifest", (n) => f.bytes(n, HASH_BYTES)),
    ...maybe(f, "sha256", (n) => f.bytes(n, HASH_BYTES)),
    ...maybe(f, "time", (n) => f.string(n, TIME)),
    ...maybe(f, "signature", (n) => f.bytes(n, SIGNATURE)),
    ...maybe(f, "renamed", (n) => f.integer(n)),
    ...maybe(f, "renames", (n) => f.objects(n, MAX_RENAMES, rename)),
  }),
  HASHES: (f) => ({
    transfer: transfer(f),
    start: f.integer("start", 0, MAX_PIECES),
    ...maybe(f, "scheme", (n) => f.string(n, SCHEME)),
    ...maybe(f, "signature", (n) => f.bytes(n, SIGNATURE)),
    ...(f.optional("last", (n) => f.boolean(n))
      ? { last: { size: f.integer("size"), sha256: f.optional("sha256", () => sha256(f)) ?? null } }
      : {}),
  }),
  GET: (f) => ({ transfer: transfer(f), index: index(f) }),
  PIECE: (f) => ({ transfer: transfer(f), index: index(f) }),
  SERVED: (f) => ({ transfer: transfer(f), signature: f.bytes("signature", SIGNATURE) }),
  EVIDENCE: (f) => ({
    ...maybe(f, "seq", (n) => f.integer(n, 1)),
    transfer: transfer(f),
    sharer: f.bytes("sharer", ID),
    server: f.bytes("server", ID),
    block: f.integer("block", 0, MAX_PIECES / BLOCK_PIECES - 1),
    index: index(f),
    pieces: f.integer("pieces", 1, BLOCK_PIECES),
    blockSignature: f.bytes("blockSignature", SIGNATURE),
    servedSignature: f.bytes("servedSignature", SIGNATURE),
  }),
  HAVE: (f) => ({
    transfer: transfer(f),
    pieces: f.ranges("pieces", MAX_RANGES, MAX_PIECES),
    ...maybe(f, "sources", (n) => f.integer(n, 0, MAX_SOURCES)),
  }),
  GIVE: (f) => ({ transfer: transfer(f), index: index(f) }),
  WITHDRAW: (f) => ({ transfer: transfer(f), index: index(f) }),
  NEIGHBOURS: (f) => ({
    transfer: transfer(f),
    peers: f.byteStrings("peers", MAX_NEIGHBOURS, ID),
  }),
  SWARM: (f) => ({ transfer: transfer(f), ...maybe(f, "sharer", (n) => f.bytes(n, ID)) }),
  CANCEL: (f) => ({
    transfer: transfer(f),
    code: f.string("code", 64),
    message: f.string("message", REASON),
  }),
  REPORT: (f) => ({
    seq: seq(f),
    ...reported(f),
    recipients: f.objects("recipients", REPORTED_RECIPIENTS, reportedRecipient),
    ...maybe(f, "over", (n) => f.boolean(n)),
  }),
  SHARES: (f) => ({
    seq: seq(f),
    start: f.integer("start"),
    ...maybe(f, "from", (n) => f.bytes(n, ID)),
    ...maybe(f, "share", (n) => f.string(n, SHARE)),
  }),
  SHARE_LIST: (f) => ({
    re: f.integer("re", 1),
    shares: f.objects("shares", SHARES_PER_FRAME, reportedShare),
    recipients: f.objects("recipients", REPORTED_RECIPIENTS, reportedRecipient),
    more: f.boolean("more"),
  }),
};

/** What REPORT and SHARE_LIST say of a share. */
function reported(f: Fields): ShareSummary {
  return {
    share: f.string("share", SHARE),
    name: f.string("name", MAX_REPORTED_NAME),
    size: f.integer("size"),
    ...maybe(f, "files", (n) => f.integer(n)),
    at: f.string("at", TIME),
    total: f.integer("total", 0, MAX_REPORTED),
  };
}

function reportedRecipient(f: Fields): ReportedRecipient {
  return {
    ...maybe(f, "id", (n) => f.bytes(n, ID)),
    name: f.string("name", MAX_REPORTED_NAME),
    state: f.oneOf("state", REPORTED_STATES),
    ...maybe(f, "bytes", (n) => f.integer(n)),
    ...maybe(f, "sources", (n) => f.integer(n, 0, MAX_SOURCES)),
    ...maybe(f, "code", (n) => f.string(n, 64)),
  };
}

function reportedShare(f: Fields): ReportedShare {
  return {
    from: f.bytes("from", ID),
    ...maybe(f, "sender", (n) => f.string(n, NAME)),
    ...reported(f),
    delivered: f.integer("delivered", 0, MAX_REPORTED),
    failed: f.integer("failed", 0, MAX_REPORTED),
    state: f.oneOf("state", ["running", "over", "lost"]),
  };
}

/**
 * Most bytes that a frame of the verb may carry as its body; a verb that is not listed carries none. The memory for the
 * body of a frame is bounded by this cap first, then by `Allocate` (readFrame in frame.ts).
 */
const BODY_CAPS: { [V in Verb]?: number } = {
  BROADCAST: MAX_TEXT,
  MESSAGE: MAX_TEXT,
  HASHES: MAX_HASHES * HASH_BYTES,
  PIECE: MAX_PIECE,
  SERVED: MAX_SERVED * SERVED_ENTRY,
  EVIDENCE: BLOCK_PIECES * HASH_BYTES + MAX_SERVED * SERVED_ENTRY,
};

/** Whether this version knows the verb. */
export function isVerb(verb: string): verb is Verb {
  return Object.hasOwn(DECODERS, verb);
}

/** The largest body that a frame of `verb` may carry, in bytes. */
export function bodyCap(verb: Verb): number {
  return BODY_CAPS[verb] ?? 0;
}

/**
 * Validates the fields of a known verb.
 *
 * @throws {P2PError} `malformed`, naming the field.
 */
export function decodeMessage(verb: Verb, values: Record<string, unknown>): Message {
  const fields = DECODERS[verb](new Fields(verb, values));
  return { verb, ...fields } as Message;
}

/** A text for people as the other side will take it: well-formed, not empty, within the cap. */
function reasonText(text: string): string {
  const wellFormed = text.toWellFormed() || "no reason given";
  const { read } = new TextEncoder().encodeInto(wellFormed, new Uint8Array(REASON));
  return wellFormed.slice(0, read);
}

/** The JSON fields of a message, as they stand in the header line. Long error texts are cut. */
export function messageFields(message: Message): Record<string, unknown> {
  const { verb: _, ...fields } = message;
  if ("message" in fields) fields.message = reasonText(fields.message);
  if ("reason" in fields && fields.reason !== undefined) fields.reason = reasonText(fields.reason);
  if (message.verb !== "HASHES" || message.last === undefined) return fields;
  // `last` is flat on the wire: one level of JSON is all that a client has to build.
  return { ...fields, last: true, ...message.last };
}

/** An ERROR or CANCEL frame's code and text as an error of ours; a code we don't know is `unexpected`. */
export function remoteError(message: { code: string; message: string }): P2PError {
  const code = isErrorCode(message.code) ? message.code : "unexpected";
  return new P2PError(code, message.message, { remote: true });
}

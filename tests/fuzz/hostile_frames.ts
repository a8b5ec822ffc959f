/**
 * Frames that are valid by the grammar of PROTOCOL.md, and the same with damage: each follows from its dice.
 *
 * @module
 */

import { SCHEMES } from "../../lib/pieces/scheme.ts";
import { encodeBase64Url } from "@std/encoding/base64url";
import { concat } from "@std/bytes/concat";
import type { Dice } from "../helpers/random.ts";
import { ACK_STATES, ROLES, type Verb } from "../../lib/wire/message.ts";

/** What remote texts are marked with: no line of output may begin with it. */
export const MARK = "REMOTE-TEXT";

/** Texts that must not act on a terminal, begin a line, or leave a folder. */
const TEXTS = [
  MARK,
  `\n${MARK}`,
  `a\r\n${MARK}`,
  `a\r${MARK}`,
  `a\v${MARK}`,
  `a\f${MARK}`,
  `a\u0085${MARK}`,
  `a\u2028${MARK}`,
  `a\u2029${MARK}`,
  `\x1b[2K\x1b[1G${MARK}`,
  `\x1b]0;${MARK}\x07`,
  `\u202e${MARK}\u2066`,
  `a\u200b\ufeff${MARK}`,
  `${"x".repeat(1900)}\n${MARK}`,
  "\ud800",
  "../../../escaped",
  "/tmp/escaped",
  "a/../../b",
  "C:\\CON",
  "NUL.txt",
  ".",
  "..",
  "\0",
  " ",
  "-rf",
  "e\u0301",
  "__proto__",
];

/** Numbers as they may stand in JSON, whatever field they get into. */
const NUMBERS = [
  "-1",
  "0",
  "-0",
  "1.0",
  "1e3",
  "0.5",
  "1e-400",
  "1e999",
  "-1e999",
  "65535",
  "65536",
  "1048576",
  "2147483648",
  "4294967296",
  "9007199254740991",
  "9007199254740992",
  "9007199254740993",
  "1" + "0".repeat(400),
];

/** Values of other types. */
const VALUES = [
  "null",
  "true",
  "false",
  '""',
  '"x"',
  "[]",
  "{}",
  "[[[[]]]]",
  "[null]",
  "[[1,0]]",
  "[[0,1],[0,1]]",
  '{"__proto__":{"body":4194304}}',
  '"\\ud800"',
  '"\\u0000"',
];

/** Verbs that there are not, or not like that. */
const VERBS = [
  "FROB",
  "A",
  "_",
  "ABCDEFGHIJKLMNOP",
  "ABCDEFGHIJKLMNOPQ",
  "get",
  "GET\r",
  "",
  "PI\0NG",
];

/** Codes of errors; none that ends a peer for good, which is the tracker's right. */
const CODES = ["malformed", "busy", "disk", "cancelled", "connection-lost", "no-such-code", MARK];

/** What a hostile side knows of those it talks to. */
export interface Knowledge {
  dice: Dice;
  /** Its own id. */
  id: string;
  /** Ids that it has heard of. */
  ids: readonly string[];
  /** Names that honest peers have. */
  names: readonly string[];
  /** Transfers that either side has offered on this session. */
  transfers: string[];
  /** Ports where something listens. */
  ports: readonly number[];
}

type Field = (known: Knowledge) => string;
type Shape = Record<string, Field>;

const json = (value: unknown) => JSON.stringify(value);
const bytes = (length: number): Field => ({ dice }) => json(encodeBase64Url(dice.bytes(length)));
const int = (...choices: number[]): Field => ({ dice }) => `${dice.pick(choices)}`;
const text: Field = ({ dice }) => json(dice.pick(TEXTS));
const name: Field = ({ dice, names, ids }) =>
  json(dice.pick([...names, ...ids, ...TEXTS, `${dice.pick(names)}\u0301`, "all", "tracker"]));
const bool: Field = ({ dice }) => `${dice.once(2)}`;
const seq: Field = ({ dice }) => `${1 + dice.below(50)}`;
const id: Field = ({ dice, ids, id }) =>
  json(dice.pick([...ids, id, encodeBase64Url(dice.bytes(32))]));
const transfer: Field = ({ dice, transfers }) => {
  if (transfers.length === 0 || dice.once(4)) transfers.push(encodeBase64Url(dice.bytes(16)));
  return json(dice.pick(transfers));
};
const port: Field = ({ dice, ports }) => `${dice.pick([...ports, 1, 65535])}`;
const host: Field = ({ dice }) =>
  json(dice.pick(["127.0.0.1", "::1", "localhost", "nowhere.invalid", "0.0.0.0", "1.2.3.4:5"]));
const code: Field = ({ dice }) => json(dice.pick(CODES));
const ranges: Field = ({ dice }) => {
  const starts = Array.from({ length: dice.below(5) }, (_, i) => 10 * i + dice.below(5));
  return json(starts.map((start) => [start, start + 1 + dice.below(4)]));
};
const scheme: Field = ({ dice }) =>
  dice.once(6) ? text({ dice } as Knowledge) : json(dice.pick(SCHEMES));

const OFFER: Shape = {
  seq,
  transfer,
  name,
  size: int(0, 1, 12, 16_384, 40_000, 1_000_000, 8_000_000, 2 ** 40),
  pieceSize: int(16_384, 65_536, 262_144, 4_194_304),
  scheme,
  manifest: bytes(32),
  sha256: bytes(32),
  swarm: bool,
};
const MESSAGE: Shape = {
  seq,
  id: bytes(16),
  name,
  time: ({ dice }) => json(dice.pick(["2025-01-02T03:04:05.678Z", `\n${MARK}`])),
  signature: bytes(64),
};

function recipients(known: Knowledge): string {
  const all = Array.from({ length: known.dice.below(70) }, () => {
    const state = json(known.dice.pick(["offered", "accepted", "delivered", "already", "failed"]));
    return `{"id":${id(known)},"name":${name(known)},"state":${state},"bytes":1}`;
  });
  return `[${all.join(",")}]`;
}

/** The fields of every verb: optional ones are left out now and then. */
const GRAMMAR: Record<Verb, Shape> = {
  HELLO: {
    protocol: int(1),
    role: ({ dice }) => json(dice.pick(ROLES)),
    id,
    nonce: bytes(32),
    network: id,
    token: bytes(16),
  },
  AUTH: { mac: bytes(32), signature: bytes(64) },
  OK: {
    re: seq,
    name,
    host,
    port,
    reachable: bool,
    reason: text,
    replaced: host,
    contents: int(1, 2, 2 ** 40),
    delivered: int(0, 5),
    invite: text,
  },
  ERROR: { re: seq, code, message: text },
  BYE: {},
  PING: { seq },
  PONG: { re: seq },
  REGISTER: {
    seq,
    name,
    port,
    host,
    groups: ({ dice }) => json(dice.once(4) ? dice.pick(TEXTS) : ["gpu", dice.pick(TEXTS), "lab"]),
  },
  UNREGISTER: { seq },
  PEERS: { seq, epoch: bytes(16), since: int(0, 1, 2 ** 40), limit: int(1, 48, 256, 10_000) },
  PEER_LIST: {
    re: seq,
    epoch: bytes(16),
    revision: int(0, 1, 2, 1000),
    full: bool,
    more: bool,
    peers: (known) => `[${entries(known).join(",")}]`,
    gone: (known) => `[${known.dice.once(2) ? id(known) : ""}]`,
    barred: (known) => `[${known.dice.once(4) ? id(known) : ""}]`,
  },
  BROADCAST: MESSAGE,
  MESSAGE: { ...MESSAGE, from: id },
  CONNECT: { seq, peer: id, port, token: bytes(16) },
  DIAL: { peer: id, host, port, token: bytes(16) },
  RELAY: { seq, peer: id, token: bytes(16) },
  JOIN: { seq, peer: id, token: bytes(16) },
  REMOVE: { seq, id },
  RESTORE: { seq, id },
  ROTATE: { seq },
  SEND_FILE: OFFER,
  SEND_TREE: { ...OFFER, table: int(0, 10, 149, 16_000, 67_108_864) },
  ACK: {
    re: seq,
    transfer,
    state: ({ dice }) => json(dice.once(8) ? dice.pick(TEXTS) : dice.pick(ACK_STATES)),
    have: ranges,
    swarm: bool,
    independentFrom: int(0, 0, 1, 2, 100, 1_048_576),
    name,
    manifest: bytes(32),
    sha256: bytes(32),
    time: name,
    signature: bytes(64),
  },
  HASHES: {
    transfer,
    start: int(0, 1, 2, 100, 1_048_576),
    scheme,
    last: bool,
    size: int(0, 12, 40_000),
    sha256: bytes(32),
    signature: bytes(64),
  },
  GET: { transfer, index: int(0, 0, 1, 2, 100, 1_048_575) },
  PIECE: { transfer, index: int(0, 0, 1, 2, 100, 1_048_575) },
  SERVED: { transfer, signature: bytes(64) },
  EVIDENCE: {
    seq,
    transfer,
    sharer: id,
    server: id,
    block: int(0, 0, 1, 4095),
    index: int(0, 0, 1, 256, 1_048_575),
    pieces: int(1, 2, 256),
    blockSignature: bytes(64),
    servedSignature: bytes(64),
  },
  HAVE: { transfer, pieces: ranges, sources: int(0, 1, 65_535, 65_536) },
  GIVE: { transfer, index: int(0, 0, 1, 2, 100, 1_048_575) },
  WITHDRAW: { transfer, index: int(0, 0, 1, 2, 100, 1_048_575) },
  NEIGHBOURS: {
    transfer,
    peers: (known) => `[${Array.from({ length: known.dice.below(4) }, () => id(known)).join(",")}]`,
  },
  SWARM: { transfer, sharer: id },
  CANCEL: { transfer, code, message: text },
  REPORT: {
    seq,
    share: text,
    name,
    size: int(0, 1, 2 ** 40),
    files: int(0, 3),
    at: name,
    total: int(0, 1, 65, 1_000_000),
    recipients,
    over: bool,
  },
  SHARES: { seq, start: int(0, 0, 1, 64, 2 ** 40), from: id, share: text },
  SHARE_LIST: {
    re: seq,
    shares: (known) =>
      `[{"share":${text(known)},"name":${name(known)},"size":1,"at":${name(known)},"total":1,` +
      `"delivered":0,"failed":0,"state":"running","from":${id(known)},"sender":${name(known)}}]`,
    recipients,
    more: bool,
  },
};

/** Fields without which a frame is not valid. */
const REQUIRED = new Set(
  ("protocol role id nonce network mac signature code message name port since epoch revision full more peers gone barred " +
    "time from peer token host transfer pieceSize scheme table state start index pieces peers reason share at total recipients shares delivered failed " +
    "sharer server block blockSignature servedSignature")
    .split(" "),
);
/** Verbs with a body. */
const WITH_BODY: readonly Verb[] = [
  "BROADCAST",
  "MESSAGE",
  "HASHES",
  "PIECE",
  "SERVED",
  "EVIDENCE",
];

/** Every verb. */
export const ALL_VERBS = Object.keys(GRAMMAR) as Verb[];

function entries(known: Knowledge): string[] {
  const { dice } = known;
  return Array.from({ length: dice.below(4) }, () => {
    const [key, label, where, number] = [id(known), name(known), host(known), port(known)];
    return `{"id":${key},"name":${label},"host":${where},"port":${number},"reachable":${
      bool(known)
    }}`;
  });
}

/** One frame: two out of three are valid by the grammar, whatever they mean where they arrive. */
export function hostileFrame(known: Knowledge, verbs: readonly Verb[] = ALL_VERBS): Uint8Array {
  const { dice } = known;
  const verb = dice.pick(verbs);
  const fields = new Map<string, string>();
  for (const [key, make] of Object.entries(GRAMMAR[verb])) {
    if (REQUIRED.has(key) || !dice.once(3)) fields.set(key, make(known));
  }
  const length = WITH_BODY.includes(verb) ? dice.pick([0, 5, 31, 32, 64, 16_384, 60_000]) : 0;
  if (length > 0) fields.set("body", `${length}`);
  const body = verb === "MESSAGE" || verb === "BROADCAST"
    ? textBody(dice, length)
    : dice.bytes(length);
  return dice.once(3) ? damaged(known, verb, fields, body) : render(verb, fields, body);
}

function textBody(dice: Dice, length: number): Uint8Array {
  const chosen = new TextEncoder().encode(dice.pick(TEXTS).toWellFormed());
  const body = new Uint8Array(length).fill(0x20);
  body.set(chosen.subarray(0, length));
  return body;
}

function render(
  verb: string,
  fields: Map<string, string>,
  body: Uint8Array,
  extra = "",
): Uint8Array {
  const pairs = [...fields].map(([key, value]) => `${json(key)}:${value}`).join(",");
  const header = `${verb}${pairs || extra ? ` {${pairs}${extra}}` : ""}\n`;
  return concat([new TextEncoder().encode(header), body]);
}

function damaged(
  { dice }: Knowledge,
  verb: string,
  fields: Map<string, string>,
  body: Uint8Array,
): Uint8Array {
  const key = dice.pick([...fields.keys(), "seq", "body"]);
  switch (dice.below(11)) {
    case 0:
      fields.set(key, dice.pick(NUMBERS));
      return render(verb, fields, body);
    case 1:
      fields.set(key, dice.pick(VALUES));
      return render(verb, fields, body);
    case 2:
      fields.set(key, json(dice.pick(TEXTS)));
      return render(verb, fields, body);
    case 3:
      fields.delete(key);
      return render(verb, fields, body);
    case 4: // A key that comes twice.
      return render(
        verb,
        fields,
        body,
        `,${json(key)}:${dice.pick(NUMBERS)}`.slice(fields.size ? 0 : 1),
      );
    case 5:
      return render(dice.pick(VERBS), fields, body);
    case 6: // Deep, and long.
      fields.set("deep", "[".repeat(20_000) + "]".repeat(dice.pick([0, 20_000])));
      return render(verb, fields, body);
    case 7:
      fields.set("pad", json("x".repeat(dice.pick([1000, 60_000, 66_000, 300_000]))));
      return render(verb, fields, body);
    case 8: // A length that is not that of the body.
      fields.set("body", dice.pick(["1", "16385", "65537", "4194304", "4194305", ...NUMBERS]));
      return render(verb, fields, body);
    case 9: { // Reserved and unknown fields of the wrong type.
      for (const reserved of ["recipients", "signature", "token", "__proto__", "constructor"]) {
        fields.set(reserved, dice.pick(VALUES));
      }
      return render(verb, fields, body);
    }
    default: {
      const frame = new Uint8Array(render(verb, fields, body));
      for (let n = 1 + dice.below(4); n > 0; n--) frame[dice.below(frame.length)] = dice.below(256);
      return frame;
    }
  }
}

import { assertEquals, assertMatch, assertThrows } from "@std/assert";
import { P2PError } from "../../../lib/errors.ts";
import { MAX_TABLE as STORED_TABLE } from "../../../lib/pieces/tree_table.ts";
import { encodeHeader } from "../../../lib/wire/frame.ts";
import {
  MAX_BARRED,
  MAX_HEADER,
  MAX_NAME,
  MAX_NEIGHBOURS,
  MAX_PEERS_PER_FRAME,
  MAX_PIECE,
  MAX_PIECES,
  MAX_RANGES,
  MAX_REPORTED_NAME,
  MAX_TABLE,
  MIN_PIECE,
  PEERS_PER_FRAME,
  REPORTED_RECIPIENTS,
} from "../../../lib/wire/limits.ts";
import {
  bodyCap,
  decodeMessage,
  isVerb,
  type Message,
  messageFields,
  type PeerEntry,
  remoteError,
  type Verb,
} from "../../../lib/wire/message.ts";
import { GOLDEN_FRAMES } from "../../testdata/golden_frames.ts";

const ID = "A".repeat(43);
const TOKEN = "A".repeat(22);
const SIGNATURE = "A".repeat(86);

const PEER: PeerEntry = { id: ID, name: "anna", host: "192.0.2.7", port: 6001, reachable: true };
const LIST = { epoch: TOKEN, revision: 1, full: true, more: false, gone: [], barred: [] };
const RECIPIENT = { id: ID, name: "bob", state: "failed", bytes: 5, sources: 1, code: "disk" };
const SHARE = {
  ...{ from: ID, sender: "anna", share: "0f8f4b0e", name: "a", size: 1, files: 2 },
  ...{ at: "2025-01-02T03:04:05Z", total: 1, delivered: 0, failed: 1, state: "lost" },
};
const { from: _, sender: __, delivered: ___, failed: ____, state: _____, ...ABOUT } = SHARE;
const REPORT = { seq: 1, ...ABOUT, recipients: [RECIPIENT] };
const SEND = {
  seq: 1,
  transfer: TOKEN,
  name: "a",
  size: 1,
  pieceSize: MIN_PIECE,
  scheme: "independent",
};
const TREE = { ...SEND, table: 0 };
const HELLO = { protocol: 1, role: "peer", id: ID, nonce: ID };
const MESSAGE = { id: TOKEN, from: ID, name: "a", time: "t", signature: SIGNATURE };

/** Fields of a verb, and the one that is named as wrong. */
const MALFORMED: [verb: Verb, fields: Record<string, unknown>, field: string][] = [
  ["PING", { seq: 0 }, "seq"],
  ["PING", { seq: -1 }, "seq"],
  ["PING", { seq: 1.5 }, "seq"],
  ["PING", { seq: "1" }, "seq"],
  ["PING", { seq: 2 ** 53 }, "seq"],
  ["PING", { seq: [1] }, "seq"],
  ["PONG", { re: true }, "re"],
  ["UNREGISTER", {}, "seq"],
  ["UNREGISTER", { seq: null }, "seq"],
  ["HELLO", { ...HELLO, role: "admin" }, "role"],
  ["HELLO", { ...HELLO, role: "toString" }, "role"],
  ["HELLO", { ...HELLO, protocol: -1 }, "protocol"],
  ["HELLO", { ...HELLO, protocol: 0.5 }, "protocol"],
  ["HELLO", { ...HELLO, id: "" }, "id"],
  ["HELLO", { ...HELLO, id: "A".repeat(42) }, "id"],
  ["HELLO", { ...HELLO, id: "A".repeat(44) }, "id"],
  ["HELLO", { ...HELLO, id: "A".repeat(42) + "=" }, "id"],
  ["HELLO", { ...HELLO, id: "A".repeat(42) + "+" }, "id"],
  ["HELLO", { ...HELLO, id: "A".repeat(42) + "\n" }, "id"],
  ["HELLO", { ...HELLO, id: "A".repeat(42) + "B" }, "id"],
  ["HELLO", { ...HELLO, id: [ID] }, "id"],
  ["HELLO", { ...HELLO, token: ID }, "token"],
  ["HELLO", { ...HELLO, network: 1 }, "network"],
  ["AUTH", { mac: ID, signature: ID }, "signature"],
  ["OK", { re: 1, port: 0 }, "port"],
  ["OK", { re: 1, reachable: 1 }, "reachable"],
  ["OK", { re: 1, delivered: -1 }, "delivered"],
  ["ERROR", { code: "busy" }, "message"],
  ["ERROR", { code: "", message: "x" }, "code"],
  ["ERROR", { code: "busy", message: "x".repeat(2049) }, "message"],
  ["REGISTER", { seq: 1, name: "", port: 1 }, "name"],
  ["REGISTER", { seq: 1, name: "\u{1f600}".repeat(65), port: 1 }, "name"],
  ["REGISTER", { seq: 1, name: "lone \ud800", port: 1 }, "name"],
  ["REGISTER", { seq: 1, name: { length: 1 }, port: 1 }, "name"],
  ["REGISTER", { seq: 1, name: "a", port: 65536 }, "port"],
  ["REGISTER", { seq: 1, name: "a", port: 1, host: "x".repeat(254) }, "host"],
  ...["lab", ["Lab"], [""], ["-a"], ["b", "a"], ["a", "a"], [1], ["a".repeat(33)], [..."abcdefghi"]]
    .map(
      (groups): [Verb, Record<string, unknown>, string] => [
        "REGISTER",
        { seq: 1, name: "a", port: 1, groups },
        "groups",
      ],
    ),
  ["PEERS", { seq: 1, since: -1 }, "since"],
  ["PEER_LIST", { ...LIST, peers: {} }, "peers"],
  ["PEER_LIST", { ...LIST, peers: [null] }, "peers"],
  ["PEER_LIST", { ...LIST, peers: [[]] }, "peers"],
  ["PEER_LIST", { ...LIST, peers: [{ ...PEER, port: 0 }] }, "port"],
  ["PEER_LIST", { ...LIST, peers: [{ ...PEER, reachable: "yes" }] }, "reachable"],
  ["PEER_LIST", { ...LIST, peers: Array(MAX_PEERS_PER_FRAME + 1).fill(PEER) }, "peers"],
  ["PEER_LIST", { ...LIST, peers: [], gone: ["x"] }, "gone"],
  ["PEER_LIST", { ...LIST, peers: [], gone: { length: 0 } }, "gone"],
  ["PEER_LIST", { ...LIST, peers: [], barred: Array(MAX_BARRED + 1).fill(ID) }, "barred"],
  ["MESSAGE", { ...MESSAGE, time: "t".repeat(41) }, "time"],
  ["MESSAGE", { ...MESSAGE, from: TOKEN }, "from"],
  ["SEND_FILE", { ...SEND, name: "x".repeat(MAX_NAME + 1) }, "name"],
  ["SEND_FILE", { ...SEND, name: "\u{20ac}".repeat(MAX_NAME / 3 + 1) }, "name"],
  ["SEND_FILE", { ...SEND, size: -1 }, "size"],
  ["SEND_FILE", { ...SEND, size: 1e300 }, "size"],
  ["SEND_FILE", { ...SEND, size: "1" }, "size"],
  ["SEND_FILE", { ...SEND, pieceSize: MIN_PIECE - 1 }, "pieceSize"],
  ["SEND_FILE", { ...SEND, pieceSize: MAX_PIECE + 1 }, "pieceSize"],
  ["SEND_FILE", { ...SEND, scheme: undefined }, "scheme"],
  ["SEND_FILE", { ...SEND, scheme: null }, "scheme"],
  ["SEND_FILE", { ...SEND, scheme: "" }, "scheme"],
  ["SEND_FILE", { ...SEND, scheme: "s".repeat(33) }, "scheme"],
  ["SEND_FILE", { ...SEND, scheme: "\u{20ac}".repeat(11) }, "scheme"],
  ["SEND_FILE", { ...SEND, scheme: "lone \ud800" }, "scheme"],
  ["SEND_FILE", { ...SEND, scheme: ["independent"] }, "scheme"],
  ["SEND_FILE", { ...SEND, swarm: 1 }, "swarm"],
  ["SEND_FILE", { ...SEND, manifest: TOKEN }, "manifest"],
  ["SEND_TREE", { ...TREE, size: null }, "size"],
  ["SEND_TREE", { ...TREE, size: 2 ** 53 }, "size"],
  ["SEND_TREE", SEND, "table"],
  ["SEND_TREE", { ...TREE, table: null }, "table"],
  ["SEND_TREE", { ...TREE, table: -1 }, "table"],
  ["SEND_TREE", { ...TREE, table: MAX_TABLE + 1 }, "table"],
  ["SEND_TREE", { ...TREE, pieceSize: MAX_PIECE + 1 }, "pieceSize"],
  ["SEND_TREE", { ...TREE, scheme: undefined }, "scheme"],
  ["SEND_TREE", { ...TREE, scheme: "" }, "scheme"],
  ["SEND_TREE", { ...TREE, scheme: "s".repeat(33) }, "scheme"],
  ["SEND_TREE", { ...TREE, scheme: 1 }, "scheme"],
  ["SEND_TREE", { ...TREE, name: "" }, "name"],
  ["SEND_TREE", { ...TREE, manifest: 0 }, "manifest"],
  ["SEND_TREE", { ...TREE, swarm: "true" }, "swarm"],
  ["GIVE", { transfer: TOKEN, index: MAX_PIECES }, "index"],
  ["WITHDRAW", { transfer: TOKEN }, "index"],
  ["NEIGHBOURS", { transfer: TOKEN, peers: Array(MAX_NEIGHBOURS + 1).fill(ID) }, "peers"],
  ["NEIGHBOURS", { transfer: TOKEN, peers: [TOKEN] }, "peers"],
  ["SWARM", { transfer: TOKEN, sharer: TOKEN }, "sharer"],
  ["ACK", { transfer: TOKEN, state: "done" }, "state"],
  ["ACK", { transfer: TOKEN, state: "saved", manifest: TOKEN }, "manifest"],
  ["ACK", { transfer: TOKEN, state: "ready", have: [[1, 1]] }, "have"],
  ["ACK", { transfer: TOKEN, state: "ready", have: [[2, 3], [0, 1]] }, "have"],
  ["ACK", { transfer: TOKEN, state: "ready", have: [[0, 3], [2, 4]] }, "have"],
  ["ACK", { transfer: TOKEN, state: "ready", have: [[-1, 1]] }, "have"],
  ["ACK", { transfer: TOKEN, state: "ready", have: [[0, 1, 2]] }, "have"],
  ["ACK", { transfer: TOKEN, state: "ready", have: [["0", "1"]] }, "have"],
  ["ACK", { transfer: TOKEN, state: "ready", have: [[0, 0.5]] }, "have"],
  ["ACK", { transfer: TOKEN, state: "ready", have: [[0, MAX_PIECES + 1]] }, "have"],
  ["HASHES", { transfer: TOKEN, start: MAX_PIECES + 1 }, "start"],
  ["HASHES", { transfer: TOKEN, start: 0, last: true, sha256: ID }, "size"],
  ["HASHES", { transfer: TOKEN, start: 0, last: true, size: 1, sha256: "" }, "sha256"],
  ["HASHES", { transfer: TOKEN, start: 0, last: { size: 1, sha256: ID } }, "last"],
  ["GET", { transfer: TOKEN, index: MAX_PIECES }, "index"],
  ["GET", { transfer: TOKEN, index: -1 }, "index"],
  ["GET", { transfer: TOKEN.slice(1), index: 0 }, "transfer"],
  ["HAVE", { transfer: TOKEN }, "pieces"],
  ["HAVE", { transfer: TOKEN, pieces: ranges(MAX_RANGES + 1) }, "pieces"],
  ["CANCEL", { transfer: TOKEN, code: "x".repeat(65), message: "x" }, "code"],
  ["REPORT", { ...REPORT, seq: 0 }, "seq"],
  ["REPORT", { ...REPORT, share: "x".repeat(37) }, "share"],
  ["REPORT", { ...REPORT, name: "x".repeat(256) }, "name"],
  ["REPORT", { ...REPORT, size: -1 }, "size"],
  ["REPORT", { ...REPORT, total: 1_000_001 }, "total"],
  ["REPORT", { ...REPORT, recipients: Array(65).fill(RECIPIENT) }, "recipients"],
  ["REPORT", { ...REPORT, recipients: [{ ...RECIPIENT, state: "gone" }] }, "state"],
  ["REPORT", { ...REPORT, recipients: [{ ...RECIPIENT, id: "x" }] }, "id"],
  ["REPORT", { ...REPORT, recipients: [{ ...RECIPIENT, sources: 65_536 }] }, "sources"],
  ["REPORT", { ...REPORT, recipients: [{ ...RECIPIENT, code: "" }] }, "code"],
  ["SHARES", { seq: 1, start: -1 }, "start"],
  ["SHARES", { seq: 1, start: 0, from: "x" }, "from"],
  ["SHARE_LIST", { re: 1, shares: Array(25).fill(SHARE), recipients: [], more: false }, "shares"],
  [
    "SHARE_LIST",
    { re: 1, shares: [{ ...SHARE, state: "odd" }], recipients: [], more: false },
    "state",
  ],
];

/** `count` ranges of one piece each, the last of them at the end, where numbers are longest. */
function ranges(count: number): [number, number][] {
  const first = MAX_PIECES - 2 * count;
  return Array.from({ length: count }, (_, i) => [first + 2 * i, first + 2 * i + 1]);
}

Deno.test("fields of the wrong kind are malformed, and the field is named", async (t) => {
  for (const [verb, fields, field] of MALFORMED) {
    const text = JSON.stringify(fields).slice(0, 60);
    await t.step(`${verb} ${field} ${text}`, () => {
      const error = assertThrows(() => decodeMessage(verb, fields), P2PError);
      assertEquals(error.code, "malformed");
      assertMatch(error.message, new RegExp(`^Cannot read ${verb}\\b.*"${field}" is not `));
    });
  }
});

Deno.test("every field of every golden frame is checked", () => {
  for (const { message } of GOLDEN_FRAMES) {
    const fields = messageFields(message);
    for (const field of Object.keys(fields)) {
      const spoilt = { ...fields, [field]: { not: "this" } };
      const error = assertThrows(() => decodeMessage(message.verb, spoilt), P2PError);
      assertEquals(error.code, "malformed", `${message.verb} ${field}`);
    }
  }
});

Deno.test("unknown fields are ignored, and absent ones stay absent", () => {
  const fields = { seq: 1, later: [1], __proto__: { re: 5 } };
  assertEquals(decodeMessage("PING", fields), { verb: "PING", seq: 1 });
  assertEquals(Object.keys(decodeMessage("PING", { seq: null })), ["verb"]);
  assertEquals(decodeMessage("SEND_FILE", { ...SEND, size: null }), {
    verb: "SEND_FILE",
    ...SEND,
    size: null,
  });
});

Deno.test("a scheme that nobody knows yet is read like any other", () => {
  for (const scheme of ["s", "chained", "\u{20ac}".repeat(10), "x".repeat(32)]) {
    for (
      const message of [
        { verb: "SEND_FILE", ...SEND, scheme },
        { verb: "SEND_TREE", ...TREE, scheme },
      ] as Message[]
    ) {
      assertEquals(decodeMessage(message.verb, messageFields(message)), message);
    }
  }
});

Deno.test("inherited properties are not fields", () => {
  const inherited = Object.create({ seq: 1 });
  assertThrows(() => decodeMessage("ROTATE", inherited), P2PError);
});

Deno.test("HASHES is the last one only when it says true", () => {
  const fields = { transfer: TOKEN, start: 3 };
  assertEquals(decodeMessage("HASHES", { ...fields, last: false }), { verb: "HASHES", ...fields });
  const last = { size: 5, sha256: ID };
  const message: Message = { verb: "HASHES", ...fields, last };
  assertEquals(messageFields(message), { ...fields, last: true, ...last });
  assertEquals(decodeMessage("HASHES", messageFields(message)), message);
});

Deno.test("the last HASHES may do without the SHA-256 of the whole", () => {
  const fields = { transfer: TOKEN, start: 3 };
  const message: Message = { verb: "HASHES", ...fields, last: { size: 5, sha256: null } };
  for (const absent of [{}, { sha256: null }]) {
    assertEquals(decodeMessage("HASHES", { ...fields, last: true, size: 5, ...absent }), message);
  }
  assertEquals(decodeMessage("HASHES", messageFields(message)), message);
});

Deno.test("the longest lists that are taken fit a header", () => {
  const longest: PeerEntry = {
    id: ID,
    name: "\u{1f600}".repeat(64),
    host: "h".repeat(253),
    port: 65535,
    reachable: false,
  };
  const revision = Number.MAX_SAFE_INTEGER;
  const messages: Message[] = [
    {
      verb: "PEER_LIST",
      re: revision,
      epoch: TOKEN,
      revision,
      full: false,
      more: false,
      peers: Array(PEERS_PER_FRAME).fill(longest),
      gone: Array(PEERS_PER_FRAME).fill(ID),
      barred: Array(MAX_BARRED).fill(ID),
    },
    {
      verb: "ACK",
      re: revision,
      transfer: TOKEN,
      state: "already",
      have: ranges(MAX_RANGES),
      name: "n".repeat(MAX_NAME),
      manifest: ID,
      sha256: ID,
      time: "t".repeat(40),
      signature: SIGNATURE,
    },
    { verb: "HAVE", transfer: TOKEN, pieces: ranges(MAX_RANGES) },
    {
      verb: "SEND_FILE",
      ...SEND,
      scheme: "s".repeat(32),
      name: "n".repeat(MAX_NAME),
      size: revision,
      manifest: ID,
      swarm: true,
    },
    {
      verb: "REPORT",
      seq: revision,
      share: "s".repeat(36),
      name: "\u0001".repeat(MAX_REPORTED_NAME),
      size: revision,
      files: revision,
      at: "t".repeat(40),
      total: 1_000_000,
      recipients: Array(REPORTED_RECIPIENTS).fill({
        id: ID,
        name: '"'.repeat(MAX_REPORTED_NAME),
        state: "delivered",
        bytes: revision,
        sources: 65_535,
        code: "c".repeat(64),
      }),
      over: false,
    },
    {
      verb: "SEND_TREE",
      ...TREE,
      scheme: "s".repeat(32),
      name: "n".repeat(MAX_NAME),
      size: revision,
      table: MAX_TABLE,
      manifest: ID,
      swarm: true,
    },
  ];
  for (const message of messages) {
    assertEquals(encodeHeader(message).length <= MAX_HEADER + 1, true, message.verb);
    assertEquals(decodeMessage(message.verb, messageFields(message)), message);
  }
});

Deno.test("texts for people are made fit for the other side", () => {
  const cases: [text: string, sent: string][] = [
    ["busy", "busy"],
    ["", "no reason given"],
    ["lone \ud800", "lone \ufffd"],
    ["x".repeat(5000), "x".repeat(2048)],
    ["\u{20ac}".repeat(1000), "\u{20ac}".repeat(682)],
  ];
  for (const [text, sent] of cases) {
    const error: Message = { verb: "ERROR", code: "disk", message: text };
    assertEquals(decodeMessage("ERROR", messageFields(error)), { ...error, message: sent });
    const ok: Message = { verb: "OK", re: 1, reason: text };
    assertEquals(decodeMessage("OK", messageFields(ok)), { ...ok, reason: sent });
  }
});

Deno.test("a table that may be offered may be stored", () => {
  assertEquals(STORED_TABLE, MAX_TABLE);
});

Deno.test("isVerb and bodyCap know the verbs and nothing else", () => {
  for (const { message, body } of GOLDEN_FRAMES) {
    assertEquals(isVerb(message.verb), true);
    assertEquals(body.length / 2 <= bodyCap(message.verb), true);
  }
  for (const other of ["", "ping", "FROB", "toString", "__proto__", "constructor"]) {
    assertEquals(isVerb(other), false);
  }
  assertEquals([bodyCap("PING"), bodyCap("PIECE")], [0, MAX_PIECE]);
});

Deno.test("remoteError keeps the codes we know and marks them as remote", () => {
  const busy = remoteError({ code: "busy", message: "later" });
  assertEquals([busy.code, busy.message, busy.remote], ["busy", "later", true]);
  assertEquals(remoteError({ code: "toString", message: "x" }).code, "unexpected");
});

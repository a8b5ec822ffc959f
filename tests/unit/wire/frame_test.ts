import { assertEquals, assertMatch, assertRejects, assertThrows } from "@std/assert";
import { encodeHex } from "@std/encoding/hex";
import { P2PError } from "../../../lib/errors.ts";
import { ByteReader } from "../../../lib/wire/byte_reader.ts";
import {
  type Allocate,
  encodedReply,
  encodeFrame,
  encodeHeader,
  type Frame,
  parseHeader,
  readFrame,
  type UnknownFrame,
} from "../../../lib/wire/frame.ts";
import { MAX_HEADER, MAX_PIECE, MAX_TEXT, MAX_UNKNOWN_BODY } from "../../../lib/wire/limits.ts";
import { bodyCap, isVerb, type Message } from "../../../lib/wire/message.ts";
import {
  bytesOf,
  frameBytes,
  GOLDEN_FRAMES,
  type GoldenFrame,
  play,
} from "../../testdata/golden_frames.ts";

const encoder = new TextEncoder();
const TRANSFER = "A".repeat(22);

function readText(text: string, allocate?: Allocate): Promise<Frame | UnknownFrame | null> {
  return readFrame(new ByteReader(play(encoder.encode(text))), allocate);
}

async function codeOf(call: Promise<unknown>): Promise<string> {
  return (await assertRejects(() => call, P2PError)).code;
}

function assertGolden(frame: Frame | UnknownFrame | null, golden: GoldenFrame): void {
  if (frame === null || "unknown" in frame) throw new Error(`not read: ${golden.name}`);
  assertEquals(frame.message, golden.message);
  assertEquals(encodeHex(frame.body), golden.body);
}

/** Fails the test when a body is given memory. */
const refuse: Allocate = ({ verb }, length) => {
  throw new Error(`${length} bytes were allocated for ${verb}`);
};

for (const golden of GOLDEN_FRAMES) {
  const bytes = frameBytes(golden);
  const title = `${golden.message.verb}: ${golden.name}`;

  Deno.test(`golden ${title}: both ways`, async () => {
    assertGolden(await readFrame(new ByteReader(play(bytes))), golden);
    const header = encodeHeader(golden.message, golden.body.length / 2);
    assertEquals(encodeHex(header) + golden.body, encodeHex(bytes));
  });

  Deno.test(`golden ${title}: split anywhere, and byte by byte`, async () => {
    for (let split = 1; split < bytes.length; split++) {
      const reader = new ByteReader(play(bytes, [split, bytes.length]));
      assertGolden(await readFrame(reader), golden);
      assertEquals(await readFrame(reader), null);
    }
    const reader = new ByteReader(play(bytes, [1]));
    assertGolden(await readFrame(reader), golden);
    assertEquals(await readFrame(reader), null);
  });

  Deno.test(`golden ${title}: cut anywhere`, async () => {
    assertEquals(await readFrame(new ByteReader(play(bytes.subarray(0, 0)))), null);
    for (let end = 1; end < bytes.length; end++) {
      const cut = bytes.subarray(0, end);
      assertEquals(await codeOf(readFrame(new ByteReader(play(cut)))), "connection-lost");
    }
  });
}

Deno.test("golden frames in one stream, with a buffer that grows on the way", async () => {
  const all = bytesOf(GOLDEN_FRAMES.map((golden) => golden.hex).join("\n"));
  for (const sizes of [[1], [5, 64, 3], [65536]]) {
    const reader = new ByteReader(play(all, sizes));
    for (const [i, golden] of GOLDEN_FRAMES.entries()) {
      if (i === GOLDEN_FRAMES.length >> 1) reader.bufferSize = 16384;
      assertGolden(await readFrame(reader), golden);
    }
    assertEquals(await readFrame(reader), null);
    assertEquals(await readFrame(reader), null);
  }
});

/** A PING whose header line, without LF, has `length` bytes. */
function pingOf(length: number): string {
  const empty = 'PING {"pad":""}';
  return `PING {"pad":"${"x".repeat(length - empty.length)}"}\n`;
}

Deno.test("a header of exactly the cap is read, one byte more is not", async () => {
  assertEquals(pingOf(MAX_HEADER).length, MAX_HEADER + 1);
  assertEquals(await readText(pingOf(MAX_HEADER)), {
    message: { verb: "PING" },
    body: new Uint8Array(0),
  });
  assertEquals(await codeOf(readText(pingOf(MAX_HEADER + 1))), "too-long");
  assertEquals(await codeOf(readText("x".repeat(MAX_HEADER + 1))), "too-long");
});

Deno.test("a header over the cap is not written either", () => {
  const name = "x".repeat(MAX_HEADER);
  const send = { verb: "SEND_FILE", seq: 1, transfer: TRANSFER, name, size: 1 } as const;
  const how = { pieceSize: 262144, scheme: "independent" };
  const error = assertThrows(() => encodeHeader({ ...send, ...how }), P2PError);
  assertEquals(error.code, "too-long");
  const ping = assertThrows(() => encodeHeader({ verb: "PING" }, 1), P2PError);
  assertEquals(ping.code, "too-long");
});

Deno.test("a body of exactly the cap is read in the memory it is given", async () => {
  const cases = [
    [`PIECE {"transfer":"${TRANSFER}","index":0,"body":${MAX_PIECE}}\n`, MAX_PIECE],
    [`HASHES {"transfer":"${TRANSFER}","start":0,"body":65536}\n`, 65536],
  ] as const;
  for (const [header, length] of cases) {
    const bytes = new Uint8Array(header.length + length).fill(0x0a);
    encoder.encodeInto(header, bytes);
    const asked: number[] = [];
    const memory = new Uint8Array(length + 2);
    const frame = await readFrame(new ByteReader(play(bytes)), (_message, size) => {
      asked.push(size);
      return memory.subarray(1, 1 + size);
    });
    if (frame === null || "unknown" in frame) throw new Error("not read");
    assertEquals(asked, [length]);
    assertEquals(frame.body.buffer, memory.buffer);
    assertEquals([memory[0], memory[1], memory[length], memory[length + 1]], [0, 10, 10, 0]);
  }
});

Deno.test("who gives the memory for a body knows the message that it comes with", async () => {
  for (const golden of GOLDEN_FRAMES) {
    const asked: unknown[] = [];
    const bytes = frameBytes(golden);
    const frame = await readFrame(new ByteReader(play(bytes)), (message, length) => {
      asked.push([message, length]);
      return new Uint8Array(length);
    });
    assertGolden(frame, golden);
    const length = golden.body.length / 2;
    assertEquals(asked, length === 0 ? [] : [[golden.message, length]]);
  }
});

Deno.test("a body without memory is dropped and the next frame is read", async () => {
  const piece = (index: number, body: string) =>
    `PIECE {"transfer":"${TRANSFER}","index":${index},"body":${body.length}}\n${body}`;
  const long = "PING\n".repeat(100_000);
  const stream = encoder.encode(`${piece(0, long)}${piece(1, "kept")}${piece(2, "x")}PING\n`);
  for (const sizes of [[65536], [7, 4096], [stream.length]]) {
    const source = play(stream, sizes);
    const reader = new ByteReader(source);
    const allocate: Allocate = (message, length) =>
      message.verb === "PIECE" && message.index === 1 ? new Uint8Array(length) : null;
    for (const [index, body] of ["", "kept", ""].entries()) {
      assertEquals(await readFrame(reader, allocate), {
        message: { verb: "PIECE", transfer: TRANSFER, index },
        body: encoder.encode(body),
      });
    }
    assertEquals(await readFrame(reader, allocate), {
      message: { verb: "PING" },
      body: new Uint8Array(0),
    });
    assertEquals(await readFrame(reader, allocate), null);
    // No buffer of the size of what was dropped.
    assertEquals(source.largest <= 2 * MAX_HEADER, true);
  }
});

Deno.test("a body without memory has to come all the same", async () => {
  const piece = `PIECE {"transfer":"${TRANSFER}","index":0,"body":5}\n1234`;
  assertEquals(await codeOf(readText(piece, () => null)), "connection-lost");
});

Deno.test("a body over the cap of its verb is refused before memory is taken", async () => {
  const piece = (body: number) => `PIECE {"transfer":"${TRANSFER}","index":0,"body":${body}}\n`;
  assertEquals(await codeOf(readText(piece(MAX_PIECE + 1), refuse)), "too-long");
  assertEquals(await codeOf(readText(piece(Number.MAX_SAFE_INTEGER), refuse)), "too-long");
  for (const { message } of GOLDEN_FRAMES) {
    const header = `${message.verb} {"body":${bodyCap(message.verb) + 1}}\n`;
    assertEquals(await codeOf(readText(header, refuse)), "too-long");
  }
  assertEquals(bodyCap("MESSAGE"), MAX_TEXT);
});

Deno.test("a body of a malformed message is refused before memory is taken", async () => {
  assertEquals(
    await codeOf(readText('PIECE {"transfer":"x","body":9}\n123456789', refuse)),
    "malformed",
  );
});

Deno.test("an unknown verb is dropped with its body and the next frame is read", async () => {
  const cases: [header: string, seq: number | undefined, body: string][] = [
    ["FROB", undefined, ""],
    ["FROB {}", undefined, ""],
    ['FROB {"seq":9,"body":5}', 9, "PING\n"],
    [`FROB {"body":${MAX_UNKNOWN_BODY}}`, undefined, "\n".repeat(MAX_UNKNOWN_BODY)],
    ['FROB {"seq":"9"}', undefined, ""],
    ['FROB {"seq":0}', undefined, ""],
    ['FROB {"seq":-1}', undefined, ""],
    ["__PROTO__", undefined, ""],
    ["CONSTRUCTOR", undefined, ""],
    ["ABCDEFGHIJKLMNOP", undefined, ""],
  ];
  for (const [header, seq, body] of cases) {
    const reader = new ByteReader(play(encoder.encode(`${header}\n${body}PING {"seq":3}\n`), [7]));
    assertEquals(await readFrame(reader, refuse), { unknown: header.split(" ")[0] ?? "", seq });
    assertEquals(await readFrame(reader), {
      message: { verb: "PING", seq: 3 },
      body: new Uint8Array(0),
    });
  }
});

Deno.test("the body of an unknown verb has a cap and an end", async () => {
  const header = `FROB {"body":${MAX_UNKNOWN_BODY + 1}}\n`;
  assertEquals(await codeOf(readText(header, refuse)), "too-long");
  assertEquals(await codeOf(readText('FROB {"body":5}\n1234')), "connection-lost");
});

const MALFORMED: [line: string, why: RegExp][] = [
  ["", /verb is empty/],
  [" ", /verb is empty/],
  [' {"seq":1}', /verb is empty/],
  ["ping", /A-Z and _/],
  ["PING\r", /A-Z and _/],
  ["PING\t{}", /A-Z and _/],
  ["PING{}", /A-Z and _/],
  ["\u00dcBER", /A-Z and _/],
  ["GET2", /A-Z and _/],
  ["GET / HTTP/1.1\r", /JSON/],
  ["ABCDEFGHIJKLMNOPQ", /16 characters/],
  ["\x16\x03\x01\x02\x00", /A-Z and _/],
  ["PING ", /JSON/],
  ["PING {", /JSON/],
  ["PING {}}", /JSON/],
  ["PING {} {}", /JSON/],
  ["PING {'seq':1}", /JSON/],
  ['PING {"seq":1,}', /JSON/],
  ['PING {"seq":0x1}', /JSON/],
  ['PING {"seq":NaN}', /JSON/],
  ['PING {"a":"tab\there"}', /JSON/],
  ["PING \u{feff}{}", /JSON/],
  ["PING []", /object/],
  ["PING null", /object/],
  ["PING 1", /object/],
  ['PING "seq"', /object/],
  [`PING {"a":${"[".repeat(60_000)}`, /JSON/],
  ['PING {"body":-1}', /length/],
  ['PING {"body":1.5}', /length/],
  ['PING {"body":"1"}', /length/],
  ['PING {"body":[]}', /length/],
  ['PING {"body":true}', /length/],
  ['PING {"body":9007199254740992}', /length/],
  ['PING {"body":1e400}', /length/],
];

Deno.test("malformed headers are refused and say why", async (t) => {
  for (const [line, why] of MALFORMED) {
    await t.step(JSON.stringify(line.slice(0, 40)), async () => {
      const error = await assertRejects(() => readText(`${line}\n`, refuse), P2PError);
      assertEquals(error.code, "malformed");
      assertMatch(error.message, why);
    });
  }
});

Deno.test("a header that is not UTF-8 is malformed", async () => {
  for (const bytes of ["ff", "c3", "ed a0 80", "c0 af", "f4 90 80 80"]) {
    const line = bytesOf(`50 49 4e 47 20 7b 22 61 22 3a 22 ${bytes} 22 7d 0a`);
    assertEquals(await codeOf(readFrame(new ByteReader(play(line)))), "malformed");
  }
});

Deno.test("deep nesting in a field that nobody reads does no harm", async () => {
  const deep = "[".repeat(30_000) + "]".repeat(30_000);
  const frame = await readText(`PING {"seq":1,"later":${deep}}\n`);
  assertEquals(frame, { message: { verb: "PING", seq: 1 }, body: new Uint8Array(0) });
});

Deno.test("parseHeader leaves the fields alone and keeps __proto__ an ordinary one", () => {
  const { verb, fields, bodyLength } = parseHeader(
    encoder.encode('X_Y {"a":[1],"__proto__":{"body":3}}'),
  );
  assertEquals([verb, fields["a"], bodyLength], ["X_Y", [1], 0]);
  assertEquals(Object.keys(fields), ["a", "__proto__"]);
});

Deno.test("a frame that is encoded for many is the same bytes, and reads the same", async () => {
  for (const { message, body: hex } of GOLDEN_FRAMES) {
    const body = bytesOf(hex);
    const header = encodeHeader(message, body.length);
    const { bytes } = encodeFrame(message, body);
    assertEquals(bytes, new Uint8Array([...header, ...body]));
    assertEquals(await readFrame(new ByteReader(play(bytes))), { message, body });
  }
});

Deno.test("an encoded frame becomes the answer to a request, and stays what it was", async () => {
  const list = { epoch: "wMHCw8TFxsfIycrLzM3Ozw", revision: 3, full: true, more: false };
  const message: Message = { verb: "PEER_LIST", ...list, peers: [], gone: [], barred: [] };
  const frame = encodeFrame(message);
  const before = frame.bytes.slice();
  for (const re of [1, 4711]) {
    const { bytes } = encodedReply(frame, re);
    const read = await readFrame(new ByteReader(play(bytes)));
    assertEquals(read, { message: { ...message, re } as Message, body: new Uint8Array(0) });
  }
  assertEquals(frame.bytes, before);
});

Deno.test("every verb has a golden frame", () => {
  const seen = new Set<string>(GOLDEN_FRAMES.map(({ message }) => message.verb));
  const known =
    "HELLO AUTH OK ERROR BYE PING PONG REGISTER UNREGISTER PEERS PEER_LIST BROADCAST MESSAGE CONNECT DIAL RELAY JOIN REMOVE RESTORE ROTATE SEND_FILE SEND_TREE ACK HASHES GET PIECE HAVE GIVE WITHDRAW NEIGHBOURS SWARM CANCEL REPORT SHARES SHARE_LIST SERVED EVIDENCE";
  assertEquals([...seen].sort(), known.split(" ").sort());
  assertEquals([...seen].every(isVerb), true);
});

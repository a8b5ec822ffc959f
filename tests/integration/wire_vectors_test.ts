/**
 * The frames of testdata/wire_vectors.json, which a client in any language can be held to: what the codec makes of each,
 * and what a real peer answers.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import { concat } from "@std/bytes/concat";
import { decodeHex } from "@std/encoding/hex";
import { P2PError } from "../../lib/errors.ts";
import { randomToken } from "../../lib/async/random.ts";
import { Identity } from "../../lib/identity/keys.ts";
import { ByteReader } from "../../lib/wire/byte_reader.ts";
import { encodeHeader, readFrame } from "../../lib/wire/frame.ts";
import type { Message } from "../../lib/wire/message.ts";
import { deadline } from "../helpers/deadline.ts";
import { startPeer } from "../helpers/peer.ts";
import { tempDir } from "../helpers/temp_dir.ts";
import { startTracker } from "../helpers/tracker.ts";
import { play } from "../testdata/golden_frames.ts";

interface Frame {
  frame: string;
  body?: string;
}

/** One entry: PROTOCOL.md, "Vectors". */
interface Vector extends Frame {
  name: string;
  before?: string;
  more?: Frame[];
  codec: string;
  answers: Record<string, unknown>[];
  ends: boolean;
}

const VECTORS: Vector[] = JSON.parse(
  await Deno.readTextFile(new URL("../testdata/wire_vectors.json", import.meta.url)),
);
/** The PING that shows that a session goes on. */
const AFTERWARDS = 123_456;

const bytesOf = ({ frame, body = "" }: Frame) =>
  concat([new TextEncoder().encode(frame), decodeHex(body)]);

Deno.test("vectors: the codec takes what is valid and names what is not", async () => {
  for (const vector of VECTORS) {
    const read = readFrame(new ByteReader(play(bytesOf(vector))));
    const seen = await read.then(
      (frame) => frame && ("message" in frame ? frame.message.verb : "unknown"),
      (error) => {
        assert(error instanceof P2PError, `${vector.name}: ${error}`);
        return error.code;
      },
    );
    assertEquals(seen, vector.codec, vector.name);
  }
});

Deno.test("vectors: a real peer answers each as the page says, and ends or goes on", async (t) => {
  await using dir = await tempDir();
  await using tracker = startTracker({ insecure: true });
  await using peer = await startPeer(tracker, dir);
  for (const vector of VECTORS) {
    await t.step(vector.name, async () => {
      const { answers, ends } = await deadline(converse(peer.address.port, vector), vector.name);
      assertEquals(ends, vector.ends, JSON.stringify(answers));
      assertEquals(answers.length, vector.answers.length, JSON.stringify(answers));
      vector.answers.forEach((wanted, i) => {
        const got = answers[i] as unknown as Record<string, unknown>;
        assertEquals(Object.fromEntries(Object.keys(wanted).map((key) => [key, got[key]])), wanted);
      });
    });
  }
});

/** Greets, sends the vector and a PING, and reads what comes until the PONG or the end. */
async function converse(
  port: number,
  vector: Vector,
): Promise<{ answers: Message[]; ends: boolean }> {
  using conn = await Deno.connect({ hostname: "127.0.0.1", port });
  const { id } = Identity.generate();
  const hello: Message = { verb: "HELLO", protocol: 1, role: "client", id, nonce: randomToken(32) };
  const reader = new ByteReader(conn);
  const next = async () => {
    const frame = await readFrame(reader).catch((error) => {
      assertEquals(error.code, "connection-lost", vector.name);
      return null;
    });
    return frame && "message" in frame ? frame.message : null;
  };
  await writeAll(conn, encodeHeader(hello));
  assertEquals((await next())?.verb, "HELLO");
  const answers: Message[] = [];
  if (vector.before) {
    await writeAll(conn, new TextEncoder().encode(vector.before));
    const answer = await next();
    if (answer) answers.push(answer);
  }
  const ping = encodeHeader({ verb: "PING", seq: AFTERWARDS });
  // The other side may be gone before the PING is.
  await writeAll(conn, concat([vector, ...vector.more ?? []].map(bytesOf).concat(ping))).catch(
    () => {},
  );
  while (true) {
    const message = await next();
    if (message === null) return { answers, ends: true };
    const isLast = message.verb === "PONG" && message.re === AFTERWARDS;
    const awaited = vector.answers.length;
    if (isLast && answers.length >= awaited) return { answers, ends: false };
    // Answers to an offer are decided on beside the read loop, and may overtake nothing.
    if (isLast) {
      const late = await next();
      if (late) answers.push(late);
      return { answers, ends: late === null };
    }
    answers.push(message);
  }
}

async function writeAll(conn: Deno.Conn, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length;) at += await conn.write(bytes.subarray(at));
}

import { P2PError } from "../errors.ts";
import type { ByteReader } from "./byte_reader.ts";
import { MAX_HEADER, MAX_UNKNOWN_BODY, MAX_VERB } from "./limits.ts";
import { bodyCap, decodeMessage, isVerb, type Message, messageFields } from "./message.ts";

/** A message and the raw bytes that came with it: none for most verbs, and where no memory was given for them. */
export interface Frame {
  message: Message;
  body: Uint8Array<ArrayBuffer>;
}

/** A frame whose verb this version does not know; its body has been read and dropped. */
export interface UnknownFrame {
  unknown: string;
  seq: number | undefined;
}

/** A header line taken apart, its fields not validated yet. */
export interface Header {
  verb: string;
  fields: Record<string, unknown>;
  bodyLength: number;
}

/**
 * Gives the memory that the body of a message, `length` bytes, is read into: the second bound of a body's memory, after
 * the cap of its verb (BODY_CAPS). Null has the body read and dropped, so that nobody spends memory on what will be
 * refused or is late. A throw ends the connection.
 */
export type Allocate = (message: Message, length: number) => Uint8Array<ArrayBuffer> | null;

/** The same, where memory may have to be waited for. */
export type AllocateSoon = (
  message: Message,
  length: number,
) => ReturnType<Allocate> | Promise<ReturnType<Allocate>>;

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const EMPTY: Uint8Array<ArrayBuffer> = new Uint8Array(0);
/** Memory of its own for each body. */
export function ownMemory(_message: Message, length: number): Uint8Array<ArrayBuffer> {
  return new Uint8Array(length);
}

function malformed(reason: string): P2PError {
  return new P2PError("malformed", `Cannot read a frame: ${reason}`);
}

/** The length of the verb at the start of the line: A-Z and _, at most {@linkcode MAX_VERB}, then a space or the end. */
function verbLength(line: Uint8Array): number {
  let length = 0;
  while (length < line.length && line[length] !== 0x20) {
    const c = line[length] as number;
    if (length === MAX_VERB || !((c >= 0x41 && c <= 0x5a) || c === 0x5f)) {
      throw malformed(`its verb is not 1 to ${MAX_VERB} characters of A-Z and _`);
    }
    length++;
  }
  if (length === 0) throw malformed("its verb is empty");
  return length;
}

/**
 * Takes a header line (without LF) apart.
 *
 * @throws {P2PError} `malformed` when it is not `VERB` or `VERB SP object`.
 */
export function parseHeader(line: Uint8Array): Header {
  const length = verbLength(line);
  const verb = String.fromCharCode(...line.subarray(0, length));
  if (length === line.length) return { verb, fields: {}, bodyLength: 0 };
  let value: unknown;
  try {
    value = JSON.parse(decoder.decode(line.subarray(length + 1)));
  } catch (cause) {
    throw new P2PError("malformed", `Cannot read ${verb}: its header is not JSON in UTF-8`, {
      cause,
    });
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw malformed(`the header of ${verb} is not one JSON object`);
  }
  const fields = value as Record<string, unknown>;
  const body = Object.hasOwn(fields, "body") ? fields["body"] ?? 0 : 0;
  if (!Number.isSafeInteger(body) || (body as number) < 0) {
    throw malformed(`"body" of ${verb} is not a length`);
  }
  return { verb, fields, bodyLength: body as number };
}

/**
 * The header line of a message, with its LF.
 *
 * @throws {P2PError} `too-long` when it would be over the cap, so that nobody is sent what it must refuse.
 */
export function encodeHeader(message: Message, bodyLength = 0): Uint8Array<ArrayBuffer> {
  const fields = messageFields(message);
  if (bodyLength > 0) fields["body"] = bodyLength;
  const json = JSON.stringify(fields);
  const line = encoder.encode(json === "{}" ? `${message.verb}\n` : `${message.verb} ${json}\n`);
  if (line.length > MAX_HEADER + 1 || bodyLength > bodyCap(message.verb)) {
    throw new P2PError("too-long", `Cannot send ${message.verb}: it is over the cap of its verb`);
  }
  return line;
}

/** A whole frame as bytes, to be written to many without encoding it for each. It must not be changed. */
export interface EncodedFrame {
  readonly bytes: Uint8Array<ArrayBuffer>;
}

/**
 * Header and body of a frame in one.
 *
 * @throws {P2PError} `too-long` as {@linkcode encodeHeader}.
 */
export function encodeFrame(message: Message, body = EMPTY): EncodedFrame {
  const header = encodeHeader(message, body.length);
  const bytes = new Uint8Array(header.length + body.length);
  bytes.set(header);
  bytes.set(body, header.length);
  return { bytes };
}

const OPENING = encoder.encode("{")[0] as number;

/** The same frame as the answer to request `re`. It must have fields already, and no `re`. */
export function encodedReply({ bytes }: EncodedFrame, re: number): EncodedFrame {
  const at = bytes.indexOf(OPENING) + 1;
  const field = encoder.encode(`"re":${re},`);
  const reply = new Uint8Array(bytes.length + field.length);
  reply.set(bytes.subarray(0, at));
  reply.set(field, at);
  reply.set(bytes.subarray(at), at + field.length);
  return { bytes: reply };
}

/**
 * Reads one frame, or `null` at a clean end. The memory for the body of a frame is bounded here, in two steps: the
 * length that the header states is checked against the cap of the verb before a byte is allocated; then `allocate`,
 * which sees the whole message, gives the memory or none. A body without memory is read and dropped.
 *
 * @throws {P2PError} `malformed`, `too-long` or `connection-lost`; the connection is of no use afterwards.
 */
export async function readFrame(
  reader: ByteReader,
  allocate: AllocateSoon = ownMemory,
): Promise<Frame | UnknownFrame | null> {
  const line = await reader.readLine(MAX_HEADER);
  if (line === null) return null;
  const { verb, fields, bodyLength } = parseHeader(line);
  if (!isVerb(verb)) {
    checkBody(verb, bodyLength, MAX_UNKNOWN_BODY);
    await reader.skip(bodyLength);
    const seq = fields["seq"];
    // Only a number that an ERROR frame may name in `re`.
    const usable = Number.isSafeInteger(seq) && (seq as number) >= 1;
    return { unknown: verb, seq: usable ? seq as number : undefined };
  }
  checkBody(verb, bodyLength, bodyCap(verb));
  const message = decodeMessage(verb, fields);
  if (bodyLength === 0) return { message, body: EMPTY };
  const memory = allocate(message, bodyLength);
  const body = memory instanceof Promise ? await memory : memory;
  if (body === null) {
    await reader.skip(bodyLength);
    return { message, body: EMPTY };
  }
  await reader.readExactly(body);
  return { message, body };
}

/** Holds the stated length of a body to the cap of its verb: the first bound of the memory that a frame can take. */
function checkBody(verb: string, length: number, cap: number): void {
  if (length > cap) {
    throw new P2PError(
      "too-long",
      `Cannot read ${verb}: its body of ${length} bytes is over ${cap}`,
    );
  }
}

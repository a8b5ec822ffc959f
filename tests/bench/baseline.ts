/**
 * The least that any program in Deno must do to move a file as this project does: read, SHA-256 of pieces
 * and of the file at both ends, TLS or not, write, fsync, one byte back. No protocol, no recovery. What
 * it costs is what Deno and the machine cost.
 *
 * `baseline.ts receive PORT FOLDER [--tls]` serves one file after another; `baseline.ts send PORT FILE [--tls]` sends
 * one.
 *
 * @module
 */

import { createHash } from "node:crypto";
import { join } from "@std/path";
import { certificatePem, SERVER_NAME, trustAnchorPem } from "../../lib/identity/certificate.ts";
import { Identity } from "../../lib/identity/keys.ts";

const PIECE = 1024 * 1024;
const HOST = "127.0.0.1";
/** A fixed key: nothing here is secret. */
const identity = Identity.fromSeed(new Uint8Array(32));

async function fill(
  read: (into: Uint8Array) => Promise<number | null>,
  piece: Uint8Array,
): Promise<number> {
  let filled = 0;
  while (filled < piece.length) {
    const n = await read(piece.subarray(filled));
    if (n === null) break;
    filled += n;
  }
  return filled;
}

async function writeAll(
  write: (bytes: Uint8Array) => Promise<number>,
  bytes: Uint8Array,
): Promise<void> {
  let at = 0;
  while (at < bytes.length) at += await write(bytes.subarray(at));
}

/** Moves everything, hashing pieces and the whole; reads and writes overlap. */
async function move(
  read: (into: Uint8Array) => Promise<number | null>,
  write: (bytes: Uint8Array) => Promise<number>,
): Promise<void> {
  const buffers = [new Uint8Array(PIECE), new Uint8Array(PIECE)] as const;
  const whole = createHash("sha256");
  let writing: Promise<void> = Promise.resolve();
  for (let turn = 0;; turn++) {
    const buffer = buffers[turn % 2 === 0 ? 0 : 1];
    const length = await fill(read, buffer);
    const piece = buffer.subarray(0, length);
    createHash("sha256").update(piece).digest();
    whole.update(piece);
    await writing;
    writing = writeAll(write, piece);
    if (length < PIECE) break;
  }
  await writing;
  whole.digest();
}

async function receive(port: number, folder: string, tls: boolean): Promise<void> {
  const listener = tls
    ? Deno.listenTls({
      hostname: HOST,
      port,
      cert: certificatePem({ subjectKey: identity.publicKey, issuer: identity }),
      key: identity.pkcs8Pem(),
    })
    : Deno.listen({ hostname: HOST, port });
  for (let count = 0;; count++) {
    const conn = await listener.accept();
    const path = join(folder, `baseline-${count}`);
    // A connection that only asks whether the port is open ends in an error or an empty file.
    await receiveOne(conn, path).catch(() => conn.close());
  }
}

async function receiveOne(conn: Deno.Conn, path: string): Promise<void> {
  const file = await Deno.open(path, { write: true, createNew: true });
  try {
    await move((into) => conn.read(into), (bytes) => file.write(bytes));
    await file.sync();
  } finally {
    file.close();
  }
  await conn.write(new Uint8Array(1));
  conn.close();
}

async function send(port: number, path: string, tls: boolean): Promise<void> {
  const tcp = await Deno.connect({ hostname: HOST, port });
  const conn = tls
    ? await Deno.startTls(tcp, {
      hostname: SERVER_NAME,
      caCerts: [trustAnchorPem(identity.publicKey)],
    })
    : tcp;
  const file = await Deno.open(path);
  await move((into) => file.read(into), (bytes) => conn.write(bytes));
  await conn.closeWrite();
  await conn.read(new Uint8Array(1));
  conn.close();
  file.close();
}

if (import.meta.main) {
  const [mode, port = "", path = "", flag] = Deno.args;
  if (mode === "receive") await receive(Number(port), path, flag === "--tls");
  else await send(Number(port), path, flag === "--tls");
}

/**
 * The least that any program in Deno must do to move files as this project does: read, SHA-256 at both
 * ends, TLS or not, write, sync, one byte back. No protocol, no recovery. What it costs is what Deno and the
 * machine cost.
 *
 * `baseline.ts receive PORT FOLDER [flags]` serves one after another; `baseline.ts send PORT PATH [flags]`
 * sends one file or folder. Flags: `--tls`, `--twice` (each end hashes the whole of a file beside its pieces).
 *
 * @module
 */

import { parseArgs } from "@std/cli/parse-args";
import { certificatePem, SERVER_NAME, trustAnchorPem } from "../../lib/identity/certificate.ts";
import { Identity } from "../../lib/identity/keys.ts";
import { receiveFile, sendFile } from "./baseline_file.ts";
import { receiveTree, sendTree } from "./baseline_tree.ts";

const HOST = "127.0.0.1";
/** The first byte of a connection. */
const Kind = { file: 0x66, tree: 0x74 } as const;
/** A fixed key: nothing here is secret. */
const identity = Identity.fromSeed(new Uint8Array(32));

async function receive(
  port: number,
  folder: string,
  tls: boolean,
  hashFile: boolean,
): Promise<void> {
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
    // A connection that only asks whether the port is open ends in an error.
    await receiveOne(conn, `${folder}/baseline-${count}`, hashFile).catch(() => {});
    conn.close();
  }
}

async function receiveOne(conn: Deno.Conn, path: string, hashFile: boolean): Promise<void> {
  const kind = new Uint8Array(1);
  if (await conn.read(kind) !== 1) return;
  if (kind[0] === Kind.tree) await receiveTree(conn, path);
  else await receiveFile(conn, path, hashFile);
  await conn.write(kind);
}

async function send(port: number, path: string, tls: boolean, hashFile: boolean): Promise<void> {
  const { isDirectory } = await Deno.stat(path);
  const tcp = await Deno.connect({ hostname: HOST, port });
  tcp.setNoDelay(true);
  const conn = tls
    ? await Deno.startTls(tcp, {
      hostname: SERVER_NAME,
      caCerts: [trustAnchorPem(identity.publicKey)],
    })
    : tcp;
  const kind = Uint8Array.of(isDirectory ? Kind.tree : Kind.file);
  await conn.write(kind);
  if (isDirectory) await sendTree(conn, path);
  else await sendFile(conn, path, hashFile);
  await conn.closeWrite();
  if (await conn.read(kind) !== 1) throw new Error("the receiver failed");
  conn.close();
}

if (import.meta.main) {
  const { _: [mode, port, path], ...flags } = parseArgs(Deno.args, { boolean: ["tls", "twice"] });
  const [tls, twice] = [flags["tls"] === true, flags["twice"] === true];
  if (mode === "receive") await receive(Number(port), String(path), tls, twice);
  else await send(Number(port), String(path), tls, twice);
}

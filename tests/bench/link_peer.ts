/**
 * One of the two processes of `links.ts`: a peer that receives, and beside it a one-shot client, whose
 * sessions are never shared. Reads one JSON object a line (see {@linkcode Order}) and answers each with one.
 *
 * @module
 */
// deno-lint-ignore-file no-console

import { TextLineStream } from "@std/streams/text-line-stream";
import { Identity } from "../../lib/identity/keys.ts";
import { Peer } from "../../lib/peer/peer.ts";

/** What the process is started with, as JSON. */
export interface LinkPeerSetup {
  name: string;
  folder: string;
  tracker: { host: string; port: number };
  /** Null with `--insecure`; the secret as bytes in an array. */
  membership: { id: string; secret: number[] } | null;
  /** Bytes per second that whoever reads what is received takes; null: files go to the disk. */
  reader: number | null;
}

/** One thing to do; `shared` sends on the link that the peer has with the other one. */
export interface Order {
  path: string;
  to: string;
  shared: boolean;
}

if (import.meta.main) {
  const setup: LinkPeerSetup = JSON.parse(Deno.args[0] ?? "");
  const { name, folder, tracker, reader } = setup;
  const membership = setup.membership &&
    { id: setup.membership.id, secret: new Uint8Array(setup.membership.secret) };
  const common = { membership, tracker, folder: `${folder}/state`, keepSessions: 60_000 };
  const peer = new Peer({
    ...common,
    identity: Identity.generate(),
    role: "peer",
    name,
    received: `${folder}/received`,
    streamTo: reader === null ? undefined : paced(reader),
    emit: (event) => {
      if (event.event === "transfer-started") console.log(JSON.stringify({ started: event.name }));
    },
  });
  const client = new Peer({
    ...common,
    identity: Identity.generate(),
    role: "client",
    name: `${name}-client`,
    received: "",
  });
  await peer.start();
  await client.join();
  console.log(JSON.stringify({ ready: peer.id }));
  const lines = Deno.stdin.readable.pipeThrough(new TextDecoderStream())
    .pipeThrough(new TextLineStream());
  for await (const line of lines) {
    const { path, to, shared }: Order = JSON.parse(line);
    await client.updatePeersList();
    // The next order may come before this one is done.
    void (shared ? peer : client).sendFile(path, [to]).then(({ failures, seconds }) =>
      console.log(JSON.stringify({ done: path, seconds, failures: failures.map(String) }))
    );
  }
  await client[Symbol.asyncDispose]();
  await peer[Symbol.asyncDispose]();
}

/** A reader that takes so many bytes per second. */
function paced(rate: number): (bytes: Uint8Array) => Promise<void> {
  const start = performance.now();
  let taken = 0;
  return async (bytes) => {
    taken += bytes.length;
    const early = start + taken / rate * 1000 - performance.now();
    if (early > 0) await new Promise((resolve) => setTimeout(resolve, early));
  };
}

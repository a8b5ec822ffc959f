/** Somebody in the middle who holds a certificate that the environment has Deno trust, and passes all frames on. */

import { assertEquals } from "@std/assert";
import { fromFileUrl } from "@std/path";
import { certificatePem, SERVER_NAME, trustAnchorPem } from "../../lib/identity/certificate.ts";
import { formatInvite } from "../../lib/identity/invite.ts";
import { Identity } from "../../lib/identity/keys.ts";
import type { Address } from "../../lib/address.ts";
import { deadline } from "../helpers/deadline.ts";
import { permitted } from "../helpers/permissions.ts";
import { newMembership, startServer } from "../helpers/server.ts";
import { type TempDir, tempDir } from "../helpers/temp_dir.ts";
import { startTracker } from "../helpers/tracker.ts";

const NEEDS: Deno.PermissionName[] = ["net", "read", "write", "run", "env", "sys"];
const DIAL_ONCE = fromFileUrl(new URL("../helpers/dial_once.ts", import.meta.url));
const CONFIG = fromFileUrl(new URL("../../deno.json", import.meta.url));

/** Ends TLS with a certificate of its own, and speaks TLS with whoever is meant. */
class Middle implements AsyncDisposable {
  readonly address: Address;
  /** How often a dialler took it for the one it dialled. */
  believed = 0;
  readonly #listener: Deno.TlsListener;
  readonly #running: Promise<void>;

  constructor(own: Identity, { to, pin }: { to: Address; pin: Uint8Array }) {
    this.#listener = Deno.listenTls({
      hostname: "127.0.0.1",
      port: 0,
      cert: certificatePem({ subjectKey: own.publicKey, issuer: own }),
      key: own.pkcs8Pem(),
    });
    const { hostname: host, port } = this.#listener.addr as Deno.NetAddr;
    this.address = { host, port };
    this.#running = this.#run(to, pin);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#listener.close();
    await this.#running;
  }

  async #run({ host, port }: Address, pin: Uint8Array): Promise<void> {
    const relays: Promise<void>[] = [];
    while (true) {
      const near = await this.#listener.accept().catch(() => null);
      if (near === null) break;
      relays.push((async () => {
        try {
          await near.handshake();
        } catch {
          near.close();
          return;
        }
        const tcp = await Deno.connect({ hostname: host, port });
        const caCerts = [trustAnchorPem(pin)];
        const far = await Deno.startTls(tcp, { hostname: SERVER_NAME, caCerts });
        const onward = near.readable.pipeThrough(this.#counted()).pipeTo(far.writable);
        await Promise.allSettled([onward, far.readable.pipeTo(near.writable)]);
      })());
    }
    await Promise.all(relays);
  }

  #counted(): TransformStream<Uint8Array<ArrayBuffer>, Uint8Array<ArrayBuffer>> {
    return new TransformStream({
      transform: (chunk, controller) => {
        this.believed++;
        controller.enqueue(chunk);
      },
    });
  }
}

async function dialIn(env: Record<string, string>, args: string[]): Promise<string> {
  const command = new Deno.Command(Deno.execPath(), {
    args: ["run", "--allow-all", "--quiet", "--config", CONFIG, DIAL_ONCE, ...args],
    // Tests that run beside this one share its environment, in which a connection that they open changes that.
    env: { DENO_TLS_CA_STORE: "mozilla", ...env },
    stderr: "inherit",
  });
  const { stdout } = await deadline(command.output(), "the dialler");
  return new TextDecoder().decode(stdout).trim();
}

/** The environments that have Deno trust the certificate. */
async function environments(dir: TempDir, own: Identity): Promise<Record<string, string>[]> {
  const path = dir.at("authority.pem");
  await Deno.writeTextFile(path, certificatePem({ subjectKey: own.publicKey, issuer: own }));
  return [
    { DENO_CERT: path },
    { NODE_EXTRA_CA_CERTS: path },
    { DENO_TLS_CA_STORE: "system", SSL_CERT_FILE: path },
  ];
}

permitted("a peer's pin holds whatever authorities the environment trusts", NEEDS, async () => {
  await using dir = await tempDir();
  const membership = newMembership();
  await using server = startServer(membership);
  const mallory = Identity.generate();
  const { identity: { publicKey: pin, id }, address: to } = server;
  await using middle = new Middle(mallory, { to, pin });
  const { id: network, secret } = membership;
  const invite = (at: Address) => formatInvite({ ...at, network, secret });
  for (const env of await environments(dir, mallory)) {
    for (const first of ["", "read"]) {
      const how = `${Object.keys(env)} ${first}`;
      const through = await dialIn(env, [invite(middle.address), id, first]);
      assertEquals([through, middle.believed], ["wrong-key", 0], how);
      assertEquals(await dialIn(env, [invite(to), id, first]), "pong", how);
    }
  }
  assertEquals(await dialIn({}, [invite(middle.address), id]), "wrong-key");
});

permitted("a network's pin holds whatever authorities the environment trusts", NEEDS, async () => {
  await using dir = await tempDir();
  await using tracker = startTracker();
  const { membership, address: to } = tracker;
  if (!membership || !tracker.network) throw new TypeError("the tracker is not secure");
  const { id: network, secret } = membership;
  const mallory = Identity.generate();
  const pin = tracker.network.key.publicKey;
  await using middle = new Middle(mallory, { to, pin });
  const invite = (at: Address) => formatInvite({ ...at, network, secret });
  const [env = {}] = await environments(dir, mallory);
  for (const first of ["", "read"]) {
    const through = await dialIn(env, [invite(middle.address), "", first]);
    assertEquals([through, middle.believed], ["wrong-key", 0]);
    assertEquals(await dialIn(env, [invite(to), "", first]), "pong");
  }
});

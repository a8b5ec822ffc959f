import { assertEquals } from "@std/assert";
import { Identity } from "../../../lib/identity/keys.ts";
import { certificatePem } from "../../../lib/identity/certificate.ts";
import { Connection } from "../../../lib/net/connection.ts";
import { ASKING_ONLY, openSession, probe } from "../../../lib/net/open_session.ts";
import { Server } from "../../../lib/net/server.ts";
import { listen } from "../../../lib/net/listen.ts";
import { dial } from "../../../lib/net/transport.ts";
import { TlsDoor } from "../../../lib/net/tls_door.ts";
import type { Frame } from "../../../lib/wire/frame.ts";
import type { P2PError } from "../../../lib/errors.ts";
import { assertSameBytes } from "../../helpers/bytes.ts";
import { deadline } from "../../helpers/deadline.ts";
import { descriptors } from "../../helpers/invariants.ts";
import { rejectsWith } from "../../helpers/errors.ts";
import { EventLog } from "../../helpers/event_log.ts";
import { NO_LINUX, permitted } from "../../helpers/permissions.ts";
import { bytesOf } from "../../helpers/random.ts";
import { newMembership } from "../../helpers/server.ts";

const identity = Identity.generate();
const HERE = { host: "127.0.0.1", port: 0 };
const TLS = {
  cert: certificatePem({ subjectKey: identity.publicKey, issuer: identity }),
  key: identity.pkcs8Pem(),
};

/** Sockets are counted alone. */
const NO_FOLDER = "/nowhere";

/** A guarded listener, and a way to dial it. */
async function guarded() {
  const door = new TlsDoor(HERE, TLS);
  await door.guard();
  const call = () =>
    dial({ host: HERE.host, port: door.addr.port, pin: identity.publicKey, timeout: 30_000 });
  return { door, call };
}

permitted("what is sent to a guarded listener arrives, and what it sends", ["net"], async () => {
  const { door, call } = await guarded();
  using _ = door;
  const [near, far] = await Promise.all([call(), door.accept()]);
  const [here, there] = [new Connection(near), new Connection(far)];
  const body = bytesOf(1024 * 1024);
  const index = 0;
  const message = { verb: "PIECE", transfer: "A".repeat(22), index } as const;
  for (const [from, to] of [[here, there], [there, here]] as const) {
    const [frame] = await deadline(
      Promise.all([to.read(), from.write(message, body), from.write({ verb: "PING" })]),
      "a piece",
    );
    assertSameBytes((frame as Frame).body, body);
    assertEquals((await to.read() as Frame).message.verb, "PING");
  }
  await here.end();
  assertEquals(await deadline(there.read(), "the end"), null);
  there.close();
});

permitted(
  "a session from before goes on, and the next one comes by the same port",
  ["net"],
  async () => {
    const membership = newMembership();
    const door = listen(HERE, TLS);
    const credentials = { identity, role: "peer", membership } as const;
    const refused = new EventLog<P2PError>();
    const server = new Server(door, {
      credentials: () => credentials,
      onSession: (session) => session.run(ASKING_ONLY),
      onRefused: refused.add,
    });
    const target = { address: server.address, id: identity.id, credentials };
    const early = await openSession(target);
    const running = early.run(ASKING_ONLY);
    await (door as TlsDoor).guard();
    await early.request({ verb: "PING" });
    await probe(target);
    // The other mistakes that callers make are told apart as before.
    const other = Identity.generate();
    await rejectsWith("wrong-key", () => probe({ ...target, id: other.id }));
    await rejectsWith(
      "wrong-network",
      () => probe({ ...target, credentials: { ...credentials, membership: newMembership() } }),
    );
    using plain = await Deno.connect({ hostname: HERE.host, port: server.address.port });
    await plain.write(new TextEncoder().encode("PING\n"));
    await refused.until(({ code }) => code === "insecure-mismatch");
    await early.close();
    await running;
    await server.close();
  },
);

permitted("who is closed by a guarded listener is gone at once", ["net", "run"], async () => {
  const { door, call } = await guarded();
  using _ = door;
  const open = () => descriptors(NO_FOLDER, [door.addr.port]);
  const before = await open();
  const callers: Deno.Conn[] = [];
  for (let i = 0; i < 20; i++) {
    const [caller, conn] = await Promise.all([
      Deno.connect({ hostname: HERE.host, port: door.addr.port }),
      door.accept(),
    ]);
    callers.push(caller);
    // Some in the middle of a hello.
    if (i % 2) await caller.write(Uint8Array.of(0x16, 3, 1, 2, 0, 1));
    conn.close();
  }
  // And one that leaves unread what it is sent.
  const [caller, stuck] = await Promise.all([call(), door.accept()]);
  callers.push(caller);
  const writing = (async () => {
    while (true) await stuck.write(new Uint8Array(1024 * 1024));
  })();
  stuck.close();
  await writing.catch(() => {});
  await deadline(
    (async () => {
      while (await open() > before + callers.length) {
        await new Promise((resolve) => setTimeout(resolve, 5));
      }
    })(),
    "descriptors that are given back",
  );
  for (const conn of callers) conn.close();
}, { ignore: NO_LINUX });

import { assertEquals, assertStringIncludes } from "@std/assert";
import { P2PError } from "../../../lib/errors.ts";
import { certificatePem } from "../../../lib/identity/certificate.ts";
import { Identity } from "../../../lib/identity/keys.ts";
import { mayTrustOthers } from "../../../lib/net/authorities.ts";
import { openSession } from "../../../lib/net/open_session.ts";
import { listen } from "../../../lib/net/listen.ts";
import { dial } from "../../../lib/net/transport.ts";
import { deadline } from "../../helpers/deadline.ts";
import { rejectsWith, throwsWith } from "../../helpers/errors.ts";
import { FakeClock } from "../../helpers/fake_clock.ts";
import { permitted } from "../../helpers/permissions.ts";
import { runWithOwnAuthorities } from "../../helpers/own_authorities.ts";
import { newMembership, startServer } from "../../helpers/server.ts";

const identity = Identity.generate();
const timeout = 60_000;
const HERE = { host: "127.0.0.1", port: 0 };

function portOf(listener: { addr: Deno.Addr }): number {
  return (listener.addr as Deno.NetAddr).port;
}

function tlsOf(subject: Identity) {
  return {
    cert: certificatePem({ subjectKey: subject.publicKey, issuer: subject }),
    key: subject.pkcs8Pem(),
  };
}

permitted("a port in use and a foreign address are told apart", ["net"], () => {
  using taken = listen(HERE, null);
  throwsWith("address-in-use", () => listen({ ...HERE, port: portOf(taken) }, null));
  throwsWith("address-in-use", () => listen({ ...HERE, port: portOf(taken) }, tlsOf(identity)));
  throwsWith("address-unavailable", () => listen({ host: "192.0.2.1", port: 0 }, null));
});

permitted("a closed port is refused", ["net"], async () => {
  const listener = listen(HERE, null);
  const port = portOf(listener);
  listener.close();
  for (const pin of [null, identity.publicKey]) {
    const error = await rejectsWith(
      "peer-unreachable",
      () => dial({ host: "127.0.0.1", port, pin, timeout }),
    );
    assertStringIncludes(error.message, "refused");
  }
});

permitted("a listener with another key is not trusted", ["net"], async () => {
  using listener = listen(HERE, tlsOf(Identity.generate()));
  const accepting = listener.accept();
  const error = await rejectsWith(
    "wrong-key",
    () => dial({ host: "127.0.0.1", port: portOf(listener), pin: identity.publicKey, timeout }),
  );
  assertStringIncludes(error.message, `127.0.0.1:${portOf(listener)}`);
  (await accepting).close();
});

permitted("the pinned key connects", ["net"], async () => {
  using listener = listen(HERE, tlsOf(identity));
  const accepting = listener.accept().then(async (conn) => {
    await (conn as Deno.TlsConn).handshake();
    return conn;
  });
  using _dialled = await dial({
    host: "127.0.0.1",
    port: portOf(listener),
    pin: identity.publicKey,
    timeout,
  });
  (await accepting).close();
});

permitted("a TLS dialler recognises a listener without TLS", ["net"], async () => {
  await using plain = startServer(null);
  const error = await rejectsWith(
    "insecure-mismatch",
    () => dial({ ...plain.address, pin: identity.publicKey, timeout }),
  );
  assertStringIncludes(error.message, "--insecure");
  const refused = await plain.refused.until(({ code }) => code === "insecure-mismatch");
  assertStringIncludes(refused.message, "--insecure");
});

permitted("a dialler without TLS recognises a listener with it", ["net"], async () => {
  await using secure = startServer(newMembership());
  const credentials = { identity, role: "peer", membership: null } as const;
  const error = await rejectsWith(
    "insecure-mismatch",
    () => openSession({ address: secure.address, credentials, id: secure.identity.id }),
  );
  assertStringIncludes(error.message, "--insecure");
  await secure.refused.until(({ code }) => code === "insecure-mismatch");
});

permitted("a listener that never answers the TLS handshake times out", ["net"], async () => {
  const clock = new FakeClock();
  using listener = listen(HERE, null);
  const accepting = listener.accept();
  const dialling = rejectsWith("timeout", () =>
    dial({
      host: "127.0.0.1",
      port: portOf(listener),
      pin: identity.publicKey,
      timeout: 10_000,
      clock,
    }));
  using _silent = await accepting;
  await clock.timer((ms) => ms === 10_000);
  clock.advance(10_000);
  await dialling;
  assertEquals(clock.pending, []);
});

permitted("dialling can be taken back", ["net"], async () => {
  using listener = listen(HERE, null);
  const accepting = listener.accept();
  const stop = new AbortController();
  const where = { host: "127.0.0.1", port: portOf(listener) };
  const dialling = dial({ ...where, pin: identity.publicKey, timeout, signal: stop.signal });
  const rejected = dialling.then(() => "connected", (error) => error.message);
  using _silent = await accepting;
  stop.abort(new P2PError("interrupted", "changed my mind"));
  assertStringIncludes(await rejected, "changed my mind");
});

const HANGING = "dials that hang in the middle of TLS are few, and free again when it ends";

permitted(
  HANGING,
  ["net", "run", "env", "read"],
  async () => {
    // With node:tls a dial that is given up leaves nothing behind, and none is counted.
    if (mayTrustOthers()) return await runWithOwnAuthorities(import.meta.url, HANGING);
    const listener = listen(HERE, null);
    const where = { host: HERE.host, port: portOf(listener), pin: identity.publicKey };
    const silent: Deno.Conn[] = [];
    /** Dials somebody who reads the hello and says nothing. */
    const hang = async () => {
      const clock = new FakeClock();
      const dialling = rejectsWith("timeout", () => dial({ ...where, timeout: 10_000, clock }));
      const conn = await listener.accept();
      silent.push(conn);
      await conn.read(new Uint8Array(1));
      clock.advance(10_000);
      await dialling;
    };
    for (let i = 0; i < 8; i++) await hang();
    const { message } = await rejectsWith("peer-unreachable", () => dial({ ...where, timeout }));
    assertStringIncludes(message, "hang in the middle of TLS");
    for (const conn of silent.splice(0)) conn.close();
    listener.close();
    // Those that have gone are heard of some turns of the event loop later.
    const isFree = async () => {
      const error = await rejectsWith("peer-unreachable", () => dial({ ...where, timeout }));
      return error.message.includes("refused");
    };
    await deadline(
      (async () => {
        while (!await isFree()) await new Promise((resolve) => setTimeout(resolve, 5));
      })(),
      "room for another dial",
    );
  },
);

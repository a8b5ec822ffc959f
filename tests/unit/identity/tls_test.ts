/** The certificates against the TLS of Deno itself, over loopback. */

import { assertEquals, assertRejects } from "@std/assert";
import { certificatePem, SERVER_NAME, trustAnchorPem } from "../../../lib/identity/certificate.ts";
import { Identity } from "../../../lib/identity/keys.ts";
import { permitted } from "../../helpers/permissions.ts";

const peer = Identity.fromSeed(new Uint8Array(32).fill(1));
const other = Identity.fromSeed(new Uint8Array(32).fill(2));
const network = Identity.fromSeed(new Uint8Array(32).fill(3));

const BAD_SIGNATURE = "invalid peer certificate: BadSignature";
const UNKNOWN_ISSUER = "invalid peer certificate: UnknownIssuer";

interface Attempt {
  /** Who listens. */
  subject: Identity;
  /** Who signed its certificate. */
  issuer: Identity;
  /** The keys that the dialler has anchors for. */
  pinned: Identity[];
}

/** One byte there and back; rejects with what the dialler is told. */
async function connect({ subject, issuer, pinned }: Attempt): Promise<number> {
  using listener = Deno.listenTls({
    hostname: "127.0.0.1",
    port: 0,
    cert: certificatePem({ subjectKey: subject.publicKey, issuer }),
    key: subject.pkcs8Pem(),
  });
  const echo = (async () => {
    using conn = await listener.accept();
    const byte = new Uint8Array(1);
    await conn.read(byte);
    await conn.write(byte);
  })();
  const tcp = await Deno.connect({ hostname: "127.0.0.1", port: listener.addr.port });
  try {
    using conn = await Deno.startTls(tcp, {
      hostname: SERVER_NAME,
      caCerts: pinned.map(({ publicKey }) => trustAnchorPem(publicKey)),
    });
    await conn.handshake();
    await conn.write(Uint8Array.of(42));
    const byte = new Uint8Array(1);
    await conn.read(byte);
    return byte[0] as number;
  } finally {
    await echo.catch(() => {}); // it is told an alert; the dialler's error is the one that counts
  }
}

async function assertRefused(attempt: Attempt, message: string): Promise<void> {
  await assertRejects(() => connect(attempt), Deno.errors.InvalidData, message);
}

permitted("TLS connects to the pinned key", ["net"], async () => {
  assertEquals(await connect({ subject: peer, issuer: peer, pinned: [peer] }), 42);
  assertEquals(await connect({ subject: peer, issuer: peer, pinned: [other, peer] }), 42);
});

permitted("TLS refuses another key", ["net"], async () => {
  await assertRefused({ subject: other, issuer: other, pinned: [peer] }, BAD_SIGNATURE);
});

permitted("TLS refuses every key without an anchor", ["net"], async () => {
  await assertRefused({ subject: peer, issuer: peer, pinned: [] }, UNKNOWN_ISSUER);
});

permitted("TLS accepts a tracker under its network's anchor only", ["net"], async () => {
  const tracker = { subject: peer, issuer: network };
  assertEquals(await connect({ ...tracker, pinned: [network] }), 42);
  await assertRefused({ ...tracker, pinned: [other] }, BAD_SIGNATURE);
  await assertRefused({ ...tracker, pinned: [peer] }, BAD_SIGNATURE);
});

permitted("TLS refuses a member that poses as a tracker", ["net"], async () => {
  await assertRefused({ subject: peer, issuer: peer, pinned: [network] }, BAD_SIGNATURE);
  await assertRefused({ subject: peer, issuer: other, pinned: [network] }, BAD_SIGNATURE);
});

// Not a wish but a fact that callers must know: only AUTH ties the connection to the pinned id.
permitted("TLS accepts a key that the pinned key has certified", ["net"], async () => {
  assertEquals(await connect({ subject: other, issuer: peer, pinned: [peer] }), 42);
});

permitted("a certificate is of no use without its private key", ["net"], async () => {
  const cert = certificatePem({ subjectKey: peer.publicKey, issuer: peer });
  await assertRejects(
    // deno-lint-ignore require-await
    async () =>
      Deno.listenTls({ hostname: "127.0.0.1", port: 0, cert, key: other.pkcs8Pem() }).close(),
    Error,
    "KeyMismatch",
  );
});

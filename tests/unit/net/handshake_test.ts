/** HELLO and AUTH over real TLS, against sides that do not play by the rules. */

import { assertEquals } from "@std/assert";
import { certificatePem } from "../../../lib/identity/certificate.ts";
import { P2PError } from "../../../lib/errors.ts";
import { prove, transcript } from "../../../lib/identity/handshake.ts";
import { Identity, randomToken } from "../../../lib/identity/keys.ts";
import type { Membership } from "../../../lib/identity/network.ts";
import { Connection } from "../../../lib/net/connection.ts";
import { greetAsListener } from "../../../lib/net/handshake.ts";
import { openSession, probe } from "../../../lib/net/open_session.ts";
import { dial, listen } from "../../../lib/net/transport.ts";
import type { Frame } from "../../../lib/wire/frame.ts";
import { PROTOCOL_VERSION } from "../../../lib/wire/limits.ts";
import type { Message, MessageOf } from "../../../lib/wire/message.ts";
import { rejectsWith } from "../../helpers/errors.ts";
import { permitted } from "../../helpers/permissions.ts";
import { newMembership, startServer, type TestServer } from "../../helpers/server.ts";

const identity = Identity.generate();

function credentials(membership: Membership | null, role: "peer" | "client" = "peer") {
  return { identity, role, membership };
}

function open(server: TestServer, membership: Membership | null, id = server.identity.id) {
  return probe({ address: server.address, credentials: credentials(membership), id });
}

/** The dialling side by hand, inside TLS. */
class Script implements Disposable {
  readonly connection: Connection;
  readonly server: TestServer;
  readonly membership: Membership;

  private constructor(connection: Connection, server: TestServer, membership: Membership) {
    this.connection = connection;
    this.server = server;
    this.membership = membership;
  }

  static async dial(server: TestServer, membership: Membership): Promise<Script> {
    const pin = server.identity.publicKey;
    const conn = await dial({ ...server.address, pin, timeout: 30_000 });
    return new Script(new Connection(conn), server, membership);
  }

  hello(changes: Partial<MessageOf<"HELLO">> = {}): MessageOf<"HELLO"> {
    return {
      verb: "HELLO",
      protocol: PROTOCOL_VERSION,
      role: "peer",
      id: identity.id,
      nonce: randomToken(32),
      network: this.membership.id,
      ...changes,
    };
  }

  async read(): Promise<Message> {
    const frame = await this.connection.read();
    if (frame === null) throw new P2PError("connection-lost", "ended");
    return (frame as Frame).message;
  }

  /** Says HELLO, and resolves with the listener's HELLO and AUTH. */
  async greet(mine: MessageOf<"HELLO">): Promise<[MessageOf<"HELLO">, MessageOf<"AUTH">]> {
    await this.connection.write(mine);
    return [await this.read(), await this.read()] as [MessageOf<"HELLO">, MessageOf<"AUTH">];
  }

  /** The proof that the rules ask for. */
  auth(
    mine: MessageOf<"HELLO">,
    theirs: MessageOf<"HELLO">,
    { secret = this.membership.secret, key = identity } = {},
  ): MessageOf<"AUTH"> {
    const proof = prove(
      transcript({
        version: PROTOCOL_VERSION,
        role: "dialler",
        network: this.membership.id,
        diallerNonce: mine.nonce,
        listenerNonce: theirs.nonce,
        diallerId: mine.id,
        listenerId: theirs.id,
      }),
      secret,
      key,
    );
    return { verb: "AUTH", ...proof };
  }

  /** The code of the ERROR that has to come, before the end. */
  async refusal(): Promise<string> {
    const message = await this.read();
    assertEquals(await this.connection.read(), null);
    return message.verb === "ERROR" ? message.code : message.verb;
  }

  [Symbol.dispose](): void {
    this.connection.close();
  }
}

permitted("two members of a network greet each other", ["net"], async () => {
  const membership = newMembership();
  const admitted: string[] = [];
  await using server = startServer(membership, {
    admit: ({ id, role }) => void admitted.push(`${id} ${role}`),
  });
  await open(server, membership);
  assertEquals(admitted, [`${identity.id} peer`]);
  assertEquals(server.refused.all, []);
});

permitted("the script's own handshake is right", ["net"], async () => {
  const membership = newMembership();
  await using server = startServer(membership);
  using script = await Script.dial(server, membership);
  const mine = script.hello();
  const [theirs] = await script.greet(mine);
  await script.connection.write(script.auth(mine, theirs));
  await script.connection.write({ verb: "PING", seq: 1 });
  assertEquals(await script.read(), { verb: "PONG", re: 1 });
});

permitted("another secret is refused by the dialler", ["net"], async () => {
  const membership = newMembership();
  await using server = startServer(membership);
  await rejectsWith(
    "wrong-secret",
    () => open(server, { ...membership, secret: new Uint8Array(16) }),
  );
});

permitted("another secret is refused by the listener", ["net"], async () => {
  const membership = newMembership();
  await using server = startServer(membership);
  using script = await Script.dial(server, membership);
  const mine = script.hello();
  const [theirs] = await script.greet(mine);
  await script.connection.write(script.auth(mine, theirs, { secret: new Uint8Array(16) }));
  assertEquals(await script.refusal(), "wrong-secret");
  await server.refused.until(({ code }) => code === "wrong-secret");
});

permitted("another network is refused", ["net"], async () => {
  const membership = newMembership();
  await using server = startServer(membership);
  const error = await rejectsWith(
    "wrong-network",
    () => open(server, { ...membership, id: newMembership().id }),
  );
  assertEquals(error.remote, true);
  await server.refused.until(({ code }) => code === "wrong-network");
});

permitted("a member that signs with another key is refused", ["net"], async () => {
  const membership = newMembership();
  await using server = startServer(membership);
  using script = await Script.dial(server, membership);
  const mine = script.hello();
  const [theirs] = await script.greet(mine);
  await script.connection.write(script.auth(mine, theirs, { key: Identity.generate() }));
  assertEquals(await script.refusal(), "wrong-key");
});

permitted("an AUTH of an earlier connection is refused (replay)", ["net"], async () => {
  const membership = newMembership();
  await using server = startServer(membership);
  using first = await Script.dial(server, membership);
  const mine = first.hello();
  const [theirs] = await first.greet(mine);
  const auth = first.auth(mine, theirs);
  await first.connection.write(auth);
  using second = await Script.dial(server, membership);
  await second.greet(mine);
  await second.connection.write(auth);
  assertEquals(await second.refusal(), "wrong-secret");
});

permitted("the listener's own AUTH is refused (reflection)", ["net"], async () => {
  const membership = newMembership();
  await using server = startServer(membership);
  using script = await Script.dial(server, membership);
  const mine = script.hello({ id: server.identity.id });
  const [, auth] = await script.greet(mine);
  await script.connection.write(auth);
  assertEquals(await script.refusal(), "wrong-secret");
});

permitted("another version parts before anything else is looked at", ["net"], async () => {
  await using server = startServer(newMembership());
  using script = await Script.dial(server, newMembership());
  const hello = { ...script.hello(), protocol: PROTOCOL_VERSION + 1 };
  await script.connection.write(hello);
  assertEquals(await script.refusal(), "version");
});

permitted("a secure listener answers nothing before HELLO", ["net"], async () => {
  const membership = newMembership();
  await using server = startServer(membership);
  for (const message of [{ verb: "PING", seq: 1 }, { verb: "BYE" }] as Message[]) {
    using script = await Script.dial(server, membership);
    await script.connection.write(message);
    assertEquals(await script.refusal(), "unexpected-verb");
  }
});

permitted("whom admit refuses is told why", ["net"], async () => {
  const membership = newMembership();
  await using server = startServer(membership, {
    admit: () => {
      throw new P2PError("barred", "Cannot join");
    },
  });
  const error = await rejectsWith("barred", () => open(server, membership));
  assertEquals(error.remote, true);
});

permitted("a listener that is certified by the pinned key is not it", ["net"], async () => {
  const membership = newMembership();
  const [pinned, other] = [Identity.generate(), Identity.generate()];
  using listener = listen({ host: "127.0.0.1", port: 0 }, {
    cert: certificatePem({ subjectKey: other.publicKey, issuer: pinned }),
    key: other.pkcs8Pem(),
  });
  const serving = listener.accept().then(async (conn) => {
    const connection = new Connection(conn);
    await greetAsListener(connection, { identity: other, role: "peer", membership }, () => {})
      .catch(() => {});
    connection.close();
  });
  const { port } = listener.addr as Deno.NetAddr;
  await rejectsWith("wrong-key", () =>
    openSession({
      address: { host: "127.0.0.1", port },
      credentials: credentials(membership),
      id: pinned.id,
    }));
  await serving;
});

permitted("without TLS an anonymous PING is answered and limits hold", ["net"], async () => {
  await using server = startServer(null, { maxSessions: 1 });
  const first = new Connection(await dial({ ...server.address, pin: null, timeout: 30_000 }));
  await first.write({ verb: "PING" });
  assertEquals((await first.read() as Frame).message, { verb: "PONG" });
  const second = new Connection(await dial({ ...server.address, pin: null, timeout: 30_000 }));
  await second.write({ verb: "PING" });
  const { message } = await second.read() as Frame;
  assertEquals(message.verb === "ERROR" && message.code, "busy");
  first.close();
  second.close();
});

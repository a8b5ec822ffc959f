/** HELLO and AUTH over real TLS, against sides that do not play by the rules. */

import { assertEquals } from "@std/assert";
import { certificatePem } from "../../../lib/identity/certificate.ts";
import { P2PError } from "../../../lib/errors.ts";
import { prove, transcript } from "../../../lib/identity/proof.ts";
import { randomToken } from "../../../lib/async/random.ts";
import { Identity } from "../../../lib/identity/keys.ts";
import type { Membership } from "../../../lib/identity/network.ts";
import { Connection } from "../../../lib/net/connection.ts";
import { greetAsDialler, greetAsListener } from "../../../lib/net/handshake.ts";
import { ASKING_ONLY, openSession, probe } from "../../../lib/net/open_session.ts";
import { listen } from "../../../lib/net/listen.ts";
import { dial } from "../../../lib/net/transport.ts";
import { type Allocate, encodeHeader, type Frame } from "../../../lib/wire/frame.ts";
import { MAX_PIECE, MAX_TEXT, PROTOCOL_VERSION } from "../../../lib/wire/limits.ts";
import type { Message, MessageOf, Role } from "../../../lib/wire/message.ts";
import { deadline } from "../../helpers/deadline.ts";
import { rejectsWith } from "../../helpers/errors.ts";
import { permitted } from "../../helpers/permissions.ts";
import { socketPair } from "../../helpers/pipes.ts";
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

  constructor(connection: Connection, server: TestServer, membership: Membership) {
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
        prover: "dialler",
        diallerRole: mine.role,
        listenerRole: theirs.role,
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
    const message = await deadline(this.read(), "the listener's ERROR");
    assertEquals(await this.connection.read(), null);
    return message.verb === "ERROR" ? message.code : message.verb;
  }

  [Symbol.dispose](): void {
    this.connection.close();
  }
}

permitted("two members of a network greet each other", ["net"], async () => {
  const membership = newMembership();
  const admitted = new Set<string>();
  await using server = startServer(membership, {
    admit: ({ id, role }) => void admitted.add(`${id} ${role}`),
  });
  await open(server, membership);
  assertEquals([...admitted], [`${identity.id} peer`]);
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

permitted("a role that is not the one proven is refused by the listener", ["net"], async () => {
  const membership = newMembership();
  await using server = startServer(membership);
  for (const end of ["dialler", "listener"] as const) {
    using script = await Script.dial(server, membership);
    const mine = script.hello({ role: "client" });
    const [theirs] = await script.greet(mine);
    const auth = end === "dialler"
      ? script.auth({ ...mine, role: "peer" }, theirs)
      : script.auth(mine, { ...theirs, role: "tracker" });
    await script.connection.write(auth);
    assertEquals(await script.refusal(), "wrong-secret");
  }
});

/**
 * A listener that the network's key certified (a malicious tracker) answers with the HELLO and AUTH that a
 * peer gives for the dialler's HELLO, after `change`. Resolves with the role the dialler takes it for.
 */
async function relayed(
  change: (relay: { hello: MessageOf<"HELLO">; auth: MessageOf<"AUTH"> }) => void,
  forged: { fromDialler?: Role; remakeMac?: boolean } = {},
): Promise<string> {
  const [network, middle] = [Identity.generate(), Identity.generate()];
  const membership = { ...newMembership(), id: network.id };
  await using server = startServer(membership);
  using listener = listen({ host: "127.0.0.1", port: 0 }, {
    cert: certificatePem({ subjectKey: middle.publicKey, issuer: network }),
    key: middle.pkcs8Pem(),
  });
  const relaying = listener.accept().then(async (conn) => {
    const connection = new Connection(conn);
    using script = await Script.dial(server, membership);
    const asked = (await connection.read() as Frame).message as MessageOf<"HELLO">;
    const [hello, auth] = await script.greet({
      ...asked,
      ...(forged.fromDialler ? { role: forged.fromDialler } : {}),
    });
    const relay = { hello, auth };
    change(relay);
    if (forged.remakeMac) {
      const { mac } = prove(
        transcript({
          version: PROTOCOL_VERSION,
          prover: "listener",
          diallerRole: asked.role,
          listenerRole: relay.hello.role,
          network: membership.id,
          diallerNonce: asked.nonce,
          listenerNonce: hello.nonce,
          diallerId: asked.id,
          listenerId: hello.id,
        }),
        membership.secret,
        middle,
      );
      relay.auth = { ...auth, mac };
    }
    await connection.write(relay.hello);
    await connection.write(relay.auth);
    // Until the dialler has closed or said its AUTH.
    await connection.read().catch(() => {});
    connection.close();
  });
  try {
    const { port } = listener.addr as Deno.NetAddr;
    const session = await openSession({
      address: { host: "127.0.0.1", port },
      credentials: credentials(membership),
      id: undefined,
    });
    const running = session.run(ASKING_ONLY);
    await session.close();
    await running;
    return session.remote.role;
  } finally {
    await relaying;
  }
}

permitted("a relayed proof with a rewritten role is refused by the dialler", ["net"], async () => {
  // Unchanged it is the peer's, which whoever wanted a tracker refuses by the role.
  assertEquals(await relayed(() => {}), "peer");
  const asTracker = (relay: { hello: MessageOf<"HELLO"> }) => {
    relay.hello = { ...relay.hello, role: "tracker" };
  };
  await rejectsWith("wrong-secret", () => relayed(asTracker));
  await rejectsWith("wrong-secret", () => relayed(() => {}, { fromDialler: "client" }));
  // A member makes the HMAC itself, but not the peer's signature.
  await rejectsWith("wrong-key", () => relayed(asTracker, { remakeMac: true }));
  await rejectsWith(
    "wrong-key",
    () => relayed(() => {}, { fromDialler: "client", remakeMac: true }),
  );
});

/** Frames that may have a body, after the proofs. */
const WITH_BODY: [Message, number][] = [
  [{ verb: "PIECE", transfer: randomToken(16), index: 0 }, MAX_PIECE],
  [
    {
      verb: "MESSAGE",
      id: randomToken(16),
      from: identity.id,
      name: "anna",
      time: "2025-01-02T03:04:05.678Z",
      signature: randomToken(64),
    },
    MAX_TEXT,
  ],
];

permitted("a body before the proofs is refused before it comes", ["net"], async () => {
  const membership = newMembership();
  await using server = startServer(membership);
  for (const [message, length] of WITH_BODY) {
    for (const greeted of [false, true]) {
      const conn = await dial({
        ...server.address,
        pin: server.identity.publicKey,
        timeout: 30_000,
      });
      using script = new Script(new Connection(conn), server, membership);
      if (greeted) await script.greet(script.hello());
      // No byte of the body follows: whoever waits for one does not answer.
      await conn.write(encodeHeader(message, length));
      assertEquals(await script.refusal(), "unexpected-verb");
    }
  }
});

/** Takes down for how many bytes of body memory is given. */
class Watched extends Connection {
  readonly allocated: number[] = [];

  override read(allocate: Allocate = (_message, length) => new Uint8Array(length)) {
    return super.read((message, length) => {
      const buffer = allocate(message, length);
      if (buffer !== null) this.allocated.push(buffer.length);
      return buffer;
    });
  }
}

Deno.test("no memory is taken for a body before the proofs, by either side", async () => {
  const membership = newMembership();
  const listen = (connection: Connection) =>
    greetAsListener(connection, credentials(membership), () => {});
  const greet = (connection: Connection) => greetAsDialler(connection, credentials(membership));
  const hello: Message = {
    verb: "HELLO",
    protocol: PROTOCOL_VERSION,
    role: "peer",
    id: identity.id,
    nonce: randomToken(32),
    network: membership.id,
  };
  for (const [message, length] of WITH_BODY) {
    for (const act of [listen, greet]) {
      for (const before of [[], [hello]]) {
        const [near, far] = socketPair();
        const watched = new Watched(near);
        for (const first of before) await far.write(encodeHeader(first));
        await far.write(encodeHeader(message, length));
        await rejectsWith("unexpected-verb", () => act(watched));
        assertEquals(watched.allocated, []);
        watched.close();
        far.close();
      }
    }
  }
});

permitted("another version parts before anything else is looked at", ["net"], async () => {
  await using server = startServer(newMembership());
  for (const protocol of [0, PROTOCOL_VERSION + 1, Number.MAX_SAFE_INTEGER]) {
    using script = await Script.dial(server, newMembership());
    await script.connection.write({ ...script.hello(), protocol });
    assertEquals(await script.refusal(), "version");
  }
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

permitted(
  "who is half-way in when the secret changes, or is barred, is not let in",
  ["net"],
  async () => {
    const membership = newMembership();
    for (const change of ["wrong-secret", "barred"] as const) {
      let [secret, isBarred] = [membership.secret, false];
      const listener = Identity.generate();
      const sessions: string[] = [];
      await using server = startServer(membership, {
        credentials: () => ({
          identity: listener,
          role: "peer",
          membership: { ...membership, secret },
        }),
        admit: async () => {
          const wasBarred = isBarred;
          if (change === "barred") isBarred = true;
          // The bar comes while the first look at it is under way.
          await Promise.resolve();
          if (wasBarred) throw new P2PError("barred", "Cannot join: it was removed");
        },
        onSession: (session) => {
          sessions.push(session.remote.id);
          return session.run(ASKING_ONLY);
        },
      });
      using script = await Script.dial(server, membership);
      const mine = script.hello();
      const [theirs] = await script.greet(mine);
      if (change === "wrong-secret") secret = new Uint8Array(16);
      await script.connection.write(script.auth(mine, theirs));
      assertEquals([await script.refusal(), sessions], [change, []]);
    }
  },
);

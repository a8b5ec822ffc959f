import { assert, assertEquals } from "@std/assert";
import { P2PError } from "../../../lib/errors.ts";
import { Identity } from "../../../lib/identity/keys.ts";
import { SERVER_NAME, trustAnchorPem } from "../../../lib/identity/certificate.ts";
import { Connection } from "../../../lib/net/connection.ts";
import { greetAsDialler } from "../../../lib/net/handshake.ts";
import { Server, type ServerOptions } from "../../../lib/net/server.ts";
import { ASKING_ONLY, openSession, probe } from "../../../lib/net/open_session.ts";
import type { Session } from "../../../lib/net/session.ts";
import type { Listener } from "../../../lib/net/listen.ts";
import type { Frame } from "../../../lib/wire/frame.ts";
import { deadline } from "../../helpers/deadline.ts";
import { rejectsWith } from "../../helpers/errors.ts";
import { EventLog } from "../../helpers/event_log.ts";
import { FakeClock } from "../../helpers/fake_clock.ts";
import { permitted } from "../../helpers/permissions.ts";
import { socketPair } from "../../helpers/pipes.ts";
import { newMembership, startServer, type TestServer } from "../../helpers/server.ts";

const identity = Identity.generate();

function ping({ address, identity: { id }, membership }: TestServer): Promise<number> {
  return probe({ address, id, credentials: { identity, role: "peer", membership } });
}

function connectTo({ address: { host, port } }: TestServer): Promise<Deno.TcpConn> {
  return Deno.connect({ hostname: host, port });
}

/** Reads until the other side ends or resets. */
async function untilClosed(conn: Deno.Conn): Promise<void> {
  const buffer = new Uint8Array(1024);
  const reading = (async () => {
    while (await conn.read(buffer).catch(() => null) !== null);
  })();
  await deadline(reading, "the end of a connection");
}

/** A listener that gives out what the test says: connections and errors. */
class FakeListener {
  readonly addr: Deno.NetAddr = { transport: "tcp", hostname: "127.0.0.1", port: 1 };
  #waiting: PromiseWithResolvers<Deno.Conn>[] = [];
  #ready: (Deno.Conn | Error)[] = [];

  give(next: Deno.Conn | Error): void {
    const waiting = this.#waiting.shift();
    if (!waiting) this.#ready.push(next);
    else if (next instanceof Error) waiting.reject(next);
    else waiting.resolve(next);
  }

  accept(): Promise<Deno.Conn> {
    const next = this.#ready.shift();
    if (next instanceof Error) return Promise.reject(next);
    if (next) return Promise.resolve(next);
    const waiting = Promise.withResolvers<Deno.Conn>();
    this.#waiting.push(waiting);
    return waiting.promise;
  }

  close(): void {
    this.give(new Deno.errors.BadResource("closed"));
  }
}

/** A server without TLS on a fake listener. */
function fakeServer(clock: FakeClock, options: Partial<ServerOptions> = {}) {
  const listener = new FakeListener();
  const server = new Server(listener as unknown as Listener, {
    credentials: () => ({ identity, role: "peer", membership: null }),
    onSession: (session) => session.run(ASKING_ONLY),
    clock,
    ...options,
  });
  const call = ({ capacity, host }: { capacity?: number; host?: string } = {}): Connection => {
    const [near, far] = socketPair(capacity);
    if (host) Object.assign(far.remoteAddr, { hostname: host });
    listener.give(far);
    return new Connection(near, { clock });
  };
  return { listener, server, call };
}

async function pings(connection: Connection): Promise<void> {
  await connection.write({ verb: "PING", seq: 1 });
  assertEquals((await connection.read() as Frame).message, { verb: "PONG", re: 1 });
}

permitted("a caller that says nothing is cut off after 10 s", ["net"], async () => {
  for (const membership of [newMembership(), null]) {
    const clock = new FakeClock();
    await using server = startServer(membership, { clock });
    using silent = await connectTo(server);
    await clock.timer((ms) => ms === 10_000);
    clock.advance(9_999);
    assertEquals(server.refused.length, 0);
    clock.advance(1);
    // The socket of an unfinished TLS handshake is parked until the caller goes.
    if (membership === null) await untilClosed(silent);
    await server.refused.until(({ code }) => code === "timeout");
  }
});

permitted(
  "a caller over a slow line has as long as its TLS shows that it needs",
  ["net"],
  async () => {
    const clock = new FakeClock();
    const membership = newMembership();
    await using server = startServer(membership, { clock });
    const tcp = await connectTo(server);
    await clock.timer((ms) => ms === 10_000);
    clock.advance(6000);
    const pin = server.identity.publicKey;
    const tls = await Deno.startTls(tcp, {
      hostname: SERVER_NAME,
      caCerts: [trustAnchorPem(pin)],
    });
    await tls.handshake();
    await clock.timer((ms) => ms === 24_000);
    clock.advance(20_000);
    const connection = new Connection(tls);
    const credentials = { identity, role: "peer", membership } as const;
    const remote = await greetAsDialler(connection, credentials, {
      expectedId: server.identity.id,
    });
    assertEquals(remote.id, server.identity.id);
    connection.close();
  },
);

permitted(
  "the handshake's limit is absolute: a byte now and then does not help",
  ["net"],
  async () => {
    const clock = new FakeClock();
    await using server = startServer(null, { clock });
    using slow = await connectTo(server);
    await clock.timer((ms) => ms === 10_000);
    for (const byte of new TextEncoder().encode('HELLO {"p')) {
      await slow.write(Uint8Array.of(byte));
      clock.advance(1_000);
    }
    assertEquals(server.refused.length, 0);
    clock.advance(1_000);
    await untilClosed(slow);
    await server.refused.until(({ code }) => code === "timeout");
  },
);

permitted("a hundred stalled callers do not keep a member out", ["net"], async () => {
  await using server = startServer(newMembership(), { maxPending: 16, handshakeTimeout: 600_000 });
  const stalled = await Promise.all(Array.from({ length: 100 }, () => connectTo(server)));
  // Whoever comes in the moment in which it listens anew is refused, and comes again.
  const comeAgain = async (): Promise<number> => await ping(server).catch(comeAgain);
  await deadline(comeAgain(), "a member");
  // Those that gave way before it listened anew; some that came in that moment it never saw.
  await server.refused.until(() => server.refused.length >= 64);
  await ping(server);
  for (const conn of stalled) conn.close();
});

Deno.test("the address with most handshakes gives way first", async () => {
  const refused = new EventLog<string>();
  const { server, call } = fakeServer(new FakeClock(), {
    maxPending: 5,
    onRefused: (_error, { host }) => refused.add(host),
  });
  const calls = ["10.0.0.1", ...Array(8).fill("10.0.0.2")].map((host) => call({ host }));
  await deadline(Promise.all(calls.slice(1, 6).map((c) => c.read())), "the end of five calls");
  await refused.until(() => refused.length === 5);
  assertEquals(refused.all, Array(5).fill("10.0.0.2"));
  for (const connection of calls) connection.close();
  await server.close();
});

permitted("over the cap of sessions the next one is told that it is busy", ["net"], async () => {
  const membership = newMembership();
  await using server = startServer(membership, { maxSessionsPerAddress: 2 });
  const credentials = { identity, role: "peer", membership } as const;
  const sessions: Session[] = [];
  const runs: Promise<void>[] = [];
  for (let i = 0; i < 2; i++) {
    const session = await openSession({
      address: server.address,
      id: server.identity.id,
      credentials,
    });
    sessions.push(session);
    runs.push(session.run(ASKING_ONLY));
    await session.request({ verb: "PING" });
  }
  const error = await rejectsWith("busy", () => ping(server));
  assertEquals(error.remote, true);
  await sessions[0]?.close();
  await runs[0];
  await ping(server);
  await sessions[1]?.close();
  await runs[1];
});

Deno.test("accepting survives a lack of descriptors", async () => {
  const clock = new FakeClock();
  const reasons: string[] = [];
  const onShort = (reason: string) => void reasons.push(reason);
  const { listener, server, call } = fakeServer(clock, { onShort });
  for (let i = 0; i < 3; i++) {
    listener.give(
      Object.assign(new Error("Too many open files (os error 24)"), { code: "EMFILE" }),
    );
    await clock.timer((ms) => ms === 50);
    clock.advance(50);
  }
  assertEquals(reasons.length, 3);
  assert(reasons[0]?.includes("ulimit -n"));
  const connection = call();
  await pings(connection);
  connection.close();
  await server.close();
  assertEquals(clock.pending, []);
});

Deno.test("callers who reset before they are accepted delay nobody", async () => {
  const clock = new FakeClock();
  const { listener, server, call } = fakeServer(clock);
  for (let i = 0; i < 200; i++) {
    listener.give(
      Object.assign(new Deno.errors.NotConnected("not connected"), { code: "ENOTCONN" }),
    );
  }
  const connection = call();
  // No time passes on this clock: a pause would never end.
  await deadline(pings(connection), "an answer");
  connection.close();
  await server.close();
});

Deno.test("a session that fails does not end the server", async () => {
  const clock = new FakeClock();
  let calls = 0;
  const { server, call } = fakeServer(clock, {
    onSession: () => {
      calls++;
      return Promise.reject(new Error("a bug in a handler"));
    },
  });
  for (let i = 1; i <= 2; i++) {
    const connection = call();
    await connection.write({ verb: "PING" });
    assertEquals(await deadline(connection.read(), "the end of the session"), null);
    connection.close();
    assertEquals(calls, i);
  }
  assertEquals(server.sessions.size, 0);
  await server.close();
});

Deno.test("closing says goodbye to everybody and waits for the handlers", async () => {
  const clock = new FakeClock();
  const handlers = new EventLog<string>();
  const listener = new FakeListener();
  const gate = Promise.withResolvers<void>();
  const server = new Server(listener as unknown as Listener, {
    credentials: () => ({ identity, role: "peer", membership: null }),
    onSession: async (session) => {
      await session.run(ASKING_ONLY);
      await gate.promise;
      handlers.add("done");
    },
    clock,
  });
  const [near, far] = socketPair();
  listener.give(far);
  const connection = new Connection(near, { clock });
  await pings(connection);
  const closing = server.close();
  assertEquals((await connection.read() as Frame).message, { verb: "BYE" });
  assertEquals(await connection.read(), null);
  assertEquals(handlers.length, 0);
  gate.resolve();
  await closing;
  assertEquals(handlers.length, 1);
  connection.close();
});

Deno.test("a caller that reads nothing does not hold up closing", async () => {
  const clock = new FakeClock();
  const { server, call } = fakeServer(clock);
  const connection = call({ capacity: 10 });
  await pings(connection);
  const flood = Promise.allSettled(
    Array.from({ length: 100 }, () => connection.write({ verb: "PING", seq: 1 })),
  );
  await clock.timer((ms) => ms === 30_000);
  const closing = server.close();
  await clock.timer((ms) => ms === 5_000);
  clock.advance(5_000);
  await deadline(closing, "the server's end");
  connection.close(new P2PError("interrupted", "enough"));
  await flood;
  assert(server.sessions.size === 0);
});

permitted("closing does not wait for handshakes under way", ["net"], async () => {
  for (const membership of [newMembership(), null]) {
    await using server = startServer(membership);
    using silent = await connectTo(server);
    await silent.write(Uint8Array.of(membership ? 0x16 : 0x48));
    await deadline(server.server.close(), "the server's end");
    if (membership === null) await untilClosed(silent);
  }
});

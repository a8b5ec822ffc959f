/** Who can be dialled, and how the others are reached all the same. */

import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import type { Address } from "../../lib/address.ts";
import { systemClock } from "../../lib/async/clock.ts";
import { TrackerClient } from "../../lib/directory/tracker_client.ts";
import type { P2PError } from "../../lib/errors.ts";
import { randomToken } from "../../lib/async/random.ts";
import { Identity } from "../../lib/identity/keys.ts";
import { Connection } from "../../lib/net/connection.ts";
import { ASKING_ONLY, openSession } from "../../lib/net/open_session.ts";
import type { Session } from "../../lib/net/session.ts";
import { Dialler } from "../../lib/peer/dialler.ts";
import { MemoryRegistry } from "../../lib/tracker/registry/memory_registry.ts";
import type { MessageOf } from "../../lib/wire/message.ts";
import { closedPort } from "../helpers/closed_port.ts";
import { assertSameBytes } from "../helpers/bytes.ts";
import { epochs } from "../helpers/entries.ts";
import { deadline } from "../helpers/deadline.ts";
import { EventLog } from "../helpers/event_log.ts";
import { rejectsWith } from "../helpers/errors.ts";
import { BEHIND_PROXY, NO_PROXY } from "../helpers/faulty_proxy.ts";
import { startPeer } from "../helpers/peer.ts";
import { permitted } from "../helpers/permissions.ts";
import { bytesOf } from "../helpers/random.ts";
import { openRaw, type RawSession } from "../helpers/raw.ts";
import { newMembership, startServer } from "../helpers/server.ts";
import { tempDir } from "../helpers/temp_dir.ts";
import { startTracker, type TestTracker } from "../helpers/tracker.ts";

const NEEDS: Deno.PermissionName[] = ["net", "read", "write", "sys"];

function member(tracker: TestTracker): Promise<RawSession> {
  const { address, membership } = tracker;
  return openRaw({ address, membership, role: "peer" });
}

async function register(
  session: RawSession,
  registration: { name?: string; port: number; host?: string; addresses?: Address[] },
): Promise<MessageOf<"OK">> {
  const { message } = await session.session.request({
    verb: "REGISTER",
    name: "raw",
    ...registration,
  });
  if (message.verb !== "OK") throw new Error(`REGISTER was answered with ${message.verb}`);
  return message;
}

permitted("a peer that cannot be dialled is told which port to open", NEEDS, async () => {
  await using tracker = startTracker();
  await using session = await member(tracker);
  const port = closedPort();
  const { reachable, reason } = await register(session, { port });
  assertEquals(reachable, false);
  assertStringIncludes(reason ?? "", `open port ${port}`);
  const [entry] = await tracker.tracker.peers();
  assertEquals([entry?.reachable, entry?.host, entry?.port], [false, "127.0.0.1", port]);
});

permitted("a listener with another key does not make a peer reachable", NEEDS, async () => {
  await using dir = await tempDir();
  await using tracker = startTracker();
  await using bob = await startPeer(tracker, dir, { name: "bob" });
  await using mallory = await member(tracker);
  const { reachable, reason } = await register(mallory, { port: bob.address.port });
  assertEquals(reachable, false);
  assertMatch(reason ?? "", /does not hold the expected key/);
});

permitted("a peer is listed only under the address it comes from", NEEDS, async () => {
  await using dir = await tempDir();
  await using tracker = startTracker();
  await using bob = await startPeer(tracker, dir, { name: "bob" });
  await using mallory = await member(tracker);
  for (const host of ["192.0.2.1", "127.0.0.1", "localhost"]) {
    await rejectsWith("invalid", () => register(mallory, { port: bob.address.port, host }));
  }
  assertEquals(await tracker.names(), ["bob"]);
  assertEquals((await tracker.tracker.peers())[0]?.host, "127.0.0.1");
});

permitted(
  "a peer is listed with the addresses that it claims and others may dial",
  NEEDS,
  async () => {
    await using tracker = startTracker();
    await using session = await member(tracker);
    const port = closedPort();
    const good = [{ host: "192.0.2.1", port }, { host: "2001:db8::1", port: 7 }];
    const bad = ["127.0.0.1", "::1", "localhost", "169.254.169.254", "0.0.0.0", "example.org"];
    const claimed = [...good, ...bad.map((host) => ({ host, port }))];
    const reply = await register(session, { port, addresses: claimed });
    assertEquals([reply.host, reply.addresses], ["127.0.0.1", good]);
    assertEquals((await tracker.tracker.peers())[0]?.addresses, good);
    // On the same session other ones take their place, and the others hear of it.
    await register(session, { port, addresses: good.slice(1) });
    assertEquals((await tracker.tracker.peers())[0]?.addresses, good.slice(1));
    await register(session, { port });
    assertEquals((await tracker.tracker.peers())[0]?.addresses, undefined);
    assertEquals(tracker.events.all.filter(({ event }) => event !== "joined"), []);
  },
);

permitted(
  "a peer of a tracker on loopback listens there and names no other address",
  NEEDS,
  async () => {
    await using dir = await tempDir();
    await using tracker = startTracker();
    await using bob = await startPeer(tracker, dir, { name: "bob" });
    assertEquals(bob.address.host, "127.0.0.1");
    assertEquals((await bob.until("registered")).addresses, undefined);
  },
);

permitted(
  "where it is allowed, an advertised address counts once it is proven",
  NEEDS,
  async () => {
    await using dir = await tempDir();
    await using tracker = startTracker({ allowAdvertise: true });
    await using anna = await startPeer(tracker, dir, {
      name: "anna",
      host: BEHIND_PROXY,
      advertise: { host: BEHIND_PROXY, port: null },
    });
    await using bob = await startPeer(tracker, dir, { name: "bob" });
    assertEquals((await anna.until("registered")).host, BEHIND_PROXY);
    assertEquals((await anna.until("registered")).reachable, true);
    await bob.peer.ping("anna");
    // Somebody else's address is not: the key there is another.
    await using mallory = await member(tracker);
    const stolen = { host: BEHIND_PROXY, port: anna.address.port };
    assertEquals((await register(mallory, stolen)).reachable, false);
  },
  { ignore: NO_PROXY },
);

for (const insecure of [false, true]) {
  const how = insecure ? "without TLS" : "with TLS";
  permitted(
    `a peer that cannot be dialled is reached by dialling back, ${how}`,
    NEEDS,
    async () => {
      await using dir = await tempDir();
      await using tracker = startTracker({ insecure });
      // The tracker looks for it on 127.0.0.1.
      await using hidden = await startPeer(tracker, dir, { name: "hidden", host: BEHIND_PROXY });
      assertEquals((await hidden.until("registered")).reachable, false);
      await using anna = await startPeer(tracker, dir, { name: "anna" });
      await anna.peer.ping("hidden");
      const content = bytesOf(600_000);
      await Deno.writeFile(dir.at("file.bin"), content);
      const report = await anna.peer.sendFile(dir.at("file.bin"), ["hidden"]);
      assertEquals(report.failures, []);
      const { path, from } = await hidden.until("file-received");
      assertSameBytes(await Deno.readFile(path), content);
      assertEquals(from, "anna");
      await hidden.peer.ping("anna");
      // A one-shot command starts to listen for it.
      await using client = await startPeer(tracker, dir, { name: "me", role: "client" });
      await client.peer.ping("hidden");
    },
    { ignore: NO_PROXY },
  );
}

permitted("a peer that stops while it is dialled back holds nothing open", NEEDS, async () => {
  await using dir = await tempDir();
  await using tracker = startTracker();
  const hidden = await startPeer(tracker, dir, { name: "hidden", host: BEHIND_PROXY });
  await using anna = await startPeer(tracker, dir, { name: "anna", start: false });
  await anna.peer.start();
  const [entry] = (await anna.peer.updatePeersList()).filter(({ name }) => name === "hidden");
  assertEquals(entry?.reachable, false);
  await Deno.writeFile(dir.at("large"), new Uint8Array(64 * 1024 * 1024));
  const sending = anna.peer.sendFile(dir.at("large"), ["hidden"], { signal: stopAfterStart(anna) });
  await hidden.until("transfer-started");
  await hidden[Symbol.asyncDispose]();
  assertEquals((await sending).recipients[0]?.state, "failed");
}, { ignore: NO_PROXY });

/** Aborts when the first retry is announced. */
function stopAfterStart(
  { events }: { events: { listen(f: (e: { event: string }) => void): unknown } },
) {
  const stop = new AbortController();
  events.listen(({ event }) => {
    if (event === "transfer-retry") stop.abort(new Error("enough"));
  });
  return stop.signal;
}

permitted("a session that was dialled on request ends with its peer", NEEDS, async () => {
  await using dir = await tempDir();
  await using tracker = startTracker();
  const hidden = await startPeer(tracker, dir, { name: "hidden", host: BEHIND_PROXY });
  const dialled = new EventLog<Session>();
  await using server = startServer(tracker.membership, {
    onSession: (session) => {
      dialled.add(session);
      return session.run(ASKING_ONLY);
    },
  });
  const { address, membership } = tracker;
  await using asking = await openRaw({ address, membership, identity: server.identity });
  await asking.session.request({
    verb: "CONNECT",
    peer: hidden.identity.id,
    port: server.address.port,
    token: randomToken(16),
  });
  const session = await dialled.until(() => true);
  assertEquals(session.remote.id, hidden.identity.id);
  await hidden[Symbol.asyncDispose]();
  await deadline(session.ended, "the end of the session");
}, { ignore: NO_PROXY });

permitted("a connection that nobody has asked for is not kept open", NEEDS, async () => {
  await using dir = await tempDir();
  await using tracker = startTracker();
  await using bob = await startPeer(tracker, dir, { name: "bob" });
  const { membership } = tracker;
  const bobs = { address: bob.address, id: bob.identity.id };
  for (const { address, id } of [bobs, { address: tracker.address, id: undefined }]) {
    const session = await openSession({
      address,
      id,
      token: randomToken(16),
      credentials: { identity: Identity.generate(), role: "peer", membership },
    });
    const refused = Promise.withResolvers<P2PError | null>();
    const running = session.run({ ...ASKING_ONLY, onClosed: refused.resolve });
    const error = await deadline(refused.promise, "the end of the connection");
    assertEquals([error?.remote, error?.code], [true, "unauthorised"]);
    await running;
  }
});

permitted("an entry that leads to another key's listener is not trusted", NEEDS, async () => {
  await using dir = await tempDir();
  const registry = new MemoryRegistry(epochs());
  await using tracker = startTracker({ registry });
  await using anna = await startPeer(tracker, dir, { name: "anna" });
  await using mallory = await startPeer(tracker, dir, { name: "mallory" });
  const { id } = Identity.generate();
  registry.register({ ...mallory.address, id, name: "bob", reachable: true });
  const error = await rejectsWith("wrong-key", () => anna.peer.ping("bob"));
  assertEquals(error.exitCode, 6);
  assertStringIncludes(error.message, `127.0.0.1:${mallory.address.port}`);
  await Deno.writeTextFile(dir.at("secret.txt"), "secret");
  const { recipients, failures } = await anna.peer.sendFile(dir.at("secret.txt"), ["bob"]);
  assertEquals([recipients[0]?.state, failures[0]?.exitCode], ["failed", 6]);
  assertEquals(mallory.all("transfer-started"), []);
});

permitted(
  "a name that turns up with another key is refused until it is trusted",
  NEEDS,
  async () => {
    await using dir = await tempDir();
    const registry = new MemoryRegistry(epochs());
    await using tracker = startTracker({ registry });
    await using anna = await startPeer(tracker, dir, { name: "anna" });
    await using bob = await startPeer(tracker, dir, { name: "bob" });
    await anna.peer.ping("bob");
    // The tracker says that another peer is bob now.
    await using other = await startPeer(tracker, dir, { name: "other" });
    registry.unregister(bob.identity.id);
    registry.unregister(other.identity.id);
    registry.list = () => [];
    const listed = { ...other.address, id: other.identity.id, name: "bob", reachable: true };
    registry.changes = () => ({
      epoch: epochs(50)(),
      revision: 1,
      full: true,
      more: false,
      peers: [listed],
      gone: [],
    });
    const error = await rejectsWith("name-changed-key", () => anna.peer.ping("bob"));
    assertEquals([error.exitCode, error.candidates.length], [6, 2]);
    await Deno.writeTextFile(dir.at("secret.txt"), "secret");
    const { failures } = await anna.peer.sendFile(dir.at("secret.txt"), ["bob"]);
    assertEquals(failures.map(({ code }) => code), ["name-changed-key"]);
    assertEquals(other.all("transfer-started"), []);
    await anna.peer.trust("bob");
    await anna.peer.ping("bob");
  },
);

permitted("who asks without HELLO is told so, whoever is asked for", NEEDS, async () => {
  await using tracker = startTracker({ insecure: true });
  const conn = await Deno.connect({ hostname: tracker.address.host, port: tracker.address.port });
  const connection = new Connection(conn);
  const peer = Identity.generate().id;
  await connection.write({ verb: "CONNECT", seq: 1, peer, port: 1, token: randomToken(16) });
  const frame = await connection.read();
  assert(frame && "message" in frame && frame.message.verb === "ERROR");
  assertEquals([frame.message.re, frame.message.code], [1, "unauthorised"]);
  connection.close();
});

permitted(
  "the tracker dials no address for others that is a name or may be its own",
  NEEDS,
  async () => {
    await using tracker = startTracker({ allowAdvertise: true });
    await using session = await member(tracker);
    for (
      const host of ["localhost", "example.org", "169.254.169.254", "0.0.0.0", "127.1", "fe80::1"]
    ) {
      const error = await rejectsWith("invalid", () => register(session, { host, port: 1 }));
      assertStringIncludes(error.message, host);
    }
  },
);

permitted(
  "at an advertised address every failure is told with one text",
  NEEDS,
  async () => {
    await using tracker = startTracker({ allowAdvertise: true, dialTimeout: 200 });
    await using plain = startServer(null);
    await using other = startServer(newMembership());
    using silent = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    await using session = await member(tracker);
    const ports = [
      closedPort(),
      plain.address.port,
      other.address.port,
      (silent.addr as Deno.NetAddr).port,
    ];
    const reasons = new Set<string | undefined>();
    for (const port of ports) {
      // The source is 127.0.0.1, where reasons are told: this is another way to the same machine.
      const { reachable, reason } = await register(session, { host: "::ffff:127.0.0.1", port });
      assertEquals(reachable, false);
      reasons.add(reason?.replace(/open port .*/, ""));
    }
    assertEquals(reasons, new Set(["Cannot reach the advertised address; "]));
  },
);

permitted("a peer dials nobody for others by name, nor what is only here", NEEDS, async () => {
  await using tracker = startTracker();
  const clock = systemClock;
  const credentials = {
    identity: Identity.generate(),
    role: "peer",
    membership: tracker.membership,
  } as const;
  const client = new TrackerClient({ address: tracker.address, credentials });
  await client.connect();
  const dialler = new Dialler({
    credentials,
    tracker: client,
    listening: () => Promise.resolve({ port: 1 }),
    clock,
  });
  const asked = { id: Identity.generate().id, port: closedPort(), token: randomToken(16) };
  const serve = () => Promise.reject(new Error("nobody is to be served"));
  const causes: Record<string, string> = {};
  const texts = new Set<string>();
  for (const host of ["127.0.0.1", "localhost", "169.254.169.254", "0.0.0.0", "example.org"]) {
    const error = await rejectsWith(
      "peer-unreachable",
      () => dialler.answer({ ...asked, host }, serve),
    );
    texts.add(error.message);
    causes[host] = (error.cause as P2PError).code;
  }
  // The tracker is on loopback, so that others there can be dialled; none of the others was.
  assertEquals(causes, {
    "127.0.0.1": "peer-unreachable",
    "localhost": "invalid",
    "169.254.169.254": "invalid",
    "0.0.0.0": "invalid",
    "example.org": "invalid",
  });
  assertEquals(texts.size, 1);
  await dialler.close();
  await client.close();
});

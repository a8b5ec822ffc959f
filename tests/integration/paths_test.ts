/** Which of its addresses a peer is reached at, and what is said when it is at none. */

import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { type Address, formatAddress } from "../../lib/address.ts";
import { randomToken } from "../../lib/async/random.ts";
import { Identity } from "../../lib/identity/keys.ts";
import { ASKING_ONLY } from "../../lib/net/open_session.ts";
import type { Session } from "../../lib/net/session.ts";
import { MemoryRegistry } from "../../lib/tracker/registry/memory_registry.ts";
import { systemClock } from "../../lib/async/clock.ts";
import { DialAnswers } from "../../lib/peer/dial_answers.ts";
import { STAGGER } from "../../lib/net/race.ts";
import { TrackerClient } from "../../lib/directory/tracker_client.ts";
import { Dialler } from "../../lib/peer/dialler.ts";
import { assertSameBytes } from "../helpers/bytes.ts";
import { closedPort } from "../helpers/closed_port.ts";
import { deadline, eventually } from "../helpers/deadline.ts";
import { epochs } from "../helpers/entries.ts";
import { rejectsWith } from "../helpers/errors.ts";
import { FakeClock } from "../helpers/fake_clock.ts";
import { startPeer, type TestPeer } from "../helpers/peer.ts";
import { NO_LINUX, permitted } from "../helpers/permissions.ts";
import { bytesOf } from "../helpers/random.ts";
import { startServer } from "../helpers/server.ts";
import { type TempDir, tempDir } from "../helpers/temp_dir.ts";
import { startTracker } from "../helpers/tracker.ts";

const NEEDS: Deno.PermissionName[] = ["net", "read", "write", "sys"];
const HERE = "127.0.0.1";

/** An address that takes connections and says nothing on them, as far as TLS goes: the calls are counted. */
class Silent implements Disposable {
  calls = 0;
  readonly address: Address;
  readonly #listener: Deno.TcpListener;
  readonly #conns: Deno.Conn[] = [];

  constructor(hostname = HERE) {
    this.#listener = Deno.listen({ hostname, port: 0 });
    this.address = { host: HERE, port: this.#listener.addr.port };
    void this.#accept();
  }

  async #accept(): Promise<void> {
    try {
      for (;; this.calls++) this.#conns.push(await this.#listener.accept());
    } catch {
      // It is closed.
    }
  }

  [Symbol.dispose](): void {
    this.#listener.close();
    for (const conn of this.#conns) conn.close();
  }
}

/** Lists a peer at other addresses than its own, behind the tracker's back. */
function list(
  registry: MemoryRegistry,
  { peer, identity }: TestPeer,
  [first, ...addresses]: [Address, ...Address[]],
  reachable = true,
): void {
  registry.register({ id: identity.id, name: peer.name, ...first, addresses, reachable });
}

const refused = (): Address => ({ host: HERE, port: closedPort() });

async function timed(action: () => Promise<unknown>): Promise<number> {
  const before = performance.now();
  await action();
  return performance.now() - before;
}

async function fileIn(dir: TempDir): Promise<{ path: string; content: Uint8Array }> {
  const content = bytesOf(100_000);
  await Deno.writeFile(dir.at("file.bin"), content);
  return { path: dir.at("file.bin"), content };
}

permitted(
  "a peer is reached at whichever of its addresses leads to it, and there first the next time",
  NEEDS,
  async () => {
    await using dir = await tempDir();
    const registry = new MemoryRegistry(epochs());
    await using tracker = startTracker({ registry });
    await using anna = await startPeer(tracker, dir, { name: "anna" });
    await using bob = await startPeer(tracker, dir, { name: "bob" });
    await using mallory = await startPeer(tracker, dir, { name: "mallory" });
    using silent = new Silent();
    list(registry, bob, [silent.address, refused(), mallory.address, bob.address]);
    const ms = await timed(() => anna.peer.ping("bob"));
    assert(ms < 3_000, `${ms} ms`);
    const { via, address } = await anna.until("pong");
    assertEquals([via, address], ["direct", formatAddress(bob.address)]);
    assertEquals(silent.calls, 1);
    const { path, content } = await fileIn(dir);
    const { recipients: [recipient] } = await anna.peer.sendFile(path, ["bob"]);
    assertEquals(recipient?.state, "delivered");
    assertEquals([recipient?.via, recipient?.address], ["direct", formatAddress(bob.address)]);
    assertSameBytes(await Deno.readFile((await bob.until("file-received")).path), content);
    // Another command of the same user knows it too, and dials no other.
    const { identity } = anna;
    const setting = { name: "anna", role: "client", identity } as const;
    for (const calls of [2, 2]) {
      await using command = await startPeer(tracker, dir, setting);
      await command.peer.ping("bob");
      assertEquals(silent.calls, calls);
    }
  },
);

permitted("the descriptors of the addresses that lost are freed", [...NEEDS, "run"], async () => {
  await using dir = await tempDir();
  const registry = new MemoryRegistry(epochs());
  await using tracker = startTracker({ registry });
  await using anna = await startPeer(tracker, dir, { name: "anna" });
  await using bob = await startPeer(tracker, dir, { name: "bob" });
  // Deno itself reads /proc with all permissions only.
  const open = async () => {
    const { stdout } = await new Deno.Command("ls", { args: [`/proc/${Deno.pid}/fd`] }).output();
    return new TextDecoder().decode(stdout).trim().split("\n").length;
  };
  // The first of all pings opens what stays open.
  await anna.peer.ping("bob");
  const before = await open();
  for (let i = 0; i < 5; i++) {
    using slow = new Silent();
    list(registry, bob, [slow.address, bob.address]);
    await anna.peer.ping("bob");
  }
  await eventually(async () => await open() <= before, `${before} descriptors again`);
}, { ignore: NO_LINUX });

permitted(
  "a peer that does not answer where it is listed is asked to dial, whatever the tracker thinks",
  NEEDS,
  async () => {
    await using dir = await tempDir();
    const registry = new MemoryRegistry(epochs());
    await using tracker = startTracker({ registry });
    await using anna = await startPeer(tracker, dir, { name: "anna", keepSessions: 0 });
    await using bob = await startPeer(tracker, dir, { name: "bob" });
    using silent = new Silent();
    const { path } = await fileIn(dir);
    for (const where of [refused(), silent.address]) {
      const { length } = anna.events;
      list(registry, bob, [where]);
      const ms = await timed(() => anna.peer.ping("bob"));
      assert(ms < 3_000, `${ms} ms`);
      assertEquals((await anna.until("pong", () => true, length)).via, "dialled-back");
    }
    const { failures, recipients: [recipient] } = await anna.peer.sendFile(path, ["bob"]);
    assertEquals([failures, recipient?.via], [[], "dialled-back"]);
    await bob.until("file-received");
  },
);

permitted(
  "each address that was tried is told with what it came to, and what can be done",
  NEEDS,
  async () => {
    await using dir = await tempDir();
    const registry = new MemoryRegistry(epochs());
    await using tracker = startTracker({ registry });
    await using anna = await startPeer(tracker, dir, { name: "anna" });
    await using mallory = await startPeer(tracker, dir, { name: "mallory" });
    const { id } = Identity.generate();
    const closed = refused();
    const listed = { id, name: "bob", ...mallory.address, reachable: true };
    registry.register({ ...listed, addresses: [closed, anna.address] });
    const error = await rejectsWith("peer-unreachable", () => anna.peer.ping("bob"));
    for (
      const told of [
        `${formatAddress(mallory.address)}: another key answers`,
        `${formatAddress(closed)}: connection refused`,
        `${formatAddress(anna.address)}: this peer itself listens there`,
        "asked to dial this machine: the tracker said:",
        `open port ${mallory.address.port} there`,
      ]
    ) assertStringIncludes(error.message, told);
    assertEquals(anna.all("notice"), []);
    // Where nothing else was there to be tried, it is the key that is said.
    registry.unregister(id);
    const { id: other } = Identity.generate();
    registry.register({ ...listed, id: other, name: "eve" });
    const wrong = await rejectsWith("wrong-key", () => anna.peer.ping("eve"));
    assertStringIncludes(wrong.message, formatAddress(mallory.address));
  },
);

permitted("who is asked to dial tries all addresses that may be dialled", NEEDS, async () => {
  await using tracker = startTracker();
  const { address, membership } = tracker;
  await using server = startServer(membership);
  const credentials = { identity: Identity.generate(), role: "peer", membership } as const;
  const client = new TrackerClient({ address, credentials });
  await client.connect();
  const dialler = new Dialler({
    credentials,
    tracker: client,
    listening: () => Promise.resolve({ port: 1 }),
    clock: systemClock,
  });
  using silent = new Silent();
  const asked = { id: server.identity.id, token: randomToken(16), ...silent.address };
  const barred = { host: "0.0.0.0", port: server.address.port };
  const served: Session[] = [];
  const serve = async (session: Session) => {
    served.push(session);
    await session.close();
    await session.run(ASKING_ONLY);
  };
  await dialler.answer({ ...asked, addresses: [barred, refused(), server.address] }, serve);
  assertEquals(served.map(({ connection }) => connection.remote), [server.address]);
  assertEquals(silent.calls, 1);
  // Nothing is told of where it failed, to whoever asks.
  const addresses = [barred, refused()];
  await rejectsWith(
    "peer-unreachable",
    () => dialler.answer({ ...asked, ...refused(), addresses }, serve),
  );
  assertEquals(served.length, 1);
  await dialler.close();
  await client.close();
});

permitted(
  "who names addresses in many networks has no more dials under way than another",
  NEEDS,
  async () => {
    await using tracker = startTracker();
    const { address, membership } = tracker;
    const credentials = { identity: Identity.generate(), role: "peer", membership } as const;
    const client = new TrackerClient({ address, credentials });
    await client.connect();
    const [clock, stop] = [new FakeClock(), new AbortController()];
    const answers = new DialAnswers({ credentials, tracker: client, clock, signal: stop.signal });
    using silent = new Silent("0.0.0.0");
    const { port } = silent.address;
    const ask = (host: string, network: number) =>
      answers.answer({
        id: Identity.generate().id,
        token: randomToken(16),
        host,
        port: closedPort(),
        addresses: Array.from({ length: 8 }, (_, i) => ({ host: `127.${network}.${i}.1`, port })),
      }, () => Promise.resolve());
    const asked: Promise<unknown>[] = [];
    const askAll = async (host: string, networks: number[], calls: number) => {
      asked.push(...networks.map((network) => ask(host, network).catch(() => {})));
      await eventually(() => {
        if (clock.pending.includes(STAGGER)) clock.advance(STAGGER);
        return silent.calls === calls;
      }, () => `${calls} dials, and not ${silent.calls}`);
    };
    await askAll(HERE, [1, 2], 16);
    await deadline(ask(HERE, 3), "what is left out at once");
    assertEquals(silent.calls, 16);
    await askAll("127.0.9.1", [4], 24);
    stop.abort(new Error("over"));
    await Promise.all(asked);
    await client.close();
  },
);

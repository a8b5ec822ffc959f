/** Recipients that are dialled where they were last, while the tracker is still being asked. */

import { assert, assertEquals } from "@std/assert";
import { join } from "@std/path";
import type { Address } from "../../lib/address.ts";
import { PeerCache } from "../../lib/directory/peer_cache.ts";
import type { Identity } from "../../lib/identity/keys.ts";
import type { Membership } from "../../lib/identity/network.ts";
import type { PeerEntry } from "../../lib/wire/message.ts";
import { closedPort } from "../helpers/closed_port.ts";
import { deadline } from "../helpers/deadline.ts";
import { rejectsWith } from "../helpers/errors.ts";
import { EventLog } from "../helpers/event_log.ts";
import { startPeer, type TestPeer } from "../helpers/peer.ts";
import { permitted } from "../helpers/permissions.ts";
import { openRaw, RawSession } from "../helpers/raw.ts";
import { startServer, type TestServer } from "../helpers/server.ts";
import { type TempDir, tempDir } from "../helpers/temp_dir.ts";
import { startTracker, type TestTracker } from "../helpers/tracker.ts";

const NEEDS: Deno.PermissionName[] = ["net", "read", "write", "sys"];

/** Where a tracker is asked that does not hear it before `opens` resolves. */
class Door implements AsyncDisposable {
  readonly #listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  readonly #passing: Promise<void>;

  constructor(tracker: Address, opens: Promise<unknown>) {
    this.#passing = this.#pass(tracker, opens);
  }

  get address(): Address {
    return { host: "127.0.0.1", port: this.#listener.addr.port };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#listener.close();
    await this.#passing;
  }

  async #pass({ host, port }: Address, opens: Promise<unknown>): Promise<void> {
    for await (const outer of this.#listener) {
      await opens;
      const inner = await Deno.connect({ hostname: host, port });
      await Promise.allSettled([
        outer.readable.pipeTo(inner.writable),
        inner.readable.pipeTo(outer.writable),
      ]);
    }
  }
}

/** A listener of a member that answers PING and notes everything else that its callers say. */
class Listener implements AsyncDisposable {
  readonly callers = new EventLog<RawSession>();
  readonly #server: TestServer;

  constructor(membership: Membership | null) {
    this.#server = startServer(membership, {
      onSession: async (session) => {
        const caller = new RawSession(session, this.#server.identity);
        this.callers.add(caller);
        await caller.closed;
      },
    });
  }

  get identity(): Identity {
    return this.#server.identity;
  }

  get address(): Address {
    return this.#server.address;
  }

  /** The first one-shot command that has greeted. */
  get client(): Promise<RawSession> {
    return this.callers.until(({ session }) => session.remote.role === "client");
  }

  get clients(): number {
    return this.callers.all.filter(({ session }) => session.remote.role === "client").length;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server[Symbol.asyncDispose]();
  }
}

interface SceneOptions {
  dir: TempDir;
  tracker: TestTracker;
  door: Door;
  /** The peer as it was listed when the command before this one ran. */
  known: Pick<PeerEntry, "id" | "port">;
}

/** A one-shot command that has not begun, and the file that it is to send. */
async function commandThatKnows(
  { dir, tracker, door, known }: SceneOptions,
): Promise<{ anna: TestPeer; path: string }> {
  const anna = await startPeer(tracker, dir, {
    name: "anna",
    role: "client",
    tracker: door.address,
    start: false,
  });
  const entry = { name: "bob", host: "127.0.0.1", reachable: true, ...known };
  const network = tracker.membership?.id ?? `insecure 127.0.0.1:${door.address.port}`;
  await new PeerCache(join(anna.folder, "state")).save(network, [entry]);
  const path = dir.at("note.txt");
  await Deno.writeTextFile(path, "a note");
  return { anna, path };
}

for (const insecure of [false, true]) {
  const how = insecure ? "insecure" : "secure";

  permitted(
    `a recipient is dialled before the tracker answers, and offered to on that session: ${how}`,
    NEEDS,
    async () => {
      await using dir = await tempDir();
      await using tracker = startTracker({ insecure });
      await using bob = new Listener(tracker.membership);
      const { address: { port }, identity } = bob;
      const { membership, address } = tracker;
      await using listed = await openRaw({ address, membership, identity, role: "peer" });
      await listed.session.request({ verb: "REGISTER", name: "bob", port });
      await using door = new Door(address, bob.client);
      const { anna, path } = await commandThatKnows({
        dir,
        tracker,
        door,
        known: { id: identity.id, port },
      });
      await using _anna = anna;
      await deadline(anna.peer.join(["bob"]), "the list of the tracker");
      const client = await bob.client;
      assertEquals(client.frames.length, 0);
      const sending = anna.peer.sendFile(path, ["bob"]);
      const { transfer } = await client.until("SEND_FILE");
      await client.send({ verb: "CANCEL", transfer, code: "refused", message: "no" });
      assertEquals((await sending).failures.map(({ code }) => code), ["refused"]);
      assertEquals(bob.clients, 1);
    },
  );
}

permitted("who is not listed any more hears nothing but a greeting", NEEDS, async () => {
  await using dir = await tempDir();
  await using tracker = startTracker();
  await using gone = new Listener(tracker.membership);
  const { identity: { id }, address: { port } } = gone;
  await using door = new Door(tracker.address, gone.client);
  const { anna, path } = await commandThatKnows({ dir, tracker, door, known: { id, port } });
  await using _anna = anna;
  await deadline(anna.peer.join(["bob"]), "the list of the tracker");
  await rejectsWith("peer-unknown", () => anna.peer.sendFile(path, ["bob"]));
  const client = await gone.client;
  await anna.peer[Symbol.asyncDispose]();
  assertEquals([await client.end(), client.frames.length, gone.clients], [null, 0, 1]);
});

permitted("a name that is another peer's by now leads to that one", NEEDS, async () => {
  await using dir = await tempDir();
  await using tracker = startTracker();
  await using gone = new Listener(tracker.membership);
  await using bob = await startPeer(tracker, dir, { name: "bob" });
  const { identity: { id }, address: { port } } = gone;
  await using door = new Door(tracker.address, gone.client);
  const { anna, path } = await commandThatKnows({ dir, tracker, door, known: { id, port } });
  await using _anna = anna;
  await deadline(anna.peer.join(["bob"]), "the list of the tracker");
  assertEquals((await anna.peer.sendFile(path, ["bob"])).failures, []);
  assertEquals(await Deno.readTextFile(join(bob.inbox, "note.txt")), "a note");
  const client = await gone.client;
  await anna.peer[Symbol.asyncDispose]();
  assertEquals([await client.end(), client.frames.length], [null, 0]);
});

permitted("a recipient that has moved is found where it is now", NEEDS, async () => {
  await using dir = await tempDir();
  await using tracker = startTracker();
  await using bob = await startPeer(tracker, dir, { name: "bob" });
  const { id } = bob.identity;
  // One port answers nothing at all, the other is closed.
  using silent = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  for (const port of [silent.addr.port, closedPort()]) {
    await using door = new Door(tracker.address, Promise.resolve());
    const { anna, path } = await commandThatKnows({ dir, tracker, door, known: { id, port } });
    await using _anna = anna;
    await anna.peer.join(["bob"]);
    const { failures, recipients } = await anna.peer.sendFile(path, ["bob"]);
    assertEquals(failures, []);
    assert(recipients.every(({ state }) => state !== "failed"));
  }
});

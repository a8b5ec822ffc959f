import { assert, assertEquals } from "@std/assert";
import { PeerList } from "../../../lib/directory/peer_list.ts";
import type { Session } from "../../../lib/net/session.ts";
import { PeerLists, type Reader, TOLD_NOTHING } from "../../../lib/tracker/peer_lists.ts";
import { MemoryRegistry } from "../../../lib/tracker/registry/memory_registry.ts";
import type { Registry } from "../../../lib/tracker/registry/registry.ts";
import { MAX_PEERS_PER_FRAME, PEERS_PER_FRAME } from "../../../lib/wire/limits.ts";
import type { MessageOf } from "../../../lib/wire/message.ts";
import { turn } from "../../helpers/deadline.ts";
import { entryOf, epochs, idOf } from "../../helpers/entries.ts";
import { EventLog } from "../../helpers/event_log.ts";
import { FakeClock } from "../../helpers/fake_clock.ts";
import { LateRegistry } from "../../helpers/late_registry.ts";
import { sessionPair } from "../../helpers/pipes.ts";

/** A session of the tracker whose other end keeps what it is told, as a peer does. */
class TestReader implements Reader {
  told = TOLD_NOTHING;
  readonly session: Session;
  readonly list = new PeerList();
  readonly frames = new EventLog<MessageOf<"PEER_LIST">>();
  readonly #far: Session;
  readonly #runs: Promise<void>[];

  constructor(lists: PeerLists, clock: FakeClock, host = "127.0.0.1") {
    const [near, far] = sessionPair({ clock, hosts: ["127.0.0.1", host] });
    this.session = near;
    this.#far = far;
    this.#runs = [
      near.run({
        onMessage: ({ message }) => lists.answer(near, message as MessageOf<"PEERS">, this),
        onClosed() {},
      }),
      far.run({
        onMessage: ({ message }) => this.#take(message as MessageOf<"PEER_LIST">),
        onClosed() {},
      }),
    ];
  }

  /** The names that it knows. */
  get names(): string[] {
    return this.list.entries.map(({ name }) => name).sort();
  }

  /** Asks for one page. */
  async ask(limit: number): Promise<MessageOf<"PEER_LIST">> {
    const { message } = await this.#far.request({ verb: "PEERS", ...this.list.position, limit });
    this.#take(message as MessageOf<"PEER_LIST">);
    return message as MessageOf<"PEER_LIST">;
  }

  /** Asks until the list is whole. */
  async fetch(): Promise<void> {
    while ((await this.ask(MAX_PEERS_PER_FRAME)).more);
  }

  async close(): Promise<void> {
    this.session.connection.close();
    this.#far.connection.close();
    await Promise.all(this.#runs);
  }

  #take(message: MessageOf<"PEER_LIST">): void {
    this.list.apply(message);
    this.frames.add(message);
  }
}

class Scene implements AsyncDisposable {
  readonly clock = new FakeClock();
  readonly memory = new MemoryRegistry(epochs());
  readonly lists: PeerLists;
  readonly readers = new Set<TestReader>();
  /** How many members there are said to be. */
  size: number | undefined;
  /** Changes that were read of the registry. */
  reads = 0;
  /** How often the address of the tracker's machine was. */
  hostReads = 0;

  constructor(registry?: (memory: MemoryRegistry) => Registry) {
    const { memory, readers } = this;
    const changes = memory.changes.bind(memory);
    memory.changes = (...asked) => {
      this.reads++;
      return changes(...asked);
    };
    const size = () => this.size ?? readers.size;
    this.lists = new PeerLists({
      registry: registry?.(memory) ?? memory,
      ownHost: () => {
        this.hostReads++;
        return "10.0.0.9";
      },
      members: {
        [Symbol.iterator]: () => readers.values(),
        get size() {
          return size();
        },
      },
      clock: this.clock,
    });
    memory.subscribe((event) => this.lists.onChange(event));
  }

  /** A reader that has fetched the list, from an address. */
  async join(host?: string): Promise<TestReader> {
    const reader = this.stranger(host);
    await reader.fetch();
    return reader;
  }

  /** A reader that has registered and not asked for the list yet. */
  stranger(host?: string): TestReader {
    const reader = new TestReader(this.lists, this.clock, host);
    this.readers.add(reader);
    return reader;
  }

  /** Lets a push that is due take place. */
  async push(): Promise<void> {
    this.clock.advance(50);
    await turn();
    await turn();
  }

  register(from: number, to = from): void {
    for (let n = from; n <= to; n++) this.memory.register(entryOf(n));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.lists.stop();
    for (const reader of this.readers) await reader.close();
    assertEquals(this.clock.pending, []);
  }
}

const namesUpTo = (n: number) => Array.from({ length: n }, (_, i) => `p${i + 1}`).sort();

Deno.test("changes within 50 ms reach all in one frame, which is read and encoded once", async () => {
  await using scene = new Scene();
  scene.register(1);
  const readers = [await scene.join(), await scene.join(), await scene.join()];
  await scene.push();
  scene.register(2);
  scene.clock.advance(49);
  scene.register(3);
  const { reads } = scene;
  const from = readers[0]?.frames.length ?? 0;
  scene.clock.advance(1);
  for (const { frames, list } of readers) {
    const { re, peers } = await frames.until(() => true, { from });
    assertEquals([re, peers], [undefined, [entryOf(2), entryOf(3)]]);
    assertEquals(list.entries.length, 3);
  }
  assertEquals(scene.reads, reads + 1);
});

Deno.test("a push of many changes comes in frames after which nobody has to ask", async () => {
  await using scene = new Scene();
  scene.register(1);
  const reader = await scene.join();
  await scene.push();
  const from = reader.frames.length;
  const count = 2 * PEERS_PER_FRAME + 5;
  scene.register(2, count);
  scene.clock.advance(50);
  await reader.frames.until((frame) => frame.revision >= count, { from });
  const frames = reader.frames.all.slice(from);
  assertEquals(frames.map(({ more }) => more), [false, false, false]);
  assertEquals(frames.map(({ peers }) => peers.length), [PEERS_PER_FRAME, PEERS_PER_FRAME, 4]);
  assertEquals(reader.names, namesUpTo(count));
});

Deno.test("who has just fetched the list is not told it again, and hears what comes next", async () => {
  await using scene = new Scene();
  scene.register(1);
  const reader = await scene.join();
  const late = await scene.join();
  await scene.push();
  const from = late.frames.length;
  scene.register(2);
  await late.fetch();
  await scene.push();
  await reader.frames.until(() => reader.names.length === 2);
  scene.register(3);
  scene.clock.advance(50);
  await late.frames.until(() => late.names.length === 3);
  assertEquals(late.frames.all.slice(from).map(({ peers }) => peers.map(({ name }) => name)), [
    ["p2"],
    ["p3"],
  ]);
});

Deno.test("who is about to ask is left alone at first, and told all the same when it does not", async () => {
  await using scene = new Scene();
  const stranger = scene.stranger();
  scene.register(1, PEERS_PER_FRAME + 1);
  scene.clock.advance(50);
  await scene.clock.timer((ms) => ms === 50);
  assertEquals(stranger.frames.length, 0);
  scene.clock.advance(50);
  const { full, more, peers } = await stranger.frames.until(() => true);
  assertEquals([full, more, peers.length], [true, true, PEERS_PER_FRAME]);
});

Deno.test("half a list for one is not what the others go on from", async () => {
  await using scene = new Scene();
  scene.register(1, 100);
  const stranger = scene.stranger();
  const reader = await scene.join();
  for (let n = 0; n < 2; n++) await scene.push();
  assertEquals((await stranger.frames.until(() => true)).more, true);
  const from = reader.frames.length;
  scene.register(101, 160);
  await scene.push();
  await reader.frames.until(() => reader.names.length === 160);
  assertEquals(reader.frames.all.slice(from).map(({ more }) => more), [false, false]);
});

Deno.test("a list that fits one frame is told at once, whoever may be about to ask", async () => {
  await using scene = new Scene();
  const stranger = scene.stranger();
  scene.register(1);
  scene.clock.advance(50);
  const { full, more, peers } = await stranger.frames.until(() => true);
  assertEquals([full, more, peers], [true, false, [entryOf(1)]]);
});

Deno.test("a full list that is fetched in parts is not cut short by a push", async () => {
  await using scene = new Scene();
  scene.register(1, 10);
  const reader = scene.stranger();
  for (let n = 0; n < 3; n++) {
    await reader.ask(3);
    scene.register(11 + n);
    scene.clock.advance(100);
  }
  await reader.fetch();
  assertEquals(reader.names, namesUpTo(13));
});

Deno.test("pushes stand the further apart the more members there are, up to a second", async () => {
  await using scene = new Scene();
  const waits: number[] = [];
  for (const size of [10, 1000, 100_000]) {
    scene.size = size;
    scene.register(size);
    scene.clock.advance(5_000);
    await turn();
    // The first change after a pause is told at once, the next one waits.
    scene.register(size + 1);
    assertEquals(scene.clock.pending, [50]);
    scene.clock.advance(50);
    await turn();
    scene.register(size + 2);
    waits.push(...scene.clock.pending);
    scene.clock.advance(5_000);
    await turn();
  }
  assertEquals(waits, [50, 300, 1000]);
});

Deno.test("a page that others follow is read once, until somebody leaves", async () => {
  await using scene = new Scene();
  scene.register(1, 10);
  const fetchPage = async () => {
    const { peers } = await scene.stranger().ask(4);
    return peers.map(({ name }) => name);
  };
  assertEquals(await fetchPage(), ["p1", "p2", "p3", "p4"]);
  const { reads } = scene;
  scene.register(11);
  assertEquals(await fetchPage(), ["p1", "p2", "p3", "p4"]);
  assertEquals(scene.reads, reads);
  scene.memory.unregister(idOf(2));
  assertEquals(await fetchPage(), ["p1", "p3", "p4", "p5"]);
  assertEquals(scene.reads, reads + 1);
});

Deno.test("entries too long for one header come in more frames", async () => {
  await using scene = new Scene();
  const host = `${"h".repeat(249)}.net`;
  for (let n = 0; n < 300; n++) {
    scene.memory.register(entryOf(n, { host, name: `${n}-${"\u{1f40b}".repeat(55)}` }));
  }
  const reader = await scene.join();
  assertEquals(reader.list.entries.length, 300);
  const [first] = reader.frames.all;
  assert(first && first.peers.length >= PEERS_PER_FRAME && first.peers.length < 256);
});

Deno.test("an answer that a push has overtaken takes nothing back", async () => {
  let late: LateRegistry | undefined;
  await using scene = new Scene((memory) => late = new LateRegistry(memory));
  assert(late);
  scene.register(1);
  const reader = await scene.join();
  await scene.push();
  scene.register(2);
  // The answer tells of p2 as it was, and comes when the push that tells how it is has come.
  const answered = Promise.withResolvers<void>();
  const held = Promise.withResolvers<void>();
  late.after = (question) => {
    if (question !== "changes") return;
    held.resolve();
    return answered.promise;
  };
  const asking = reader.ask(10);
  await held.promise;
  late.after = () => undefined;
  const from = reader.frames.length;
  const changed = entryOf(2, { port: 6000 });
  scene.memory.register(changed);
  scene.clock.advance(50);
  await reader.frames.until(({ peers }) => peers[0]?.port === 6000, { from });
  await turn();
  answered.resolve();
  assertEquals((await asking).peers, [entryOf(2)]);
  assertEquals(reader.list.get(idOf(2)), entryOf(2));
  await scene.clock.timer((ms) => ms === 50);
  const again = reader.frames.length;
  scene.clock.advance(50);
  await reader.frames.until(() => true, { from: again });
  assertEquals(reader.list.get(idOf(2)), changed);
});

Deno.test("the address of the tracker's machine is read once for a page, however many listen there alone", async () => {
  await using scene = new Scene();
  for (let n = 1; n <= 20; n++) scene.memory.register(entryOf(n, { host: "127.0.0.1" }));
  const reader = await scene.join("10.0.0.2");
  assertEquals(reader.list.entries.map(({ host }) => host), new Array(20).fill("10.0.0.9"));
  assertEquals(scene.hostReads, 1);
});

Deno.test("loopback is listed to those who come from there, and encoded twice for however many", async () => {
  await using scene = new Scene();
  const readers = [];
  for (const host of ["127.0.0.1", "10.0.0.2", "::ffff:10.0.0.3", "::1", "fd00::4"]) {
    readers.push(await scene.join(host));
  }
  await scene.push();
  const [first, second] = [{ host: "10.0.0.1", port: 6000 }, { host: "fd00::1", port: 6000 }];
  scene.memory.register(entryOf(1, { host: "127.0.0.1", port: 6000, addresses: [first, second] }));
  scene.memory.register(entryOf(2, { host: "::1", port: 6001 }));
  const { reads } = scene;
  await scene.push();
  const ofMachine = [
    entryOf(1, { host: "127.0.0.1", port: 6000, addresses: [first, second] }),
    entryOf(2, { host: "::1", port: 6001 }),
  ];
  const ofOthers = [
    entryOf(1, { ...first, addresses: [second] }),
    entryOf(2, { host: "10.0.0.9", port: 6001, reachable: false }),
  ];
  const expected = [ofMachine, ofOthers, ofOthers, ofMachine, ofOthers];
  assertEquals(readers.map(({ list }) => list.entries), expected);
  assertEquals(scene.reads, reads + 2);
  // Pages that are asked for are of the same two kinds.
  for (const [i, reader] of readers.entries()) {
    const late = await scene.join(reader.session.connection.remote.host);
    assertEquals(late.list.entries, expected[i]);
  }
});

Deno.test("peers with as many addresses as there may be are listed whole, and pushed whole", async () => {
  await using scene = new Scene();
  const host = "2001:db8:1111:2222:3333:4444:5555:6666";
  const addresses = Array.from({ length: 8 }, (_, i) => ({ host, port: 50_000 + i }));
  const register = (from: number, to: number) => {
    for (let n = from; n <= to; n++) {
      const name = `${n}-${"\u{1f40b}".repeat(55)}`;
      scene.memory.register(entryOf(n, { host, port: 65_000, name, addresses }));
    }
  };
  register(1, 100);
  for (let n = 1000; n < 1512; n++) await scene.memory.bar(idOf(n));
  const reader = await scene.join();
  assertEquals(reader.list.entries.length, 100);
  await scene.push();
  register(101, 200);
  await scene.push();
  assertEquals(reader.list.entries.length, 200);
  assertEquals(reader.list.entries[199]?.addresses, addresses);
});

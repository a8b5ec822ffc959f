/**
 * What every registry promises, whatever it keeps its peers in: the tests of an adapter are
 * `registryContract(name, open)`.
 *
 * @module
 */

import { assert, assertEquals, assertNotEquals } from "@std/assert";
import type { Changes, Registry, RegistryEvent } from "../../../lib/tracker/registry/registry.ts";
import { MAX_PEERS_PER_FRAME, PEERS_PER_FRAME } from "../../../lib/wire/limits.ts";
import type { PeerEntry } from "../../../lib/wire/message.ts";
import { entryOf, epochs, idOf } from "../../helpers/entries.ts";
import { rejectsWith } from "../../helpers/errors.ts";
import { FakeClock } from "../../helpers/fake_clock.ts";

/** What the contract opens a registry with. */
export interface ContractSetting {
  clock: FakeClock;
  newEpoch: () => string;
}

/** Opens an empty registry; each call opens another one. */
export type OpenRegistry = (setting: ContractSetting) => Registry;

/** A registry and what it is given and says. */
class Scene {
  readonly clock = new FakeClock();
  readonly events: RegistryEvent[] = [];
  readonly registry: Registry;
  readonly unsubscribe: () => void;

  constructor(open: OpenRegistry) {
    this.registry = open({ clock: this.clock, newEpoch: epochs() });
    this.unsubscribe = this.registry.subscribe((event) => this.events.push(event));
  }

  /** Registers and resolves with the entry as listed. */
  async register(n: number, changes: Partial<PeerEntry> = {}, lease?: number): Promise<PeerEntry> {
    return (await this.enter(n, changes, lease)).entry;
  }

  async enter(n: number, changes: Partial<PeerEntry> = {}, lease?: number) {
    return await this.registry.register(entryOf(n, changes), lease === undefined ? {} : { lease });
  }

  /** The name that the peer is listed under when it asks for `name`. */
  async ask(n: number, name: string): Promise<string> {
    return (await this.register(n, { name })).name;
  }

  /** Everything after a revision, page by page. */
  async allChanges(since: number, epoch?: string): Promise<Changes[]> {
    const pages = [await this.registry.changes(since, epoch)];
    for (let last = pages[0]; last?.more; last = pages.at(-1)) {
      pages.push(await this.registry.changes(last.revision, last.epoch));
    }
    return pages;
  }

  /** What has been said since the last call, in short. */
  heard(): string[] {
    return this.events.splice(0).map((event) =>
      event.kind === "barred" || event.kind === "restored"
        ? `${event.kind} ${event.id}`
        : event.kind === "gone"
        ? `${event.entry.name} ${event.cause}`
        : `${event.entry.name} ${event.kind}`
    );
  }
}

/** Tests an adapter against the contract. */
export function registryContract(name: string, open: OpenRegistry): void {
  const check = (promise: string, run: (scene: Scene) => Promise<void>) =>
    Deno.test(`${name}: ${promise}`, () => run(new Scene(open)));

  check("what is registered is listed, found and gone again", async (scene) => {
    const { registry } = scene;
    const entry = entryOf(1);
    assertEquals(await scene.register(1), entry);
    assertEquals([await registry.list(), await registry.get(entry.id)], [[entry], entry]);
    assertEquals(
      [await registry.unregister(entry.id), await registry.unregister(entry.id)],
      [true, false],
    );
    assertEquals([await registry.list(), await registry.get(entry.id)], [[], undefined]);
  });

  check("the first key keeps a name, also while it is away", async (scene) => {
    assertEquals(await scene.ask(1, "anna"), "anna");
    assertEquals(await scene.ask(2, "anna"), "anna-2");
    assertEquals(await scene.ask(3, "anna"), "anna-3");
    await scene.registry.unregister(idOf(1));
    await scene.registry.unregister(idOf(2));
    assertEquals(await scene.ask(4, "anna"), "anna-4");
    assertEquals(await scene.ask(2, "anna"), "anna-2");
    assertEquals(await scene.ask(1, "anna"), "anna");
    assertEquals(await scene.ask(5, "anna-2"), "anna-2-2");
  });

  check("names that may not be are refused", async (scene) => {
    const long = "x".repeat(65);
    const odd = "a\u200b";
    for (const name of ["", "all", "ALL", "a b", "a,b", "a@b", "a:1", "a/b", "-a", long, odd]) {
      await rejectsWith("invalid", () => scene.register(1, { name }));
    }
    assertEquals(await scene.registry.list(), []);
  });

  check("names that every object has are names like any other", async (scene) => {
    for (const [n, name] of ["__proto__", "constructor", "toString"].entries()) {
      assertEquals(await scene.ask(n, name), name);
    }
  });

  check("a key cannot take ever more names", async (scene) => {
    for (let n = 0; n < 200; n++) await scene.ask(1, `grab-${n}`);
    let free = 0;
    for (let n = 0; n < 200; n++) {
      if (await scene.ask(2 + n, `grab-${n}`) === `grab-${n}`) free++;
    }
    assert(free >= 180, `${free} are free`);
  });

  check("registering the same again changes nothing", async (scene) => {
    const { registry } = scene;
    await scene.register(1);
    const before = await registry.changes(0);
    await scene.register(1);
    assertEquals(await registry.changes(0), before);
    await scene.register(1, { port: 6000 });
    const { peers } = await registry.changes(before.revision, before.epoch);
    assertEquals(peers, [entryOf(1, { port: 6000 })]);
  });

  check("changes are what happened since, and full for a stranger", async (scene) => {
    const { registry } = scene;
    await scene.register(1);
    const { revision, epoch } = await registry.changes(0);
    await scene.register(2);
    await registry.unregister(idOf(1));
    const delta = await registry.changes(revision, epoch);
    assertEquals([delta.full, delta.peers, delta.gone], [false, [entryOf(2)], [idOf(1)]]);
    for (const full of [await registry.changes(0), await registry.changes(99, epoch)]) {
      assertEquals([full.full, full.peers, full.gone], [true, [entryOf(2)], []]);
    }
    assertEquals((await new Scene(open).registry.changes(3, epochs(50)())).full, true);
  });

  check("many changes come in pages that fit a frame", async (scene) => {
    const count = 2 * PEERS_PER_FRAME + 1;
    for (let n = 0; n < count; n++) await scene.register(n);
    const pages = await scene.allChanges(0);
    assertEquals(pages.map(({ peers }) => peers.length), [PEERS_PER_FRAME, PEERS_PER_FRAME, 1]);
    assertEquals(pages.map(({ full }) => full), [true, false, false]);
    assertEquals(pages.flatMap(({ peers }) => peers), await scene.registry.list());
    const { peers, more } = await scene.registry.changes(0, undefined, MAX_PEERS_PER_FRAME);
    assertEquals([peers.length, more], [count, false]);
  });

  check("peers that change again and again leave the list and the changes whole", async (scene) => {
    const { registry } = scene;
    for (let n = 0; n < 10; n++) await scene.register(n);
    const { revision, epoch } = await registry.changes(0);
    for (let round = 1; round <= 40; round++) {
      for (let n = 5; n < 10; n++) await scene.register(n, { port: 6000 + round });
    }
    const changed = [5, 6, 7, 8, 9].map((n) => entryOf(n, { port: 6040 }));
    const delta = await registry.changes(revision, epoch);
    assertEquals([delta.peers, delta.more], [changed, false]);
    assertEquals(await registry.list(), [0, 1, 2, 3, 4].map((n) => entryOf(n)).concat(changed));
  });

  check("who has left is forgotten in the end, and everybody asks anew", async (scene) => {
    const { registry } = scene;
    const { epoch } = await registry.changes(0);
    await scene.register(0, { name: "stays" });
    for (let n = 1; n <= 10_001; n++) {
      await scene.register(n, { name: "x" + n });
      await registry.unregister(idOf(n));
    }
    const after = await registry.changes(5, epoch);
    assertNotEquals(after.epoch, epoch);
    assert(after.full);
    assertEquals(after.peers.map(({ name }) => name), ["stays"]);
    assertEquals(await scene.ask(9, "stays"), "stays-2");
    assertEquals(await scene.ask(20_000, "x7"), "x7");
  });

  check("a token removes its own registration, and none that came after", async (scene) => {
    const { registry } = scene;
    const old = await scene.enter(1);
    const fresh = await scene.enter(1);
    assertNotEquals(old.token, fresh.token);
    assertEquals(await registry.unregister(idOf(1), old.token), false);
    assertEquals(await registry.touch(idOf(1), old.token), false);
    assertEquals(await registry.get(idOf(1)), entryOf(1));
    assertEquals(await registry.touch(idOf(1), fresh.token), true);
    assertEquals(await registry.unregister(idOf(1), fresh.token), true);
    assertEquals(await registry.unregister(idOf(1), fresh.token), false);
    assertEquals(await registry.touch(idOf(1), fresh.token), false);
  });

  check("a registration ends with its lease, unless that is renewed", async (scene) => {
    const { registry, clock } = scene;
    await scene.register(1, {}, 1000);
    const { token } = await scene.enter(2, {}, 1000);
    await scene.register(3);
    clock.advance(999);
    assertEquals(await registry.expire(), []);
    assertEquals(await registry.touch(idOf(2), token), true);
    clock.advance(1);
    assertEquals((await registry.list()).length, 3);
    assertEquals(await registry.expire(), [entryOf(1)]);
    assertEquals(await registry.list(), [entryOf(2), entryOf(3)]);
    clock.advance(998);
    assertEquals(await registry.expire(), []);
    clock.advance(1);
    assertEquals(await registry.expire(), [entryOf(2)]);
    assertEquals(await registry.touch(idOf(2), token), false);
    clock.advance(1_000_000);
    assertEquals([await registry.expire(), await registry.list()], [[], [entryOf(3)]]);
  });

  check("a new registration begins a new lease, also of the same entry", async (scene) => {
    const { registry, clock } = scene;
    await scene.register(1, {}, 1000);
    clock.advance(900);
    await scene.register(1, {}, 1000);
    clock.advance(900);
    assertEquals(await registry.expire(), []);
    await scene.register(1);
    clock.advance(1_000_000);
    assertEquals(await registry.expire(), []);
    assertEquals(await registry.list(), [entryOf(1)]);
  });

  check("who is barred goes and cannot come back", async (scene) => {
    const { registry } = scene;
    await scene.register(1);
    await scene.register(2);
    const { revision, epoch } = await registry.changes(0);
    assertEquals([await registry.isBarred(idOf(1)), await registry.barred()], [false, []]);
    await registry.bar(idOf(1));
    assertEquals([await registry.isBarred(idOf(1)), await registry.isBarred(idOf(2))], [
      true,
      false,
    ]);
    assertEquals(await registry.list(), [entryOf(2)]);
    assertEquals((await registry.changes(revision, epoch)).gone, [idOf(1)]);
    await rejectsWith("barred", () => scene.register(1));
    await registry.bar(idOf(3));
    await registry.bar(idOf(1));
    assertEquals(await registry.barred(), [idOf(1), idOf(3)]);
  });

  check("the names of one who is barred are free at once", async (scene) => {
    const { registry } = scene;
    assertEquals(await scene.ask(1, "anna"), "anna");
    assertEquals(await scene.ask(2, "bob"), "bob");
    await registry.unregister(idOf(2));
    for (const n of [1, 2]) await registry.bar(idOf(n));
    assertEquals(await scene.ask(3, "Anna"), "Anna");
    assertEquals(await scene.ask(4, "bob"), "bob");
    await registry.restore(idOf(1));
    assertEquals(await scene.ask(1, "anna"), "anna-2");
  });

  check("who is restored can join again, and the bar is forgotten", async (scene) => {
    const { registry } = scene;
    await scene.register(1);
    await registry.bar(idOf(1));
    await registry.bar(idOf(2));
    const { revision, epoch } = await registry.changes(0);
    scene.heard();
    await registry.restore(idOf(1));
    await registry.restore(idOf(3));
    assertEquals(scene.heard(), [`restored ${idOf(1)}`]);
    assertEquals([await registry.isBarred(idOf(1)), await registry.barred()], [false, [idOf(2)]]);
    assert((await registry.changes(revision, epoch)).revision > revision);
    assertEquals(await scene.register(1), entryOf(1));
    await registry.bar(idOf(1));
    await rejectsWith("barred", () => scene.register(1));
  });

  check("barring one who is not there is a change, too", async (scene) => {
    const { registry } = scene;
    await scene.register(1);
    const { revision, epoch } = await registry.changes(0);
    await registry.bar(idOf(2));
    const after = await registry.changes(revision, epoch);
    assert(after.revision > revision);
    assertEquals([after.full, after.peers, after.gone], [false, [], []]);
  });

  check("the bus tells each change once, and nothing that is none", async (scene) => {
    const { registry, clock } = scene;
    await scene.register(1, { name: "anna" }, 1000);
    await scene.register(1, { name: "anna" }, 1000);
    assertEquals(scene.heard(), ["anna joined"]);
    await scene.register(1, { name: "anna", port: 6000 }, 1000);
    await registry.unregister(idOf(1));
    await registry.unregister(idOf(1));
    assertEquals(scene.heard(), ["anna changed", "anna unregistered"]);
    await scene.register(1, { name: "anna" }, 1000);
    clock.advance(1000);
    await registry.expire();
    await registry.expire();
    assertEquals(scene.heard(), ["anna joined", "anna expired"]);
    await scene.register(2, { name: "bob" });
    await registry.bar(idOf(2));
    await registry.bar(idOf(2));
    assertEquals(scene.heard().sort(), [`barred ${idOf(2)}`, "bob barred", "bob joined"]);
    scene.unsubscribe();
    await scene.register(3);
    assertEquals(scene.heard(), []);
  });
}

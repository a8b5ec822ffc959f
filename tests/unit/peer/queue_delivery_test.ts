/** When the queue is looked at, and what a look begins; that it arrives is tests/integration/queue_test.ts. */

import { assert, assertEquals } from "@std/assert";
import { P2PError } from "../../../lib/errors.ts";
import type { AppEvent } from "../../../lib/events.ts";
import { Queue } from "../../../lib/peer/queue.ts";
import { QueueDelivery } from "../../../lib/peer/queue_delivery.ts";
import type { PeerEntry } from "../../../lib/wire/message.ts";
import { entryOf, idOf } from "../../helpers/entries.ts";
import { EventLog } from "../../helpers/event_log.ts";
import { FakeClock } from "../../helpers/fake_clock.ts";
import { permitted } from "../../helpers/permissions.ts";
import { type TempDir, tempDir } from "../../helpers/temp_dir.ts";

const NEEDS: Deno.PermissionName[] = ["read", "write"];
const MINUTE = 60_000;

/** A queue whose folder tells of no change, and the delivery of it to peers who are made up. */
class Scene implements AsyncDisposable {
  readonly clock = new FakeClock(0);
  readonly events = new EventLog<AppEvent>();
  /** Texts that went out, with their recipients; each waits until it is let go. */
  readonly told = new EventLog<string>();
  readonly queue: Queue;
  readonly delivery: QueueDelivery;
  readonly listed: PeerEntry[] = [];
  readonly noted: string[] = [];
  /** What becomes of a message. */
  tell: () => Promise<void> = () => Promise.resolve();
  readonly #watchFs = Deno.watchFs;

  constructor(dir: TempDir) {
    const now = () => this.clock.now();
    this.queue = new Queue(dir.path, { now });
    this.delivery = new QueueDelivery({
      ...{ queue: this.queue, own: idOf(9), clock: this.clock, now, emit: this.events.add },
      network: () => "n",
      listed: () => this.listed,
      note: (present) => Promise.resolve(void this.noted.push(...present.map(({ id }) => id))),
      send: () => Promise.reject(new Error("no file is sent here")),
      tell: async ({ name }, { text }) => {
        this.told.add(`${text} ${name}`);
        await this.tell();
      },
    });
    Deno.watchFs = () => {
      throw new Deno.errors.NotSupported("this file system tells of nothing");
    };
  }

  async say(text: string, to: number[], age = 60 * MINUTE) {
    const recipients = to.map((n) => ({ id: idOf(n), name: `p${n}` }));
    const what = { kind: "message", message: text, text } as const;
    return await this.queue.add({ network: "n", what, age, to: recipients });
  }

  /** Lists a peer, and says so. */
  join(n: number, changes: Partial<PeerEntry> = {}) {
    const entry = entryOf(n, changes);
    this.listed.push(entry);
    this.delivery.onListChanged({ joined: [entry], changed: [], left: [], barred: [] });
  }

  leave(n: number) {
    const left = this.listed.splice(this.listed.findIndex(({ id }) => id === idOf(n)), 1);
    this.delivery.onListChanged({ joined: [], changed: [], left, barred: [] });
  }

  async [Symbol.asyncDispose]() {
    Deno.watchFs = this.#watchFs;
    await this.delivery[Symbol.asyncDispose]();
    assertEquals(this.clock.pending, []);
  }
}

permitted("a folder that tells of no change is looked at every minute", NEEDS, async () => {
  await using dir = await tempDir();
  await using scene = new Scene(dir);
  scene.listed.push(entryOf(1));
  await scene.delivery.announce();
  await scene.delivery.start();
  assertEquals(scene.clock.pending, [MINUTE]);
  await scene.say("hi", [1, 2]);
  scene.clock.advance(MINUTE);
  await scene.told.until((told) => told === "hi p1");
  await scene.events.until(({ event }) => event === "dequeued");
  assertEquals(scene.told.all, ["hi p1"]);
});

permitted("who comes is noted and gets what waits, in its order", NEEDS, async () => {
  await using dir = await tempDir();
  await using scene = new Scene(dir);
  await scene.say("one", [1]);
  scene.clock.advance(1);
  await scene.say("two", [1, 2]);
  await scene.delivery.start();
  scene.join(1);
  scene.join(2);
  // What changes together is looked at once.
  assertEquals(scene.clock.pending, [MINUTE, 100]);
  scene.clock.advance(100);
  await scene.told.until((told) => told === "two p1");
  await scene.told.until((told) => told === "two p2");
  assertEquals(scene.told.all.filter((told) => told.endsWith("p1")), ["one p1", "two p1"]);
  assertEquals(scene.noted, [idOf(1), idOf(2)]);
});

permitted(
  "four recipients are served at a time, and each gets one thing at a time",
  NEEDS,
  async () => {
    await using dir = await tempDir();
    await using scene = new Scene(dir);
    const { promise, resolve: letGo } = Promise.withResolvers<void>();
    let active = 0;
    let most = 0;
    scene.tell = async () => {
      most = Math.max(most, ++active);
      await promise;
      active--;
    };
    const all = [1, 2, 3, 4, 5, 6];
    await scene.say("one", all);
    await scene.say("two", all);
    scene.listed.push(...all.map((n) => entryOf(n)));
    await scene.delivery.start();
    await scene.told.until(() => scene.told.length === 4);
    assertEquals(new Set(scene.told.all.map((told) => told.split(" ")[1])).size, 4);
    letGo();
    await scene.told.until(() => scene.told.length === 12);
    assertEquals(most, 4);
  },
);

permitted(
  "what has failed is tried after a pause that doubles, and at once when one is back",
  NEEDS,
  async () => {
    await using dir = await tempDir();
    await using scene = new Scene(dir);
    scene.tell = () => Promise.reject(new P2PError("busy", "Cannot take it: it is busy"));
    await scene.say("hi", [1]);
    scene.listed.push(entryOf(1));
    await scene.delivery.start();
    for (const pause of [5_000, 10_000, 20_000]) {
      assertEquals(await scene.clock.timer((ms) => ms === pause), pause);
      scene.clock.advance(pause);
      const tries = scene.told.length;
      await scene.told.until(() => scene.told.length > tries);
    }
    await scene.clock.timer((ms) => ms === 40_000);
    scene.tell = () => Promise.resolve();
    scene.leave(1);
    scene.join(1);
    scene.clock.advance(100);
    await scene.events.until(({ event }) => event === "dequeued");
    assertEquals(scene.told.length, 5);
  },
);

permitted("what has waited too long is dropped and said", NEEDS, async () => {
  await using dir = await tempDir();
  await using scene = new Scene(dir);
  const [entry] = await scene.say("hi", [1], 2 * MINUTE);
  assert(entry);
  await scene.delivery.start();
  scene.clock.advance(MINUTE);
  await scene.clock.timer((ms) => ms === MINUTE);
  assertEquals((await scene.queue.list()).length, 1);
  scene.clock.advance(MINUTE);
  const event = await scene.events.until(({ event }) => event === "dequeued");
  assertEquals("why" in event && [event.id, event.why], [entry.id, "expired"]);
  assertEquals(await scene.queue.list(), []);
});

permitted("whether a peer delivers is known as long as one does", NEEDS, async () => {
  await using dir = await tempDir();
  const scene = new Scene(dir);
  assertEquals(await scene.queue.isServed("n"), false);
  await scene.delivery.announce();
  assertEquals(await scene.queue.isServed("n"), true);
  await scene[Symbol.asyncDispose]();
  assertEquals(await scene.queue.isServed("n"), false);
});

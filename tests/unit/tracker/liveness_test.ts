import { assertEquals } from "@std/assert";
import { P2PError } from "../../../lib/errors.ts";
import { ASKING_ONLY } from "../../../lib/net/open_session.ts";
import { Liveness, type Watched } from "../../../lib/tracker/liveness.ts";
import { eventually } from "../../helpers/deadline.ts";
import { entryOf } from "../../helpers/entries.ts";
import { EventLog } from "../../helpers/event_log.ts";
import { FakeClock } from "../../helpers/fake_clock.ts";
import { sessionPair } from "../../helpers/pipes.ts";

/** A tracker's view of some peers, whose life is in the hands of the test. */
class Scene implements AsyncDisposable {
  readonly clock = new FakeClock();
  readonly members = new Set<Watched>();
  readonly dialled = new EventLog<string>();
  readonly dropped = new EventLog<string>();
  /** Whether the listeners answer a dial-back. */
  reachable = false;
  onDial: () => void | Promise<void> = () => {};
  readonly liveness: Liveness<Watched>;
  readonly #ends: (() => Promise<unknown>)[] = [];

  constructor() {
    this.liveness = new Liveness({
      clock: this.clock,
      pingAfter: 20_000,
      pongTimeout: 5_000,
      members: () => this.members,
      dialBack: async ({ entry }) => {
        this.dialled.add(entry.name);
        await this.onDial();
        if (!this.reachable) throw new P2PError("peer-unreachable", "refused");
      },
      drop: (member, reason) => {
        this.members.delete(member);
        this.dropped.add(`${member.entry.name}: ${reason.code}, ${reason.text}`);
        return Promise.resolve();
      },
    });
  }

  /** A member whose peer answers PINGs, or never reads. */
  join(
    name: string,
    { answers = true } = {},
  ): Watched & { leave: () => Promise<void>; speak: () => Promise<void> } {
    const [near, far] = sessionPair({ clock: this.clock });
    const ends = [near.run(ASKING_ONLY)];
    if (answers) ends.push(far.run(ASKING_ONLY));
    const member = {
      entry: entryOf(1, { name }),
      session: near,
      checkedAt: this.clock.now(),
      checking: false,
      speak: () => far.send({ verb: "PING" }),
      leave: async () => {
        far.connection.close();
        await near.ended;
      },
    };
    this.members.add(member);
    this.#ends.push(async () => {
      near.connection.close();
      far.connection.close();
      await Promise.all(ends);
    });
    return member;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.liveness.stop();
    for (const end of this.#ends) await end();
    assertEquals(this.clock.pending, []);
  }
}

const PONG = (ms: number) => ms === 5_000;

Deno.test("a peer that says nothing for 20 s is asked, and stays when it answers", async () => {
  await using scene = new Scene();
  const { clock } = scene;
  const { session } = scene.join("a");
  clock.advance(19_999);
  assertEquals(clock.pending.filter(PONG), []);
  const heard = session?.lastHeard;
  clock.advance(1);
  await scene.liveness.cleanupPeers();
  await eventually(() => session?.lastHeard !== heard, "a PONG");
  clock.advance(19_999);
  assertEquals([scene.dialled.all, scene.dropped.all], [[], []]);
  assertEquals(clock.pending.filter(PONG), []);
});

Deno.test("any frame puts the question off", async () => {
  await using scene = new Scene();
  const { clock } = scene;
  const { session } = scene.join("a");
  clock.advance(15_000);
  await session?.request({ verb: "PING" });
  clock.advance(19_000);
  assertEquals(clock.pending.filter(PONG), []);
  clock.advance(1_000);
  await clock.timer(PONG);
});

Deno.test("no PONG within 5 s and a listener that is silent: dropped", async () => {
  await using scene = new Scene();
  scene.join("a", { answers: false });
  scene.clock.advance(20_000);
  await scene.clock.timer(PONG);
  scene.clock.advance(4_999);
  assertEquals(scene.dialled.all, []);
  scene.clock.advance(1);
  await scene.dropped.until((text) => text === "a: silent, refused");
  assertEquals(scene.dialled.all, ["a"]);
});

Deno.test("no PONG but a listener that answers: stays, and its stuck session ends", async () => {
  await using scene = new Scene();
  scene.reachable = true;
  const member = scene.join("a", { answers: false });
  scene.clock.advance(20_000);
  await scene.clock.timer(PONG);
  scene.clock.advance(5_000);
  await member.session?.ended;
  assertEquals(member.session?.connection.closed?.code, "timeout");
  assertEquals([scene.dialled.all, scene.dropped.all], [["a"], []]);
  // Without a session it is dialled again when nothing is heard of it for another 20 s.
  await eventually(() => !member.checking, "the end of the check");
  scene.clock.advance(20_000);
  await scene.dialled.until(() => scene.dialled.length === 2);
  assertEquals(scene.dropped.all, []);
});

Deno.test("a peer that is heard while it is dialled back in vain is slow, and stays", async () => {
  await using scene = new Scene();
  const member = scene.join("slow", { answers: false });
  const { clock } = scene;
  scene.onDial = async () => {
    clock.advance(1);
    await member.speak();
    await eventually(() => member.session?.lastHeard === clock.now(), "its word");
  };
  clock.advance(20_000);
  await clock.timer(PONG);
  clock.advance(5_000);
  await eventually(() => !member.checking, "the end of the check");
  assertEquals([scene.dialled.all, scene.dropped.all], [["slow"], []]);
});

Deno.test("a peer is not dropped because the tracker has no descriptor to dial it", async () => {
  await using scene = new Scene();
  const member = scene.join("a", { answers: false });
  scene.onDial = () => {
    const cause = Object.assign(new Error("Too many open files"), { code: "EMFILE" });
    throw new P2PError("peer-unreachable", "Cannot connect", { cause });
  };
  scene.clock.advance(20_000);
  await scene.clock.timer(PONG);
  scene.clock.advance(5_000);
  await eventually(() => !member.checking, "the end of the check");
  assertEquals([scene.dialled.all, scene.dropped.all], [["a"], []]);
});

Deno.test("a lost session is followed by one dial-back", async () => {
  await using scene = new Scene();
  scene.reachable = true;
  const member = scene.join("a");
  await member.leave();
  member.session = null as unknown as typeof member.session;
  await scene.liveness.sessionLost(member);
  assertEquals([scene.dialled.all, scene.dropped.all], [["a"], []]);
  scene.reachable = false;
  await scene.liveness.sessionLost(member);
  assertEquals([scene.dialled.all, scene.dropped.all], [["a", "a"], ["a: lost, refused"]]);
});

Deno.test("a peer that comes back during its dial-back is not dropped", async () => {
  await using scene = new Scene();
  const member = scene.join("a");
  const [fresh, other] = sessionPair({ clock: scene.clock });
  await member.leave();
  scene.onDial = () => void (member.session = fresh);
  await scene.liveness.sessionLost(member);
  assertEquals([scene.dialled.all, scene.dropped.all], [["a"], []]);
  fresh.connection.close();
  other.connection.close();
});

Deno.test("one check of a member at a time, and none after the end", async () => {
  await using scene = new Scene();
  const member = scene.join("a", { answers: false });
  scene.clock.advance(20_000);
  await scene.clock.timer(PONG);
  await scene.liveness.cleanupPeers();
  await scene.liveness.sessionLost(member);
  assertEquals(scene.clock.pending.filter(PONG).length, 1);
  scene.liveness.stop();
  scene.clock.advance(5_000);
  await eventually(() => !member.checking, "the end of the check");
  assertEquals(scene.dropped.all, []);
  await scene.liveness.sessionLost(member);
  assertEquals(scene.dialled.all, ["a"]);
});

Deno.test("a peer that joins late is asked 20 s after it joined", async () => {
  await using scene = new Scene();
  scene.clock.advance(19_000);
  scene.join("late", { answers: false });
  scene.clock.advance(19_900);
  assertEquals(scene.clock.pending.filter(PONG), []);
  scene.clock.advance(150);
  await scene.clock.timer(PONG);
});

Deno.test("many members are checked side by side", async () => {
  await using scene = new Scene();
  for (let i = 0; i < 200; i++) scene.join(`p${i}`, { answers: i % 2 === 0 });
  scene.clock.advance(20_000);
  await scene.clock.timer(PONG);
  await eventually(() => scene.clock.pending.filter(PONG).length === 100, "half of the PONGs");
  scene.clock.advance(5_000);
  await scene.dropped.until(() => scene.dropped.length === 100);
  assertEquals(scene.members.size, 100);
});

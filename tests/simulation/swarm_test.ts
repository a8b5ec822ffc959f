/** The real picker in the simulator: as fast as the algorithm was chosen for, and right whatever happens to a swarm. */

import { assert, assertEquals } from "@std/assert";
import type { SwarmAction, SwarmEvent } from "../../lib/transfer/swarm/swarm_picker.ts";
import fc from "../helpers/fast_check.ts";
import { judge, overlay, type Scenario, SCENARIOS, setUp } from "./scenarios.ts";
import { Random } from "./random.ts";
import { type Policy, type Setup, simulate } from "./simulator.ts";

/** How much worse than the simulated algorithm the real one may be, in copies. */
const TOLERANCE = 0.03;

for (const scenario of SCENARIOS.filter(({ isQuick }) => isQuick)) {
  Deno.test(`simulation: ${scenario.name.trim()}`, () => {
    const { copies } = judge(scenario, 3);
    const most = scenario.expected + TOLERANCE;
    assert(copies <= most, `${copies.toFixed(3)} copies, expected at most ${most.toFixed(3)}`);
  });
}

/** Notes what a member was told and does, and fails when it breaks a rule. */
class Watched implements Policy {
  readonly #policy: Policy;
  readonly #isSharer: boolean;
  readonly #announced = new Map<number, Set<number>>();
  readonly #owed = new Map<number, Set<number>>();
  readonly #here = new Set<number>();
  readonly #banned = new Set<number>();
  readonly #givenTo = new Map<number, number>();
  readonly #present = new Set<number>();

  constructor(policy: Policy, isSharer: boolean) {
    this.#policy = policy;
    this.#isSharer = isSharer;
  }

  get wakeAt(): number {
    return this.#policy.wakeAt;
  }

  handle(event: SwarmEvent<number>, now: number): readonly SwarmAction<number>[] {
    this.#note(event);
    const actions = this.#policy.handle(event, now);
    for (const action of actions) this.#check(action);
    for (const [index, peers] of this.#owed) {
      assert(peers.size <= 2, `piece ${index} is owed by ${peers.size}`);
    }
    assert(this.wakeAt > now, `it wants to be woken at ${this.wakeAt}, and it is ${now}`);
    return actions;
  }

  #note(event: SwarmEvent<number>): void {
    if (event.type === "joined") this.#present.add(event.peer);
    if (event.type === "left") this.#forget(event.peer);
    if (event.type === "corrupt") {
      this.#banned.add(event.peer);
      this.#forget(event.peer);
    }
    if (event.type === "have") {
      for (const index of event.pieces) this.#announcedBy(event.peer).add(index);
    }
    if (event.type === "given") this.#announcedBy(event.peer).add(event.index);
    if (event.type === "received") {
      this.#here.add(event.index);
      this.#owed.delete(event.index);
    }
  }

  #check(action: SwarmAction<number>): void {
    if (action.type === "request") {
      const { peer, index } = action;
      assert(!this.#banned.has(peer), `asks ${peer}, who has lied`);
      assert(this.#present.has(peer), `asks ${peer}, who is not there`);
      assert(!this.#here.has(index), `asks for piece ${index}, which is here`);
      assert(
        this.#announcedBy(peer).has(index),
        `asks ${peer} for piece ${index}, which it has not`,
      );
      const owing = this.#owed.get(index) ?? new Set();
      assert(!owing.has(peer), `asks ${peer} twice for piece ${index}`);
      this.#owed.set(index, owing.add(peer));
    }
    if (action.type === "have" && !this.#isSharer) {
      for (const index of action.pieces) assert(this.#here.has(index), `announces piece ${index}`);
    }
    if (action.type === "give") {
      const before = this.#givenTo.get(action.index);
      const isAgain = before !== undefined && this.#present.has(before);
      assert(!isAgain, `gives piece ${action.index} to ${action.peer}, and ${before} has it`);
      this.#givenTo.set(action.index, action.peer);
    }
  }

  #announcedBy(peer: number): Set<number> {
    const announced = this.#announced.get(peer) ?? new Set();
    this.#announced.set(peer, announced);
    return announced;
  }

  #forget(peer: number): void {
    this.#present.delete(peer);
    this.#announced.delete(peer);
    for (const peers of this.#owed.values()) peers.delete(peer);
  }
}

const SMALL: Scenario = {
  name: "small",
  receivers: 0,
  bytes: 0,
  pieceSize: 64 * 1024,
  rate: 12_500_000,
  expected: Infinity,
};

/** A swarm in which some die, some lie and some come late. */
function troubled(
  { receivers, pieces, delay, fates, seed }: {
    receivers: number;
    pieces: number;
    delay: number;
    fates: readonly number[];
    seed: number;
  },
): Setup {
  const scenario = { ...SMALL, receivers, bytes: pieces * SMALL.pieceSize, delay };
  const setup = setUp(scenario, seed);
  const alone = scenario.bytes / scenario.rate;
  for (const [i, host] of setup.hosts.entries()) {
    const fate = fates[i % fates.length] ?? 0;
    // The first receiver is honest and stays.
    if (i < 2) continue;
    if (fate === 1) host.leavesAt = (i % 7) / 5 * alone + 0.01;
    if (fate === 2) host.liar = true;
    if (fate === 3) host.joinsAt = (i % 5) / 3 * alone;
  }
  const { policy } = setup;
  return {
    ...setup,
    policy: (host, random) =>
      setup.hosts[host]?.liar
        ? policy(host, random)
        : new Watched(policy(host, random), host === 0),
  };
}

Deno.test("simulation: whoever is honest and stays gets everything, and nobody breaks a rule", () => {
  fc.assert(
    fc.property(
      fc.record({
        receivers: fc.integer({ min: 1, max: 12 }),
        pieces: fc.integer({ min: 1, max: 60 }),
        delay: fc.constantFrom(1e-4, 5e-3, 5e-2),
        fates: fc.array(fc.integer({ min: 0, max: 3 }), { minLength: 1, maxLength: 8 }),
        seed: fc.integer({ min: 1, max: 1000 }),
      }),
      (swarm) => {
        const { makespan, finishedAt } = simulate({ ...troubled(swarm), deadline: 600 });
        assert(Number.isFinite(makespan), `some never finished: ${finishedAt}`);
      },
    ),
    { numRuns: 60 },
  );
});

Deno.test("simulation: the seed decides everything", () => {
  const swarm = { receivers: 7, pieces: 40, delay: 1e-3, fates: [0, 1, 3] };
  const [once, again, other] = [5, 5, 6].map((seed) =>
    JSON.stringify(simulate({ ...troubled({ ...swarm, seed }), deadline: 600 }))
  );
  assertEquals(once, again);
  assert(once !== other);
});

Deno.test("simulation: nothing is faster than the bound, and nobody sends above a line's rate", () => {
  for (const receivers of [1, 2, 3, 7, 15]) {
    const scenario = { ...SMALL, receivers, bytes: 64 * SMALL.pieceSize };
    const setup = setUp(scenario, receivers);
    const { makespan, sentBytes, elapsed } = simulate({ ...setup, deadline: 600 });
    const pieces = 64 + Math.floor(Math.log2(receivers));
    assert(makespan >= pieces * scenario.pieceSize / scenario.rate, `${receivers}: ${makespan}`);
    for (const sent of sentBytes) assert(sent <= scenario.rate * elapsed * 1.0001);
  }
});

Deno.test("simulation: the graph of receivers is connected, and nobody has too many neighbours", () => {
  for (const receivers of [2, 3, 17, 50, 200]) {
    const links = overlay(receivers, 8, new Random(receivers)).filter(([a, b]) => a > 0 && b > 0);
    const reached = new Set([1]);
    for (let i = 0; i < receivers; i++) {
      for (const [a, b] of links) if (reached.has(a) || reached.has(b)) reached.add(a).add(b);
    }
    assertEquals(reached.size, receivers);
    for (let host = 1; host <= receivers; host++) {
      assert(links.filter((pair) => pair.includes(host)).length <= 8);
    }
  }
});

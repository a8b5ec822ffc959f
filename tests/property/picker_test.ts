/** The picker against the plainest model: a state for each piece. */

import { assert, assertEquals } from "@std/assert";
import { PiecePicker } from "../../lib/transfer/picker.ts";
import fc from "../helpers/fast_check.ts";
import { newSeed } from "../helpers/random.ts";

/** Set it to the number of a failed run to see it again. */
const SEED: number | undefined = undefined;
const seed = newSeed("tests/property/picker_test.ts", SEED);

type State = "unknown" | "waiting" | "asked" | "verified" | "stored";

const SOURCES = [{}, {}];

class Model {
  readonly states: State[] = Array(40).fill("unknown");
  /** The source that each piece was asked of last. */
  readonly askedOf: number[] = Array(40).fill(0);

  all(state: State): number[] {
    return [...this.states.keys()].filter((index) => this.states[index] === state);
  }
}

interface Pair {
  picker: PiecePicker;
  model: Model;
}

type Step = (pair: Pair) => void;

const grow = fc.nat({ max: 40 }).map((count): Step => ({ picker, model }) => {
  picker.grow(count);
  for (const index of model.all("unknown")) if (index < count) model.states[index] = "waiting";
});

const take = fc.nat({ max: 1 }).map((source): Step => ({ picker, model }) => {
  const index = picker.take(SOURCES[source]);
  if (index === undefined) return assertEquals(model.all("waiting"), []);
  assertEquals(model.states[index], "waiting");
  model.states[index] = "asked";
  model.askedOf[index] = source;
});

/** One of the pieces that are asked, picked by a number. */
const settle = (state: "verified" | "waiting") =>
  fc.nat().map((n): Step => ({ picker, model }) => {
    const asked = model.all("asked");
    const index = asked[n % asked.length];
    if (index === undefined) return;
    if (state === "verified") picker.verified(index);
    else picker.failed(index);
    model.states[index] = state;
  });

/** One of the pieces that are verified, picked by a number: it is written, or was of another file. */
const after = (state: "stored" | "waiting") =>
  fc.nat().map((n): Step => ({ picker, model }) => {
    const verified = model.all("verified");
    const there = state === "stored" ? verified : [...verified, ...model.all("stored")];
    const index = there[n % there.length];
    if (index === undefined) return;
    if (state === "stored") picker.stored(index);
    else picker.lost(index);
    model.states[index] = state;
  });

/** One source is gone, or with 2 both. */
const forget = fc.nat({ max: 2 }).map((source): Step => ({ picker, model }) => {
  picker.forgetAsked(SOURCES[source]);
  for (const index of model.all("asked")) {
    if (source === 2 || model.askedOf[index] === source) model.states[index] = "waiting";
  }
});

function check({ picker, model }: Pair): void {
  for (const [index, state] of model.states.entries()) {
    assertEquals(picker.isAsked(index), state === "asked");
    assertEquals(picker.isVerified(index), state === "verified" || state === "stored");
    assertEquals(picker.isStored(index), state === "stored");
  }
  const asked = model.all("asked");
  assertEquals(picker.askedCount, asked.length);
  for (const [i, source] of SOURCES.entries()) {
    const theirs = asked.filter((index) => model.askedOf[index] === i);
    assertEquals(picker.askedOf(source), theirs.length);
    for (const index of asked) {
      assertEquals(picker.isAsked(index, source), theirs.includes(index));
    }
  }
  const verified = [...model.all("verified"), ...model.all("stored")].sort((a, b) => a - b);
  assertEquals(picker.verifiedCount, verified.length);
  assertEquals(picker.unwrittenCount, model.all("verified").length);
  const prefix = model.states.findIndex((state) => state !== "verified" && state !== "stored");
  for (const index of [0, 1, 20, 40]) {
    assertEquals(picker.hasAllBelow(index), index <= (prefix < 0 ? 40 : prefix));
  }
  const inRanges = picker.ranges().flatMap(([start, end]) => {
    assert(end > start);
    return Array.from({ length: end - start }, (_, i) => start + i);
  });
  assertEquals(inRanges, verified);
}

Deno.test("picker: each piece is waiting, asked of a source, verified or stored, as in the model", () => {
  const step = fc.oneof(
    { weight: 1, arbitrary: grow },
    { weight: 6, arbitrary: take },
    { weight: 4, arbitrary: settle("verified") },
    { weight: 1, arbitrary: settle("waiting") },
    { weight: 3, arbitrary: after("stored") },
    { weight: 1, arbitrary: after("waiting") },
    { weight: 1, arbitrary: forget },
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 120 }), (steps) => {
      const pair = { picker: new PiecePicker(), model: new Model() };
      for (const run of steps) {
        run(pair);
        check(pair);
      }
    }),
    { seed, numRuns: 200 },
  );
});

Deno.test("picker: whatever goes wrong, every piece is verified in the end", () => {
  fc.assert(
    fc.property(fc.array(fc.nat({ max: 9 }), { maxLength: 200 }), (luck) => {
      const picker = new PiecePicker();
      picker.grow(30);
      const order: number[] = [];
      for (let index = picker.take(); index !== undefined; index = picker.take()) {
        const draw = luck[order.length];
        order.push(index);
        if (draw === 0) picker.forgetAsked();
        else if (draw === 1) picker.failed(index);
        else picker.verified(index);
        if (draw === 2) picker.lost(index);
      }
      assertEquals(picker.ranges(), [[0, 30]]);
    }),
    { seed, numRuns: 200 },
  );
});

/** The picker against the plainest model: a state for each piece. */

import { assert, assertEquals } from "@std/assert";
import { PiecePicker } from "../../lib/transfer/picker.ts";
import fc from "../helpers/fast_check.ts";
import { newSeed } from "../helpers/random.ts";

/** Set it to the number of a failed run to see it again. */
const SEED: number | undefined = undefined;
const seed = newSeed("tests/property/picker_test.ts", SEED);

type State = "unknown" | "waiting" | "asked" | "verified";

class Model {
  readonly states: State[] = Array(40).fill("unknown");

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

const take = fc.constant<Step>(({ picker, model }) => {
  const index = picker.take();
  if (index === undefined) return assertEquals(model.all("waiting"), []);
  assertEquals(model.states[index], "waiting");
  model.states[index] = "asked";
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

const forget = fc.constant<Step>(({ picker, model }) => {
  picker.forgetAsked();
  for (const index of model.all("asked")) model.states[index] = "waiting";
});

function check({ picker, model }: Pair): void {
  for (const [index, state] of model.states.entries()) {
    assertEquals(picker.isAsked(index), state === "asked");
    assertEquals(picker.isVerified(index), state === "verified");
  }
  assertEquals(picker.askedCount, model.all("asked").length);
  assertEquals(picker.verifiedCount, model.all("verified").length);
  const inRanges = picker.ranges().flatMap(([start, end]) => {
    assert(end > start);
    return Array.from({ length: end - start }, (_, i) => start + i);
  });
  assertEquals(inRanges, model.all("verified"));
}

Deno.test("picker: each piece is waiting, asked or verified, as in the model", () => {
  const step = fc.oneof(
    { weight: 1, arbitrary: grow },
    { weight: 6, arbitrary: take },
    { weight: 4, arbitrary: settle("verified") },
    { weight: 1, arbitrary: settle("waiting") },
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
      }
      assertEquals(picker.ranges(), [[0, 30]]);
    }),
    { seed, numRuns: 200 },
  );
});

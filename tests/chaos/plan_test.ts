import { assert, assertEquals } from "@std/assert";
import { planOf } from "./plan.ts";

const SIZE = 256 * 1024 * 1024;

Deno.test("a seed has one plan", () => {
  for (let seed = 0; seed < 20; seed++) assertEquals(planOf(seed, SIZE), planOf(seed, SIZE));
});

Deno.test("ten seeds in a row have every victim and every kind of moment", () => {
  for (const from of [0, 7, 190]) {
    const plans = Array.from({ length: 10 }, (_, i) => planOf(from + i, SIZE));
    const kills = plans.flatMap(({ kills }) => kills);
    assertEquals(
      [...new Set(kills.flatMap(({ victims }) => victims))].sort(),
      ["receiver", "sender", "tracker"],
    );
    assertEquals(
      [...new Set(kills.map(({ moment }) => moment.at))].sort(),
      ["passed", "publishing", "time", "unacknowledged"],
    );
    assert(kills.some(({ victims }) => victims.length > 1));
    assert(plans.some(({ kills }) => kills.length > 1));
  }
});

Deno.test("kills by bytes come in their order, within the file", () => {
  for (let seed = 0; seed < 200; seed++) {
    const places = planOf(seed, SIZE).kills.flatMap(({ moment }) =>
      moment.at === "passed" ? [moment.bytes] : []
    );
    assertEquals(places, places.toSorted((a, b) => a - b));
    assert(places.every((bytes) => bytes >= 0 && bytes < SIZE));
  }
});

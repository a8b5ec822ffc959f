import { assertEquals, assertRejects } from "@std/assert";
import { type Candidates, candidatesOf, race } from "../../../lib/net/race.ts";
import { turn } from "../../helpers/deadline.ts";
import { FakeClock } from "../../helpers/fake_clock.ts";

/** A race of attempts that the test ends by hand. */
function start(count: number, signal = new AbortController().signal) {
  const clock = new FakeClock();
  const begun: { win: (value: string) => void; fail: () => void; lost: AbortSignal }[] = [];
  const late: string[] = [];
  const attempts = Array.from({ length: count }, (_, i) => (lost: AbortSignal) => {
    const { promise, resolve, reject } = Promise.withResolvers<string>();
    begun.push({ win: resolve, fail: () => reject(new Error(`no ${i}`)), lost });
    return promise;
  });
  const drop = (value: string) => void late.push(value);
  const won = race(attempts, { clock, signal, drop });
  return { clock, begun, late, won };
}

Deno.test("An attempt that does not answer is left to go on, and the next begins beside it", async () => {
  const { clock, begun, late, won } = start(3);
  assertEquals(begun.length, 1);
  clock.advance(249);
  assertEquals(begun.length, 1);
  clock.advance(1);
  assertEquals(begun.length, 2);
  begun[0]?.win("slow");
  assertEquals(await won, "slow");
  assertEquals(begun[1]?.lost.aborted, true);
  begun[1]?.win("late");
  await turn();
  assertEquals(late, ["late"]);
  clock.advance(10_000);
  assertEquals([begun.length, clock.pending], [2, []]);
});

Deno.test("An attempt that fails has the next begin at once", async () => {
  const { clock, begun, won } = start(3);
  begun[0]?.fail();
  await turn();
  begun[1]?.fail();
  await turn();
  assertEquals(begun.length, 3);
  begun[2]?.win("third");
  assertEquals([await won, clock.pending], ["third", []]);
});

Deno.test("A race that all lose fails with the last failure, and one that nobody runs at once", async () => {
  const { clock, begun, won } = start(2);
  clock.advance(250);
  begun[1]?.fail();
  begun[0]?.fail();
  await assertRejects(() => won, Error, "no 0");
  await assertRejects(() => start(0).won, Error, "there is no address");
});

Deno.test("A race that is called off begins no more, and drops what still comes", async () => {
  const stop = new AbortController();
  const { clock, begun, late, won } = start(2, stop.signal);
  stop.abort(new Error("over"));
  await assertRejects(() => won, Error, "over");
  assertEquals(begun[0]?.lost.aborted, true);
  begun[0]?.win("late");
  await turn();
  assertEquals([late, begun.length, clock.pending], [["late"], 1, []]);
  await assertRejects(() => start(1, stop.signal).won, Error, "over");
});

const at = (...hosts: string[]): Candidates => {
  const [first, ...addresses] = hosts.map((host) => ({ host, port: 1 }));
  return { host: "", port: 1, ...first, addresses };
};
const LAN = "192.168.1.1";
for (
  const [what, entry, options, expected] of [
    ["one address", at("10.0.0.1"), { via: LAN }, "10.0.0.1"],
    ["each once", at("10.0.0.1", "10.0.0.1", "10.0.0.2"), { via: LAN }, "10.0.0.1 10.0.0.2"],
    [
      "the families in turn, from the tracker's on",
      at("10.0.0.1", "10.0.0.2", "10.0.0.3", "2001:db8::1", "2001:db8::2"),
      { via: LAN },
      "10.0.0.1 2001:db8::1 10.0.0.2 2001:db8::2 10.0.0.3",
    ],
    [
      "more of the other family",
      at("10.0.0.1", "2001:db8::1", "2001:db8::2"),
      { via: LAN },
      "10.0.0.1 2001:db8::1 2001:db8::2",
    ],
    [
      "the one that worked last before the others",
      at("10.0.0.1", "10.0.0.2", "2001:db8::1"),
      { via: LAN, last: "[2001:db8::1]:1" },
      "2001:db8::1 10.0.0.1 10.0.0.2",
    ],
    [
      "one that worked last and is not there any more is not dialled",
      at("10.0.0.1"),
      { via: LAN, last: "10.0.0.9:1" },
      "10.0.0.1",
    ],
    ["loopback is this machine", at("127.0.0.1", "10.0.0.1", "::1"), { via: LAN }, "10.0.0.1"],
    ["loopback beside the tracker", at("127.0.0.1", "10.0.0.1"), {
      via: "127.0.0.1",
    }, "127.0.0.1 10.0.0.1"],
    ["the unspecified address is this machine", at("0.0.0.0", "10.0.0.1"), {
      via: "127.0.0.1",
    }, "10.0.0.1"],
    ["nothing that others may not have dialled", at("10.0.0.1", "0.0.0.0", "224.0.0.1", "a.b"), {
      via: LAN,
    }, "10.0.0.1"],
    [
      "link-local only by the link that the tracker is on, and not in the scope of another machine",
      at("fe80::1", "fe80::2%eth0"),
      { via: "fe80::9" },
      "fe80::1 fe80::2",
    ],
    ["no link-local address elsewhere", at("10.0.0.1", "fe80::2%2"), { via: LAN }, "10.0.0.1"],
  ] as const
) {
  Deno.test(`Candidates: ${what}`, () => {
    const texts = candidatesOf(entry, options).map(({ host }) => host);
    assertEquals(texts.join(" "), expected);
  });
}

/** What a peer tells its tracker of a share, and when. */

import { assertEquals } from "@std/assert";
import { P2PError } from "../../../lib/errors.ts";
import { ShareReporter } from "../../../lib/peer/share_reporter.ts";
import type { ShareRecipient } from "../../../lib/peer/share_log.ts";
import type { MessageOf } from "../../../lib/wire/message.ts";
import { turn } from "../../helpers/deadline.ts";
import { FakeClock } from "../../helpers/fake_clock.ts";

const SECOND = 1_000;

function recipient(name: string, state: ShareRecipient["state"] = "accepted"): ShareRecipient {
  return { id: `id-${name}`, name, state };
}

function scene() {
  const clock = new FakeClock();
  const heard: string[] = [];
  const tracker: { session: object | undefined; fails?: P2PError } = { session: {} };
  const report = (message: Omit<MessageOf<"REPORT">, "verb" | "seq">) => {
    if (tracker.fails) return Promise.reject(tracker.fails);
    const { recipients, total, over } = message;
    const all = recipients.map(({ name, state, bytes, sources, code }) =>
      [name, state, bytes, sources, code].filter((part) => part !== undefined).join(" ")
    );
    heard.push(`${total}: ${all.join(", ")}${over ? " over" : ""}`);
    return Promise.resolve();
  };
  const share = { id: "s", name: "a.bin", size: 5, at: "2026-01-01T00:00:00Z" };
  const session = () => tracker.session;
  const reporter = new ShareReporter({ share, report, session, clock });
  const told = async (ms: number) => {
    clock.advance(ms);
    await turn();
    return heard.splice(0);
  };
  return { clock, tracker, reporter, told };
}

Deno.test("All of it is told after a second, then what has changed, and its end", async () => {
  const { clock, reporter, told } = scene();
  reporter.note(recipient("bob"));
  reporter.note({
    ...recipient("x", "failed"),
    id: "",
    error: { code: "peer-unknown", message: "" },
  });
  assertEquals(await told(SECOND - 1), []);
  // Who is not there may come.
  assertEquals(await told(1), ["2: bob accepted"]);
  assertEquals(await told(SECOND), []);
  reporter.progress("id-bob", 3, 2);
  reporter.progress("id-nobody", 3);
  assertEquals(await told(SECOND), ["2: bob accepted 3 2"]);
  reporter.note(recipient("carol", "offered"));
  reporter.note(recipient("bob", "delivered"));
  await reporter.end();
  assertEquals(await told(0), ["3: x failed peer-unknown, carol offered, bob delivered 3 2 over"]);
  assertEquals([await told(10 * SECOND), clock.pending], [[], []]);
});

Deno.test("Who was not there and has come is one recipient, whatever it was called", async () => {
  const { reporter, told } = scene();
  for (const name of ["192.0.2.1:7000", "id:id-ca"]) {
    reporter.note({ ...recipient(name, "failed"), id: "" });
  }
  reporter.note(recipient("bob"));
  assertEquals(await told(SECOND), ["3: bob accepted"]);
  for (const target of ["192.0.2.1:7000", "id:id-ca"]) reporter.arrived(target);
  reporter.note(recipient("carol", "offered"));
  assertEquals(await told(SECOND), ["2: carol offered"]);
  await reporter.end();
  assertEquals(await told(0), ["2:  over"]);
});

Deno.test("What is over within a second is not told", async () => {
  const { clock, reporter, told } = scene();
  reporter.note(recipient("bob"));
  await reporter.end();
  assertEquals([await told(10 * SECOND), clock.pending], [[], []]);
});

Deno.test("Another session is told all of it, also after the tracker was away", async () => {
  const { tracker, reporter, told } = scene();
  reporter.note(recipient("bob"));
  reporter.note(recipient("carol"));
  assertEquals((await told(SECOND)).length, 1);
  tracker.fails = new P2PError("tracker-unreachable", "away");
  tracker.session = undefined;
  reporter.note(recipient("bob", "delivered"));
  assertEquals(await told(SECOND), []);
  delete tracker.fails;
  tracker.session = {};
  assertEquals(await told(5 * SECOND), ["2: bob delivered, carol accepted"]);
  tracker.session = {};
  assertEquals(await told(SECOND), ["2: bob delivered, carol accepted"]);
  await reporter.end();
});

Deno.test("Many are told in several parts", async () => {
  const { reporter, told } = scene();
  for (let i = 0; i < 150; i++) reporter.note(recipient(`p${i}`));
  const parts = await told(SECOND);
  assertEquals(parts.map((part) => part.split(",").length), [64, 64, 22]);
  await reporter.end();
  assertEquals(await told(0), ["150:  over"]);
});

Deno.test("A tracker that knows no reports gets one, and no more", async () => {
  const { clock, tracker, reporter, told } = scene();
  tracker.fails = new P2PError("unknown-verb", "what?");
  reporter.note(recipient("bob"));
  await told(SECOND);
  delete tracker.fails;
  assertEquals([await told(60 * SECOND), clock.pending], [[], []]);
  await reporter.end();
  assertEquals(await told(0), []);
});

Deno.test("A tracker that does not answer does not hold up the end for longer than a second", async () => {
  const { clock, tracker, reporter, told } = scene();
  reporter.note(recipient("bob"));
  await told(SECOND);
  tracker.fails = new P2PError("timeout", "late");
  const ended = reporter.end();
  clock.advance(SECOND);
  await ended;
  assertEquals(clock.pending, []);
});

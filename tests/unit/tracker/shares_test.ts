/** What a tracker remembers of the shares that its members report. */

import { assertEquals, assertThrows } from "@std/assert";
import { P2PError } from "../../../lib/errors.ts";
import { Shares } from "../../../lib/tracker/shares.ts";
import type { MessageOf, ReportedRecipient } from "../../../lib/wire/message.ts";
import { idOf } from "../../helpers/entries.ts";
import { FakeClock } from "../../helpers/fake_clock.ts";

const HOUR = 60 * 60_000;
const PAGE = { start: 0, count: 24 };

function recipient(n: number, state: ReportedRecipient["state"] = "accepted"): ReportedRecipient {
  return { id: idOf(n), name: `p${n}`, state };
}

function report(share: string, more: Partial<MessageOf<"REPORT">> = {}): MessageOf<"REPORT"> {
  const about = { name: "a.bin", size: 5, at: "2026-01-01T00:00:00Z", total: 2 };
  return { verb: "REPORT", seq: 1, share, ...about, recipients: [], ...more };
}

function scene() {
  const clock = new FakeClock();
  const shares = new Shares({ clock });
  const nameOf = (id: string) => id === idOf(1) ? "anna" : undefined;
  const list = (page = PAGE) =>
    shares.list(page, nameOf).shares.map(({ share, sender, state, delivered, failed }) =>
      [share, sender, state, delivered, failed].join(" ")
    );
  const find = (from: string, share: string, page = { start: 0, count: 64 }) =>
    shares.find({ from, share, ...page }, nameOf);
  return { clock, shares, list, find };
}

Deno.test("A share is what its reporter has said of it last, recipient by recipient", () => {
  const { shares, list, find } = scene();
  shares.take(idOf(1), report("s", { recipients: [recipient(2), recipient(3)] }));
  shares.take(idOf(1), report("s", { recipients: [recipient(3, "delivered")], total: 3 }));
  assertEquals(list(), ["s anna running 1 0"]);
  shares.take(idOf(1), report("s", { recipients: [recipient(2, "failed")], over: true }));
  assertEquals(list(), ["s anna over 1 1"]);
  assertEquals(find(idOf(1), "s").recipients, [recipient(2, "failed"), recipient(3, "delivered")]);
});

Deno.test("Who was not there in the end is told of anew when it goes on", () => {
  const { shares, list, find } = scene();
  const missing: ReportedRecipient = { name: "p2", state: "failed", code: "peer-unknown" };
  // In two parts.
  shares.take(idOf(1), report("s", { recipients: [missing] }));
  shares.take(idOf(1), report("s", { recipients: [recipient(3)], over: true }));
  assertEquals(list(), ["s anna over 0 1"]);
  shares.take(idOf(1), report("s", { recipients: [recipient(2)] }));
  shares.take(idOf(1), report("s", { recipients: [recipient(2, "delivered")], over: true }));
  assertEquals([list(), find(idOf(1), "s").recipients], [
    ["s anna over 1 0"],
    [recipient(3), recipient(2, "delivered")],
  ]);
});

Deno.test("What another calls by the same id is another share", () => {
  const { shares, list, find } = scene();
  shares.take(idOf(1), report("s", { recipients: [recipient(2)] }));
  shares.take(idOf(9), report("s", { recipients: [recipient(2, "failed")], over: true }));
  assertEquals(list(), ["s  over 0 1", "s anna running 0 0"]);
  assertEquals(find(idOf(1), "s").recipients, [recipient(2)]);
  assertEquals(find(idOf(2), "s"), { shares: [], recipients: [], more: false });
});

Deno.test("A share whose reporter is gone is lost, until it is reported again", () => {
  const { shares, list } = scene();
  shares.take(idOf(1), report("s"));
  shares.take(idOf(1), report("t", { over: true }));
  assertEquals([shares.isReporting(idOf(1)), shares.isReporting(idOf(2))], [true, false]);
  shares.lost(idOf(1));
  assertEquals(list(), ["t anna over 0 0", "s anna lost 0 0"]);
  assertEquals(shares.isReporting(idOf(1)), false);
  shares.take(idOf(1), report("s"));
  assertEquals(list(), ["t anna over 0 0", "s anna running 0 0"]);
});

Deno.test("What is over or lost is remembered for an hour, what goes on as long as it does", () => {
  const { clock, shares, list } = scene();
  shares.take(idOf(1), report("over", { over: true }));
  shares.take(idOf(1), report("on"));
  clock.advance(HOUR);
  assertEquals(list().length, 2);
  clock.advance(1);
  assertEquals(list(), ["on anna running 0 0"]);
});

Deno.test("Neither one nor all together have more than there is room for", () => {
  const { shares, list, find } = scene();
  for (let i = 0; i < 32; i++) shares.take(idOf(1), report(`${i}`));
  const tooMany = () => shares.take(idOf(1), report("more"));
  assertEquals(assertThrows(tooMany, P2PError).code, "busy");
  // Those that it has go on all the same, and one that is over makes room.
  shares.take(idOf(1), report("0", { over: true }));
  tooMany();
  for (let n = 0; n < 967; n++) shares.take(idOf(100 + n), report("s"));
  assertEquals([list({ start: 999, count: 24 }).length, list({ start: 1000, count: 24 })], [1, []]);
  // The one that was over has gone for the last of these.
  assertEquals(find(idOf(1), "0").shares.length, 1);
  shares.take(idOf(5_000), report("s"));
  assertEquals(find(idOf(1), "0").shares, []);
  assertEquals(assertThrows(() => shares.take(idOf(5_001), report("s")), P2PError).code, "busy");
  const many = Array.from({ length: 64 }, (_, i) => recipient(i));
  for (let i = 0; i < 20; i++) {
    const recipients = many.map((one) => ({
      ...one,
      id: idOf(64 * i + Number(one.name.slice(1))),
    }));
    shares.take(idOf(1), report("1", { recipients }));
  }
  let count = 0;
  for (let more = true; more;) {
    const page = find(idOf(1), "1", { start: count, count: 64 });
    count += page.recipients.length;
    more = page.more;
  }
  assertEquals(count, 1024);
});

Deno.test("A page has what fits into a header, whatever the names are", () => {
  const { shares, find } = scene();
  const name = "\u0001".repeat(255);
  const recipients = Array.from({ length: 64 }, (_, i) => ({ ...recipient(i), name }));
  shares.take(idOf(1), report("s", { recipients }));
  const all: ReportedRecipient[] = [];
  for (let more = true; more;) {
    const page = find(idOf(1), "s", { start: all.length, count: 64 });
    all.push(...page.recipients);
    more = page.more;
    const json = JSON.stringify({ re: 2 ** 53, ...page });
    assertEquals(new TextEncoder().encode(json).length < 64 * 1024, true);
  }
  assertEquals(all, recipients);
});

import { assertEquals } from "@std/assert";
import { HaveReporter } from "../../../lib/transfer/have_reporter.ts";
import { MAX_RANGES } from "../../../lib/wire/limits.ts";
import type { MessageOf } from "../../../lib/wire/message.ts";

const MIB = 1024 * 1024;
const transfer = "A".repeat(22);

/** A reporter, what the sender was told since it was asked last, and all that the application heard. */
function scene({ sources }: { sources?: number } = {}) {
  const heard: number[] = [];
  let posted: MessageOf<"HAVE" | "ACK">[] = [];
  const reporter = new HaveReporter({
    sources: () => sources,
    transfer,
    post: (message) => void posted.push(message),
    onProgress: (bytes) => void heard.push(bytes),
  });
  const told = () => {
    const messages = posted;
    posted = [];
    return messages;
  };
  const report = (verifiedBytes: number, { isSyncing = false, isMissed = false } = {}) =>
    reporter.report({ verifiedBytes, isSyncing, isMissed });
  return { reporter, report, told, heard };
}

const have = (...pieces: [number, number][]) => ({ verb: "HAVE" as const, transfer, pieces });

Deno.test("both sides hear once of what is new", () => {
  const { reporter, report, told, heard } = scene();
  for (const index of [0, 1, 5, 2]) reporter.verified(index, 10);
  assertEquals(told(), []);
  report(40);
  assertEquals([told(), heard], [[have([0, 3], [5, 6])], [40]]);
  report(40);
  reporter.verified(3, 10);
  report(50);
  assertEquals([told(), heard], [[have([3, 4])], [40, 50]]);
});

Deno.test("the sender hears of how many peers the pieces are, where that is of interest", () => {
  const { reporter, report, told } = scene({ sources: 3 });
  reporter.verified(1, 10);
  report(10);
  assertEquals(told(), [{ ...have([1, 2]), sources: 3 }]);
});

Deno.test("the application hears when verified bytes were lost", () => {
  const { report, heard } = scene();
  report(50);
  report(20);
  assertEquals(heard, [50, 20]);
});

Deno.test("the sender is told at once after 8 MiB", () => {
  const { reporter, report, told, heard } = scene();
  for (let index = 0; index < 7; index++) reporter.verified(index, MIB);
  assertEquals(told(), []);
  reporter.verified(7, MIB);
  assertEquals([told(), heard], [[have([0, 8])], []]);
  reporter.verified(8, MIB);
  assertEquals(told(), []);
  report(9 * MIB);
  assertEquals([told(), heard], [[have([8, 9])], [9 * MIB]]);
});

Deno.test("more ranges than fit a frame are told in several", () => {
  const { reporter, report, told } = scene();
  for (let i = 0; i <= MAX_RANGES; i++) reporter.verified(2 * i, 1);
  report(MAX_RANGES + 1);
  const lengths = told().map((message) => message.verb === "HAVE" && message.pieces.length);
  assertEquals(lengths, [MAX_RANGES, 1]);
});

Deno.test("without news the sender hears every second time that this side lives", () => {
  const { reporter, report, told, heard } = scene();
  report(0);
  assertEquals(told(), []);
  report(0);
  assertEquals(told(), [have()]);
  report(0);
  // News starts the count again.
  reporter.verified(0, 1);
  report(1);
  assertEquals(told(), [have([0, 1])]);
  report(1, { isSyncing: true });
  assertEquals(told(), []);
  report(1, { isSyncing: true });
  assertEquals(told(), [{ verb: "ACK", transfer, state: "syncing" }]);
  assertEquals(heard, [1]);
});

Deno.test("a sender that is missed hears of news, and of nothing else", () => {
  const { reporter, report, told } = scene();
  for (let i = 0; i < 9; i++) report(0, { isMissed: true });
  assertEquals(told(), []);
  reporter.verified(0, 1);
  report(1, { isMissed: true });
  assertEquals(told(), [have([0, 1])]);
  // It is there again.
  report(1);
  report(1);
  assertEquals(told(), [have()]);
});

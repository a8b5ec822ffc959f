import { assert, assertEquals } from "@std/assert";
import { JsonOutput, stringify } from "../../../../lib/cli/output/json_output.ts";
import { FakeClock, FakeSink, idOf } from "../fakes.ts";

const NOW = new Date("2026-02-03T04:05:06.789Z");

function setup(quiet = false) {
  const stdout = new FakeSink();
  const stderr = new FakeSink();
  const clock = new FakeClock();
  const output = new JsonOutput({ stdout, stderr, clock, quiet, now: () => NOW });
  return { stdout, stderr, clock, output };
}

Deno.test("One object per line, event and time first", () => {
  const { stdout, stderr, output } = setup();
  output.emit({ event: "broadcast-sent", id: "m", delivered: 3 });
  output.emit({ event: "unregistered" });
  assertEquals(
    stdout.text,
    '{"event":"broadcast-sent","time":"2026-02-03T04:05:06.789Z","id":"m","delivered":3}\n' +
      '{"event":"unregistered","time":"2026-02-03T04:05:06.789Z"}\n',
  );
  assertEquals(stderr.text, "");
});

Deno.test("Strings are raw when parsed and harmless when shown", () => {
  const text = 'a\x1b[2J\u009b\u202e\u200b\u{e0041}\u2028\n"b" \u00e9 \u{1f600}';
  const { stdout, output } = setup();
  output.emit({ event: "message", id: "m", from: idOf("a"), name: text, text, sent: "" });
  const line = stdout.text.trimEnd();
  assertEquals(JSON.parse(line).text, text);
  assert(!/[\p{Cc}\p{Cf}\u2028]/u.test(line), line);
  assertEquals(stringify("\u3164\u034f\uffa0\u17b4"), '"\\u3164\\u034f\\uffa0\\u17b4"');
  assertEquals(JSON.parse(stringify("\u3164\u{1d173}\ud800")), "\u3164\u{1d173}\ud800");
  assertEquals(stringify("\u202e\u{e0041}\u00e9"), '"\\u202e\\udb40\\udc41\u00e9"');
});

Deno.test("Errors and notices are told to people too", () => {
  const { stdout, stderr, output } = setup();
  output.emit({ event: "error", code: "usage", message: "no\x1b", candidates: ["a"] });
  assertEquals(JSON.parse(stdout.take()).candidates, ["a"]);
  assertEquals(stderr.take(), "error: no\\x1b\n");
  output.emit({ event: "notice", message: "well" });
  assertEquals(stderr.take(), "well\n");
  const quiet = setup(true);
  quiet.output.emit({ event: "notice", message: "well" });
  assertEquals(quiet.stderr.text, "");
  assert(quiet.stdout.text !== "");
});

Deno.test("Progress is thinned out, but the first and the last come through", () => {
  const { stdout, clock, output } = setup();
  const progress = (bytes: number) =>
    output.emit({ event: "transfer-progress", transfer: "t", peer: "tv", bytes, size: 9, rate: 1 });
  const shown = () =>
    stdout.take().split("\n").filter(Boolean).map((line) => JSON.parse(line).bytes);
  progress(1);
  progress(2);
  assertEquals(shown(), [1]);
  clock.advance(250);
  progress(3);
  progress(4);
  progress(9);
  assertEquals(shown(), [3, 9]);
});

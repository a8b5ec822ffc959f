import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { displayWidth, fit } from "../../../../lib/cli/output/columns.ts";
import { formatRow, ProgressBars } from "../../../../lib/cli/terminal/progress.ts";
import { TextOutput } from "../../../../lib/cli/output/text_output.ts";
import { FakeSink } from "../fakes.ts";

const MIB = 1024 * 1024;
const STATE = { label: "laptop", bytes: 5 * MIB, size: 10 * MIB, rate: MIB };

Deno.test("A row has name, bar, percentage, bytes, rate and time left", () => {
  assertEquals(
    formatRow({ state: STATE }, 90),
    "laptop                [========>        ]   50%       5 MiB/10 MiB     1 MiB/s  0:05 left",
  );
  assertEquals(
    formatRow({ state: { ...STATE, size: null } }, 90),
    "laptop                                                       5 MiB     1 MiB/s",
  );
  assertEquals(
    formatRow({ state: { ...STATE, files: 4999 } }, 100),
    "laptop                [======>      ]   50%       5 MiB/10 MiB     1 MiB/s    4999 files" +
      "  0:05 left",
  );
  assertEquals(formatRow({ more: 3 }, 90), "and 3 more");
});

Deno.test("A row is never wider than the terminal", () => {
  const label = "\u684c\u4e0a".repeat(20);
  for (let width = 10; width < 160; width++) {
    const row = formatRow({ state: { ...STATE, label, bytes: 1, rate: 1 } }, width);
    assert(displayWidth(row) <= width, `${width}: ${row}`);
  }
  assertEquals(fit("\u684c\u4e0a\u578b", 4), "\u684c~ ");
});

Deno.test("Bars are drawn below what is printed, and are gone at the end", () => {
  const sink = new FakeSink(true);
  const bars = new ProgressBars(sink);
  bars.update("a", STATE);
  bars.update("b", { ...STATE, label: "desk" });
  bars.above(() => sink.write("news\n"));
  assertMatch(sink.take(), /news\n\r+laptop .*\n\r+desk /s);
  bars.finish("a");
  bars.finish("b");
  bars.finish("b");
  assert(sink.take().endsWith("\r\x1b[J"), "the screen below is cleared");
  bars.above(() => sink.write("plain\n"));
  assertEquals(sink.take(), "plain\n");
  bars.close();
  assertEquals(sink.take(), "");
});

Deno.test("More bars than rows are counted", () => {
  const sink = new FakeSink(true);
  sink.rows = 5;
  const bars = new ProgressBars(sink);
  for (const key of ["a", "b", "c", "d", "e"]) bars.update(key, { ...STATE, label: key });
  bars.above(() => {});
  const screen = sink.take();
  assertStringIncludes(screen, "and 2 more");
  assert(!screen.includes("\rd "));
  bars.finish("a");
  bars.update("d", { ...STATE, label: "d" });
  sink.take();
  bars.above(() => {});
  assertMatch(sink.take(), /\rb .*\rc .*\rd .*\rand 1 more/s);
  for (const key of ["b", "c", "d"]) bars.finish(key);
  bars.finish("e");
});

Deno.test("An output that is closed half-way leaves no bar and no timer", () => {
  const stdout = new FakeSink(true);
  const output = new TextOutput({
    stdout,
    stderr: new FakeSink(true),
    bars: new ProgressBars(stdout),
  });
  output.emit({
    event: "transfer-progress",
    transfer: "t",
    peer: "tv",
    bytes: 1,
    size: 9,
    rate: 1,
  });
  output.emit({ event: "notice", message: "in between" });
  assertMatch(stdout.take(), /in between.*\n.*\rtv .*11%/s);
  output.close();
  assert(stdout.take().endsWith("\r\x1b[J"));
});

Deno.test("Several recipients have a row of all of them, which stays where there is no room", () => {
  const stdout = new FakeSink(true);
  stdout.rows = 4;
  const output = new TextOutput({
    stdout,
    stderr: new FakeSink(true),
    bars: new ProgressBars(stdout),
  });
  const transfer = "t";
  const names = ["ann", "ben", "cleo", "dan"];
  const common = { transfer, name: "a.bin" };
  output.emit({ event: "transfer-started", ...common, size: 100, direction: "send", peers: names });
  for (const peer of names) {
    output.emit({ event: "transfer-progress", transfer, peer, bytes: 50, size: 100, rate: 10 });
  }
  const shown = () => {
    stdout.take();
    output.emit({ event: "notice", message: "-" });
    return stdout.take();
  };
  assertMatch(shown(), /\r0 of 4 have it .* 50% +200 B\/400 B +40 B\/s .*\rann .*\rand 3 more/s);
  output.emit({ event: "transfer-recipient", transfer, peer: "ann", id: "a", state: "delivered" });
  output.emit({ event: "transfer-recipient", transfer, peer: "ben", id: "b", state: "failed" });
  output.emit({ event: "transfer-joined", ...common, peer: "eve" });
  output.emit({
    event: "transfer-progress",
    transfer,
    peer: "eve",
    bytes: 10,
    size: 100,
    rate: 10,
  });
  // 100 of ann, 50 each of cleo and dan, 10 of eve; nothing of ben is waited for.
  assertMatch(shown(), /\r1 of 5 have it .* 52% +210 B\/400 B +30 B\/s/s);
  output.emit({
    event: "transfer-finished",
    ...common,
    size: 100,
    sha256: null,
    bytesSent: 1,
    seconds: 1,
    recipients: [],
  });
  assert(!shown().includes("have it"));
  output.close();
});

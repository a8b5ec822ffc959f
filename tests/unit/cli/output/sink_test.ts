import { assertEquals, assertInstanceOf } from "@std/assert";
import { type Writer, WriterSink } from "../../../../lib/cli/output/sink.ts";

/** A file, a pipe or a terminal that takes what `take` says. */
function writer(take: (data: Uint8Array) => number | Promise<number>, isTerminal = false): Writer {
  return {
    write: async (data) => await take(data),
    writeSync: (data) => take(data) as number,
    isTerminal: () => isTerminal,
  };
}

Deno.test("Partial writes are written on, and a terminal that is full is waited for", async () => {
  for (const isTerminal of [true, false]) {
    const written: number[] = [];
    let full = isTerminal ? 2 : 0;
    const sink = new WriterSink(
      writer((data) => {
        if (written.length === 3 && full-- > 0) throw new Deno.errors.WouldBlock();
        written.push(...data.subarray(0, 3));
        return Math.min(3, data.length);
      }, isTerminal),
    );
    sink.write("gr\u00fc\u00df dich");
    await sink.flushed();
    assertEquals(new TextDecoder().decode(Uint8Array.from(written)), "gr\u00fc\u00df dich");
  }
});

Deno.test("A reader that has gone ends the writing quietly, once", async () => {
  for (const isTerminal of [true, false]) {
    let calls = 0;
    let broken = 0;
    const gone = writer(() => {
      calls++;
      throw new Deno.errors.BrokenPipe();
    }, isTerminal);
    const sink = new WriterSink(gone, { onBroken: () => broken++ });
    sink.write("a");
    sink.write("b");
    await sink.flushed();
    assertEquals([calls, broken, sink.failure], [1, 1, undefined]);
  }
});

Deno.test("A full disk costs what could not be written, and is remembered", async () => {
  let isFull = true;
  let text = "";
  const sink = new WriterSink(writer((data) => {
    if (isFull && text.length >= 2) throw new Error("disk full");
    const taken = isFull ? data.subarray(0, 2 - text.length) : data;
    text += new TextDecoder().decode(taken);
    return taken.length;
  }));
  sink.write("lost\n");
  await sink.flushed();
  isFull = false;
  sink.write("kept\n");
  await sink.flushed();
  // What was written in part does not take the next line with it.
  assertEquals(text, "lo\nkept\n");
  assertInstanceOf(sink.failure, Error);
});

Deno.test("A reader that stalls holds nobody up, and is told how much it has missed", async () => {
  const reader = Promise.withResolvers<void>();
  for (const isTerminal of [false, true]) {
    let text = "";
    const sink = new WriterSink(
      writer(async (data) => {
        await reader.promise;
        text += new TextDecoder().decode(data);
        return data.length;
      }, isTerminal),
      { describeGap: (lines) => `${lines} are missing\n`, isLog: isTerminal },
    );
    const line = `${"x".repeat(1023)}\n`;
    for (let i = 0; i < 5000; i++) sink.write(line);
    reader.resolve();
    await sink.flushed();
    sink.write("the end\n");
    await sink.flushed();
    // 4 MiB wait at most.
    assertEquals(text, `${line.repeat(4096)}904 are missing\nthe end\n`);
  }
});

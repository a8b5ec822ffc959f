import { assertEquals } from "@std/assert";
import { type SyncWriter, WriterSink } from "../../../../lib/cli/output/sink.ts";

function writer(writeSync: (data: Uint8Array) => number): SyncWriter {
  return { writeSync, isTerminal: () => false };
}

Deno.test("Partial writes and full pipes are written on", () => {
  const written: number[] = [];
  let full = 2;
  const sink = new WriterSink(writer((data) => {
    if (written.length === 3 && full-- > 0) throw new Deno.errors.WouldBlock();
    written.push(...data.subarray(0, 3));
    return Math.min(3, data.length);
  }));
  sink.write("gr\u00fc\u00df dich");
  assertEquals(new TextDecoder().decode(Uint8Array.from(written)), "gr\u00fc\u00df dich");
});

Deno.test("A reader that has gone ends the writing quietly, once", () => {
  let calls = 0;
  let broken = 0;
  const gone = writer(() => {
    calls++;
    throw new Deno.errors.BrokenPipe();
  });
  const sink = new WriterSink(gone, { onBroken: () => broken++ });
  sink.write("a");
  sink.write("b");
  assertEquals([calls, broken], [1, 1]);
});

Deno.test("A full disk costs what could not be written, and not the program", () => {
  let isFull = true;
  let written = 0;
  const sink = new WriterSink(writer((data) => {
    if (isFull) throw new Error("disk full");
    written += data.length;
    return data.length;
  }));
  sink.write("lost");
  isFull = false;
  sink.write("kept");
  assertEquals(written, 4);
});

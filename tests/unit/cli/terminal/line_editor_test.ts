import { assert, assertEquals, assertLess, assertLessOrEqual } from "@std/assert";
import { PassThrough } from "node:stream";
import { TerminalPrompt } from "../../../../lib/cli/terminal/terminal_prompt.ts";
import { screenOf } from "../../../helpers/screen.ts";
import { FakeSink } from "../fakes.ts";

const PROMPT = "Say: ";
const LONG = 100_000;
/** Bytes that a terminal hands over in one read. */
const READ = 4096;

// deno-lint-ignore no-control-regex
const EACH_KEY = /\x1b\[[A-Z]|\x1b.|[^]/gu;

/** Counts the writes, too. */
class CountingSink extends FakeSink {
  writes = 0;

  override write(text: string): void {
    this.writes++;
    super.write(text);
  }
}

/** A prompt at a terminal of 80 columns and 24 rows. */
function prompt() {
  const sink = new CountingSink(true);
  const keys = new PassThrough();
  const complete = (line: string): Promise<[string[], string]> =>
    Promise.resolve([["hello", "help"].filter((word) => word.startsWith(line)), line]);
  const source = new TerminalPrompt({ input: keys, sink, prompt: PROMPT, complete });
  /** Types the chunks, each as one read, and lets everything that follows from them happen. */
  const type = async (...chunks: (string | Uint8Array)[]) => {
    for (const chunk of chunks) {
      keys.write(chunk);
      await settled();
    }
  };
  return { sink, source, type };
}

function settled(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 0));
}

function chunksOf(text: string): string[] {
  return text.match(new RegExp(`[^]{1,${READ}}`, "gu")) ?? [];
}

/** Takes lines until the end, as the menu does. */
async function linesOf(source: TerminalPrompt): Promise<string[]> {
  const lines: string[] = [];
  for (let line = await source.next(); line !== null; line = await source.next()) lines.push(line);
  return lines;
}

Deno.test("A paste is drawn once for each read, and no more of it than a screen", async () => {
  for (const [what, character] of [["narrow", "x"], ["wide", "\u684c"], ["pairs", "\u{1f600}"]]) {
    const { sink, source, type } = prompt();
    const line = source.next();
    const pasted = `${character}`.repeat(LONG);
    const chunks = chunksOf(pasted);
    sink.writes = 0;
    sink.take();
    await type(...chunks);
    assertLessOrEqual(sink.writes, chunks.length, what);
    assertLess(sink.take().length, 3 * LONG, what);
    await type("\r");
    assert(await line === pasted, what);
    await type("\x04");
  }
});

Deno.test("A paste into the middle of a line is drawn once for each read", async () => {
  const { sink, source, type } = prompt();
  const line = source.next();
  await type("ab", "\x1b[D");
  sink.writes = 0;
  const pasted = "\tx".repeat(LONG / 2);
  const chunks = chunksOf(pasted);
  await type(...chunks);
  assertLessOrEqual(sink.writes, chunks.length);
  await type("\r");
  assert(await line === `a${pasted}b`);
  await type("\x04");
});

Deno.test("What is typed one key at a time after a paste costs that key", async () => {
  const { sink, source, type } = prompt();
  const line = source.next();
  await type("x".repeat(LONG));
  sink.take();
  await type("y");
  assertEquals(sink.take(), "y");
  await type("\x1b[D");
  assertLess(sink.take().length, 10);
  await type("\x7f");
  assertLess(sink.take().length, 80 * 24);
  await type("\r\x04");
  assert(await line === "x".repeat(LONG - 1) + "y");
});

Deno.test("What is printed above a long line draws no more than a screen", async () => {
  const { sink, source, type } = prompt();
  const line = source.next();
  await type("x".repeat(LONG));
  for (let n = 0; n < 3; n++) {
    sink.take();
    source.above(() => sink.write("news\n"));
    const text = sink.take();
    const [up = "", redrawn = ""] = text.split("A\r\x1b[Jnews\n");
    assertLess(redrawn.length, 80 * 24);
    // Going up over more rows than there are would end on the first one, over other text.
    assertLess(Number(up.replace("\x1b[", "")), 24, JSON.stringify(up));
  }
  const answer = source.ask("Sure? ");
  await type("yes\r");
  assertEquals(await answer, "yes");
  await type("!\r\x04");
  assert(await line === "x".repeat(LONG) + "!");
});

Deno.test("Characters may be split between reads at every byte", async () => {
  const text = "gr\u00fc\u684c\u{1f600}\u{1f468}\u200d\u{1f469}e\u0301.";
  const bytes = new TextEncoder().encode(`${text}\r`);
  for (let at = 0; at <= bytes.length; at++) {
    const { source, type } = prompt();
    const line = source.next();
    await type(bytes.slice(0, at), bytes.slice(at));
    assertEquals(await line, text, `${at}`);
    await type("\x04");
  }
});

Deno.test("Keys within a read keep their meaning, and so does a line end", async () => {
  const cases: [keys: string, lines: string[]][] = [
    ["abc\x7fd\r", ["abd"]],
    ["bc\x01a\x05d\r", ["abcd"]],
    ["ac\x1b[Db\r", ["abc"]],
    ["one two\x17three\r", ["one three"]],
    ["abc\x15def\x19\r", ["defabc"]],
    ["abc\x1f\r", ["abc"]],
    ["one\rtwo\r\x1b[A\x1b[A\r", ["one", "two", "one"]],
    ["one\rtwo\ro\x1b[A\r", ["one", "two", "one"]],
    ["a\tb\r", ["a\tb"]],
    ["a\r\nb\nc\r", ["a", "b", "c"]],
    ["a\u2028b\r", ["a", "b"]],
    ["\x1bbx\x1b[Cy\r", ["xy"]],
  ];
  for (const [keys, lines] of cases) {
    for (const chunks of [[keys], keys.match(EACH_KEY) ?? []]) {
      // A Tab by itself completes.
      if (chunks.length > 1 && keys.includes("\t")) continue;
      const { source, type } = prompt();
      const taken = linesOf(source);
      await type(...chunks, "\x04");
      assertEquals(await taken, lines, JSON.stringify(chunks));
    }
  }
});

Deno.test("Pasted lines are as many lines, wherever the reads are split", async () => {
  const pasted = "first\rsecond one\r\rthird\r";
  for (let at = 0; at <= pasted.length; at++) {
    const { sink, source, type } = prompt();
    const lines = linesOf(source);
    await type(pasted.slice(0, at), pasted.slice(at), "\x04");
    assertEquals(await lines, ["first", "second one", "", "third"], `${at}`);
    const screen = screenOf(sink.text, 80);
    for (const line of ["first", "second one", "third"]) {
      assert(screen.includes(`${PROMPT}${line}`), `${at}: ${JSON.stringify(screen)}`);
    }
  }
});

Deno.test("Ctrl-C within a paste ends it there", async () => {
  const { source, type } = prompt();
  const lines = linesOf(source);
  await type(`one\r${"x".repeat(LONG)}\x03rest\r`);
  assertEquals(await lines, ["one"]);
  assertEquals(source.end, "interrupted");
});

Deno.test("Tab by itself completes, and two list what there is", async () => {
  const { sink, source, type } = prompt();
  const line = source.next();
  await type("h", "\t", "\t");
  const screen = screenOf(sink.text, 80);
  assert(screen.includes("hello  help"), JSON.stringify(screen));
  assertEquals(screen.at(-1), `${PROMPT}hel`);
  await type("p\r");
  assertEquals(await line, "help");
  await type("\x04");
});

Deno.test("The screen shows the line after any keys, as if it were drawn anew", async () => {
  const keys = ["a", "bcd ", "x".repeat(75), "y".repeat(80), "z".repeat(30), "\x7f", "\x1b[D"];
  keys.push("\x1b[C", "\x01", "\x05", "\x1bb", "\x1bf", "\x17", "\x0b", "\x19", "\x1f");
  // A generator with a seed, so that a failure can be repeated.
  let seed = 7;
  const random = (below: number) => (seed = (seed * 48_271) % 2_147_483_647) % below;
  const { sink, source, type } = prompt();
  const line = source.next();
  for (let n = 0; n < 300; n++) {
    const chunk = Array.from({ length: 1 + random(3) }, () => keys[random(keys.length)]).join("");
    await type(chunk);
    const drawn = screenOf(sink.take(), 80).join("\n").trimEnd();
    source.above(() => {});
    const anew = screenOf(sink.text, 80).join("\n").trimEnd();
    assertEquals(drawn, anew, JSON.stringify(chunk));
    // Keeps the line within a screen: beyond it rows scroll, which the model of a screen has no end of.
    if (anew.length > 1000) await type("\x05\x15");
  }
  await type("\x05\x15last\r\x04");
  assertEquals(await line, "last");
});

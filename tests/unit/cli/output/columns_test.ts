import { assertEquals } from "@std/assert";
import { columnsOf, displayWidth, fit } from "../../../../lib/cli/output/columns.ts";

const FAMILY = "\u{1f468}\u200d\u{1f469}\u200d\u{1f467}";
const FLAG = "\u{1f1e9}\u{1f1ea}";
const HEART = "\u2764\ufe0f";
const THUMB = "\u{1f44d}\u{1f3fd}";

Deno.test("Text takes the columns that a terminal gives it, a grapheme at a time", () => {
  const cases: [text: string, width: number][] = [
    ["", 0],
    ["plain text", 10],
    ["gr\u00fc\u00dfe", 5],
    ["gru\u0308\u00dfe", 5],
    ["\u540d\u524d", 4],
    ["\uff21\uff42", 4],
    ["\uff76\uff9e", 2],
    ["\uac00\u1112\u1161\u11ab", 4],
    ["\u05e9\u05dc\u05d5\u05dd", 4],
    ["\u{20000}", 2],
    ["\u{1f600}!", 3],
    [FAMILY, 2],
    [FLAG, 2],
    [HEART, 2],
    ["\u2764", 1],
    [THUMB, 2],
    ["1\ufe0f\u20e3", 2],
    ["\u0301", 0],
    ["\ufe0f", 0],
    ["\u200b\u200d\u2060", 0],
    ["\x07", 0],
  ];
  for (const [text, width] of cases) assertEquals(displayWidth(text), width, JSON.stringify(text));
});

Deno.test("Text is cut between graphemes and padded to its columns", () => {
  const cases: [text: string, width: number, fitted: string][] = [
    ["laptop", 8, "laptop  "],
    ["laptop", 6, "laptop"],
    ["laptop", 5, "lapt~"],
    ["laptop", 1, "~"],
    ["laptop", 0, ""],
    ["laptop", -1, ""],
    ["", 3, "   "],
    ["\u540d\u524d", 5, "\u540d\u524d "],
    ["\u540d\u524d", 3, "\u540d~"],
    ["\u540d\u524d", 2, "~ "],
    [`${FAMILY}${FAMILY}`, 3, `${FAMILY}~`],
    [`a${FLAG}${FLAG}`, 4, `a${FLAG}~`],
    [`a${HEART}b`, 3, "a~ "],
    ["e\u0301e\u0301e\u0301", 2, "e\u0301~"],
  ];
  for (const [text, width, fitted] of cases) {
    assertEquals(fit(text, width), fitted, JSON.stringify([text, width]));
    assertEquals(displayWidth(fit(text, width)), Math.max(0, width));
  }
});

Deno.test("A character by itself is narrow, wide or joins the one before it", () => {
  for (const character of ["a", " ", "\u00fc", "\u2764", "\u05e9"]) {
    assertEquals(columnsOf(character), 1, character);
  }
  for (const character of ["\u540d", "\uff21", "\u{1f600}", "\u{20000}"]) {
    assertEquals(columnsOf(character), 2, character);
  }
  for (const character of ["\u0301", "\u200d", "\ufe0f", "\x1b", "\u034f", "\u{e0100}"]) {
    assertEquals(columnsOf(character), 0, character);
  }
});

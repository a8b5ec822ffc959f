import { assertEquals } from "@std/assert";
import { escapeText } from "../../../../lib/cli/output/escape.ts";
import hostileNames from "../../../testdata/hostile_names.json" with { type: "json" };

Deno.test("escapeText leaves what people write", () => {
  const texts = [
    "",
    "plain text, C:\\path, \\x1b written out, \\u{202e} too",
    "Gr\u00fc\u00dfe \u2013 \u540d\u524d \u05e9\u05dc\u05d5\u05dd \u0645\u0631\u062d\u0628\u0627",
    "\u2764\ufe0f \u{1f600} e\u0301 \u00a0 \u3000",
    "\u{e0100} is a variation selector, \u{10ffff} is nothing",
    "\ufffd",
  ];
  for (const text of texts) {
    assertEquals(escapeText(text), text);
    assertEquals(escapeText(text, { multiline: true }), text);
  }
});

Deno.test("escapeText shows what a terminal would act on or hide", () => {
  const cases: [text: string, escaped: string][] = [
    ["\x1b[31mred", "\\x1b[31mred"],
    ["\0\x07\b\x0b\x0c\x1f", "\\x00\\x07\\x08\\x0b\\x0c\\x1f"],
    ["a\r\nb\tc", "a\\x0d\\x0ab\\x09c"],
    ["\x7f\x80\x85\x9b\x9f", "\\x7f\\x80\\x85\\x9b\\x9f"],
    ["\u061c\u200e\u200f", "\\u{61c}\\u{200e}\\u{200f}"],
    ["a\u202egnp.exe", "a\\u{202e}gnp.exe"],
    ["\u2066\u2067\u2068\u2069", "\\u{2066}\\u{2067}\\u{2068}\\u{2069}"],
    [
      "\u200b\u200c\u200d\u2060\ufeff\u00ad",
      "\\u{200b}\\u{200c}\\u{200d}\\u{2060}\\u{feff}\\u{ad}",
    ],
    ["\u2028\u2029", "\\u{2028}\\u{2029}"],
    ["a\u3164\u115f\u1160b", "a\\u{3164}\\u{115f}\\u{1160}b"],
    ["\u034f\uffa0\u17b4\u17b5", "\\u{34f}\\u{ffa0}\\u{17b4}\\u{17b5}"],
    ["\u2065\ufff0\u{1d173}\u{e0fff}", "\\u{2065}\\u{fff0}\\u{1d173}\\u{e0fff}"],
    ["\u{e0000}\u{e0061}\u{e007f}", "\\u{e0000}\\u{e0061}\\u{e007f}"],
    ["\ud800", "\\u{d800}"],
    ["\udc00\ud800", "\\u{dc00}\\u{d800}"],
    ["\ud83d.\ude00", "\\u{d83d}.\\u{de00}"],
  ];
  for (const [text, escaped] of cases) assertEquals(escapeText(text), escaped);
});

Deno.test("escapeText of several lines keeps LF and TAB, and CR not", () => {
  assertEquals(escapeText("a\n\tb\r\nc\x1b", { multiline: true }), "a\n\tb\\x0d\nc\\x1b");
  assertEquals(escapeText("a\nb", { multiline: false }), "a\\x0ab");
});

Deno.test("escapeText escapes every character of its ranges and no other of the first plane", () => {
  const ranges = [
    [0x00, 0x1f],
    [0x7f, 0x9f],
    [0xad, 0xad],
    [0x34f, 0x34f],
    [0x61c, 0x61c],
    [0x115f, 0x1160],
    [0x17b4, 0x17b5],
    [0x180e, 0x180e],
    [0x200b, 0x200f],
    [0x2028, 0x202e],
    [0x2060, 0x206f],
    [0x3164, 0x3164],
    [0xd800, 0xdfff],
    [0xfeff, 0xfeff],
    [0xffa0, 0xffa0],
    [0xfff0, 0xfffb],
  ] as const;
  for (let code = 0; code <= 0xffff; code++) {
    const character = String.fromCharCode(code);
    const unsafe = ranges.some(([from, to]) => code >= from && code <= to);
    assertEquals(escapeText(character) !== character, unsafe, code.toString(16));
  }
});

Deno.test("escapeText is done after one pass and leaves nothing in hostile names", () => {
  for (const { name } of hostileNames) {
    const escaped = escapeText(name);
    assertEquals(escapeText(escaped), escaped);
    assertEquals(/[\p{Cc}\p{Cs}\p{Bidi_Control}]/u.test(escaped), false);
  }
});

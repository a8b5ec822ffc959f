import { assert, assertEquals, assertNotEquals } from "@std/assert";
import {
  MAX_NAME_BYTES,
  nameKey,
  numberedName,
  safeName,
  sameName,
} from "../../../lib/disk/file_name.ts";
import hostileNames from "../../testdata/hostile_names.json" with { type: "json" };

const EURO = "\u20ac";
const SMILE = "\u{1f600}";
const FAMILY = "\u{1f468}\u{1f3fb}\u{1f3fc}";

function bytes(text: string): number {
  return new TextEncoder().encode(text).length;
}

/** What every safe name is, on every system. */
function assertSafe(name: string): void {
  const shown = JSON.stringify(name);
  assert(name.length > 0 && bytes(name) <= MAX_NAME_BYTES, `length of ${shown}`);
  assert(name.isWellFormed() && name === name.normalize("NFC"), `not NFC: ${shown}`);
  assert(!/[/\\<>:"|?*\p{Cc}\p{Zl}\p{Zp}\p{Bidi_Control}\u200b-\u200d\ufeff]/u.test(name), shown);
  assert(!/^\.|[. ]$/.test(name), `dot or space at an end: ${shown}`);
  assert(
    !/^(con|prn|aux|nul|com\d|lpt\d|conin\$|conout\$)\s*(\.|$)/i.test(name),
    `device ${shown}`,
  );
}

Deno.test("every hostile name becomes a safe one that stays as it is", async (t) => {
  assert(hostileNames.length >= 60);
  for (const { name, why } of hostileNames) {
    await t.step(why, () => {
      const safe = safeName(name);
      assertSafe(safe);
      assertEquals(safeName(safe), safe);
      for (const n of [1, 2, 1000]) assertSafe(numberedName(safe, n));
    });
  }
});

Deno.test("hostile names are all different", () => {
  assertEquals(new Set(hostileNames.map(({ name }) => name)).size, hostileNames.length);
});

const CASES: [untrusted: string, safe: string][] = [
  // Names that need nothing
  ["network.png", "network.png"],
  ["archive.tar.gz", "archive.tar.gz"],
  ["My holiday (2).jpeg", "My holiday (2).jpeg"],
  ["\u540d\u524d.txt", "\u540d\u524d.txt"],
  ["\u2764\ufe0f.png", "\u2764\ufe0f.png"],
  ["a'b&c;d%e#f!g$h", "a'b&c;d%e#f!g$h"],
  ["console.log", "console.log"],
  ["nullable", "nullable"],
  ["COM10", "COM10"],
  ["com.example", "com.example"],
  ["_.bashrc", "_.bashrc"],
  ["no extension", "no extension"],
  // Paths
  ["../../etc/passwd", "passwd"],
  ["/etc/passwd", "passwd"],
  ["a\\b/c\\d.txt", "d.txt"],
  ["foo/..", "foo"],
  ["foo/./", "foo"],
  ["foo/ / . /...", "foo"],
  ["C:\\autoexec.bat", "autoexec.bat"],
  ["C:evil.txt", "C_evil.txt"],
  ["C:", "C_"],
  ["\\\\?\\C:\\", "C_"],
  ["..", "unnamed"],
  ["/", "unnamed"],
  ["", "unnamed"],
  [" . ", "unnamed"],
  ["\u200b\u202e", "unnamed"],
  ["\u0301\ufe0f", "unnamed"],
  // Characters
  ["a\0b\x1bc\x9bd\x7fe", "a_b_c_d_e"],
  ["a\nb\r\nc\td", "a_b__c_d"],
  ['a<b>c:d"e|f?g*h', "a_b_c_d_e_f_g_h"],
  ["file.txt::$DATA", "file.txt__$DATA"],
  ["invoice\u202etxt.exe", "invoicetxt.exe"],
  ["zero\u200b\u200c\u200d\u2060\ufeff\u00adwidth", "zerowidth"],
  ["\u2066a\u2069\u200e\u061cb", "ab"],
  ["a\u2028b\u2029c", "a_b_c"],
  ["tag\u{e0061}\u{e007f}", "tag"],
  ["\u3164a\u115f", "a"],
  ["a\u1160b\u034fc\uffa0d\u17b4e\u17b5f\u3164g", "abcdefg"],
  ["a\ufff9b\ufffac\ufffbd", "abcd"],
  ["half\ud83d.png", "half\ufffd.png"],
  ["e\u0301.txt", "\u00e9.txt"],
  ["e\u200b\u0301", "\u00e9"],
  // Ends
  ["a. . .", "a"],
  ["a.\u00a0", "a"],
  [" a b ", "a b"],
  [".bashrc", "_.bashrc"],
  ["..foo", "_..foo"],
  [".partial", "_.partial"],
  ["\u200b.partial", "_.partial"],
  [" .partial", "_.partial"],
  ["\u0301.partial", "_.partial"],
  // Devices
  ["CON", "_CON"],
  ["con.txt", "_con.txt"],
  ["Aux.tar.gz", "_Aux.tar.gz"],
  ["nul .txt", "_nul .txt"],
  ["NUL. ", "_NUL"],
  ["COM0", "_COM0"],
  ["com9.x", "_com9.x"],
  ["LPT\u00b9", "_LPT\u00b9"],
  ["COM\u00b2.txt", "_COM\u00b2.txt"],
  ["CONIN$", "_CONIN$"],
  ["conout$.log", "_conout$.log"],
  ["co\u200bn", "_con"],
  ["PRN:", "PRN_"],
  // Lengths
  ["a".repeat(240), "a".repeat(240)],
  ["a".repeat(241), "a".repeat(240)],
  ["a".repeat(300) + ".png", "a".repeat(236) + ".png"],
  ["a".repeat(300) + ".tar.gz", "a".repeat(233) + ".tar.gz"],
  [EURO.repeat(100), EURO.repeat(80)],
  [EURO.repeat(100) + ".png", EURO.repeat(78) + ".png"],
  [SMILE.repeat(80) + ".c", SMILE.repeat(59) + ".c"],
  ["a" + FAMILY.repeat(30), "a" + FAMILY.repeat(19)],
  ["a" + "\u0321".repeat(200), "a" + "\u0321".repeat(119)],
  ["a".repeat(300) + "." + "x".repeat(31), "a".repeat(208) + "." + "x".repeat(31)],
  ["a".repeat(300) + "." + "x".repeat(32), "a".repeat(240)],
  ["a".repeat(200) + ". " + "b".repeat(100), "a".repeat(200) + ". " + "b".repeat(38)],
  ["a".repeat(230) + " ".repeat(50) + ".txt", "a".repeat(230) + ".txt"],
  ["CON" + " ".repeat(300) + "x.txt", "_CON.txt"],
  [".".repeat(300) + "a.txt", "_.txt"],
  ["." + "a".repeat(239), "_." + "a".repeat(238)],
];

Deno.test("safeName", async (t) => {
  for (const [untrusted, safe] of CASES) {
    await t.step(JSON.stringify(untrusted.slice(0, 40)), () => {
      assertEquals(safeName(untrusted), safe);
      assertEquals(safeName(safe), safe);
    });
  }
});

Deno.test("safeName takes megabytes without ado", () => {
  for (const unit of [".", "a.", " ", "/", "\0", "\u0301", "a\u0301", SMILE, "\u{1f469}\u200d"]) {
    assertSafe(safeName(unit.repeat(200_000) + "x"));
  }
});

Deno.test("numberedName", () => {
  const cases: [name: string, n: number, numbered: string][] = [
    ["network.png", 0, "network.png"],
    ["network.png", 1, "network (1).png"],
    ["network.png", 23, "network (23).png"],
    ["archive.tar.gz", 1, "archive (1).tar.gz"],
    ["Archive.TAR.zst", 2, "Archive (2).TAR.zst"],
    ["tar.gz", 1, "tar (1).gz"],
    ["my.notes.txt", 1, "my.notes (1).txt"],
    ["README", 1, "README (1)"],
    ["Mr. Smith goes", 1, "Mr. Smith goes (1)"],
    ["network (1).png", 1, "network (1) (1).png"],
    ["a .txt", 1, "a (1).txt"],
    ["a".repeat(240), 1, "a".repeat(236) + " (1)"],
    ["a".repeat(236) + ".png", 10, "a".repeat(231) + " (10).png"],
    [EURO.repeat(80), 1, EURO.repeat(78) + " (1)"],
  ];
  for (const [name, n, numbered] of cases) {
    assertEquals(numberedName(name, n), numbered);
    assertEquals(safeName(numbered), numbered);
  }
});

Deno.test("sameName ignores case and normalisation", () => {
  const same = [
    ["Network.PNG", "network.png"],
    ["\u00e9.txt", "e\u0301.txt"],
    ["\u00c9.txt", "e\u0301.TXT"],
    ["stra\u00dfe", "STRASSE"],
    ["stra\u1e9ee", "strasse"],
    ["\u017fet", "Set"],
    ["\u212a.txt", "k.txt"],
    ["\u212b", "\u00e5"],
    ["\u03c3\u03b1\u03c2", "\u03a3\u0391\u03a3"],
    ["\u03c3\u03b1\u03c3", "\u03c3\u03b1\u03c2"],
    ["\ufb01le", "FILE"],
    ["\u0130", "i\u0307"],
  ] as const;
  for (const [a, b] of same) {
    assert(sameName(a, b), `${a} and ${b}`);
    assertEquals(nameKey(a), nameKey(b));
  }
  for (const [a, b] of [["a", "b"], ["a", "a "], ["\u00e9", "e"], ["1", "\u00b9"]] as const) {
    assert(!sameName(a, b), `${a} and ${b}`);
    assertNotEquals(nameKey(a), nameKey(b));
  }
});

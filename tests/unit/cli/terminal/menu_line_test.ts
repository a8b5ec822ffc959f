import { assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { complete } from "../../../../lib/cli/terminal/completion.ts";
import {
  MENU_HELP,
  MENU_WORDS,
  type MenuCommand,
  parseMenuLine,
  quoteWord,
  splitWords,
} from "../../../../lib/cli/terminal/menu_line.ts";
import { ExitCode, P2PError } from "../../../../lib/errors.ts";

Deno.test("Lines become commands", () => {
  const table: [string, MenuCommand | null][] = [
    ["", null],
    [" \t ", null],
    ["ping", { command: "ping", target: null }],
    ["  PING laptop ", { command: "ping", target: "laptop" }],
    ["ping 10.0.0.1 5001", { command: "ping", target: "10.0.0.1:5001" }],
    ["ping ::1 5001", { command: "ping", target: "[::1]:5001" }],
    ['broadcast it\'s  "quoted" ', { command: "broadcast", text: 'it\'s  "quoted"' }],
    ["sendfile", { command: "sendfile", name: null, recipients: [] }],
    ["sendfile a.txt", { command: "sendfile", name: "a.txt", recipients: [] }],
    ["sendfile a.txt all", { command: "sendfile", name: "a.txt", recipients: ["all"] }],
    ["sendfile 'a b' x,y z", { command: "sendfile", name: "a b", recipients: ["x", "y", "z"] }],
    ["peers", { command: "peers" }],
    ["history", { command: "history" }],
    ["?", { command: "help" }],
    ["quit", { command: "exit" }],
    ["exit ", { command: "exit" }],
  ];
  for (const [line, command] of table) assertEquals(parseMenuLine(line), command, line);
});

Deno.test("Lines that are no command say what would do", () => {
  const table: [string, string][] = [
    ["broadcast", "write broadcast <message>"],
    ["sendfil x", "did you mean sendfile?"],
    ["frobnicate\x1b", "'frobnicate\\x1b': it is no command; the commands are ping, broadcast"],
    ["exit now", "write exit alone"],
    ["send a bob", "write sendfile <filename> [peer...|all]"],
    [
      "sendfile a --to bob",
      "'--to' in the menu: it takes no flags; write sendfile <filename> [peer",
    ],
    ["ping a b", "ping <peer|host:port>"],
    ["sendfile 'a b", "quote is not closed"],
  ];
  for (const [line, part] of table) {
    const error = assertThrows(() => parseMenuLine(line), P2PError);
    assertEquals(error.exitCode, ExitCode.usage);
    assertStringIncludes(error.message, part);
  }
});

Deno.test("Words are quoted and split the same way", () => {
  assertEquals(splitWords(String.raw`a\ b C:\dir\x it's "q\"r" 's "t'`), [
    "a b",
    String.raw`C:\dir\x`,
    "it's",
    'q"r',
    's "t',
  ]);
  for (const word of ["plain", "a b", "it's", 'say "x"', `both ' and "`, ""]) {
    assertEquals(splitWords(`${quoteWord(word)} end`), [word, "end"]);
  }
});

Deno.test("Help lists every command", () => {
  for (const word of MENU_WORDS) {
    assertEquals(MENU_HELP.some(([usage]) => usage.split(" ")[0] === word), true, word);
  }
  const width = Math.max(...MENU_HELP.map(([usage]) => usage.length));
  for (const [, help] of MENU_HELP) assertEquals(2 + width + 2 + help.length <= 80, true, help);
});

Deno.test("The last word is completed", async () => {
  const sources = {
    dataFiles: () => Promise.resolve(["data.json", "my file.csv", "my data.csv", "evil\x1b"]),
    peerNames: () => ["laptop", "lamp"],
  };
  const table: [string, string[], string][] = [
    ["p", ["ping ", "peers "], "p"],
    ["sendfile ", ['"my data.csv"', '"my file.csv"', "data.json"], ""],
    ["sendfile d", ["data.json "], "d"],
    ["sendfile my", ['"my data.csv"', '"my file.csv"'], "my"],
    ['sendfile "my f', ['"my file.csv" '], '"my f'],
    ['sendfile "my file.csv" la', ["lamp", "laptop"], "la"],
    ["sendfile data.json lamp,lap", ["laptop "], "lap"],
    ["sendfile data.json a", ["all "], "a"],
    ["ping lap", ["laptop "], "lap"],
    ["broadcast la", [], "broadcast la"],
  ];
  for (const [line, candidates, replaced] of table) {
    const [hits, part] = await complete(line, sources);
    assertEquals([hits.toSorted(), part], [candidates.toSorted(), replaced], line);
  }
});

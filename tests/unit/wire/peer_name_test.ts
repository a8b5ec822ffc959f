import { assertEquals } from "@std/assert";
import { defaultPeerName, isPeerName, numberedPeerName } from "../../../lib/wire/peer_name.ts";

const SMILE = "\u{1f600}";

Deno.test("isPeerName takes what people call their machines", () => {
  const names = [
    "a",
    "anna",
    "Anna-Laptop.local",
    "anna-2",
    "\u540d\u524d",
    "\u{f6}rtchen",
    "_",
    "0",
    "ally",
    "x".repeat(64),
    SMILE.repeat(64),
    "\u2764\ufe0f",
  ];
  for (const name of names) assertEquals(isPeerName(name), true, name);
});

Deno.test("isPeerName refuses what means something elsewhere or can't be seen", () => {
  const names = [
    "",
    "all",
    "ALL",
    "aLl",
    "-anna",
    "--to",
    "an na",
    " anna",
    "anna\u00a0",
    "anna\u3000",
    "an,na",
    "anna@home",
    "id:abc",
    "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8",
    "host:1",
    "an/na",
    "an\\na",
    "anna\0",
    "anna\n",
    "anna\r",
    "anna\t",
    "an\x1b[31mna",
    "anna\x7f",
    "anna\x9b",
    "an\u202ena",
    "an\u200bna",
    "an\u200dna",
    "anna\ufeff",
    "\u3164",
    "an\u3164na",
    "an\u115fna",
    "an\u1160na",
    "an\u034fna",
    "an\uffa0na",
    "an\u17b4na",
    "an\u17b5na",
    "an\ufff9na",
    "\u00ad",
    "anna\u2028",
    "\u{e0061}",
    "\u0301anna",
    "\ufe0f",
    "\ud83d",
    "anna\udc00",
    "x".repeat(65),
    SMILE.repeat(65),
    "x".repeat(100_000),
  ];
  for (const name of names) assertEquals(isPeerName(name), false, JSON.stringify(name));
});

Deno.test("defaultPeerName makes a name of any host name", () => {
  const cases: [hostName: string, name: string][] = [
    ["anna-laptop", "anna-laptop"],
    ["anna.example.org", "anna.example.org"],
    ["Anna's Mac", "Anna's-Mac"],
    [" box\n", "box"],
    ["a:b/c\\d@e,f", "a-b-c-d-e-f"],
    ["\x1b[31m", "[31m"],
    ["--box", "box"],
    ["", "peer"],
    [" ", "peer"],
    ["---", "peer"],
    ["ALL", "peer"],
    ["\u0301", "peer"],
    ["\ud800box", "box"],
    ["x".repeat(300), "x".repeat(64)],
    [SMILE.repeat(100), SMILE.repeat(64)],
  ];
  for (const [hostName, name] of cases) {
    assertEquals(defaultPeerName(hostName), name);
    assertEquals(isPeerName(name), true);
  }
});

Deno.test("numberedPeerName counts from 2 and keeps the cap", () => {
  assertEquals(numberedPeerName("anna", 0), "anna");
  assertEquals(numberedPeerName("anna", 1), "anna");
  assertEquals(numberedPeerName("anna", 2), "anna-2");
  assertEquals(numberedPeerName("anna", 10), "anna-10");
  assertEquals(numberedPeerName("x".repeat(64), 3), "x".repeat(62) + "-3");
  assertEquals(numberedPeerName(SMILE.repeat(64), 100), SMILE.repeat(60) + "-100");
  for (const n of [1, 2, 99, 12345]) {
    assertEquals(isPeerName(numberedPeerName(SMILE.repeat(64), n)), true);
  }
});

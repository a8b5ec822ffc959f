import { assert, assertEquals } from "@std/assert";
import { meantAsPeers, resolveRecipients, resolveTarget } from "../../../lib/directory/target.ts";
import type { PeerEntry } from "../../../lib/wire/message.ts";
import { entryOf } from "../../helpers/entries.ts";
import { throwsWith } from "../../helpers/errors.ts";

const anna = entryOf(1, { id: `Anna${"x".repeat(39)}`, name: "anna", port: 5001 });
const bob = entryOf(2, { id: `Anne${"x".repeat(39)}`, name: "bob", port: 5002, host: "127.0.0.1" });
const six = entryOf(3, { id: `Carl${"x".repeat(39)}`, name: "Anna", port: 5001, host: "fe80::1" });
const all = [anna, bob, six];

const FOUND: [string, PeerEntry][] = [
  ["anna", anna],
  ["Anna", six],
  ["id:Anna", anna],
  [`id:${bob.id}`, bob],
  ["id:C", six],
  ["10.0.0.1:5001", anna],
  ["127.0.0.1:5002", bob],
  ["localhost:5002", bob],
  ["[::1]:5002", bob],
  ["[fe80::1]:5001", six],
];

for (const [target, entry] of FOUND) {
  Deno.test(`${target.slice(0, 16)} is ${entry.name} at ${entry.port}`, () => {
    assertEquals(resolveTarget(target, all), entry);
  });
}

for (const target of ["", "ann", "id:", "id:anna", "carl", "10.0.0.1:5002", "10.0.0.1", "all"]) {
  Deno.test(`"${target}" is nobody, and who is there is told`, () => {
    const { candidates } = throwsWith("peer-unknown", () => resolveTarget(target, all));
    assertEquals(candidates.length, 3);
    throwsWith("peer-unknown", () => resolveTarget(target, []));
  });
}

Deno.test("an address that a peer merely claims is not taken from the peer that was seen there", () => {
  const eve = entryOf(4, { name: "eve", addresses: [anna, { host: "10.9.9.9", port: 5001 }] });
  const claimed = [eve, ...all];
  assertEquals(resolveTarget("10.0.0.1:5001", claimed), anna);
  assertEquals(resolveTarget("10.9.9.9:5001", claimed), eve);
});

Deno.test("what fits several is not guessed", () => {
  const { candidates } = throwsWith("peer-ambiguous", () => resolveTarget("id:Ann", all));
  assertEquals(candidates, [
    "anna (id:Annaxxxx, 10.0.0.1:5001)",
    "bob (id:Annexxxx, 127.0.0.1:5002)",
  ]);
});

Deno.test("recipients are each named once, in the order given", () => {
  const { peers, missing } = resolveRecipients(["bob, anna", "id:Anne,,", " Anna "], all, all);
  assertEquals([peers, missing], [[bob, anna, six], []]);
  for (const nobody of [[], [","], [" ", ""]]) {
    throwsWith("usage", () => resolveRecipients(nobody, all, all));
  }
});

Deno.test("of recipients some of whom are not there, the others are found", () => {
  const { peers, missing } = resolveRecipients(["bob,nobody,id:Ann,nobody"], all, all);
  assertEquals(peers, [bob]);
  assertEquals(missing.map(({ target, error }) => [target, error.code]), [
    ["nobody", "peer-unknown"],
    ["id:Ann", "peer-ambiguous"],
  ]);
  throwsWith("peer-unknown", () => resolveRecipients(["nobody,id:Ann"], all, all));
  throwsWith("peer-ambiguous", () => resolveRecipients(["id:Ann", "nobody"], all, all));
});

Deno.test("what is nearly a name is offered", () => {
  for (const [target, near] of [["ANNA", "anna"], ["bobb", "bob"], ["Bob", "bob"]] as const) {
    const { message } = throwsWith("peer-unknown", () => resolveTarget(target, [anna, bob]));
    assert(message.endsWith(`; did you mean ${near}?`), message);
  }
  const { message } = throwsWith("peer-unknown", () => resolveTarget("elsewhere", all));
  assert(!message.includes("did you mean"), message);
});

Deno.test("all means the others", () => {
  assertEquals(resolveRecipients(["all"], all, [bob]).peers, [bob]);
  assertEquals(resolveRecipients(["anna,all"], all, [bob]).peers, [bob]);
  throwsWith("peer-unknown", () => resolveRecipients(["all"], all, []));
});

Deno.test("@ means those of the others who are in a group", () => {
  const inLab = { ...bob, groups: ["gpu", "lab"] };
  const alsoInLab = { ...six, groups: ["lab"] };
  const entries = [{ ...anna, groups: ["lab"] }, inLab, alsoInLab];
  const others = [inLab, alsoInLab];
  const chosen = (...to: string[]) => resolveRecipients(to, entries, others).peers;
  assertEquals(chosen("@lab"), others);
  assertEquals(chosen("@gpu"), [inLab]);
  assertEquals(chosen("Anna,@lab", "bob"), [alsoInLab, inLab]);
  assertEquals(chosen("all,@gpu"), others);
  const { peers, missing } = resolveRecipients(["@gpu,@none"], entries, others);
  assertEquals(peers, [inLab]);
  assertEquals(missing.map(({ target, error }) => [target, error.code]), [[
    "@none",
    "peer-unknown",
  ]]);
  for (const nobodys of ["@la", "@", "@labs", "@LAB"]) {
    const error = throwsWith("peer-unknown", () => chosen(nobodys));
    assertEquals(error.candidates, ["@gpu", "@lab"]);
  }
  assert(throwsWith("peer-unknown", () => chosen("@labs")).message.endsWith("did you mean @lab?"));
  // A group is no name of one peer.
  throwsWith("peer-unknown", () => resolveTarget("@gpu", entries));
  assertEquals(meantAsPeers("@lab", others), "@lab");
  assertEquals(meantAsPeers("@none", others), null);
});

Deno.test("an argument that is about peers is told from a path, in any notation of them", () => {
  const meant: [argument: string, to: string | null][] = [
    ["anna", "anna"],
    ["BOB", "bob"],
    ["bob,Anna", "bob,Anna"],
    ["all", "all"],
    ["id:Anne", "id:Anne"],
    ["10.0.0.1:5001", "10.0.0.1:5001"],
    ["bob.txt", null],
    ["bob,nobody", null],
    ["id:", null],
    ["", null],
  ];
  for (const [argument, to] of meant) assertEquals(meantAsPeers(argument, all), to, argument);
});

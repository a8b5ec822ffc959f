import { assertEquals } from "@std/assert";
import { type Caller, WaitingRoom } from "../../../lib/net/waiting_room.ts";

/** Lets callers of the addresses in; resolves with the addresses of those who had to leave. */
function enterAll(room: WaitingRoom, hosts: readonly string[]): string[] {
  const out = hosts.map((host) => room.enter({ host, turnAway: () => {} }));
  return out.filter((caller) => caller !== undefined).map(({ host }) => host);
}

const proven = (room: WaitingRoom, host: string) => {
  const caller: Caller = { host, turnAway: () => {} };
  room.enter(caller);
  room.prove(caller);
  room.leave(caller);
};

Deno.test("the busiest address of the busiest network gives way, its oldest caller first", () => {
  const room = new WaitingRoom(8);
  const neighbours = ["10.0.0.1", "10.0.0.2", "10.0.0.2", "10.0.0.3"];
  assertEquals(enterAll(room, ["10.9.9.9", "10.9.9.9", ...neighbours]), []);
  assertEquals(enterAll(room, ["10.0.1.1"]), ["10.0.0.2"]);
});

Deno.test("whoever comes from forty addresses of one network leaves room for all others", () => {
  const room = new WaitingRoom(64);
  const flood = Array.from({ length: 4000 }, (_, i) => `10.0.0.${i % 40}`);
  enterAll(room, ["192.168.1.7"]);
  const out = enterAll(room, flood);
  assertEquals(out.length, 4000 + 1 - 48);
  assertEquals(new Set(out).has("192.168.1.7"), false);
});

Deno.test("an address of its own in a crowded network keeps its place", () => {
  const room = new WaitingRoom(64);
  const flood = Array.from({ length: 4000 }, (_, i) => `10.0.0.${i % 40}`);
  enterAll(room, ["10.0.0.200"]);
  assertEquals(new Set(enterAll(room, flood)).has("10.0.0.200"), false);
});

Deno.test("a stranger finds room, however many come from a proven address", () => {
  const room = new WaitingRoom(64);
  proven(room, "192.168.1.7");
  enterAll(room, Array(64).fill("192.168.1.7"));
  assertEquals(enterAll(room, ["10.0.0.1", "10.0.0.2"]), ["192.168.1.7", "192.168.1.7"]);
});

Deno.test("the room shrinks to half of what is in it, and stays so", () => {
  const room = new WaitingRoom(64);
  enterAll(room, ["192.168.1.7", ...Array(39).fill("10.0.0.1")]);
  assertEquals(room.shrink().map(({ host }) => host), Array(20).fill("10.0.0.1"));
  assertEquals(enterAll(room, Array(10).fill("10.0.0.2")).length, 10);
  for (let i = 0; i < 9; i++) room.shrink();
  assertEquals(room.callers.length, 8);
});

Deno.test("a quarter of the room is for addresses that have proven themselves", () => {
  const room = new WaitingRoom(64);
  proven(room, "192.168.1.7");
  // Every one of another network, so that none is busier than the proven one.
  const strangers = Array.from({ length: 500 }, (_, i) => `10.${i >> 8}.${i & 255}.1`);
  enterAll(room, Array(16).fill("192.168.1.7"));
  assertEquals(new Set(enterAll(room, strangers)).has("192.168.1.7"), false);
  assertEquals(room.callers.filter(({ host }) => host === "192.168.1.7").length, 16);
  assertEquals(room.callers.length, 64);
});

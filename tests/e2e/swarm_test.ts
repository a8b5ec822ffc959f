/** One file to many machines on slow lines: those who receive it pass it on. */

import { assert, assertEquals } from "@std/assert";
import { join } from "@std/path";
import { whyNoSlowLine } from "../helpers/netns.ts";
import { e2e, finished, type Outcome, sha256Of } from "./helpers.ts";
import { Machines } from "./machines.ts";

const ignore = await whyNoSlowLine();
const MIB = 1024 * 1024;

/** Of what the sender sent, how many times the file. */
function copiesSent({ lines }: Outcome): number {
  const { bytesSent, size } = finished(lines);
  return bytesSent / size;
}

e2e("a file for eight leaves its sender little more than once", async (world) => {
  const machines = await Machines.star(world, 8);
  const peers = await Promise.all([2, 3, 4, 5, 6, 7, 8, 9].map((i) => machines.peer(i)));
  const { path, sha256 } = await world.file("f.bin", 8 * MIB);
  const outcome = await machines.run(1, "send", path, "--to", "all");
  const states = finished(outcome.lines).recipients.map(({ state }: { state: string }) => state);
  assertEquals([outcome.code, states], [0, Array(8).fill("delivered")]);
  for (const { received } of peers) {
    assertEquals(await sha256Of(join(received, "f.bin")), sha256);
  }
  assert(copiesSent(outcome) < 2, `the sender sent it ${copiesSent(outcome)} times`);
}, { ignore });

e2e("a folder for three is passed on as well", async (world) => {
  const machines = await Machines.star(world, 3);
  const peers = await Promise.all([2, 3, 4].map((i) => machines.peer(i)));
  const folder = world.path("folder");
  await Deno.mkdir(join(folder, "sub"), { recursive: true });
  const { sha256 } = await world.file("folder/large.bin", 6 * MIB);
  for (let i = 0; i < 200; i++) await Deno.writeTextFile(join(folder, "sub", `${i}`), `file ${i}`);
  const outcome = await machines.run(1, "send", folder, "--to", "all");
  assertEquals(outcome.code, 0);
  for (const { received } of peers) {
    assertEquals(await sha256Of(join(received, "folder", "large.bin")), sha256);
    assertEquals(await Deno.readTextFile(join(received, "folder", "sub", "199")), "file 199");
  }
  assert(copiesSent(outcome) < 2.2, `the sender sent it ${copiesSent(outcome)} times`);
}, { ignore });

e2e("receivers that are killed in the middle hold nobody up", async (world) => {
  const machines = await Machines.star(world, 5);
  const peers = await Promise.all([2, 3, 4, 5, 6].map((i) => machines.peer(i)));
  const { path, sha256 } = await world.file("f.bin", 8 * MIB);
  const sending = machines.run(1, "send", path, "--to", "all");
  const [first, second, ...rest] = peers;
  await first?.program.until("transfer-progress");
  first?.program.signal("SIGKILL");
  second?.program.signal("SIGSTOP");
  await Promise.all(rest.map(async ({ program, received }) => {
    await program.until("file-received");
    assertEquals(await sha256Of(join(received, "f.bin")), sha256);
  }));
  second?.program.signal("SIGCONT");
  await second?.program.until("file-received");
  const { code, lines } = await sending;
  const { recipients } = finished(lines);
  const failed = recipients.filter(({ state }: { state: string }) => state === "failed");
  assertEquals([code, failed.map(({ peer }: { peer: string }) => peer)], [7, ["m2"]]);
}, { ignore });

e2e(
  "of seven two lie: all honest ones get it, and who signs for it is convicted everywhere",
  async (world) => {
    const machines = await Machines.star(world, 7);
    const [signing, other] = await Promise.all([
      machines.liar(2, "hash"),
      machines.liar(3, "bytes"),
    ]);
    const honest = await Promise.all([4, 5, 6, 7, 8].map((i) => machines.peer(i)));
    const { path, sha256 } = await world.file("f.bin", 8 * MIB);
    const outcome = await machines.run(1, "send", path, "--to", "all");
    assertEquals(outcome.code, 0, outcome.stderr);
    for (const { program, received } of honest) {
      assertEquals(await sha256Of(join(received, "f.bin")), sha256);
      assertEquals((await program.until("convicted"))["id"], signing.id);
    }
    for (const { program } of [...honest, other]) {
      const { lines } = await program.stop();
      const convicted = lines.filter(({ event }) => event === "convicted").map(({ id }) => id);
      assertEquals(convicted, [signing.id]);
    }
  },
  { ignore },
);

e2e("who comes while it is sent gets it as well, mostly of the others", async (world) => {
  const machines = await Machines.star(world, 4);
  const peers = await Promise.all([2, 3].map((i) => machines.peer(i)));
  await machines.join(1);
  const { path, sha256 } = await world.file("f.bin", 12 * MIB);
  // One is named who was never there: that alone fails in the end.
  const args = ["send", path, "--to", "m2,m3,m4,m9", "--json"];
  const sender = await world.start("peer", args, machines.on(1));
  await sender.until("transfer-progress");
  const late = await machines.peer(4);
  const other = await machines.peer(5);
  const outcome = await sender.outcome;
  const { recipients } = finished(outcome.lines);
  const states = recipients.map((
    { peer, state }: { peer: string; state: string },
  ) => [peer, state]);
  assertEquals([outcome.code, states], [7, [
    ["m9", "failed"],
    ["m2", "delivered"],
    ["m3", "delivered"],
    ["m4", "delivered"],
  ]]);
  for (const { received } of [...peers, late]) {
    assertEquals(await sha256Of(join(received, "f.bin")), sha256);
  }
  const { lines } = await other.program.stop();
  assertEquals(lines.filter(({ event }) => event === "transfer-started"), []);
  assert(copiesSent(outcome) < 2.2, `the sender sent it ${copiesSent(outcome)} times`);
}, { ignore });

for (const [signal, code] of [["SIGKILL", 137], ["SIGINT", 130]] as const) {
  e2e(
    `a sender that says it may leave is missed by nobody who is slow (${signal})`,
    async (world) => {
      const machines = await Machines.star(world, 3, "5mbit");
      const [ann, ben, slow] = await Promise.all([2, 3, 4].map((i) => machines.peer(i)));
      const { path, sha256 } = await world.file("f.bin", 6 * MIB);
      const args = ["send", path, "--to", "all", "--json"];
      const sender = await world.start("peer", args, machines.on(1));
      const { spread } = await sender.until("transfer-spread");
      assertEquals(spread, true);
      await Promise.all([ann, ben].map((peer) => peer?.program.until("file-received")));
      sender.signal(signal);
      assertEquals((await sender.outcome).code, code);
      await slow?.program.until("file-received");
      for (const peer of [ann, ben, slow]) {
        assertEquals(await sha256Of(join(peer?.received ?? "", "f.bin")), sha256);
      }
      // All of them have it, and say so to whoever asks.
      const again = await machines.run(1, "send", path, "--to", "all");
      const { bytesSent, recipients } = finished(again.lines);
      const states = recipients.map(({ state }: { state: string }) => state);
      assertEquals([again.code, bytesSent, states], [0, 0, Array(3).fill("already")]);
    },
    { ignore },
  );
}

e2e(
  "who receives slowly on purpose is served alone, and the others go on as a swarm",
  async (world) => {
    const machines = await Machines.star(world, 3);
    const peers = await Promise.all([
      machines.peer(2),
      machines.peer(3),
      machines.peer(4, ["--limit-rate", "1M"]),
    ]);
    const { path, sha256 } = await world.file("f.bin", 4 * MIB);
    const outcome = await machines.run(1, "send", path, "--to", "all");
    assertEquals(outcome.code, 0);
    for (const { received } of peers) {
      assertEquals(await sha256Of(join(received, "f.bin")), sha256);
    }
    // Once to it, and little more than once to the two others.
    assert(copiesSent(outcome) < 2.8, `the sender sent it ${copiesSent(outcome)} times`);
  },
  { ignore },
);

e2e(
  "a sender that was killed goes on where its recipients are, also with one of them",
  async (world) => {
    const machines = await Machines.star(world, 3);
    const peers = await Promise.all([2, 3, 4].map((i) => machines.peer(i)));
    const { path, sha256 } = await world.file("f.bin", 10 * MIB);
    const args = ["send", path, "--to", "all", "--json"];
    const sender = await world.start("peer", args, machines.on(1));
    await sender.until((line) => line.event === "transfer-progress" && line["bytes"] > 5 * MIB);
    sender.signal("SIGKILL");
    await sender.outcome;
    const missing: number[] = [];
    for (const i of [2, 3, 4]) {
      const { code, lines } = await machines.run(1, "send", path, "--to", `m${i}`);
      assertEquals(code, 0);
      missing.push(finished(lines).bytesSent / MIB);
    }
    for (const { received } of peers) {
      assertEquals(await sha256Of(join(received, "f.bin")), sha256);
    }
    assert(Math.min(...missing) < 6, `sent again: ${missing} MiB`);
    assert(Math.max(...missing) < 9, `sent again: ${missing} MiB`);
  },
  { ignore },
);

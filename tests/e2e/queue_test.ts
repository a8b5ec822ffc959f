/** `--queue`: for who is away, across the death of the peer that is to deliver it. */

import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { join } from "@std/path";
import { eventually } from "../helpers/deadline.ts";
import {
  e2e,
  type Line,
  type PeerProcess,
  sha256Of,
  type TrackerProcess,
  type World,
} from "./helpers.ts";

const MIB = 1024 * 1024;

/** Starts somebody of another user, with a state and an inbox of their own. */
function startOther(
  world: World,
  { invite }: TrackerProcess,
  name: string,
  args: string[] = [],
): Promise<PeerProcess> {
  const own = ["--name", name, "--state", world.path(`state-${name}`), "--join", invite];
  return world.peer(`in-${name}`, [...own, ...args]);
}

/** Has somebody been seen by this user, and go. */
async function meet(world: World, tracker: TrackerProcess, ...names: string[]): Promise<void> {
  for (const name of names) {
    const { program } = await startOther(world, tracker, name);
    assertEquals((await world.run("peer", ["peers"])).code, 0);
    await program.stop();
  }
}

function queue(world: World, ...args: string[]) {
  return world.run("peer", ["queue", ...args]);
}

async function isEmpty(world: World): Promise<boolean> {
  return (await queue(world, "--json")).lines.every(({ event }) => event !== "queued");
}

e2e("what is queued survives the death of who was to deliver it, and gets there", async (world) => {
  const tracker = await world.tracker();
  await meet(world, tracker, "bob");
  const { path, sha256 } = await world.file("a.bin", 6 * MIB);
  const plain = await world.run("peer", ["send", path, "--to", "bob"]);
  assertEquals(plain.code, 4);
  const alone = await world.run("peer", ["send", path, "--to", "bob", "--queue"]);
  assertEquals(alone.code, 0, alone.stderr);
  assertMatch(alone.stdout, /queued {4}a\.bin \(6 MiB\) for bob, until .* \[[0-9a-f]{8}-1\]\n/);
  assertStringIncludes(alone.stdout, "it is sent when `peer run` or the menu is started");

  const first = await world.peer("in-anna", ["--name", "anna", "--limit-rate", "1M"]);
  const said = await world.run("peer", ["broadcast", "see you", "--queue"]);
  assertEquals(said.code, 0, said.stderr);
  assertStringIncludes(said.stdout, 'message "see you" for bob');
  assertStringIncludes(said.stdout, "It is sent by the peer that runs here when they come back");
  const bob = await startOther(world, tracker, "bob");
  await first.program.until((line) => line.event === "transfer-progress" && line.bytes > 0);
  const underWay = await queue(world);
  assertMatch(underWay.stdout, /a\.bin \(6 MiB\) for bob.*: trying\n {4}tried once/);
  await first.program.kill();
  assertEquals((await queue(world, "--json")).lines.map(({ event }) => event), [
    "queued",
    "queued",
  ]);

  const second = await world.peer("in-anna", ["--name", "anna"]);
  const isFile = (line: Line) => line.event === "dequeued" && line.name === "a.bin";
  const { why, tries, peer } = await second.program.until(isFile);
  assertEquals([why, tries, peer], ["delivered", 2, "bob"]);
  await second.program.until((line) => line.event === "dequeued" && line.text === "see you");
  assertEquals(await sha256Of(join(bob.received, "a.bin")), sha256);
  assertEquals(bob.program.lines.filter(({ event }) => event === "file-received").length, 1);
  const messages = bob.program.lines.filter(({ event }) => event === "message");
  assertEquals(messages.map(({ text, name }) => [text, name]), [["see you", "anna"]]);
  const none = await queue(world);
  assertEquals([none.code, none.stdout], [0, "Nothing is queued\n"]);
  const receipts = await world.run("peer", ["receipts"]);
  assertMatch(receipts.stdout, /bob signed: a\.bin \(6 MiB\) verified and synced/);
  const history = await world.run("peer", ["history"]);
  assertMatch(history.stdout, /a\.bin \(6 MiB\) to bob \(as anna\)\n/);
});

e2e(
  "who is there gets it at once, who is away later, and a typo waits for nobody",
  async (world) => {
    const tracker = await world.tracker();
    await meet(world, tracker, "carol");
    const bob = await startOther(world, tracker, "bob", ["--group", "lab"]);
    const anna = await world.peer("in-anna", ["--name", "anna"]);
    const { path } = await world.file("a.bin", 1000);
    const typo = await world.run("peer", ["send", path, "--to", "caroll", "--queue"]);
    assertEquals([typo.code, typo.stdout], [4, ""]);
    assertMatch(typo.stderr, /^error: Cannot queue for caroll: .* did you mean carol\?\n$/);
    assert(await isEmpty(world));

    const both = await world.run("peer", ["send", path, "--to", "all", "--queue", "--json"]);
    assertEquals(both.code, 0, both.stderr);
    const states = both.lines.filter(({ event }) =>
      !["notice", "transfer-recipient", "transfer-progress"].includes(event)
    );
    assertEquals(
      states.map(({ event, peer, recipients }) => [event, peer ?? recipients?.[0].peer]),
      [["queued", "carol"], ["transfer-started", undefined], ["transfer-finished", "bob"]],
    );
    const [entry] = (await queue(world, "--json")).lines;
    assertEquals([entry?.peer, entry?.state, entry?.tries, entry?.path], [
      "carol",
      "waiting",
      0,
      path,
    ]);

    // One of them is a typo: the others get it all the same.
    const some = await world.run("peer", ["send", path, "--to", "@lab,nobody", "--queue"]);
    assertEquals(some.code, 7);
    assertStringIncludes(some.stdout, "bob: already has it as a.bin");
    assertStringIncludes(some.stderr, "Cannot queue for nobody");

    const carol = await startOther(world, tracker, "carol");
    await anna.program.until((line) => line.event === "dequeued" && line.peer === "carol");
    assertEquals((await Deno.stat(join(carol.received, "a.bin"))).size, 1000);
    assert(await isEmpty(world));
    await bob.program.stop();
  },
);

e2e("what waits is changed, refused, cancelled and given up, and each is said", async (world) => {
  const tracker = await world.tracker();
  await meet(world, tracker, "bob", "carol");
  const { path } = await world.file("a.bin", 1000);
  const send = (...args: string[]) =>
    world.run("peer", ["send", path, "--to", "bob,carol", "--queue", ...args]);
  assertEquals((await send()).code, 0);
  await world.file("a.bin", 2000);
  const listed = await queue(world);
  assertEquals(listed.stdout.match(/changed since it was queued/g)?.length, 2);
  await Deno.remove(path);
  assertMatch(
    (await queue(world)).stdout,
    /for bob, .*\n {4}Cannot read .*a\.bin: there is no such/,
  );
  await world.file("a.bin", 2000);

  const [first, second] = (await queue(world, "--json")).lines;
  const unknown = await queue(world, "cancel", "ffffffff");
  assertEquals([unknown.code, /nothing is queued with that id/.test(unknown.stderr)], [2, true]);
  for (const wrong of [["cancel"], ["drop", "all"]]) {
    const { code, stderr } = await queue(world, ...wrong);
    assertEquals([code, /`peer queue cancel ID`/.test(stderr)], [2, true], stderr);
  }
  // The second of those that were queued at once, then the rest of them by what they have in common.
  const one = await queue(world, "cancel", second?.id);
  assertEquals([one.code, one.stdout], [0, "Taken out of the queue: a.bin (1000 B) for carol\n"]);
  assertEquals((await queue(world, "--json")).lines.map(({ id }) => id), [first?.id]);
  assertEquals((await queue(world, "cancel", first?.id.slice(0, 8))).code, 0);
  assert(await isEmpty(world));

  assertEquals((await send("--queue-for", "1ms")).code, 0);
  await eventually(async () => {
    const { stdout } = await queue(world);
    return stdout.includes("Nothing is queued");
  }, "the end of what was queued for a millisecond");
  const piped = await world.run("peer", ["send", "-", "--name", "x", "--to", "bob", "--queue"]);
  assertEquals([piped.code, /Cannot queue standard input/.test(piped.stderr)], [2, true]);

  // Refused by who is there: as without the queue.
  await startOther(world, tracker, "bob", ["--max-size", "10"]);
  const refused = await send("--to", "bob");
  assertEquals([refused.code, await isEmpty(world)], [4, true], refused.stdout);
  // Refused when it comes: kept, and shown with the reason.
  const later = await send("--to", "carol");
  assertEquals(later.code, 0);
  const anna = await world.peer("in-anna", ["--name", "anna"]);
  await startOther(world, tracker, "carol", ["--max-size", "10"]);
  await anna.program.until((line) => /stays in the queue as failed/.test(line.message));
  assertMatch((await queue(world)).stdout, /for carol, .*: failed\n {4}tried once; .*--max-size/);
  assertEquals((await queue(world, "cancel", "all")).code, 0);
  assert(await isEmpty(world));
});

/** The ledger of a share: who has it, when some refuse, and when its sender is killed in the middle. */

import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { join } from "@std/path";
import { e2e, last, type Line, namesIn, type PeerProcess, sha256Of } from "./helpers.ts";

const MIB = 1024 * 1024;

/** Each recipient of a line with its state. */
function statesOf({ recipients }: Line): string[] {
  return recipients.map(({ peer, state }: Line) => `${peer} ${state}`).sort();
}

/** What an inbox holds, without what is under way. */
async function received({ received }: PeerProcess): Promise<string[]> {
  return (await namesIn(received)).filter((name) => name !== ".partial");
}

e2e("a share says who has it, and is sent again to those alone who do not", async (world) => {
  await world.tracker();
  const bob = await world.peer("in-bob", ["--name", "bob"]);
  const dave = await world.peer("in-dave", ["--name", "dave"]);
  const small = ["--name", "carol", "--port", "0", "--state", world.path("carol")];
  const join_ = ["--join", (await world.run("tracker", ["invite"])).stdout.trim()];
  const refusing = await world.peer("in-carol", [...small, ...join_, "--max-size", "1"]);
  const { path, sha256 } = await world.file("a.bin", 100_000);
  const nothing = await world.run("peer", ["shares"]);
  assertEquals(nothing.code, 0);
  assertStringIncludes(nothing.stdout, "Nothing has been shared yet");

  const sent = await world.run("peer", ["send", path, "--to", "all"]);
  assertEquals(sent.code, 7, sent.stderr);
  assertMatch(sent.stdout, /Delivered to bob\n/);
  assertMatch(sent.stdout, /Not delivered to carol: .*--max-size/);
  assertMatch(sent.stdout, /Sent a\.bin .* to 2 of 3 peers/);
  const [, id = ""] = /`peer send --retry (\S+)` sends a\.bin to the one who lacks it\n$/
    .exec(sent.stdout) ?? [];
  const list = await world.run("peer", ["shares"]);
  assertMatch(
    list.stdout,
    new RegExp(`  ${id}  a\\.bin \\(97\\.7 KiB\\): 2 of 3 have it, 1 failed\n`),
  );
  const table = await world.run("peer", ["shares", id]);
  assertMatch(table.stdout, /\n {2}bob: delivered, saved as a\.bin\n/);
  assertMatch(table.stdout, /\n {2}carol: failed: .*--max-size/);

  const refused = await world.run("peer", ["send", "--retry", id]);
  assertEquals(refused.code, 4);
  await refusing.program.stop();
  const carol = await world.peer("in-carol", [...small, ...join_]);
  const again = await world.run("peer", ["send", "--retry", id, "--json"]);
  assertEquals([again.code, statesOf(last(again.lines))], [0, ["carol delivered"]]);
  const { lines: [share] } = await world.run("peer", ["shares", "--json"]);
  assertEquals(share && [share["running"], statesOf(share)], [
    false,
    ["bob delivered", "carol delivered", "dave delivered"],
  ]);
  for (const peer of [bob, carol, dave]) {
    assertEquals(await received(peer), ["a.bin"]);
    assertEquals(await sha256Of(join(peer.received, "a.bin")), sha256);
  }
  const over = await world.run("peer", ["send", "--retry", "all"]);
  assertEquals([over.code, /Everybody has everything/.test(over.stdout)], [0, true]);
  const wrong: [string[], RegExp][] = [
    [
      ["send", "--retry", "zz"],
      /Cannot find zz: there is no share with that id; `peer shares` lists/,
    ],
    [["send", "--retry", id, path], /Cannot use --retry with .*a\.bin: the share says/],
    [["send", "--retry", id, "--to", "bob"], /Cannot use --retry with --to/],
    [["send"], /the path is missing/],
    [["shares", "zz"], /Cannot find zz/],
  ];
  for (const [args, says] of wrong) {
    const { code, stderr } = await world.run("peer", args);
    assertEquals(code, 2, stderr);
    assertMatch(stderr, says);
  }
});

e2e(
  "a sender that is killed is known not to run, and its ledger says who has it",
  async (world) => {
    await world.tracker();
    const names = ["ann", "ben", "cleo"];
    const peers = await Promise.all(
      names.map((name) => world.peer(`in-${name}`, ["--name", name])),
    );
    const { path, sha256 } = await world.file("big.bin", 12 * MIB);
    // One after another, so that some have it while others wait.
    const slowly = ["--parallel", "1", "--limit-rate", "8M"];
    const args = ["send", path, "--to", names.join(), "--json", ...slowly];
    const sender = await world.start("peer", args);
    const done = await sender.until(({ event, state }) =>
      event === "transfer-recipient" && state === "delivered"
    );
    const shown = async () => {
      const { code, lines } = await world.run("peer", ["shares", "--json"]);
      assertEquals(code, 0);
      return last(lines);
    };
    const running = await shown();
    assertEquals(running["running"], true);
    const busy = await world.run("peer", ["send", "--retry", running["id"]]);
    assertEquals([busy.code, /another process is sending it/.test(busy.stderr)], [4, true]);
    await sender.kill();
    const dead = await shown();
    assertEquals([dead["id"], dead["running"]], [running["id"], false]);
    const had = statesOf(dead).filter((state) => state.endsWith("delivered"));
    assert(had.includes(`${done["peer"]} delivered`));

    const again = await world.run("peer", ["send", "--retry", dead["id"], "--json"]);
    assertEquals(again.code, 0);
    assertEquals(last(again.lines)["recipients"].length, names.length - had.length);
    assertEquals(statesOf(await shown()), names.map((name) => `${name} delivered`));
    for (const peer of peers) {
      assertEquals(await received(peer), ["big.bin"]);
      assertEquals(await sha256Of(join(peer.received, "big.bin")), sha256);
    }
  },
);

e2e("who gets it again gets what is there now, and that is said", async (world) => {
  await world.tracker();
  const bob = await world.peer("in-bob", ["--name", "bob", "--max-size", "1K"]);
  await world.peer("in-carol", ["--name", "carol"]);
  const { path } = await world.file("a.bin", 5_000);
  assertEquals((await world.run("peer", ["send", path, "--to", "bob,carol"])).code, 7);
  await Deno.writeTextFile(path, "short");
  const again = await world.run("peer", ["send", "--retry", "all"]);
  assertEquals(again.code, 0, again.stderr);
  assertStringIncludes(again.stdout, "a.bin has changed since it was sent first");
  assertEquals(await Deno.readTextFile(join(bob.received, "a.bin")), "short");
});

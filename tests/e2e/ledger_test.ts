/** The ledger of a share: who has it, when some refuse, and when its sender is killed in the middle. */

import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { join } from "@std/path";
import { eventually } from "../helpers/deadline.ts";
import { e2e, last, type Line, namesIn, type PeerProcess, sha256Of } from "./helpers.ts";

const MIB = 1024 * 1024;

/** Each recipient with its state. */
function statesOf(recipients: readonly Line[]): string[] {
  return recipients.map(({ peer, state }) => `${peer} ${state}`).sort();
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
    new RegExp(`Share ${id} of [-0-9 :]+: a\\.bin \\(97\\.7 KiB\\): 2 of 3 have it, 1 failed\n`),
  );
  const table = await world.run("peer", ["shares", id]);
  assertMatch(table.stdout, /\n {2}bob: delivered, saved as a\.bin\n/);
  assertMatch(table.stdout, /\n {2}carol: failed: .*--max-size/);

  const refused = await world.run("peer", ["send", "--retry", id]);
  assertEquals(refused.code, 4);
  await refusing.program.stop();
  const carol = await world.peer("in-carol", [...small, ...join_]);
  const again = await world.run("peer", ["send", "--retry", id, "--json"]);
  assertEquals([again.code, statesOf(last(again.lines)["recipients"])], [0, ["carol delivered"]]);
  const { lines: [share, ...recipients] } = await world.run("peer", ["shares", id, "--json"]);
  assertEquals([share?.["running"], share?.["delivered"], statesOf(recipients)], [
    false,
    3,
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
      const { id, running } = last(lines);
      const { lines: [_, ...recipients] } = await world.run("peer", ["shares", id, "--json"]);
      return { id, running, states: statesOf(recipients) };
    };
    const running = await shown();
    assertEquals(running.running, true);
    const busy = await world.run("peer", ["send", "--retry", running.id]);
    assertEquals([busy.code, /another process is sending it/.test(busy.stderr)], [4, true]);
    await sender.kill();
    const dead = await shown();
    assertEquals([dead.id, dead.running], [running.id, false]);
    const had = dead.states.filter((state) => state.endsWith("delivered"));
    assert(had.includes(`${done["peer"]} delivered`));

    const again = await world.run("peer", ["send", "--retry", dead.id, "--json"]);
    assertEquals(again.code, 0);
    assertEquals(last(again.lines)["recipients"].length, names.length - had.length);
    assertEquals((await shown()).states, names.map((name) => `${name} delivered`));
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

e2e("who was named by an address and was not there is one recipient ever after", async (world) => {
  const { invite } = await world.tracker();
  await world.peer("in-bob", ["--name", "bob"]);
  const carol = ["--name", "carol", "--state", world.path("carol"), "--join", invite];
  const { port, program } = await world.peer("in-carol", [...carol, "--port", "0"]);
  await program.stop();
  const { path } = await world.file("a.bin", 5_000);
  const recipients = async () => {
    const { lines: [share, ...all] } = await world.run("peer", ["shares", "all", "--json"]);
    return [share?.["recipients"], statesOf(all)];
  };
  const sent = await world.run("peer", ["send", path, "--to", `bob,127.0.0.1:${port}`]);
  assertEquals([sent.code, await recipients()], [7, [2, [
    `127.0.0.1:${port} failed`,
    "bob delivered",
  ]]]);
  await world.peer("in-carol", [...carol, "--port", `${port}`]);
  const again = await world.run("peer", ["send", "--retry", "all"]);
  assertEquals([again.code, await recipients()], [0, [2, ["bob delivered", "carol delivered"]]]);
});

e2e(
  "what is being sent shows at the tracker and at other peers, also of one that was killed",
  async (world) => {
    const first = await world.tracker();
    const peers = await Promise.all(
      ["ann", "ben"].map((name) => world.peer(name, ["--name", name])),
    );
    const { path } = await world.file("big.bin", 8 * MIB);
    const args = ["send", path, "--to", "all", "--json", "--limit-rate", "2M"];
    const sender = await world.start("peer", args);
    const elsewhere = { home: world.path("elsewhere"), env: { P2P_JOIN: first.invite } };
    /** The one share that others hear of, once it is as it should be. */
    const heard = async (by: "tracker" | "peer", fits: (share: Line) => boolean) => {
      let share: Line | undefined;
      await eventually(async () => {
        const options = by === "peer" ? elsewhere : {};
        const { code, lines, stderr } = await world.run(by, ["shares", "--json"], options);
        assertEquals(code, 0, stderr);
        share = lines.find(({ event }) => event === "share");
        return share !== undefined && fits(share);
      }, () => `${by}: ${JSON.stringify(share)}`);
      return share as Line;
    };
    const isRunning = ({ running, recipients }: Line) => running && recipients === 2;
    const { id } = await heard("tracker", isRunning);
    assertEquals((await heard("peer", isRunning))["id"], id);
    const { lines } = await world.run("tracker", ["shares", id, "--json"]);
    const states = lines.filter(({ event }) => event === "share-recipient");
    assertEquals(statesOf(states), ["ann accepted", "ben accepted"]);

    await first.program.kill();
    await world.tracker(["--port", `${first.port}`]);
    await heard("tracker", (share) => share["id"] === id && isRunning(share));
    assertEquals((await sender.outcome).code, 0);
    const over = await heard("tracker", ({ running }) => !running);
    assertEquals([over["delivered"], over["failed"]], [2, 0]);
    const wrong = await world.run("tracker", ["shares", "zz"]);
    assertEquals([wrong.code, /`tracker shares` lists them/.test(wrong.stderr)], [2, true]);
    await Promise.all(peers.map(({ program }) => program.stop()));
  },
);

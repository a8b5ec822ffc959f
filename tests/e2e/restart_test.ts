/** Trackers that are killed and started again: what they remember, and where they don't. */

import { assertEquals, assertNotEquals, assertStringIncludes } from "@std/assert";
import { join } from "@std/path";
import { e2e, last } from "./helpers.ts";

e2e(
  "a tracker that was killed lists who was there, and who was removed stays out",
  async (world) => {
    const before = await world.tracker();
    const anna = await world.peer("anna", ["--name", "anna", "--group", "lab"]);
    const b = ["--name", "bob", "--state", world.path("b")];
    const bob = await world.peer("bob", b, { env: { P2P_JOIN: before.invite } });
    const gone = await world.peer("gone", ["--name", "gone", "--state", world.path("g")], {
      env: { P2P_JOIN: before.invite },
    });
    assertEquals((await world.run("tracker", ["remove", "gone"])).code, 0);
    await gone.program.outcome;
    // Nobody comes back, and nothing says goodbye.
    await before.program.kill();
    await bob.program.kill();
    await anna.program.kill();
    const again = await world.tracker(["--port", `${before.port}`]);
    const said = await again.program.until(({ event }) => event === "notice");
    assertStringIncludes(said.message, "2 peers were there before");
    assertEquals(again.invite, before.invite);
    const { lines } = await world.run("tracker", ["peers", "--json"]);
    assertEquals(lines.map(({ name, away, groups }) => [name, away, groups]), [
      ["anna", true, ["lab"]],
      ["bob", true, undefined],
    ]);
    const { stdout } = await world.run("tracker", ["peers"]);
    assertStringIncludes(stdout, "not back yet");
    const thief = await world.peer("t", ["--name", "bob", "--state", world.path("t")], {
      env: { P2P_JOIN: again.invite },
    });
    assertEquals(thief.name, "bob-2");
    const back = await world.peer("bob", b);
    assertEquals(back.name, "bob");
    const after = await world.run("tracker", ["peers", "--json"]);
    assertEquals(after.lines.map(({ name, away }) => [name, away]), [
      ["anna", true],
      ["bob-2", undefined],
      ["bob", undefined],
    ]);
    const refused = await world.run("peer", ["run", "--json", "--state", world.path("g")]);
    assertEquals([refused.code, last(refused.lines).code], [6, "barred"]);
    // The one command that lets somebody in again works without a tracker, too.
    await again.program.stop();
    const { code, stderr } = await world.run("tracker", ["restore", "gone"]);
    assertEquals(code, 0, stderr);
    assertEquals(
      (await world.run("tracker", ["removed", "--json"])).lines.map(({ event }) => event),
      [
        "notice",
      ],
    );
  },
);

e2e("a registry that is not its own is refused, and stays as it is", async (world) => {
  const { program } = await world.tracker();
  await program.stop();
  const path = join(world.home, ".local", "state", "p2p", "tracker", "registry.db");
  await Deno.writeTextFile(path, "not a database at all\n".repeat(300));
  const before = await Deno.readFile(path);
  for (const command of [["run"], ["removed"], ["restore", "anna"]]) {
    const { code, stderr } = await world.run("tracker", command);
    assertEquals(code, 8, stderr);
    assertStringIncludes(stderr, path);
    assertStringIncludes(stderr, "move it away");
  }
  assertEquals(await Deno.readFile(path), before);
});

e2e("a tracker with --state :memory: leaves nothing", async (world) => {
  const before = await world.tracker(["--state", ":memory:"]);
  const invited = { env: { P2P_JOIN: before.invite } };
  await world.peer("anna", ["--name", "anna"], invited);
  const listed = await world.run("peer", ["peers", "--json"], invited);
  assertEquals(listed.lines.map(({ name }) => name), ["anna"]);
  await before.program.stop();
  const after = await world.tracker(["--state", ":memory:"]);
  assertNotEquals(after.id, before.id);
  assertNotEquals(after.invite, before.invite);
  for (const [program, args] of [["tracker", ["peers"]], ["peer", ["peers"]]] as const) {
    const { code, stderr } = await world.run(program, [...args, "--state", ":memory:"]);
    assertEquals(code, 2);
    assertStringIncludes(stderr, "only `tracker run`");
  }
  const namesIn = (folder: string) => Array.fromAsync(Deno.readDir(folder), ({ name }) => name);
  assertEquals((await namesIn(world.folder)).sort(), ["anna", "home"]);
  assertEquals(await namesIn(join(world.home, ".local", "state", "p2p")), ["peers"]);
});

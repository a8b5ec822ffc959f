/** State folders that two programs want at once. */

import { assertEquals, assertStringIncludes } from "@std/assert";
import { join } from "@std/path";
import { e2e, last } from "./helpers.ts";

e2e("a second tracker of a user leaves the first where it is found", async (world) => {
  const first = await world.tracker();
  const found = async () => {
    const { code, stdout, stderr } = await world.run("tracker", ["invite"]);
    assertEquals([code, stdout.trim()], [0, first.invite], stderr);
    assertEquals((await world.run("tracker", ["peers", "--json"])).lines.length, 1);
    assertEquals((await world.run("peer", ["peers", "--json"])).lines.length, 1);
  };
  await world.peer("in", ["--name", "box"]);
  for (const how of [[], ["--insecure"], ["--port", `${first.port}`]]) {
    const { code, lines } = await world.run("tracker", ["--port", "0", "--json", ...how]);
    const { event, message } = last(lines);
    assertEquals([code, event], [8, "error"], message);
    assertStringIncludes(message, `running already with the state folder ${world.home}`);
    assertStringIncludes(message, `at 127.0.0.1:${first.port}`);
    assertStringIncludes(message, "--state");
    await found();
  }
  // One with a folder of its own is in nobody's way, and neither is its end.
  const other = await world.tracker(["--state", world.path("other")]);
  await found();
  await other.program.stop();
  await found();
});

e2e("a tracker takes over from one that was killed", async (world) => {
  const first = await world.tracker();
  await first.program.kill();
  const second = await world.tracker();
  const { stdout } = await world.run("tracker", ["invite"]);
  assertEquals(stdout.trim(), second.invite);
});

e2e("a tracker that runs and does not answer keeps its secret", async (world) => {
  const { program } = await world.tracker();
  const address = join(world.home, ".local", "state", "p2p", "tracker", "address.json");
  const before = await Deno.readTextFile(address);
  // Where no tracker is.
  await Deno.writeTextFile(address, before.replaceAll(/:\d+([,/])/g, ":1$1"));
  const network = join(world.home, ".local", "state", "p2p", "tracker", "network.json");
  const kept = await Deno.readTextFile(network);
  const { code, lines } = await world.run("tracker", ["invite", "--rotate", "--json"]);
  assertEquals(code, 8);
  assertStringIncludes(last(lines).message, "Cannot make a new secret: a tracker is running");
  assertEquals(await Deno.readTextFile(network), kept);
  await program.stop();
}, { ignore: Deno.build.os === "linux" ? undefined : "the XDG folder is Linux's" });

/** How an invite gets from one person to the other: shown, asked for at a terminal, given as an argument. */

import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { e2e, procFile, secretOf, sha256Of } from "./helpers.ts";
import { INVITE, receiver, share } from "./shares.ts";
import { NO_TERMINAL, Terminal } from "./terminal.ts";

e2e("share on a terminal shows a QR code where there is room for it", async (world) => {
  const { path } = await world.file("f.bin", 10);
  const args = ["share", path, "--host", "127.0.0.1"];
  const shown = await Terminal.start(world, args);
  await shown.shows("\u2580".repeat(41));
  await shown.shows("  p2p://127.0.0.1:");
  assertStringIncludes(shown.program.stdout, "\x1b[97;40m");
  const plain = await Terminal.start(world, args, { env: { NO_COLOR: "1" } });
  await plain.shows("\u2580".repeat(41));
  assert(!plain.program.stdout.includes("\x1b["), JSON.stringify(plain.program.stdout));

  const low = await Terminal.start(world, args, { rows: 24 });
  await low.shows("  p2p://127.0.0.1:");
  const invite = INVITE.exec(low.program.stdout)?.[0] ?? "";
  assertEquals((await (await receiver(world, "in", invite)).outcome).code, 0);
  const { code, stdout } = await low.program.outcome;
  assertEquals(code, 0);
  assert(!stdout.includes("\u2580"), stdout);
  assertStringIncludes(stdout, "in has everything");
}, { ignore: NO_TERMINAL });

e2e(
  "receive asks for the invite at a terminal, and it is in no list of processes",
  async (world) => {
    const { path, sha256 } = await world.file("f.bin", 1000);
    const { invite } = await share(world, [path]);
    const args = ["receive", "--received", world.path("in")];
    const terminal = await Terminal.start(world, args);
    await terminal.shows("Paste the invite");
    if (Deno.build.os === "linux") {
      assert(!(await procFile(terminal.program.pid, "cmdline")).includes(secretOf(invite)));
    }
    await terminal.enter(invite);
    await terminal.shows("Received 1000 B");
    assertEquals((await terminal.program.outcome).code, 0);
    assertEquals(await sha256Of(world.path("in", "f.bin")), sha256);
  },
  { ignore: NO_TERMINAL },
);

e2e(
  "receive at a terminal takes a transfer of the usual network when Enter is pressed",
  async (world) => {
    await world.tracker();
    const terminal = await Terminal.start(world, ["receive", "--received", world.path("in")]);
    await terminal.shows("Paste the invite");
    await terminal.enter("");
    await terminal.shows("Registered at tracker");
    const { path } = await world.file("f.bin", 1000);
    assertEquals((await world.run("peer", ["send", path])).code, 0);
    assertEquals((await terminal.program.outcome).code, 0);
    // Whoever names the network is not asked.
    const named = await Terminal.start(world, [
      "receive",
      "--name",
      "me",
      "--received",
      world.path("in"),
    ]);
    await named.shows("Registered at tracker");
    assert(!named.program.stdout.includes("Paste"), named.program.stdout);
  },
  { ignore: NO_TERMINAL },
);

e2e("a question for the invite ends with Ctrl-C, and --join - asks too", async (world) => {
  const tracker = await world.tracker();
  for (const args of [["receive"], ["receive", "-"], ["peers", "--join", "-"]]) {
    const terminal = await Terminal.start(world, args);
    await terminal.shows("Paste the invite");
    await terminal.type("\x03");
    assertEquals((await terminal.program.outcome).code, 130);
  }
  const joining = await Terminal.start(world, ["peers", "--join", "-"]);
  await joining.shows("Paste the invite:");
  await joining.enter(tracker.invite);
  await joining.shows("No other peer is there");
  assertEquals((await joining.program.outcome).code, 0);
}, { ignore: NO_TERMINAL });

e2e("an invite that is an argument works, and is said to be seen by others", async (world) => {
  const tracker = await world.tracker();
  const joined = await world.run("peer", ["peers", "--join", tracker.invite, "--json"]);
  assertEquals(joined.code, 0);
  assertStringIncludes(joined.stderr, "paste it at `peer --join -`");
  const { path } = await world.file("f.bin", 10);
  const { invite } = await share(world, [path]);
  const receiving = await world.run("peer", ["receive", invite, "--received", world.path("in")]);
  assertEquals(receiving.code, 0);
  assertStringIncludes(receiving.stdout + receiving.stderr, "paste it at `peer receive`");
  for (const how of ["variable", "quiet"]) {
    const env: Record<string, string> = how === "variable" ? { P2P_JOIN: tracker.invite } : {};
    const args = how === "quiet" ? ["--join", tracker.invite, "--quiet"] : [];
    const { stdout, stderr } = await world.run("peer", ["peers", ...args], { env });
    assert(!`${stdout}${stderr}`.includes("list of processes"), how);
  }
});

e2e("receive --stdout asks before a terminal gets what arrives", async (world) => {
  await Deno.writeTextFile(world.path("note"), "hello there\n");
  const { invite, program } = await share(world, [world.path("note")]);
  const args = ["receive", "--stdout"];
  for (const answer of ["n", ""]) {
    const declined = await Terminal.start(world, args);
    await declined.shows("[y/N]");
    await declined.enter(answer);
    await declined.shows("add `> FILE` or `| PROGRAM`");
    assertEquals((await declined.program.outcome).code, 2);
  }
  const accepted = await Terminal.start(world, args);
  await accepted.shows("[y/N]");
  await accepted.enter("y");
  await accepted.shows("Paste the invite");
  await accepted.enter(invite);
  await accepted.shows("hello there");
  assertEquals((await accepted.program.outcome).code, 0);
  assertEquals((await program.outcome).code, 0);
}, { ignore: NO_TERMINAL });

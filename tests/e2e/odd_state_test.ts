/** Files of a peer that it may not read any more, as after a run of another user. */

import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { join } from "@std/path";
import { whyNotAsUser, WRAP } from "./as_user.ts";
import { e2e, type Line, sha256Of } from "./helpers.ts";

e2e("a key that others can read is said once, and is private again", async (world) => {
  await world.tracker();
  const { program } = await world.peer("in", ["--name", "box"]);
  await program.stop();
  const state = join(world.home, ".local", "state", "p2p");
  const key = join(state, "peers", "1", "identity.key");
  await Deno.chmod(key, 0o644);
  const again = await world.peer("in", ["--name", "box"]);
  const said = notices(again.program.lines).filter((text) => text.includes("could read"));
  assertEquals(said.length, 1);
  assertStringIncludes(said[0] ?? "", `${key}: its mode was 644, and is 600 now`);
  assertEquals(((await Deno.stat(key)).mode ?? 0) & 0o777, 0o600);
  const network = join(state, "tracker", "network.json");
  await Deno.chmod(network, 0o664);
  const { code, stderr, stdout } = await world.run("tracker", ["peers"]);
  assertEquals(code, 0, stderr);
  assertStringIncludes(stdout + stderr, `could read ${network}: its mode was 664`);
}, { ignore: Deno.build.os === "linux" ? undefined : "the XDG folder is Linux's" });

function notices(lines: readonly Line[]): string[] {
  return lines.filter(({ event }) => event === "notice").map(({ message }) => message);
}

e2e(
  "what a peer may not read of its own keeps it from nothing, and is said once",
  async (world) => {
    const { invite } = await world.tracker();
    const other = await world.peer("other", ["--name", "other", "--join", invite], {
      home: world.path("home2"),
    });
    const { path, sha256 } = await world.file("f", 300_000);
    const state = world.path("home", ".local", "state", "p2p");
    const first = await world.peer("in", [], { wrap: WRAP });
    assertEquals((await world.run("peer", ["send", path, "--to", "other"])).code, 0);
    await first.program.stop();
    const peers = join(state, "peers");
    for (const name of ["shares", "manifests"]) {
      await Deno.mkdir(join(peers, name), { recursive: true });
    }
    await Deno.mkdir(join(first.received, "theirs"));
    const unreadable = [
      join(peers, "1", "lock"),
      join(peers, "history.jsonl"),
      join(peers, "cache.json"),
      join(peers, "manifests"),
      join(peers, "shares"),
      join(first.received, "theirs"),
      join(first.received, ".partial", first.id),
    ];
    for (const path of unreadable) await Deno.chmod(path, 0);
    const second = await world.peer("in", ["--quota", "1M"], { wrap: WRAP });
    assert(second.id !== first.id);
    for (const name of ["a", "b"]) {
      const copy = world.path(name);
      await Deno.copyFile(path, copy);
      const send = ["send", copy, "--to", `id:${second.id}`];
      const { code } = await world.run("peer", send, { home: world.path("home2") });
      assertEquals(code, 0, second.program.report);
      assertEquals(await sha256Of(join(second.received, name)), sha256);
    }
    const large = await world.file("large", 900_000);
    const refused = await world.run("peer", ["send", large.path, "--to", `id:${second.id}`], {
      home: world.path("home2"),
    });
    assertEquals(refused.code, 8);
    const { lines } = await second.program.stop();
    const said = notices(lines);
    assertEquals(said.length, new Set(said).size, said.join("\n"));
    for (const path of ["peers/1", "history", "theirs"]) {
      assertStringIncludes(said.join("\n"), path);
    }
    // The one-shot commands go on, too.
    const again = await world.run("peer", ["send", world.path("a"), "--to", "other", "--json"], {
      wrap: WRAP,
    });
    assertEquals(again.code, 0, again.stdout);
    await other.program.stop();
    for (const path of unreadable) await Deno.chmod(path, 0o700);
  },
  { ignore: await whyNotAsUser() },
);

e2e(
  "a one-shot command whose identity is another user's by now goes on with the next",
  async (world) => {
    const { invite } = await world.tracker();
    const other = await world.peer("other", ["--name", "other", "--join", invite], {
      home: world.path("home2"),
    });
    const { path } = await world.file("f", 1000);
    assertEquals((await world.run("peer", ["peers"], { wrap: WRAP })).code, 0);
    const key = world.path("home", ".local", "state", "p2p", "peers", "1", "identity.key");
    await Deno.chmod(key, 0);
    const args = ["send", path, "--to", "other", "--json"];
    const { code, lines } = await world.run("peer", args, { wrap: WRAP });
    assertEquals(code, 0);
    assertStringIncludes(notices(lines).join("\n"), "going on with the next one");
    await other.program.stop();
  },
  { ignore: await whyNotAsUser() },
);

import { assert, assertEquals, assertNotEquals, assertStringIncludes } from "@std/assert";
import { join } from "@std/path";
import { certificatePem } from "../../lib/identity/certificate.ts";
import { Identity } from "../../lib/identity/keys.ts";
import { e2e, last, type Outcome, procFile, secretOf, sha256Of, type World } from "./helpers.ts";
import { NO_PROXY, Proxy } from "./proxy.ts";

/** A HOME of another user, or another machine. */
async function home(world: World, name: string): Promise<string> {
  await Deno.mkdir(world.path(name), { recursive: true });
  return world.path(name);
}

/** Checks that a command was refused with exit code 6, for this reason and with this advice. */
function assertRefused({ code, lines, stdout, stderr }: Outcome, why: string, advice: string) {
  const { event, ...error } = last(lines);
  assertEquals([code, event, error.code], [6, "error", why], stdout + stderr);
  assertStringIncludes(error.message, advice);
}

e2e("an invite is pasted once and remembered", async (world) => {
  const tracker = await world.tracker();
  const secret = secretOf(tracker.invite);
  const [there, stdin] = [await home(world, "there"), await home(world, "stdin")];
  const first = await world.peer("in", ["--name", "box", "--join", tracker.invite], {
    home: there,
  });
  await first.program.stop();
  const again = await world.peer("in", ["--name", "box"], { home: there });
  assertEquals(again.id, first.id);
  assertEquals((await world.run("peer", ["peers"], { home: there })).code, 0);

  const args = ["run", "--json", "--received", world.path("in2"), "--join", "-"];
  const piped = await world.start("peer", args, { home: stdin, stdin: true });
  await piped.write(`${tracker.invite}\n`);
  await piped.until("registered");
  if (Deno.build.os === "linux") {
    const commandLine = await procFile(piped.pid, "cmdline");
    assert(!commandLine.includes(secret));
  }
  assertEquals((await piped.stop()).code, 0);
  const afterwards = await world.peer("in2", [], { home: stdin });
  for (const { program } of [first, again, { program: piped }, afterwards]) {
    assert(!program.stdout.includes(secret) && !program.stderr.includes(secret), program.report);
  }
  const byVariable = await home(world, "variable");
  const env = { P2P_JOIN: tracker.invite };
  assertEquals((await world.run("peer", ["peers"], { home: byVariable, env })).code, 0);
});

e2e("an invite that does not work is not remembered", async (world) => {
  const good = await world.tracker();
  const there = { home: await home(world, "there") };
  await world.run("peer", ["peers", "--join", good.invite], there);
  const bad = withOtherSecret(good.invite);
  assertEquals((await world.run("peer", ["peers", "--join", bad], there)).code, 6);
  assertEquals((await world.run("peer", ["peers"], there)).code, 0);
});

e2e("the invite is in no log and no error", async (world) => {
  const program = await world.start("tracker", ["--port", "0"]);
  await program.untilText((text) => text.includes("listening on"));
  const invite = (await world.run("tracker", ["invite"])).stdout.trim();
  const secret = secretOf(invite);
  assertEquals(secret.length, 22);
  const there = await home(world, "there");
  const joined = await world.start(
    "peer",
    ["run", "--received", world.path("in"), "--join", invite],
    { home: there },
  );
  await joined.untilText((text) => text.includes("Registered"));
  const wrong = await world.run("peer", ["peers", "--join", withOtherSecret(invite)]);
  const broken = await world.run("peer", ["peers", "--join", invite.replace("p2p:", "p3p:")]);
  const cut = await world.run("peer", ["peers", "--join", invite.slice(0, -1), "--json"]);
  assertEquals([wrong.code, broken.code, cut.code], [6, 2, 2]);
  await joined.stop();
  await program.stop();
  const elsewhere = await world.run("peer", ["peers", "--join", invite]);
  assertEquals(elsewhere.code, 3);
  for (const { stdout, stderr } of [program, joined, wrong, broken, cut, elsewhere]) {
    for (const text of [stdout, stderr]) {
      for (const part of [secret, secret.slice(0, -1), secretOf(withOtherSecret(invite))]) {
        assert(!text.includes(part), text);
      }
    }
  }
});

e2e("state is for its user alone", async (world) => {
  await world.tracker();
  const peer = await world.peer("in");
  const { path } = await world.file("f", 10);
  assertEquals((await world.run("peer", ["send", path])).code, 0);
  await world.run("peer", ["broadcast", "hi"]);
  const files: string[] = [];
  const walk = async (folder: string) => {
    assertEquals(((await Deno.stat(folder)).mode ?? 0) & 0o777, 0o700, folder);
    for await (const { name, isDirectory } of Deno.readDir(folder)) {
      const inside = join(folder, name);
      if (isDirectory) {
        await walk(inside);
        continue;
      }
      files.push(name);
      assertEquals(((await Deno.stat(inside)).mode ?? 0) & 0o777, 0o600, inside);
    }
  };
  await walk(join(world.home, ".local", "state", "p2p"));
  assert(files.includes("identity.key") && files.includes("network.json"), `${files}`);
  await walk(join(peer.received, ".partial"));
}, { ignore: Deno.build.os === "linux" ? undefined : "modes and the XDG folder are Linux's" });

e2e("exit 6: a peer of another network", async (world) => {
  const ours = await world.tracker();
  const other = { home: await home(world, "other") };
  await world.tracker([], other);
  const args = ["--tracker", `localhost:${ours.port}`, "--json"];
  assertRefused(await world.run("peer", ["peers", ...args], other), "wrong-network", "--join");
  assertRefused(await world.run("peer", ["run", ...args], other), "wrong-network", "--join");
});

e2e("exit 6: the wrong secret", async (world) => {
  const { invite, program } = await world.tracker();
  const there = { home: await home(world, "there") };
  const join = ["--join", withOtherSecret(invite), "--json"];
  assertRefused(await world.run("peer", ["run", ...join], there), "wrong-secret", "--join");
  assertRefused(await world.run("peer", ["peers", ...join], there), "wrong-secret", "--join");
  assertEquals(program.lines.filter(({ event }) => event === "peer-joined"), []);
});

e2e("exit 6: another key answers at a peer's address", async (world) => {
  // It stays listed while it is stopped.
  await world.tracker(["--ping-after", "120"]);
  const proxy = world.use(new Proxy());
  const peer = await world.peer("in1", ["--name", "box", ...proxy.flags]);
  const impostor = await world.peer("in2", ["--name", "impostor"]);
  assertEquals((await world.run("peer", ["ping", "box"])).code, 0);
  proxy.lead("127.0.0.1", impostor.port);
  // The peer itself can still dial.
  const back = await world.run("peer", ["ping", "box", "--json"]);
  assertEquals([back.code, last(back.lines).via], [0, "dialled-back"]);
  // Where it cannot, what was found out is told.
  peer.program.signal("SIGSTOP");
  const { path } = await world.file("f", 10);
  const send = await world.run("peer", ["send", path, "--to", "box", "--json"]);
  assertEquals([send.code, last(send.lines).recipients[0].error.code], [6, "wrong-key"]);
  const { lines } = impostor.program;
  assertEquals(lines.filter(({ event }) => event === "file-received"), []);
}, { ignore: NO_PROXY });

e2e("exit 6: one side with --insecure, the other without", async (world) => {
  const secure = await world.tracker();
  const address = ["--tracker", `localhost:${secure.port}`];
  for (const command of ["peers", "run"]) {
    const plain = await world.run("peer", [command, "--insecure", ...address, "--json"]);
    assertRefused(plain, "insecure-mismatch", "--insecure");
  }
  await secure.program.stop();
  const there = { home: await home(world, "there") };
  await world.tracker(["--insecure", "--port", `${secure.port}`], there);
  for (const command of ["peers", "run"]) {
    const wary = await world.run("peer", [command, "--json"]);
    assertRefused(wary, "insecure-mismatch", "--insecure");
  }
});

e2e("exit 6: a name that has changed its key, until it is trusted", async (world) => {
  const tracker = await world.tracker();
  const named = ["--name", "box"];
  const [one, two] = [world.path("one"), world.path("two")];
  const before = await world.peer("in1", [...named, "--state", one, "--join", tracker.invite]);
  const { path, sha256 } = await world.file("f", 10);
  assertEquals((await world.run("peer", ["send", path, "--to", "box"])).code, 0);
  await before.program.stop();
  // While the tracker lives, the name is the first key's.
  const numbered = await world.peer("in2", [...named, "--state", two, "--join", tracker.invite]);
  assertEquals(numbered.name, "box-2");
  await numbered.program.stop();
  await tracker.program.stop();
  // It was moved away, with all that the tracker remembers.
  await Deno.remove(join(world.home, ".local", "state", "p2p", "tracker", "registry.db"));
  await world.tracker(["--port", `${tracker.port}`]);
  const after = await world.peer("in2", [...named, "--state", two]);
  assertEquals([after.id, after.name], [numbered.id, "box"]);
  assertNotEquals(after.id, before.id);

  const ping = await world.run("peer", ["ping", "box", "--json"]);
  assertRefused(ping, "name-changed-key", "peer trust box");
  const { candidates } = last(ping.lines);
  assert(candidates.join().includes(before.id) && candidates.join().includes(after.id));
  const send = await world.run("peer", ["send", path, "--json"]);
  assertEquals([send.code, last(send.lines).recipients[0].error.code], [6, "name-changed-key"]);
  assertEquals((await world.run("peer", ["trust", "box"])).code, 0);
  assertEquals((await world.run("peer", ["send", path, "--to", "box"])).code, 0);
  assertEquals(await sha256Of(join(after.received, "f")), sha256);
});

e2e(
  "tracker invite --rotate sends away whoever has the old secret, and says what to do",
  async (world) => {
    const tracker = await world.tracker();
    const there = { home: await home(world, "there") };
    const peer = await world.peer("in", ["--join", tracker.invite], there);
    const rotated = await world.run("tracker", ["invite", "--rotate", "--json"]);
    assertEquals(rotated.code, 0, rotated.stderr);
    const { invite } = last(rotated.lines);
    assertNotEquals(secretOf(invite), secretOf(tracker.invite));
    assertRefused(await peer.program.outcome, "wrong-secret", "--join");
    await tracker.program.until("peer-left");
    assertRefused(await world.run("peer", ["peers", "--json"], there), "wrong-secret", "--join");
    const old = ["peers", "--join", tracker.invite, "--json"];
    assertRefused(await world.run("peer", old), "wrong-secret", "--join");
    const back = await world.peer("in", ["--join", invite], there);
    assertEquals(back.id, peer.id);
    assertEquals((await world.run("peer", ["ping", back.name])).code, 0);
    // It holds after a restart too, and without a running tracker.
    await tracker.program.stop();
    const offline = last((await world.run("tracker", ["invite", "--rotate", "--json"])).lines);
    assertNotEquals(secretOf(offline.invite), secretOf(invite));
    await world.tracker(["--port", `${tracker.port}`]);
    assertRefused(await back.program.outcome, "wrong-secret", "--join");
    assertEquals((await world.run("peer", ["peers", "--join", offline.invite], there)).code, 0);
  },
);

e2e("tracker remove bars a peer for good", async (world) => {
  const tracker = await world.tracker();
  const there = { home: await home(world, "there") };
  const join = ["--join", tracker.invite, "--name", "box"];
  const bad = await world.peer("in1", join, there);
  const good = await world.peer("in2", ["--name", "good"]);
  await good.program.until(({ event, id }) => event === "peer-joined" && id === bad.id);
  const { code, lines } = await world.run("tracker", ["remove", "box", "--json"]);
  assertEquals([code, last(lines).event, last(lines).id], [0, "removed", bad.id]);
  const { code: refused, lines: said } = await bad.program.outcome;
  assertEquals([refused, last(said).code], [6, "barred"]);
  await good.program.until(({ event, id }) => event === "peer-left" && id === bad.id);
  assertEquals((await world.run("peer", ["run", ...join, "--json"], there)).code, 6);
  assertEquals((await world.run("peer", ["peers", "--json"], there)).code, 6);
  await tracker.program.stop();
  await world.tracker(["--port", `${tracker.port}`]);
  assertEquals((await world.run("peer", ["peers", "--json"], there)).code, 6);
  assertEquals((await world.run("peer", ["peers", "--json"])).code, 0);
});

e2e("a removed peer's name is free, and restore undoes it, running or not", async (world) => {
  const tracker = await world.tracker();
  const there = { home: await home(world, "there") };
  const join = ["--join", tracker.invite, "--name", "box"];
  const box = await world.peer("in1", join, there);
  await world.run("tracker", ["remove", "box"]);
  const { code, lines } = await box.program.outcome;
  assertEquals([code, last(lines).code], [6, "barred"]);
  assertStringIncludes(last(lines).message, "`tracker restore`");
  const heir = await world.peer("in2", ["--name", "box"]);
  assertEquals(heir.name, "box");
  const removed = async () =>
    (await world.run("tracker", ["removed", "--json"])).lines.map(({ event, id, name }) =>
      event === "barred" ? `${name} ${id}` : event
    );
  assertEquals(await removed(), [`box ${box.id}`]);
  const unknown = await world.run("tracker", ["restore", "bix", "--json"]);
  assertEquals([unknown.code, last(unknown.lines).code], [4, "peer-unknown"]);
  assertStringIncludes(last(unknown.lines).message, "did you mean box?");
  assertEquals((await world.run("peer", ["peers"], there)).code, 6);

  const restored = await world.run("tracker", ["restore", "box", "--json"]);
  assertEquals([restored.code, last(restored.lines).id], [0, box.id], restored.stderr);
  assertEquals(await removed(), ["notice"]);
  const again = await world.peer("in1", join, there);
  assertEquals([again.id, again.name], [box.id, "box-2"]);
  // The other members take it back, too.
  const { path } = await world.file("f", 10);
  const send = await world.run("peer", ["send", path, "--to", "box"], there);
  assertEquals(send.code, 0, send.stderr);

  await world.run("tracker", ["remove", "box-2"]);
  assertEquals((await again.program.outcome).code, 6);
  await tracker.program.stop();
  const offline = await world.run("tracker", ["restore", `id:${box.id.slice(0, 8)}`]);
  assertEquals(offline.code, 0, offline.stderr);
  await world.tracker(["--port", `${tracker.port}`]);
  await world.peer("in1", join, there);
});

/** An invite of the same network with a secret that is none. */
function withOtherSecret(invite: string): string {
  const at = invite.lastIndexOf(".") + 1;
  return invite.slice(0, at) + (invite[at] === "A" ? "B" : "A") + invite.slice(at + 1);
}

e2e("whatever authorities the environment names, members reach each other", async (world) => {
  const authority = Identity.generate();
  const pem = world.path("authority.pem");
  await Deno.writeTextFile(
    pem,
    certificatePem({ subjectKey: authority.publicKey, issuer: authority }),
  );
  for (const variable of ["DENO_CERT", "NODE_EXTRA_CA_CERTS"]) {
    const options = { env: { [variable]: pem } };
    const tracker = await world.tracker([], options);
    const peer = await world.peer(variable, [], options);
    const { path, sha256 } = await world.file(`${variable}.bin`, 100_000);
    const { code, stderr } = await world.run("peer", ["send", path, "--to", peer.name], options);
    assertEquals(code, 0, stderr);
    assertEquals((await peer.program.until("file-received")).sha256, sha256);
    await peer.program.stop();
    await tracker.program.stop();
  }
});

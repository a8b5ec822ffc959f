import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { join } from "@std/path";
import { Identity } from "../../lib/identity/keys.ts";
import { eventually } from "../helpers/deadline.ts";
import {
  e2e,
  finished,
  last,
  leftovers,
  type Line,
  namesIn,
  sha256Of,
  type World,
} from "./helpers.ts";
import { flipPieces, NO_PROXY, Proxy } from "./proxy.ts";
import { Tmpfs, whyNoTmpfs } from "../helpers/tmpfs.ts";

const MIB = 1024 * 1024;

/** Runs a command with `--json` that must fail, and resolves with its error event. */
async function failure(world: World, code: number, args: string[], state?: string) {
  const options = state === undefined ? [] : ["--state", world.path(state)];
  const outcome = await world.run("peer", [...args, ...options, "--json"]);
  const { event, ...error } = outcome.lines.at(-1) ?? { event: "none" };
  assertEquals([outcome.code, event], [code, "error"], outcome.stdout + outcome.stderr);
  // People see it too.
  assertStringIncludes(outcome.stderr, "error: Cannot");
  return error as { code: string; message: string; candidates?: string[] };
}

e2e("exit 0: help and version, on stdout", async (world) => {
  for (const program of ["tracker", "peer"] as const) {
    const help = await world.run(program, ["--help"]);
    assertEquals([help.code, help.stderr], [0, ""]);
    assertStringIncludes(help.stdout, "Examples");
    const version = await world.run(program, ["--version"]);
    assertEquals([version.code, version.stderr], [0, ""]);
    assert(/^(tracker|peer) \d+\.\d+\.\d+\n$/.test(version.stdout), version.stdout);
  }
});

e2e(
  "exit 8: the tracker's port is in use, or that of a peer",
  async (world) => {
    const { port } = await world.tracker();
    const second = ["--port", `${port}`, "--state", world.path("other"), "--json"];
    const { code, lines } = await world.run("tracker", second);
    assertEquals([code, last(lines).code], [8, "address-in-use"]);
    const peer = await failure(world, 8, ["run", "--host", "127.0.0.1", "--port", `${port}`]);
    assertEquals(peer.code, "address-in-use");
  },
);

e2e("exit 2: wrong usage", async (world) => {
  await world.tracker();
  const { path } = await world.file("f", 1);
  for (
    const args of [
      ["peers", "--unknown"],
      ["send"],
      ["ping"],
      ["broadcast"],
      ["frobnicate"],
      ["run", "--port", "x"],
      ["run", "--name", "all"],
      ["run", "--join", "p2p://nothing"],
    ]
  ) {
    assert(["usage", "invalid"].includes((await failure(world, 2, args)).code), args.join(" "));
  }
  const [a, b] = [await world.peer("in1"), await world.peer("in2")];
  const { candidates } = await failure(world, 2, ["send", path]);
  assertEquals(candidates?.sort(), [a.name, b.name].sort());
  assertEquals((await world.run("tracker", ["--ping-after", "never"])).code, 2);
});

e2e("exit 3: there is no tracker", async (world) => {
  // Nothing says where one could be.
  assertStringIncludes((await failure(world, 3, ["peers"])).message, "--join");
  assertEquals((await failure(world, 3, ["run"])).code, "tracker-unreachable");
  // It was there.
  const { program } = await world.tracker();
  await program.kill();
  for (const args of [["peers"], ["ping", "box"], ["broadcast", "hi"]]) {
    assertEquals((await failure(world, 3, args)).code, "tracker-unreachable");
  }
  for (const args of [["peers"], ["broadcast", "hi"], ["invite"]]) {
    const { code, stderr } = await world.run("tracker", args);
    assertEquals(code, 3);
    // Not with the flags of a peer.
    assertMatch(stderr, /connection refused; start the tracker [^\n]*with `tracker`/);
    assert(!stderr.includes("--join"), stderr);
  }
});

e2e(
  "an invite that would help nobody is not handed out, or said to be of use here only",
  async (world) => {
    const never = await world.run("tracker", ["invite", "--json"]);
    assertEquals([never.code, last(never.lines).code], [3, "tracker-unreachable"]);
    assertStringIncludes(last(never.lines).message, "no tracker has run with this state folder");
    const { program } = await world.tracker();
    for (const flags of [[], ["--rotate"]]) {
      const { code, stdout, stderr } = await world.run("tracker", ["invite", ...flags]);
      assertEquals(code, 0);
      assertMatch(stdout, /^p2p:\S+\n$/);
      assertStringIncludes(stderr, "of no use elsewhere; start it with --host 0.0.0.0");
    }
    await program.stop();
    const stopped = await world.run("tracker", ["invite"]);
    assertEquals([stopped.code, stopped.stdout], [3, ""]);
  },
);

e2e("the history says which of a user's peers it was, and knows others by name", async (world) => {
  await world.tracker();
  const { path } = await world.file("f", 10);
  const one = await world.peer("in1", ["--name", "one"]);
  const two = await world.peer("in2", ["--name", "two"]);
  assertEquals((await world.run("peer", ["send", path, "--to", "one,two"])).code, 0);
  for (const { program } of [one, two]) await program.until("file-received");
  const { lines } = await world.run("peer", ["history", "--json"]);
  const received = lines.filter(({ direction }) => direction === "receive");
  assertEquals(received.map((entry) => entry.as).sort(), ["one", "two"]);
  const { stdout } = await world.run("peer", ["history"]);
  // What one-shot commands send comes under the identity of the first peer of the user.
  assertMatch(stdout, /received +f \(10 B\) from one \(as two\)/);
  assertMatch(stdout, /sent +f \(10 B\) to two \(as \S+\)/);
});

e2e("exit 4: the peer is unknown, ambiguous, dead, or does not want the file", async (world) => {
  const { program: tracker } = await world.tracker();
  const { path } = await world.file("f", 2000);
  assertEquals((await failure(world, 4, ["send", path])).code, "peer-unknown");
  assertEquals((await failure(world, 4, ["send", path, "--to", "all"])).code, "peer-unknown");
  const ids = await twins(world);
  const box = await world.peer("in1", ["--name", "box"]);
  const small = await world.peer("in2", ["--name", "small", "--max-size", "1000"]);
  assertEquals([box.id, small.id], ids);

  const unknown = await failure(world, 4, ["ping", "nobody"]);
  assertEquals([unknown.code, unknown.candidates?.length], ["peer-unknown", 2]);
  assertEquals((await failure(world, 4, ["ping", "127.0.0.1:1"])).code, "peer-unknown");
  const prefix = `id:${box.id.slice(0, 1)}`;
  const ambiguous = await failure(world, 4, ["send", path, "--to", prefix]);
  assertEquals([ambiguous.code, ambiguous.candidates?.length], ["peer-ambiguous", 2]);

  const refused = await world.run("peer", ["send", path, "--to", "small", "--json"]);
  assertEquals(refused.code, 4);
  assertEquals(last(refused.lines).recipients[0].error.code, "refused");

  // The list that was seen last says where the dead peer was.
  await tracker.kill();
  await box.program.kill();
  assertEquals((await failure(world, 4, ["ping", "box"])).code, "peer-unreachable");
  const dead = await world.run("peer", ["send", path, "--to", "box", "--json"]);
  assertEquals(dead.code, 4);
  assertEquals(last(dead.lines).recipients[0].error.code, "peer-unreachable");
});

e2e("exit 7: one of two recipients is dead, and the other has the file", async (world) => {
  const { program: tracker } = await world.tracker();
  const { path, sha256 } = await world.file("f", 2000);
  const box = await world.peer("in1", ["--name", "box"]);
  const dead = await world.peer("in2", ["--name", "dead"]);
  assertEquals((await world.run("peer", ["peers"])).code, 0);
  await tracker.kill();
  await dead.program.kill();
  const { code, lines } = await world.run("peer", ["send", path, "--to", "all", "--json"]);
  assertEquals(code, 7);
  const { recipients } = finished(lines);
  const states = recipients.map(({ peer, state }: Record<string, string>) => `${peer} ${state}`);
  assertEquals(states.sort(), ["box delivered", "dead failed"]);
  assertEquals((await box.program.until("file-received")).sha256, sha256);
  assertEquals(await sha256Of(join(box.received, "f")), sha256);
});

e2e(
  "exit 7: of the peers that --to names one is not there, and the other has the file",
  async (world) => {
    await world.tracker();
    const { path, sha256 } = await world.file("f", 2000);
    const box = await world.peer("in", ["--name", "box"]);
    const args = ["send", path, "--to", "box,nosuch", "--json"];
    const { code, lines } = await world.run("peer", args);
    assertEquals(code, 7);
    const states = finished(lines).recipients.map((
      one: Line,
    ) => [one.peer, one.state, one.error?.code]);
    assertEquals(states.sort(), [["box", "delivered", undefined], [
      "nosuch",
      "failed",
      "peer-unknown",
    ]]);
    assertEquals(await sha256Of(join(box.received, "f")), sha256);
    const again = await world.run("peer", ["send", path, "--to", "nosuch,box"]);
    assertEquals(again.code, 7);
    assertStringIncludes(again.stdout, "nosuch: failed: Cannot find nosuch: no peer has that name");
    assertEquals((await failure(world, 4, ["send", path, "--to", "no,such"])).code, "peer-unknown");
  },
);

e2e("a broadcast says who got it: 0 where all did, 7 some, 4 nobody", async (world) => {
  const { program: tracker } = await world.tracker();
  const hi = ["broadcast", "hi"];
  for (const program of ["peer", "tracker"] as const) {
    const { code, stdout, stderr } = await world.run(program, hi);
    assertEquals(code, 4);
    assertStringIncludes(stdout, "Broadcast delivered to nobody");
    assertStringIncludes(stderr, "error: Cannot broadcast: no other peer is there");
  }
  const box = await world.peer("in1", ["--name", "box"]);
  const dead = await world.peer("in2", ["--name", "dead"]);
  const who = (lines: Line[]) => {
    const sent = lines.find(({ event }) => event === "broadcast-sent");
    const names = sent?.recipients.map(({ peer, state }: Line) => `${peer} ${state}`).sort();
    return [sent?.delivered, ...names];
  };
  for (const program of ["peer", "tracker"] as const) {
    const { code, lines } = await world.run(program, [...hi, "--json"]);
    assertEquals([code, ...who(lines)], [0, 2, "box delivered", "dead delivered"]);
  }
  await world.run("peer", ["peers"]);
  await tracker.kill();
  await dead.program.kill();
  const some = await world.run("peer", [...hi, "--json"]);
  assertEquals([some.code, ...who(some.lines)], [7, 1, "box delivered", "dead failed"]);
  await box.program.kill();
  const none = await world.run("peer", [...hi, "--json"]);
  assertEquals([none.code, ...who(none.lines)], [4, 0, "box failed", "dead failed"]);
});

e2e("exit 7: one of two recipients refuses", async (world) => {
  await world.tracker();
  const { path } = await world.file("f", 2000);
  await world.peer("in1", ["--name", "box"]);
  await world.peer("in2", ["--name", "small", "--max-size", "1000"]);
  const text = await world.run("peer", ["send", path, "--to", "box,small"]);
  assertEquals(text.code, 7);
  assertStringIncludes(text.stdout, "to 1 of 2 peers");
  assertStringIncludes(text.stdout, "small: failed: ");
});

e2e("exit 8: a local file or disk problem", async (world) => {
  await world.tracker();
  const { path } = await world.file("f", 2000);
  await world.peer("in");
  assertEquals((await failure(world, 8, ["send", world.path("missing")])).code, "file-not-found");
  assertEquals((await failure(world, 8, ["send", "/dev/null"])).code, "disk");
  // The inbox is a file.
  assertEquals((await failure(world, 8, ["run", "--received", path])).code, "disk");
});

const SETPRIV = "/usr/bin/setpriv";

e2e("exit 8: a receive whose own --max-size says no, as its own doing", async (world) => {
  await world.tracker();
  const { path } = await world.file("f", 2000);
  const share = await world.start("peer", ["share", path, "--host", "127.0.0.1", "--json"]);
  const { invite } = await share.until("sharing");
  const own = ["--max-size", "1K", "--json", "--state", world.path("there")];
  const shared = await world.run("peer", ["receive", invite, ...own]);
  assertEquals(shared.code, 8);
  assertStringIncludes(last(shared.lines).message, "f: it is larger than --max-size lets in here");
  await share.stop("SIGINT");
});

e2e("exit 2: a peer in the place of a path, before anything is sent", async (world) => {
  await world.tracker();
  const { path } = await world.file("f", 2000);
  const box = await world.peer("in", ["--name", "box"]);
  for (const [peer, to] of [["box", "box"], ["all", "all"], ["BOX", "box"]]) {
    const { message } = await failure(world, 2, ["send", path, peer ?? ""]);
    assertStringIncludes(message, `it is the name of a peer; write --to ${to}`);
  }
  assertEquals(await namesIn(box.received), [".partial"]);
  // A file of that name is one.
  const file = await world.file("box", 10);
  assertEquals((await world.run("peer", ["send", path, "box"])).code, 0);
  assertEquals(await sha256Of(join(box.received, "box")), file.sha256);
});

e2e("--accept says who is not there", async (world) => {
  await world.tracker();
  await world.peer("in1", ["--name", "box"]);
  const peer = await world.peer("in2", ["--accept", "box,nobody"]);
  const { message } = await peer.program.until("notice");
  assertEquals(message, "Not there now: nobody; --accept takes files of these peers once they are");
});

e2e("exit 8: the receiver may not write to its inbox", async (world) => {
  await world.tracker();
  const { path, sha256 } = await world.file("f", 2000);
  // Root may write anywhere, unless it gives that up.
  const asUser = ["--bounding-set=-dac_override,-dac_read_search", "--"];
  const wrap = Deno.uid() === 0 ? [SETPRIV, ...asUser] : [];
  const peer = await world.peer("in", [], { wrap });
  await Deno.chmod(peer.received, 0o500);
  const refused = await world.run("peer", ["send", path, "--json"]);
  assertEquals(refused.code, 8);
  assertEquals(last(refused.lines).recipients[0].error.code, "disk");
  await Deno.chmod(peer.received, 0o700);
  assertEquals(await leftovers(peer.received, peer.id), []);
  assertEquals(await namesIn(peer.received), [".partial"]);
  // It lives, and a new transfer works.
  assertEquals((await world.run("peer", ["send", path])).code, 0);
  assertEquals(await sha256Of(join(peer.received, "f")), sha256);
  await peer.program.stop();
  await Deno.chmod(peer.received, 0o500);
  const args = ["run", "--json", "--received", join(peer.received, "new")];
  const { code, lines } = await world.run("peer", args, { wrap });
  assertEquals([code, last(lines).code], [8, "disk"]);
  await Deno.chmod(peer.received, 0o700);
}, { ignore: whyNotAsUser() });

e2e("exit 8: the receiver's disk is full, before and during", async (world) => {
  await using disk = await Tmpfs.mount(world.path("disk"), 64);
  const proxy = world.use(new Proxy());
  await world.tracker();
  const peer = await world.peer("disk/in", proxy.flags);
  const large = await world.file("large", 60 * MIB);
  const before = await world.run("peer", ["send", large.path, "--json"]);
  assertEquals(before.code, 8);
  assertEquals(last(before.lines).recipients[0].error.code, "no-space");

  const fits = await world.file("fits", 40 * MIB);
  proxy.hold(24 * MIB);
  const sender = await world.start("peer", ["send", fits.path, "--json"]);
  await proxy.held(sender);
  // Once there is a journal there is something to go on with.
  await eventually(
    async () => (await leftovers(peer.received, peer.id)).some((name) => name.endsWith(".journal")),
    "a journal",
  );
  await disk.fill();
  proxy.release();
  const { code, lines } = await sender.outcome;
  assertEquals(code, 8);
  assertEquals(last(lines).recipients[0].error.code, "no-space");
  assertEquals((await peer.program.until("receive-failed")).code, "no-space");
  // What is verified waits for room.
  const waiting = await leftovers(peer.received, peer.id);
  assertEquals(waiting.map((name) => name.replace(/.*\./, "")).sort(), ["journal", "part"]);
  assertEquals(await namesIn(peer.received), [".partial"]);

  await disk.empty();
  const after = await world.run("peer", ["send", fits.path, "--json"]);
  assertEquals(after.code, 0);
  const { bytesSent } = last(after.lines);
  assert(bytesSent < 40 * MIB, `${bytesSent} bytes were sent again`);
  assertEquals(await sha256Of(join(peer.received, "fits")), fits.sha256);
  assertEquals(await leftovers(peer.received, peer.id), []);
}, { ignore: NO_PROXY ?? await whyNoTmpfs() });

e2e("exit 8: the receiver's quota is used up, until there is room", async (world) => {
  await world.tracker();
  const peer = await world.peer("in", ["--quota", "3M"]);
  const [first, second] = [await world.file("first", 2 * MIB), await world.file("second", 2 * MIB)];
  assertEquals((await world.run("peer", ["send", first.path])).code, 0);
  const { code, lines } = await world.run("peer", ["send", second.path, "--json"]);
  const { error } = last(lines).recipients[0];
  assertEquals([code, error.code], [8, "quota"]);
  assertStringIncludes(error.message, `quota of ${3 * MIB} leaves ${MIB}; make room`);
  assertEquals((await peer.program.until("receive-failed")).code, "quota");
  assertEquals(await leftovers(peer.received, peer.id), []);
  assertEquals(await namesIn(peer.received), [".partial", "first"]);

  await Deno.remove(join(peer.received, "first"));
  assertEquals((await world.run("peer", ["send", second.path])).code, 0);
  assertEquals(await sha256Of(join(peer.received, "second")), second.sha256);
});

e2e("exit 8: the receiver's inbox becomes read-only during a transfer", async (world) => {
  await world.tracker();
  const asUser = ["--bounding-set=-dac_override,-dac_read_search", "--"];
  const wrap = Deno.uid() === 0 ? [SETPRIV, ...asUser] : [];
  const proxy = world.use(new Proxy());
  const peer = await world.peer("in", proxy.flags, { wrap });
  const { path, sha256 } = await world.file("f", 32 * MIB);
  proxy.hold(24 * MIB);
  const sender = await world.start("peer", ["send", path, "--json"]);
  await proxy.held(sender);
  await Deno.chmod(peer.received, 0o500);
  proxy.release();
  const { code, lines } = await sender.outcome;
  assertEquals([code, last(lines).recipients[0].error.code], [8, "disk"]);
  assertEquals(await namesIn(peer.received), [".partial"]);

  await Deno.chmod(peer.received, 0o700);
  const again = await world.run("peer", ["send", path, "--json"]);
  assertEquals(again.code, 0);
  // Most of it is not sent again.
  assert(last(again.lines).bytesSent <= 16 * MIB, `${last(again.lines).bytesSent} bytes`);
  assertEquals(await sha256Of(join(peer.received, "f")), sha256);
  assertEquals(await leftovers(peer.received, peer.id), []);
}, { ignore: NO_PROXY ?? whyNotAsUser() });

e2e(
  "exit 5: a link that keeps changing a piece is found out, nothing is left behind",
  async (world) => {
    const { port } = await world.tracker(["--insecure"]);
    const insecure = ["--insecure", "--tracker", `localhost:${port}`];
    const proxy = world.use(new Proxy({ tamper: flipPieces(Infinity) }));
    const peer = await world.peer("in", [...proxy.flags, ...insecure]);
    const { path } = await world.file("f", 2 * MIB);
    const { code, lines } = await world.run("peer", ["send", path, ...insecure, "--json"]);
    assertEquals(code, 5);
    const { state, error } = last(lines).recipients[0];
    assertEquals([state, error.code], ["failed", "integrity"]);
    assertEquals((await peer.program.until("receive-failed")).code, "integrity");
    assertEquals(await namesIn(peer.received), [".partial"]);
    assertEquals(await leftovers(peer.received, peer.id), []);
  },
  { ignore: NO_PROXY },
);

e2e("exit 0: a piece with a flipped bit is asked for again", async (world) => {
  const { port } = await world.tracker(["--insecure"]);
  const insecure = ["--insecure", "--tracker", `localhost:${port}`];
  const proxy = world.use(new Proxy({ tamper: flipPieces(1) }));
  const peer = await world.peer("in", [...proxy.flags, ...insecure]);
  const { path, sha256 } = await world.file("f", 2 * MIB);
  const { code, lines } = await world.run("peer", ["send", path, ...insecure, "--json"]);
  assertEquals(code, 0);
  assertEquals(last(lines).bytesSent, 4 * MIB);
  assertEquals(await sha256Of(join(peer.received, "f")), sha256);
}, { ignore: NO_PROXY });

e2e("exit 130: SIGINT during a send; both sides clean up", async (world) => {
  await world.tracker();
  const proxy = world.use(new Proxy());
  const peer = await world.peer("in", proxy.flags);
  const { path, sha256 } = await world.file("f", 16 * MIB);
  proxy.hold(4 * MIB);
  const sender = await world.start("peer", ["send", path, "--json"]);
  await proxy.held(sender);
  await peer.program.until("transfer-progress");
  const { code, stderr } = await sender.stop("SIGINT");
  assertEquals(code, 130);
  proxy.release();
  const [, id = ""] = /`peer resume (\S+)` goes on with f/.exec(stderr) ?? [];
  assertEquals((await world.run("peer", ["resume", id])).code, 0, stderr);
  // All peers of a user share the history, which says whose each entry is.
  const history = (await world.run("peer", ["history", "--json"])).lines;
  const states = history.map(({ direction, state }) => `${direction} ${state}`);
  // The last two are of two processes that end at the same time.
  assertEquals([states[0], ...states.slice(1).sort()], [
    "send failed",
    "receive received",
    "send delivered",
  ]);
  assertEquals(history.find(({ direction }) => direction === "receive")?.as, peer.name);
  assert(history.every(({ as }) => typeof as === "string"));
  assertEquals(await sha256Of(join(peer.received, "f")), sha256);
  assertEquals((await peer.program.stop()).code, 0);
  assertEquals(await leftovers(peer.received, peer.id), []);
  assertEquals(await namesIn(peer.received), [".partial", "f"]);
}, { ignore: NO_PROXY });

/** Puts two identities whose ids begin alike into the first two slots. */
async function twins(world: World): Promise<string[]> {
  const first = Identity.generate();
  let second = Identity.generate();
  while (second.id[0] !== first.id[0]) second = Identity.generate();
  for (const [i, identity] of [first, second].entries()) {
    const folder = join(world.home, ".local", "state", "p2p", "peers", `${i + 1}`);
    await Deno.mkdir(folder, { recursive: true, mode: 0o700 });
    await Deno.writeTextFile(join(folder, "identity.key"), identity.pkcs8Pem(), { mode: 0o600 });
  }
  return [first.id, second.id];
}

function whyNotAsUser(): string | undefined {
  if (Deno.build.os !== "linux") return "needs Linux";
  const [mayRead, mayAsk] = (["read", "sys"] as const).map((name) =>
    Deno.permissions.querySync({ name }).state === "granted"
  );
  if (!mayRead || !mayAsk || Deno.uid() !== 0) return undefined;
  try {
    Deno.statSync(SETPRIV);
    return undefined;
  } catch {
    return `root without ${SETPRIV}`;
  }
}

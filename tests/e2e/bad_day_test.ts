/** Services on a bad day: no network yet, a disk that takes nothing, a reader that reads nothing. */

import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import type { P2PError } from "../../lib/errors.ts";
import { parseInvite } from "../../lib/identity/invite.ts";
import { closedPort } from "../helpers/closed_port.ts";
import { eventually } from "../helpers/deadline.ts";
import { Network, whyNoNetwork } from "../helpers/netns.ts";
import { NO_LINUX } from "../helpers/permissions.ts";
import { openRaw, type RawSession } from "../helpers/raw.ts";
import { Tmpfs, whyNoTmpfs } from "../helpers/tmpfs.ts";
import { NO_TERMINAL, Terminal } from "./terminal.ts";
import { e2e, last, type Line, type Program, type World } from "./helpers.ts";

const NO_NETWORK = await whyNoNetwork();
const NO_TMPFS = await whyNoTmpfs();

const isWaiting = ({ event, message }: Line) =>
  event === "notice" && `${message}`.endsWith("Trying again until it works");

/** What a service said while it waited. */
function saidWaiting({ lines }: Program): string[] {
  return lines.filter(isWaiting).map(({ message }) => message);
}

/** A network that was joined, whose tracker is gone again. */
async function joined(world: World): Promise<{ port: number; invite: string }> {
  const { program, port, invite } = await world.tracker();
  assertEquals((await world.run("peer", ["peers", "--join", invite])).code, 0);
  await program.kill();
  return { port, invite };
}

e2e("a service that boots before its tracker waits for it, and says so once", async (world) => {
  const { port } = await joined(world);
  const peer = await world.start("peer", ["run", "--json", "--received", world.path("in")]);
  await peer.until(isWaiting);
  const fast = await world.run("peer", ["peers"]);
  assertEquals(fast.code, 3, "a one-shot command does not wait");
  const tracker = await world.tracker(["--port", `${port}`]);
  await peer.until("registered");
  assertEquals(saidWaiting(peer).length, 1);
  assertStringIncludes(saidWaiting(peer)[0] ?? "", "connection refused");
  // Later it is the same.
  await tracker.program.kill();
  await peer.until("tracker-lost");
  const { mark } = peer;
  await world.tracker(["--port", `${port}`]);
  await peer.until("registered", { from: mark });
  assertEquals((await peer.stop()).code, 0);
});

e2e("a service that waits for its tracker ends when it is asked to", async (world) => {
  await joined(world);
  const peer = await world.start("peer", ["run", "--json", "--received", world.path("in")]);
  await peer.until(isWaiting);
  assertEquals((await peer.stop()).code, 0);
});

e2e("a service whose invite is refused does not wait", async (world) => {
  const other = await world.tracker(["--state", world.path("other")]);
  const { port } = await world.tracker();
  const invite = other.invite.replace(/:\d+\//, `:${port}/`);
  const { code } = await world.run("peer", ["run", "--json", "--join", invite]);
  assertEquals(code, 6);
  const wrong = await world.run("peer", ["run", "--json", "--name", "no name", "--join", invite]);
  assertEquals(wrong.code, 2);
});

e2e("a service that boots without link, route and address waits for them", async (world) => {
  await using network = new Network();
  const [a, b] = await network.lan(2);
  assert(a && b);
  const port = `${closedPort()}`;
  const at = (host: typeof a) => ({ wrap: host.wrap, home: world.path(host.namespace) });
  const first = await world.tracker(["--host", "10.77.0.1", "--port", port], at(a));
  assertEquals((await world.run("peer", ["peers", "--join", first.invite], at(b))).code, 0);
  await first.program.stop();
  for (const host of [a, b]) {
    await host.ip("link", "set", "eth0", "down");
    await host.ip("addr", "flush", "dev", "eth0");
  }
  const run = ["run", "--json"];
  const tracker = await world.start(
    "tracker",
    [...run, "--host", "10.77.0.1", "--port", port],
    at(a),
  );
  const peer = await world.start("peer", [...run, "--received", world.path("in")], at(b));
  for (const program of [tracker, peer]) await program.until(isWaiting);
  for (const [host, address] of [[a, "10.77.0.1/24"], [b, "10.77.0.2/24"]] as const) {
    await host.addAddress(address);
    await host.ip("link", "set", "eth0", "up");
  }
  await tracker.until("listening");
  await peer.until("registered");
  assertEquals([saidWaiting(tracker).length, saidWaiting(peer).length], [1, 1]);
}, { ignore: NO_NETWORK });

e2e(
  "a tracker that is lost without a word is noticed, and found when it is back",
  async (world) => {
    await using network = new Network();
    const [a, b] = await network.lan(2);
    assert(a && b);
    const at = (host: typeof a) => ({ wrap: host.wrap, home: world.path(host.namespace) });
    const { invite } = await world.tracker(["--host", "0.0.0.0"], at(a));
    const { program: peer } = await world.peer("in", ["--join", invite], at(b));
    const { mark } = peer;
    const cut = performance.now();
    await a.ip("link", "set", "eth0", "down");
    await peer.until("tracker-lost", { from: mark });
    assert(performance.now() - cut < 31_000, "noticed within 30 s");
    const back = performance.now();
    await a.ip("link", "set", "eth0", "up");
    await peer.until("registered", { from: mark });
    assert(performance.now() - back < 8_000, "back within some seconds");
  },
  { ignore: NO_NETWORK },
);

e2e("a service whose terminal is stopped serves on, and shows the rest later", async (world) => {
  await world.tracker();
  const terminal = await Terminal.start(world, [
    "run",
    "--name",
    "box",
    "--received",
    world.path("in"),
  ]);
  await terminal.shows("Registered");
  // Ctrl-S, as somebody presses by mistake.
  await terminal.type("\x13");
  for (const text of ["one", "two", "three"]) {
    assertEquals((await world.run("peer", ["broadcast", text])).code, 0);
  }
  const { path } = await world.file("f", 100_000);
  const { code, stderr } = await world.run("peer", ["send", path, "--to", "box"]);
  assertEquals(code, 0, stderr);
  assertEquals(terminal.screen.filter((line) => line.includes("three")), []);
  await terminal.type("\x11");
  await terminal.shows("three");
}, { ignore: NO_TERMINAL });

/** Makes a disk that takes nothing new. */
const SPOILT: Record<string, (disk: Tmpfs) => Promise<unknown>> = {
  full: (disk) => disk.fill(),
  "read-only": (disk) =>
    new Deno.Command("mount", { args: ["-o", "remount,ro", disk.path] }).output(),
};

for (const [how, spoil] of Object.entries(SPOILT)) {
  e2e(`a state folder on a ${how} disk: known services run and say so`, async (world) => {
    await using disk = await Tmpfs.mount(world.path("disk"), 1);
    const state = ["--state", disk.path];
    const before = await world.tracker(state);
    const { invite } = before;
    const first = await world.peer("in", [...state, "--join", invite, "--name", "box"]);
    await first.program.stop();
    await before.program.stop();
    await spoil(disk);
    const again = await world.tracker([...state, "--port", `${before.port}`]);
    assertEquals(again.id, before.id);
    const box = await world.peer("in", [...state, "--name", "box"]);
    assertEquals(box.id, first.id);
    for (const { lines } of [again.program, box.program]) {
      const said = lines.filter(({ message }) => `${message}`.startsWith("Cannot write in"));
      assertEquals(said.length, 1, "said once");
      assertStringIncludes(said[0]?.message, disk.path);
    }
    // Another one gets no identity of its own, and none that is held.
    const second = await world.run("peer", ["run", "--json", ...state]);
    assertEquals(second.code, 8);
    const other = world.path("elsewhere");
    const { path } = await world.file("f", 1000);
    const sent = await world.run("peer", ["send", path, "--to", "box", "--state", other], {
      env: { P2P_JOIN: invite },
    });
    assertEquals(sent.code, 0, sent.stderr);
    // What has to be kept is a promise, and is not made: it holds for now, and the operator hears that.
    const removed = await world.run("tracker", ["remove", "box", "--json", ...state]);
    assertEquals(removed.code, 8);
    assertEquals(last(removed.lines).event, "error");
    await again.program.until(({ event, message }) =>
      event === "notice" && `${message}`.includes("registry.db")
    );
    assertEquals((await box.program.outcome).code, 6);
    assert(!box.program.lines.some(({ message }) => `${message}`.includes("P2P_DEBUG")));
  }, { ignore: NO_TMPFS });
}

/** That of its own descriptors: a peer that a tracker has none for says that it waits, and may name that reason. */
const isShort = ({ message }: Line) =>
  /^Cannot take more connections.*\(see ulimit -n\)/.test(`${message}`);

e2e("a tracker out of descriptors says so once, and serves who comes", async (world) => {
  const wrap = ["sh", "-c", 'ulimit -n 64 && exec "$0" "$@"'];
  const { program, port, invite } = await world.tracker([], { wrap });
  const { network, secret } = parseInvite(invite);
  const membership = { id: network, secret };
  const address = { host: "127.0.0.1", port };
  await using stack = new AsyncDisposableStack();
  const open: RawSession[] = [];
  let refused = 0;
  while (refused < 3) {
    const raw = stack.use(await openRaw({ address, membership, role: "peer" }));
    try {
      // Who is refused hears it when the handshake is over.
      await raw.session.request({ verb: "PING" });
      open.push(raw);
    } catch (error) {
      assertEquals((error as P2PError).code, "busy");
      refused++;
    }
    assert(open.length + refused < 100, "the limit was never reached");
  }
  const { code, stderr } = await world.run("tracker", ["peers"]);
  assertEquals(code, 0, stderr);
  await program.until(isShort);
  assertEquals(program.lines.filter(isShort).length, 1, program.report);
  // A receiver says it too; nobody is sent away there, since something may be under way.
  const peer = await world.peer("in", ["--join", invite, "--name", "box"], { wrap });
  const calls: Deno.Conn[] = [];
  while (calls.length < 64) {
    calls.push(await Deno.connect({ hostname: "127.0.0.1", port: peer.port }));
  }
  await peer.program.until(isShort);
  for (const call of calls) call.close();
  assertEquals((await world.run("peer", ["ping", "box"])).code, 0);
  assertEquals(peer.program.lines.filter(isShort).length, 1);
  // Room for one is room for the next.
  for (const raw of open.splice(0, 16)) await raw[Symbol.asyncDispose]();
  await eventually(async () => {
    // The tracker may not have seen yet that the others are gone.
    const late = stack.use(await openRaw({ address, membership, role: "peer" }));
    const { error } = await late.session.request({ verb: "PING" }).then(
      () => ({ error: null }),
      (error) => ({ error }),
    );
    assert(error === null || (error as P2PError).code === "busy", error?.message);
    return error === null;
  }, "room for one more");
}, { ignore: NO_LINUX });

import { assert, assertEquals } from "@std/assert";
import { join } from "@std/path";
import { e2e, last, sha256Of } from "./helpers.ts";
import { NO_PROXY, Proxy } from "./proxy.ts";
import { NO_LINUX } from "../helpers/permissions.ts";
import { NO_TERMINAL, Terminal } from "./terminal.ts";

const MIB = 1024 * 1024;

e2e("SIGHUP has a peer unregister and a tracker say goodbye; nohup keeps them", async (world) => {
  const { program: tracker } = await world.tracker();
  // As nohup starts a program: its standard input cannot be read.
  const wrap = ["sh", "-c", 'exec "$@" 0>/dev/null', "sh"];
  const kept = await world.peer("in1", ["--name", "kept"], { wrap });
  const peer = await world.peer("in2", ["--name", "gone"]);
  kept.program.signal("SIGHUP");
  const { code, lines } = await peer.program.stop("SIGHUP");
  assertEquals([code, last(lines).event], [0, "unregistered"]);
  const left = await tracker.until("peer-left");
  assertEquals([left.name, left.reason], ["gone", "unregistered"]);
  assertEquals((await world.run("peer", ["ping", "kept"])).code, 0);
  assertEquals((await tracker.stop("SIGHUP")).code, 0);
  await kept.program.until("tracker-lost");
}, { ignore: NO_LINUX });

for (const args of [["run"], []]) {
  const what = args[0] ?? "the menu";
  e2e(`a terminal that is closed has ${what} unregister`, async (world) => {
    const { program: tracker } = await world.tracker();
    const terminal = await Terminal.start(world, [...args, "--name", "me"]);
    await terminal.shows("Registered");
    // Whoever holds the other side of the terminal is gone, as when a window is closed.
    await terminal.program.kill();
    const left = await tracker.until("peer-left");
    assertEquals([left.name, left.reason], ["me", "unregistered"]);
  }, { ignore: NO_TERMINAL });
}

e2e("a killed peer is gone within 2 seconds", async (world) => {
  const tracker = await world.tracker();
  const [killed, other] = [await world.peer("in1"), await world.peer("in2")];
  await other.program.until(({ event, id }) => event === "peer-joined" && id === killed.id);
  const at = performance.now();
  await killed.program.kill();
  await tracker.program.until(({ event, id }) => event === "peer-left" && id === killed.id);
  const gone = performance.now() - at;
  assert(gone < 2000, `${gone} ms`);
  await other.program.until(({ event, id }) => event === "peer-left" && id === killed.id);
  const { lines } = await world.run("peer", ["peers", "--json"]);
  assertEquals(lines.map(({ id }) => id), [other.id]);
  // Its slot and its inbox are free for the next.
  const again = await world.peer("in1");
  assertEquals([again.id, again.name], [killed.id, killed.name]);
});

e2e("a stopped peer is dropped, and comes back when it goes on", async (world) => {
  const tracker = await world.tracker(["--ping-after", "1", "--pong-timeout", "1"]);
  const peer = await world.peer("in");
  peer.program.signal("SIGSTOP");
  const at = performance.now();
  await tracker.program.until("peer-left");
  // 1 s of silence, 1 s for the PONG, 5 s for the dial-back; the rest is for a busy machine.
  assert(performance.now() - at < 20_000);
  assertEquals((await world.run("tracker", ["peers", "--json"])).lines, []);
  const { mark } = peer.program;
  const left = tracker.program.mark;
  peer.program.signal("SIGCONT");
  await peer.program.until("registered", { from: mark });
  assertEquals((await tracker.program.until("peer-joined", { from: left })).id, peer.id);
  assertEquals((await world.run("peer", ["ping", peer.name])).code, 0);
});

e2e("a silent peer that answers stays", async (world) => {
  const tracker = await world.tracker(["--ping-after", "0.2", "--pong-timeout", "5"]);
  const [peer, other] = [await world.peer("in1"), await world.peer("in2")];
  // Time for many pings, measured by another peer's coming and going.
  await other.program.stop();
  // At once: it unregisters, whatever it was at.
  assertEquals((await (await world.peer("in2")).program.stop()).code, 0);
  const { program } = tracker;
  const left = () => program.lines.filter(({ event }) => event === "peer-left");
  while (left().length < 2) await program.until("peer-left", { from: program.lines.length });
  assertEquals(left().map(({ id, reason }) => [id, reason]), [
    [other.id, "unregistered"],
    [other.id, "unregistered"],
  ]);
  assertEquals((await world.run("peer", ["ping", peer.name])).code, 0);
});

e2e("peers come back to a tracker that was killed, and find each other again", async (world) => {
  const before = await world.tracker();
  const [a, b] = [await world.peer("in1"), await world.peer("in2")];
  await before.program.kill();
  for (const { program } of [a, b]) await program.until("tracker-lost");
  const marks = [a, b].map(({ program }) => program.mark);
  const after = await world.tracker(["--port", `${before.port}`]);
  assertEquals([after.id, after.invite], [before.id, before.invite]);
  for (const [i, { program }] of [a, b].entries()) {
    const { name } = await program.until("registered", { from: marks[i] ?? 0 });
    assertEquals(name, [a, b][i]?.name);
  }
  const { lines } = await world.run("peer", ["peers", "--json"]);
  assertEquals(lines.map(({ id }) => id).sort(), [a.id, b.id].sort());
  const { path, sha256 } = await world.file("f", 10);
  assertEquals((await world.run("peer", ["send", path, "--to", b.name])).code, 0);
  assertEquals(await sha256Of(join(b.received, "f")), sha256);
});

e2e("a transfer under way outlives the tracker, and the next one too", async (world) => {
  const tracker = await world.tracker();
  const proxy = world.use(new Proxy());
  const peer = await world.peer("in", proxy.flags);
  const { path, sha256 } = await world.file("f", 16 * MIB);
  proxy.hold(4 * MIB);
  const sender = await world.start("peer", ["send", path, "--json"]);
  await proxy.held(sender);
  await tracker.program.kill();
  await peer.program.until("tracker-lost");
  proxy.release();
  const { code, lines } = await sender.outcome;
  assertEquals([code, last(lines).recipients[0].state], [0, "delivered"]);
  assertEquals((await peer.program.until("file-received")).sha256, sha256);
  const { mark } = peer.program;
  assertEquals((await world.run("peer", ["broadcast", "still here"])).code, 0);
  assertEquals((await peer.program.until("message", { from: mark })).text, "still here");
  const small = await world.file("g", 10);
  assertEquals((await world.run("peer", ["send", small.path])).code, 0);
  assertEquals((await peer.program.stop()).code, 0);
}, { ignore: NO_PROXY });

e2e("SIGTERM lets a transfer under way end, a second one does not", async (world) => {
  await world.tracker();
  for (const [name, signals, delivered] of [["f", 1, true], ["g", 2, false]] as const) {
    const proxy = world.use(new Proxy());
    const peer = await world.peer(`in-${name}`, proxy.flags);
    const { path, sha256 } = await world.file(name, 16 * MIB);
    proxy.hold(4 * MIB);
    const sender = await world.start("peer", ["send", path, "--json"]);
    await proxy.held(sender);
    peer.program.signal("SIGTERM");
    await peer.program.until("notice");
    if (signals > 1) {
      assertEquals((await peer.program.stop()).code, 0);
      assertEquals((await peer.program.until("receive-failed")).code, "shutting-down");
    } else proxy.release();
    assertEquals((await peer.program.outcome).code, 0);
    if (delivered) {
      assertEquals((await sender.outcome).code, 0);
      assertEquals(await sha256Of(join(peer.received, name)), sha256);
    } else {
      assertEquals((await sender.stop("SIGINT")).code, 130);
    }
  }
}, { ignore: NO_PROXY });

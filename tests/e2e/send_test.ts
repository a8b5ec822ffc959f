import { assert, assertEquals, assertMatch } from "@std/assert";
import { join } from "@std/path";
import { defaultPeerName } from "../../lib/wire/peer_name.ts";
import { e2e, last, leftovers, namesIn, sha256Of } from "./helpers.ts";

const HEX = /^[0-9a-f]{64}$/;
const PIECE = 256 * 1024;

e2e(
  "zero flags: a tracker, two peers and one-shot commands of one user find each other",
  async (world) => {
    const tracker = await world.start("tracker", ["--json", "--port", "0"]);
    await tracker.until("listening");
    const [first, second] = [await world.peer("in1"), await world.peer("in2")];
    const host = defaultPeerName(Deno.hostname());
    assertEquals([first.name, second.name], [host, `${host}-2`]);
    await first.program.until(({ event, name }) => event === "peer-joined" && name === second.name);

    const peers = await world.run("peer", ["peers", "--json"]);
    assertEquals(peers.code, 0);
    const listed = peers.lines.map(({ event, id, name, address }) => ({
      event,
      id,
      name,
      address,
    }));
    assertEquals(
      listed.sort((a, b) => a.name.length - b.name.length),
      [first, second].map(({ id, name, port }) => ({
        event: "peer",
        id,
        name,
        address: `127.0.0.1:${port}`,
      })),
    );

    for (const target of [first.name, `id:${second.id.slice(0, 12)}`, `localhost:${second.port}`]) {
      const ping = await world.run("peer", ["ping", target, "--json"]);
      assertEquals(ping.code, 0, ping.stderr);
      const [pong] = ping.lines;
      assertEquals(pong?.event, "pong");
      assertEquals(pong?.peer, target === first.name ? first.name : second.name);
      assert(pong?.ms > 0);
    }

    const broadcast = await world.run("peer", ["broadcast", "to", "everybody", "--json"]);
    assertEquals(broadcast.code, 0);
    assertEquals(last(broadcast.lines).delivered, 2);
    for (const { program } of [first, second]) {
      assertEquals((await program.until("message")).text, "to everybody");
    }

    const { path, sha256 } = await world.file("a file.bin", 1000);
    const send = await world.run("peer", ["send", path, "--to", second.name]);
    assertEquals(send.code, 0, send.stderr);
    assert(send.stdout.includes(sha256), send.stdout);
    assertEquals((await second.program.until("file-received")).sha256, sha256);
    assertEquals(await sha256Of(join(second.received, "a file.bin")), sha256);

    const history = await world.run("peer", ["history", "--json"]);
    assertEquals(history.lines.map(({ direction, name }) => `${direction} ${name}`).sort(), [
      "receive a file.bin",
      "send a file.bin",
    ]);

    // Both slots are free again, and the first to start takes the first.
    assertEquals((await second.program.stop()).code, 0);
    const left = await first.program.until("peer-left");
    assertEquals([left.id, left.name], [second.id, second.name]);
    assertEquals((await first.program.stop("SIGINT")).code, 0);
    await tracker.until(({ event, id }) => event === "peer-left" && id === first.id);
    const [again, againToo] = [await world.peer("in1"), await world.peer("in2")];
    assertEquals([again.id, againToo.id], [first.id, second.id]);
    assertEquals([again.name, againToo.name], [first.name, second.name]);
    assertEquals((await tracker.stop()).code, 0);
  },
);

e2e("zero flags: the inbox and data folders are in the working directory", async (world) => {
  await world.tracker();
  const program = await world.start("peer", ["run", "--json"]);
  assertEquals((await program.until("listening")).inbox, world.path("received_files"));
  await program.until("registered");
  await Deno.mkdir(world.path("data"));
  await Deno.writeTextFile(world.path("data", "x.txt"), "x");
  assertEquals((await world.run("peer", ["send", "data/x.txt"])).code, 0);
  assertEquals(await Deno.readTextFile(world.path("received_files", "x.txt")), "x");
});

e2e("--json: events have the fields that the catalogue promises", async (world) => {
  const { id, invite, program: tracker } = await world.tracker();
  const peer = await world.peer("in", ["--name", "box"]);
  const listening = await peer.program.until("listening");
  assertEquals(listening.host, "127.0.0.1");
  assert(Number.isInteger(listening.port) && listening.port > 0);
  assertMatch(listening.id, /^[\w-]{43}$/);
  assertEquals(listening.secure, true);
  assertMatch(invite, /^p2p:\/\/127\.0\.0\.1:\d+\/#[\w-]{43}\.[\w-]{22}$/);
  assertMatch(id, /^[\w-]{43}$/);
  const joined = await tracker.until("peer-joined");
  assertEquals([joined.id, joined.name, joined.address], [
    peer.id,
    "box",
    `127.0.0.1:${peer.port}`,
  ]);

  const { path, sha256 } = await world.file("f.bin", 3 * 1024 * 1024);
  const { code, lines, stderr } = await world.run("peer", ["send", path, "--to", "box", "--json"]);
  assertEquals([code, stderr], [0, ""]);
  const started = lines.find(({ event }) => event === "transfer-started");
  assertEquals(
    [started?.name, started?.size, started?.direction, started?.peers],
    ["f.bin", 3 * 1024 * 1024, "send", ["box"]],
  );
  const progress = lines.filter(({ event }) => event === "transfer-progress");
  assertEquals(progress.at(-1)?.bytes, 3 * 1024 * 1024);
  for (const { transfer, peer, bytes, size, rate } of progress) {
    assertEquals([transfer, peer, size], [started?.transfer, "box", 3 * 1024 * 1024]);
    assert(bytes >= 0 && bytes <= size && rate >= 0);
  }
  const { event, time: _, ...finished } = last(lines);
  const { transfer, name, size, bytesSent, seconds, recipients } = finished;
  assertEquals(
    { event, transfer, name, size, sha256: finished.sha256, bytesSent, recipients },
    {
      event: "transfer-finished",
      transfer: started?.transfer,
      name: "f.bin",
      size: 3 * 1024 * 1024,
      sha256,
      bytesSent: 3 * 1024 * 1024,
      recipients: [{
        peer: "box",
        id: peer.id,
        state: "delivered",
        savedAs: "f.bin",
        via: "direct",
        address: `127.0.0.1:${peer.port}`,
      }],
    },
  );
  assert(seconds > 0);

  const received = await peer.program.until("file-received");
  assertEquals(
    [received.path, received.size, received.sha256, received.transfer],
    [join(peer.received, "f.bin"), 3 * 1024 * 1024, sha256, started?.transfer],
  );
  // The sender is the first slot's identity, which is the peer's own here.
  assertEquals(received.from, "box");
  assertMatch(received.sha256, HEX);
  const stopped = await peer.program.stop();
  assertEquals([stopped.code, stopped.stderr], [0, ""]);
  assertEquals(last(stopped.lines).event, "unregistered");
});

e2e("files of any size arrive intact, beside older ones of the same name", async (world) => {
  await world.tracker();
  const peer = await world.peer("in");
  const sizes = [0, 1, PIECE - 1, PIECE, PIECE + 1, 64 * 1024 * 1024, 64 * 1024 * 1024 + 1];
  const files = await Promise.all(sizes.map((size) => world.file(`${size}.bin`, size)));
  const { code, lines } = await world.run("peer", [
    "send",
    ...files.map(({ path }) => path),
    "--json",
  ]);
  assertEquals(code, 0);
  const finished = lines.filter(({ event }) => event === "transfer-finished");
  assertEquals(
    finished.map(({ size, sha256 }) => ({ size, sha256 })),
    sizes.map((size, i) => ({ size, sha256: files[i]?.sha256 })),
  );
  for (const [i, size] of sizes.entries()) {
    assertEquals(await sha256Of(join(peer.received, `${size}.bin`)), files[i]?.sha256);
  }
  await Deno.writeTextFile(world.path("1.bin"), "other");
  assertEquals((await world.run("peer", ["send", world.path("1.bin")])).code, 0);
  assertEquals(await Deno.readTextFile(join(peer.received, "1 (1).bin")), "other");
  assertEquals(await sha256Of(join(peer.received, "1.bin")), files[1]?.sha256);
  assertEquals(await leftovers(peer.received, peer.id), []);
  if (Deno.build.os !== "windows") {
    const { mode } = await Deno.stat(join(peer.received, "1.bin"));
    assertEquals((mode ?? 0) & 0o777, 0o666 & ~Deno.umask());
  }
});

e2e("20 peers: a file to all arrives at each, and each is reported", async (world) => {
  const { program: tracker } = await world.tracker();
  const numbers = Array.from({ length: 20 }, (_, i) => i + 1);
  const peers = await Promise.all(
    numbers.map((n) => world.peer(`in${n}`, ["--name", `p${n}`])),
  );
  assertEquals(new Set(peers.map(({ id }) => id)).size, 20);
  const joined = () => tracker.lines.filter(({ event }) => event === "peer-joined").length;
  while (joined() < 20) await tracker.until("peer-joined", { from: tracker.lines.length });
  assertEquals(joined(), 20);
  const { path, sha256 } = await world.file("f.bin", 10 * 1024 * 1024);
  const { code, lines } = await world.run("peer", ["send", path, "--to", "all", "--json"]);
  assertEquals(code, 0);
  const { recipients } = last(lines);
  assertEquals(
    recipients.map(({ peer, state }: { peer: string; state: string }) => `${peer} ${state}`).sort(),
    numbers.map((n) => `p${n} delivered`).sort(),
  );
  for (const { program, received } of peers) {
    assertEquals((await program.until("file-received")).sha256, sha256);
    assertEquals(await namesIn(received), [".partial", "f.bin"]);
    assertEquals(await sha256Of(join(received, "f.bin")), sha256);
  }
  const outcomes = await Promise.all(peers.map(({ program }) => program.stop()));
  assertEquals(outcomes.map(({ code }) => code), numbers.map(() => 0));
});

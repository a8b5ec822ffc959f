/** Peers on machines of a kind, with something in the way between some of them. */

import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { join } from "@std/path";
import { Network, whyNoNetwork } from "../helpers/netns.ts";
import { e2e, finished, last, type PeerProcess, sha256Of } from "./helpers.ts";
import { Machines } from "./machines.ts";

const ignore = await whyNoNetwork();

e2e(
  "a firewall that drops what comes from the sender is got round the other way",
  async (world) => {
    const machines = await Machines.start(world, 3);
    const receiver = await machines.peer(2);
    await machines.join(1);
    const { path, sha256 } = await world.file("f.bin", 300_000);
    const bare = await machines.run(1, "send", path, "--to", "m2");
    assertEquals(last(bare.lines).recipients[0].via, "direct");
    await machines.hosts[2]?.drop("10.77.0.2", receiver.port);
    // The second time it is known beforehand which way leads there.
    for (const [name, more] of [["g.bin", 3], ["h.bin", 1]] as const) {
      const other = await world.file(name, 300_000);
      const { code, lines, seconds } = await machines.run(1, "send", other.path, "--to", "m2");
      const [{ state, via }] = last(lines).recipients;
      assertEquals([code, state, via], [0, "delivered", "dialled-back"]);
      assert(seconds < bare.seconds + more, `${seconds} s, and ${bare.seconds} s before`);
      assertEquals(await sha256Of(join(receiver.received, name)), other.sha256);
    }
    assertEquals(await sha256Of(join(receiver.received, "f.bin")), sha256);
    const { code, lines, seconds } = await machines.run(1, "ping", "m2");
    assertEquals([code, last(lines).via], [0, "dialled-back"]);
    assert(seconds < 3, `${seconds} s`);
  },
  { ignore },
);

e2e("of four recipients one that is dead costs the command less than 15 s", async (world) => {
  const machines = await Machines.start(world, 6);
  const peers = await Promise.all([2, 3, 4, 5].map((i) => machines.peer(i)));
  await machines.join(1);
  const { path, sha256 } = await world.file("f.bin", 300_000);
  // Its cable is pulled: nothing comes from there any more, and nothing is said of that.
  await machines.hosts[5]?.ip("link", "set", "eth0", "down");
  const { code, lines, seconds } = await machines.run(1, "send", path, "--to", "all");
  assertEquals(code, 7);
  assert(seconds < 15, `${seconds} s`);
  const { recipients } = finished(lines);
  const states = recipients.map((one: { peer: string; state: string }) =>
    `${one.peer} ${one.state}`
  );
  assertEquals(states.sort(), ["m2 delivered", "m3 delivered", "m4 delivered", "m5 failed"]);
  for (const { received } of peers.slice(0, 3)) {
    assertEquals(await sha256Of(join(received, "f.bin")), sha256);
  }
  const { error } = recipients.find((one: { peer: string }) => one.peer === "m5");
  assertEquals(error.code, "peer-unreachable");
  const { port } = peers[3] as PeerProcess;
  for (
    const told of [
      `10.77.0.6:${port}: `,
      "asked to dial this machine: ",
      `open port ${port} there`,
    ]
  ) assertStringIncludes(error.message, told);
}, { ignore });

e2e("a stopped recipient of two is given up in 15 s", async (world) => {
  const machines = await Machines.start(world, 4);
  const [stopped] = await Promise.all([machines.peer(2), machines.peer(3)]);
  await machines.join(1);
  const { path } = await world.file("f.bin", 300_000);
  stopped?.program.signal("SIGSTOP");
  const { code, lines, seconds } = await machines.run(1, "send", path, "--to", "all");
  assertEquals([code, finished(lines).recipients.length], [7, 2]);
  assert(seconds < 15, `${seconds} s`);
}, { ignore });

e2e("a share on two networks is received on whichever leads there", async (world) => {
  const network = world.use(new Network());
  const [sharer, receiver] = [await network.host(), await network.host()];
  const elsewhere = await network.host();
  await network.cable(
    { host: sharer, addresses: ["10.1.0.1/24"] },
    { host: elsewhere, addresses: ["10.1.0.2/24"] },
  );
  const device = "eth1";
  await network.cable(
    { host: sharer, device, addresses: ["10.3.0.1/24"] },
    { host: receiver, device, addresses: ["10.3.0.2/24"] },
  );
  const { path, sha256 } = await world.file("f.bin", 300_000);
  const share = ["share", path, "--port", "5005", "--json"];
  const own = { env: { P2P_STATE: world.path("receiver") } };
  // There is no route to the first address, and then one that nobody answers on.
  for (const [i, route] of [undefined, "10.3.0.7"].entries()) {
    if (route) {
      await receiver.ip("route", "add", "default", "via", route);
      await receiver.ip("neigh", "add", route, "lladdr", "02:00:00:00:00:07", "dev", device);
    }
    const program = await world.start("peer", share, sharer);
    const { invite } = await program.until("sharing");
    assert(invite.startsWith("p2p://10.1.0.1,10.3.0.1:5005/#"), invite.split("#")[0]);
    const received = world.path(`shared${i}`);
    const args = ["receive", invite, "--received", received, "--json"];
    const before = performance.now();
    const { code, stderr } = await world.run("peer", args, { wrap: receiver.wrap, ...own });
    const seconds = (performance.now() - before) / 1000;
    assertEquals(code, 0, stderr);
    assert(seconds < 5, `${seconds} s`);
    assertEquals(await sha256Of(join(received, "f.bin")), sha256);
    assertEquals((await program.outcome).code, 0);
  }
  // Where there is none, each is named.
  await sharer.ip("link", "set", device, "down");
  const program = await world.start("peer", share, sharer);
  const { invite } = await program.until("sharing");
  const other = invite.replace("10.1.0.1", "10.1.0.1,10.3.0.1");
  const args = ["receive", other, "--received", world.path("none"), "--json"];
  const { code, lines } = await world.run("peer", args, { wrap: receiver.wrap, ...own });
  assertEquals(code, 3);
  for (const host of ["10.1.0.1", "10.3.0.1"]) {
    assertStringIncludes(last(lines).message, `${host}:5005: `);
  }
}, { ignore });

e2e("a peer with a network that leads nowhere is reached on its other one", async (world) => {
  const network = world.use(new Network());
  const [lan, receiver, sender] = [
    await network.host(),
    await network.host(),
    await network.host(),
  ];
  // The tracker sees the receiver on a network that the sender has no way to.
  await network.cable(
    { host: lan, device: "r0", addresses: ["10.1.0.1/24"] },
    { host: receiver, device: "eth0", addresses: ["10.1.0.2/24"] },
  );
  await network.cable(
    { host: lan, device: "s0", addresses: ["10.2.0.1/24"] },
    { host: sender, device: "eth0", addresses: ["10.2.0.2/24"] },
  );
  await network.cable(
    { host: receiver, device: "eth1", addresses: ["10.3.0.1/24", "fd00:3::1/64"] },
    { host: sender, device: "eth1", addresses: ["10.3.0.2/24", "fd00:3::2/64"] },
  );
  await sender.ip("route", "add", "blackhole", "10.3.0.0/25");
  await sender.ip("route", "add", "default", "via", "10.2.0.1");
  const tracker = await world.tracker(["--host", "0.0.0.0"], world.on(lan, "tracker"));
  const join = (host: string) => tracker.invite.replace(/\/\/[^/]*/, `//${host}:${tracker.port}`);
  const args = ["--name", "two", "--join", join("10.1.0.1")];
  await world.peer("in", args, world.on(receiver, "receiver"));
  const before = performance.now();
  const { path } = await world.file("f.bin", 300_000);
  const send = ["send", path, "--to", "two", "--join", join("10.2.0.1"), "--json"];
  const { code, lines } = await world.run("peer", send, world.on(sender, "sender"));
  const seconds = (performance.now() - before) / 1000;
  const [{ via, address }] = last(lines).recipients;
  assertEquals([code, via], [0, "direct"]);
  assertStringIncludes(address, "[fd00:3::1]:");
  assert(seconds < 5, `${seconds} s`);
}, { ignore });

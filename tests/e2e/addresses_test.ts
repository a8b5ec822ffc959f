/** At which addresses peers are listed and reached, on networks of all shapes. */

import { assert, assertEquals } from "@std/assert";
import type { World } from "./helpers.ts";
import { e2e, inTime, type PeerProcess, type StartOptions } from "./helpers.ts";
import { type Host, Network, whyNoNetwork } from "../helpers/netns.ts";

const NO_NETWORK = { ignore: await whyNoNetwork() };
const IPV4 = ["10.77.0.1/24", "10.77.0.2/24"] as const;
const IPV6 = ["fd77::1/64", "fd77::2/64"] as const;

/** Two hosts with a cable between them; each pair is an address of the first and one of the second. */
async function twoHosts(
  world: World,
  ...pairs: (readonly [string, string])[]
): Promise<[Host, Host]> {
  const network = world.use(new Network());
  const hosts: [Host, Host] = [await network.host(), await network.host()];
  await network.cable(
    { host: hosts[0], addresses: pairs.map(([first]) => first) },
    { host: hosts[1], addresses: pairs.map(([, second]) => second) },
  );
  return hosts;
}

/** An invite that names one host alone. */
function naming(host: string, invite: unknown): string {
  return String(invite).replace(/\/\/.*:(\d+)\//, `//${host}:$1/`);
}

/** How to start a program on a host, which has a state of its own. */
async function on(world: World, host: Host): Promise<StartOptions> {
  const home = world.path(host.namespace);
  await Deno.mkdir(home, { recursive: true });
  return { wrap: host.wrap, home, cwd: home };
}

/** Where one listed peer can be had, as a host sees it. */
interface Listed {
  address: string;
  addresses: string[];
  reachable: boolean;
}

/** What a command on a host lists, by name. */
async function listOf(world: World, host: Host, args: string[] = []): Promise<Map<string, Listed>> {
  const { lines, stderr } = await world.run(
    "peer",
    ["peers", "--json", ...args],
    await on(world, host),
  );
  const entries = lines.filter(({ event }) => event === "peer");
  assert(entries.length > 0, stderr);
  return new Map(entries.map(({ name, address, addresses = [], reachable }) => [
    name as string,
    { address, addresses, reachable } as Listed,
  ]));
}

/** Sends a file from a host; resolves with the exit code. */
async function send(world: World, host: Host, to: string, args: string[] = []): Promise<number> {
  const { path } = await world.file(`to-${to}-${crypto.randomUUID()}`, 1000);
  const { code } = await world.run(
    "peer",
    ["send", path, "--to", to, ...args],
    await on(world, host),
  );
  return code;
}

/** Starts a peer on a host, under a name. */
async function peerOn(
  world: World,
  host: Host,
  name: string,
  args: string[],
): Promise<PeerProcess> {
  return await world.peer(`in-${name}`, ["--name", name, ...args], await on(world, host));
}

/** Has a host pass connections on: it listens at the same port on all its addresses. */
async function forward(
  world: World,
  host: Host,
  to: { host: string; port: number },
): Promise<void> {
  const code = `
    const to = { hostname: "${to.host}", port: ${to.port} };
    const listener = Deno.listen({ hostname: "0.0.0.0", port: to.port });
    console.log("ready");
    for await (const from of listener) {
      const on = await Deno.connect(to);
      from.readable.pipeTo(on.writable).catch(() => {});
      on.readable.pipeTo(from.writable).catch(() => {});
    }`;
  const [ip, ...args] = [...host.wrap, Deno.execPath(), "eval", "-q", code];
  const child = new Deno.Command(ip, { args, stdout: "piped", stderr: "null" }).spawn();
  world.use({
    async [Symbol.asyncDispose]() {
      child.kill("SIGKILL");
      await child.stdout.cancel();
      await child.status;
    },
  });
  const reader = child.stdout.getReader();
  await inTime(reader.read(), () => "the forwarder");
  reader.releaseLock();
}

for (const more of [[], ["--insecure"]]) {
  const how = more[0] ?? "with TLS";
  e2e(
    `a peer told localhost is listed to others under its machine's address, ${how}`,
    async (world) => {
      const [t, b] = await twoHosts(world, IPV4);
      const { port, invite } = await world.tracker(
        ["--host", "0.0.0.0", ...more],
        await on(world, t),
      );
      const local = await peerOn(world, t, "desk", ["--tracker", `localhost:${port}`, ...more]);
      const join = invite ? ["--join", invite] : ["--tracker", `10.77.0.1:${port}`, ...more];
      await peerOn(world, b, "laptop", join);
      const listed = (await listOf(world, b, join)).get("desk");
      assertEquals(listed, { address: `10.77.0.1:${local.port}`, addresses: [], reachable: true });
      assertEquals(await send(world, b, "desk", join), 0);
      // On the machine itself loopback is the nearest way.
      const args = ["--tracker", `localhost:${port}`, ...more];
      assertEquals(
        (await listOf(world, t, args)).get("laptop")?.address.split(":")[0],
        "10.77.0.2",
      );
      const registered = await local.program.until("registered");
      assertEquals(registered.host, "127.0.0.1");
      assertEquals(registered.addresses, [`10.77.0.1:${local.port}`]);
    },
    NO_NETWORK,
  );
}

e2e(
  "a peer that listens on loopback alone is unreachable to others, told so, and dials them",
  async (world) => {
    const [t, b] = await twoHosts(world, IPV4);
    const { port, invite } = await world.tracker(["--host", "0.0.0.0"], await on(world, t));
    const args = ["--tracker", `localhost:${port}`, "--host", "127.0.0.1"];
    const { program } = await peerOn(world, t, "desk", args);
    const { reachable, reason } = await program.until("registered");
    assertEquals(reachable, false);
    assert(String(reason).includes("--host auto"), String(reason));
    const join = ["--join", invite];
    const listed = (await listOf(world, b, join)).get("desk");
    assertEquals([listed?.address.split(":")[0], listed?.reachable], ["10.77.0.1", false]);
    assertEquals(await send(world, b, "desk", join), 0);
  },
  NO_NETWORK,
);

e2e("peers behind one router are listed with their addresses there", async (world) => {
  const network = world.use(new Network());
  const [outside, router, a, b] = [
    await network.host(),
    await network.host(),
    await network.host(),
    await network.host(),
  ];
  await network.cable(
    { host: outside, addresses: ["203.0.113.1/24"] },
    { host: router, device: "wan", addresses: ["203.0.113.2/24"] },
  );
  await router.ip("link", "add", "lan", "type", "bridge");
  await router.addAddress("192.168.9.1/24", "lan");
  await router.ip("link", "set", "lan", "up");
  for (const [i, host] of [a, b].entries()) {
    const device = `lan${i}`;
    await network.cable({ host: router, device }, { host, addresses: [`192.168.9.${i + 2}/24`] });
    await router.ip("link", "set", device, "master", "lan");
  }
  const { port, invite } = await world.tracker(["--host", "0.0.0.0"], await on(world, outside));
  // What a NAT does to a connection, without a packet filter: the tracker sees the router.
  await forward(world, router, { host: "203.0.113.1", port });
  const join = ["--join", invite.replace("203.0.113.1", "192.168.9.1")];
  const anna = await peerOn(world, a, "anna", join);
  const ben = await peerOn(world, b, "ben", join);
  const listed = await listOf(world, b, join);
  assertEquals(listed.get("anna"), {
    address: `203.0.113.2:${anna.port}`,
    addresses: [`192.168.9.2:${anna.port}`],
    reachable: false,
  });
  assertEquals((await listOf(world, a, join)).get("ben"), {
    address: `203.0.113.2:${ben.port}`,
    addresses: [`192.168.9.3:${ben.port}`],
    reachable: false,
  });
  assertEquals(await send(world, a, "ben", join), 0);
  assertEquals(await send(world, b, "anna", join), 0);
}, NO_NETWORK);

e2e(
  "a peer whose address changes is listed anew within seconds, and reached there",
  async (world) => {
    const network = world.use(new Network());
    const [t, b, c] = await network.lan(3);
    assert(t && b && c);
    const { invite } = await world.tracker(["--host", "0.0.0.0"], await on(world, t));
    const join = ["--join", invite];
    const peer = await peerOn(world, b, "roaming", join);
    assertEquals(await send(world, c, "roaming", join), 0);
    await b.ip("addr", "del", "10.77.0.2/24", "dev", "eth0");
    await b.addAddress("10.77.0.22/24");
    const at = performance.now();
    await inTime(
      peer.program.until(({ event, host }) => event === "registered" && host === "10.77.0.22"),
      () => "a registration at the new address",
    );
    assert(performance.now() - at < 8000, "it took too long");
    assertEquals((await listOf(world, c, join)).get("roaming"), {
      address: `10.77.0.22:${peer.port}`,
      addresses: [],
      reachable: true,
    });
    assertEquals(await send(world, c, "roaming", join), 0);
    // A network that comes beside it, as that of a VPN, leaves the session alone.
    await b.addAddress("10.99.0.2/24");
    await peer.program.until(({ event, addresses }) =>
      event === "registered" && String(addresses) === `10.99.0.2:${peer.port}`
    );
    assertEquals(peer.program.lines.filter(({ event }) => event === "tracker-lost").length, 1);
  },
  NO_NETWORK,
);

e2e("a peer follows a tracker of this machine that is opened to others", async (world) => {
  const [t, b] = await twoHosts(world, IPV4);
  const first = await world.tracker([], await on(world, t));
  const peer = await peerOn(world, t, "desk", ["--tracker", `localhost:${first.port}`]);
  assertEquals((await peer.program.until("listening")).host, "127.0.0.1");
  await first.program.stop();
  const opened = ["--host", "0.0.0.0", "--port", `${first.port}`];
  const { invite } = await world.tracker(opened, await on(world, t));
  await peer.program.until(({ event, addresses }) =>
    event === "registered" && String(addresses) === `10.77.0.1:${peer.port}`
  );
  assertEquals(await send(world, b, "desk", ["--join", invite]), 0);
}, NO_NETWORK);

e2e("peers without IPv4 are listed and reached", async (world) => {
  const [t, b] = await twoHosts(world, IPV6);
  const { invite } = await world.tracker(["--host", "::"], await on(world, t));
  assert(invite.includes("[fd77::1]"), invite);
  const join = ["--join", invite];
  const peer = await peerOn(world, b, "six", join);
  assertEquals((await listOf(world, t, join)).get("six"), {
    address: `[fd77::2]:${peer.port}`,
    addresses: [],
    reachable: true,
  });
  assertEquals(await send(world, t, "six", join), 0);
}, NO_NETWORK);

e2e("a peer of both families is listed with both, whichever it has come by", async (world) => {
  const [t, b] = await twoHosts(world, IPV4, IPV6);
  const { invite } = await world.tracker(["--host", "::"], await on(world, t));
  for (const [name, tracker] of [["four", "10.77.0.1"], ["six", "[fd77::1]"]] as const) {
    const join = ["--join", naming(tracker, invite)];
    const peer = await peerOn(world, b, name, join);
    const own = [`10.77.0.2:${peer.port}`, `[fd77::2]:${peer.port}`];
    const listed = (await listOf(world, t, join)).get(name);
    assert(listed);
    assertEquals([listed.address, ...listed.addresses], name === "four" ? own : own.reverse());
    assertEquals(listed.reachable, true);
    assertEquals(await send(world, t, name, join), 0);
  }
}, NO_NETWORK);

e2e(
  "a tracker whose address changes keeps its own machine's peers, and invites to the new one",
  async (world) => {
    const [t, b] = await twoHosts(world, IPV4);
    const { program, invite } = await world.tracker(["--host", "0.0.0.0"], await on(world, t));
    assert(invite.includes("10.77.0.1:"), invite);
    const desk = await peerOn(world, t, "desk", []);
    await t.ip("addr", "del", "10.77.0.1/24", "dev", "eth0");
    await t.addAddress("10.77.0.11/24");
    const { message } = await program.until("notice");
    assert(String(message).includes("invites name 10.77.0.11"), String(message));
    const { stdout } = await world.run("tracker", ["invite"], await on(world, t));
    assert(stdout.includes("10.77.0.11:"), stdout);
    await desk.program.until(({ event, addresses }) =>
      event === "registered" && String(addresses) === `10.77.0.11:${desk.port}`
    );
    assertEquals(await send(world, b, "desk", ["--join", stdout.trim()]), 0);
    assertEquals(desk.program.lines.filter(({ event }) => event === "tracker-lost"), []);
  },
  NO_NETWORK,
);

e2e("an invite that is of no use on other machines says so", async (world) => {
  const network = world.use(new Network());
  // It has loopback, and nothing else.
  const alone = await network.host();
  for (const host of ["localhost", "0.0.0.0", "::"]) {
    const { program } = await world.tracker(["--host", host], await on(world, alone));
    assertEquals((await program.until("listening")).local, true, host);
    const { stderr } = await world.run("tracker", ["invite"], await on(world, alone));
    assert(stderr.includes("of no use elsewhere"), stderr);
    await program.stop();
  }
  const { path } = await world.file("shared", 100);
  for (const args of [[], ["--host", "127.0.0.1"], ["--advertise", "localhost"]]) {
    const json = await world.start(
      "peer",
      ["share", path, "--json", ...args],
      await on(world, alone),
    );
    assertEquals((await json.until("sharing")).local, true);
    await json.stop();
    const text = await world.start(
      "peer",
      ["share", path, "--quiet", ...args],
      await on(world, alone),
    );
    await text.untilText((text) => text.includes("p2p://"));
    const { stderr } = await text.stop();
    assert(stderr.includes("only this machine has"), stderr);
  }
}, NO_NETWORK);

e2e("a share takes receivers of both families", async (world) => {
  const [a, b] = await twoHosts(world, IPV4, IPV6);
  const { path } = await world.file("shared", 100);
  const sharing = await world.start(
    "peer",
    ["share", path, "--json", "--count", "2"],
    await on(world, a),
  );
  const { invite } = await sharing.until("sharing");
  for (const host of ["10.77.0.1", "[fd77::1]"]) {
    assert(String(invite).includes(host), String(invite));
    const args = ["receive", naming(host, invite), "--received", world.path(`in-${host.length}`)];
    const { code, stderr } = await world.run("peer", args, await on(world, b));
    assertEquals(code, 0, stderr);
  }
  assertEquals((await sharing.outcome).code, 0);
}, NO_NETWORK);

e2e("on a link without other addresses the link-local ones do", async (world) => {
  const [t, b] = await twoHosts(world, ["fe80::1/64", "fe80::2/64"]);
  const { port } = await world.tracker(["--host", "::", "--insecure"], await on(world, t));
  const insecure = (tracker: string) => ["--insecure", "--tracker", `${tracker}:${port}`];
  const peer = await peerOn(world, b, "near", insecure("[fe80::1%eth0]"));
  assertEquals((await peer.program.until("registered")).reachable, true);
  const listed = (await listOf(world, t, insecure("localhost"))).get("near");
  assert(listed);
  const all = [listed.address, ...listed.addresses];
  assert(all.includes(`[fe80::2]:${peer.port}`), `${all}`);
  assert(all.every((address) => address.startsWith("[fe80::")), `${all}`);
  assertEquals(await send(world, t, "near", insecure("localhost")), 0);
}, NO_NETWORK);

/** Two peers behind NATs that let nothing in, and a tracker outside that relays. */

import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { join } from "@std/path";
import { type Host, Network, whyNoNat } from "../helpers/netns.ts";
import {
  ARE_BINARIES,
  e2e,
  last,
  sha256Of,
  type StartOptions,
  type TrackerProcess,
  type World,
} from "./helpers.ts";

const ignore = ARE_BINARIES
  ? "the older runtime that binaries are tested with has no TLS over a stream"
  : await whyNoNat();

/** Where ben listens, and where that is outside when his router forwards it. */
const PORT = 7001;
const BEN = "192.168.3.2";

interface Scene {
  anna: StartOptions;
  /** The router in front of ben. */
  router: Host;
  invite: string;
  tracker: TrackerProcess;
}

/** Starts a tracker that relays, and ben; anna is there to send. */
async function start(world: World): Promise<Scene> {
  const network = world.use(new Network());
  const outside = await network.host();
  await outside.ip("link", "add", "br0", "type", "bridge");
  await outside.addAddress("10.9.0.1/24", "br0");
  await outside.ip("link", "set", "br0", "up");
  const behind: { router: Host; host: Host }[] = [];
  for (const i of [2, 3]) {
    const [router, host] = [await network.host(), await network.host()];
    await network.cable(
      { host: outside, device: `port${i}` },
      { host: router, device: "wan", addresses: [`10.9.0.${i}/24`] },
    );
    await outside.ip("link", "set", `port${i}`, "master", "br0");
    await network.cable(
      { host: router, device: "lan", addresses: [`192.168.${i}.1/24`] },
      { host, addresses: [`192.168.${i}.2/24`] },
    );
    await host.ip("route", "add", "default", "via", `192.168.${i}.1`);
    await router.nat();
    behind.push({ router, host });
  }
  const [anna, ben] = behind;
  assert(anna && ben);
  const tracker = await world.tracker(
    ["--host", "0.0.0.0", "--relay"],
    world.on(outside, "tracker"),
  );
  const { invite } = tracker;
  const args = ["--name", "ben", "--port", `${PORT}`, "--join", invite];
  await world.peer("in", args, world.on(ben.host, "ben"));
  return { anna: world.on(anna.host, "anna"), router: ben.router, invite, tracker };
}

e2e("two NATs that let nothing in: via relay, and it says so", async (world) => {
  const { anna, invite, tracker } = await start(world);
  const { path, sha256 } = await world.file("f.bin", 3_000_000);
  const send = ["send", path, "--to", "ben", "--join", invite];
  const { code, lines, stderr } = await world.run("peer", [...send, "--json"], anna);
  assertEquals(code, 0, stderr);
  const [{ via, address }] = last(lines).recipients;
  assertEquals([via, address], ["relay", `10.9.0.1:${tracker.port}`]);
  assertEquals(lines.filter(({ event }) => event === "transfer-path").map(({ via }) => via), [via]);
  assertEquals(await sha256Of(join(world.path("in"), "f.bin")), sha256);
  // It is remembered, and shown to people.
  const peers = await world.run("peer", ["peers", "--json"], anna);
  const [listed] = peers.lines.filter(({ event }) => event === "peer");
  assertEquals([listed?.name, listed?.reachable, listed?.via], ["ben", false, "relay"]);
  assertMatch(
    (await world.run("peer", ["peers"], anna)).stdout,
    /^ben .* unreachable +via relay$/m,
  );
  assertMatch((await world.run("peer", ["ping", "ben"], anna)).stdout, /via relay 10\.9\.0\.1:/);
  const again = await world.run("peer", send, anna);
  assertStringIncludes(again.stdout, "ben (via relay): already has it");
  const isNotice = ({ event, message }: { event: string; message?: string }) =>
    event === "notice" && /^Passing bytes on between .* and ben/.test(`${message}`);
  assertEquals(tracker.program.lines.filter(isNotice).length, 1);
}, { ignore });

e2e("a transfer leaves the relay when a router lets the other end in", async (world) => {
  const { anna, router, invite } = await start(world);
  const { path, sha256 } = await world.file("f.bin", 40_000_000);
  const send = ["send", path, "--to", "ben", "--join", invite, "--limit-rate", "2M", "--json"];
  const sender = await world.start("peer", send, anna);
  await sender.until(({ event, via }) => event === "transfer-path" && via === "relay");
  await router.forward(PORT, BEN);
  const { code, lines, stderr } = await sender.outcome;
  assertEquals(code, 0, stderr);
  const paths = lines.filter(({ event }) => event === "transfer-path");
  assertEquals(paths.map(({ via }) => via), ["relay", "direct"]);
  assertEquals(paths[1]?.address, `10.9.0.3:${PORT}`);
  assertEquals(last(lines).recipients[0].via, "direct");
  assertEquals(lines.filter(({ event }) => event === "transfer-retry"), []);
  assertEquals(await sha256Of(join(world.path("in"), "f.bin")), sha256);
}, { ignore });

e2e("a tracker that relays says so, and --relay-rate needs it", async (world) => {
  const tracker = await world.tracker(["--relay", "--relay-rate", "10M"]);
  assertEquals((await tracker.program.until("listening")).relay, true);
  const { code, stderr } = await world.run("tracker", ["run", "--relay-rate", "10M"]);
  assertEquals(code, 2);
  assertStringIncludes(stderr, "Cannot use --relay-rate: this tracker does not relay; add --relay");
});

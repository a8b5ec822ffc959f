/** A line of 20 kB/s with a queue that is seconds long, as at home behind a cheap router. */

import { assert, assertEquals } from "@std/assert";
import { join } from "@std/path";
import { type Host, Network, whyNoNetwork } from "../helpers/netns.ts";
import { e2e, last, sha256Of } from "./helpers.ts";

const NO_NETWORK = await whyNoNetwork();

e2e(
  "a live peer that fills its slow line is kept, and its recipients need no second try",
  async (world) => {
    await using network = new Network();
    const [hub, a, ...others] = await network.lan(5);
    assert(hub && a);
    const at = (host: typeof a) => ({ wrap: host.wrap, home: world.path(host.namespace) });
    const { program: tracker, invite } = await world.tracker(["--host", "0.0.0.0"], at(hub));
    const names = ["b", "c", "d"];
    const peers = [];
    for (const [i, host] of others.entries()) {
      const flags = ["--join", invite, "--name", `${names[i]}`];
      peers.push(await world.peer(`in-${names[i]}`, flags, at(host)));
    }
    const sender = await world.peer("in-a", ["--join", invite, "--name", "a"], at(a));
    await slowDown(a, "eth0", { rate: "160kbit", queue: 150_000 });
    const { path, sha256 } = await world.file("f", 250_000);
    const args = ["send", path, "--to", names.join(","), "--json"];
    const { code, lines, stderr } = await world.run("peer", args, at(a));
    assertEquals(code, 0, stderr);
    assertEquals(lines.filter(({ event }) => event === "transfer-retry"), []);
    assertEquals(last(lines).recipients.length, 3);
    for (const { received } of peers) assertEquals(await sha256Of(join(received, "f")), sha256);
    assertEquals(tracker.lines.filter(({ event }) => event === "peer-left"), []);
    assertEquals(sender.program.lines.filter(({ event }) => event === "tracker-lost"), []);
  },
  { ignore: NO_NETWORK ?? await whyNoTc() },
);

/** Has what leaves a host by a device wait in a queue of so many bytes. */
async function slowDown(
  host: Host,
  device: string,
  { rate, queue }: { rate: string; queue: number },
): Promise<void> {
  const shape = `root tbf rate ${rate} burst 4000 limit ${queue}`.split(" ");
  await host.run("tc", "qdisc", "add", "dev", device, ...shape);
}

/** Why no line can be made slow here. */
async function whyNoTc(): Promise<string | undefined> {
  if (Deno.permissions.querySync({ name: "run" }).state !== "granted") return undefined;
  try {
    await using network = new Network();
    const host = await network.host();
    await slowDown(host, "lo", { rate: "1mbit", queue: 9_000 });
    return undefined;
  } catch {
    return "needs tc of iproute2, and sch_tbf of the kernel";
  }
}

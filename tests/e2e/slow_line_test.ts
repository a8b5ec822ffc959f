/** A line of 20 kB/s with a queue that is seconds long, as at home behind a cheap router. */

import { assert, assertEquals } from "@std/assert";
import { join } from "@std/path";
import { Network, whyNoSlowLine } from "../helpers/netns.ts";
import { e2e, last, sha256Of } from "./helpers.ts";

const NO_SLOW_LINE = { ignore: await whyNoSlowLine() };

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
    await a.slowDown({ rate: "160kbit", queue: 150_000 });
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
  NO_SLOW_LINE,
);

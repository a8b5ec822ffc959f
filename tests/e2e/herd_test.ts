/** Members that come back all at once, to a tracker that was killed. */

import { assertEquals, assertLessOrEqual } from "@std/assert";
import { pooledMap } from "@std/async/pool";
import type { AppEvent } from "../../lib/events.ts";
import { parseInvite } from "../../lib/identity/invite.ts";
import { Identity } from "../../lib/identity/keys.ts";
import { Peer } from "../../lib/peer/peer.ts";
import { EventLog } from "../helpers/event_log.ts";
import { e2e, inTime, variable, type World } from "./helpers.ts";

const MEMBERS = 200;
/** Seconds that the tracker is away: longer than the longest pause between two tries. */
const AWAY = 8;
const IS_FULL = variable("P2P_CUTS") !== undefined;
/** Seconds after which all have to be back: 15 are promised, the rest is for a machine that is busy with other tests. */
const LIMIT = IS_FULL ? 15 : 45;

e2e(`${MEMBERS} peers are back 15 s after a tracker that was killed`, async (world) => {
  const before = await world.tracker();
  const events = new EventLog<Heard>();
  const peers = await join(world, { invite: before.invite, events });
  const count = (kind: AppEvent["event"]) =>
    events.all.filter(({ event }) => event === kind).length;
  // On a machine that is too busy to answer in time one may have been back before.
  const last = (kind: AppEvent["event"]) =>
    [...new Map(events.all.map(({ name, event }) => [name, event])).values()]
      .filter((event) => event === kind).length;
  await before.program.kill();
  const noticed = () =>
    inTime(
      events.until(() => last("tracker-lost") === MEMBERS),
      () => `${last("tracker-lost")} peers that noticed`,
    );
  await noticed();
  await new Promise((resolve) => setTimeout(resolve, 1000 * AWAY));
  // Who had lost it before, on a busy machine, may have had its answer on the way when it was killed.
  await noticed();
  const [registered, lost] = [count("registered"), count("tracker-lost")];
  await world.tracker(["--port", `${before.port}`]);
  const at = performance.now();
  await inTime(
    events.until(() => count("registered") === registered + MEMBERS, { ms: 1000 * LIMIT }),
    () => `${count("registered") - registered} peers that came back`,
  );
  const took = (performance.now() - at) / 1000;
  // deno-lint-ignore no-console
  if (IS_FULL) console.log(`${MEMBERS} peers were back after ${took.toFixed(1)} s`);
  assertLessOrEqual(took, LIMIT);
  const { lines } = await world.run("tracker", ["peers", "--json"]);
  const ids = lines.filter(({ event, reachable }) => event === "peer" && reachable);
  assertEquals(ids.map(({ id }) => id).sort(), peers.map(({ id }) => id).sort());
  const again = events.all.filter(({ event }) => event === "tracker-lost").slice(lost);
  assertEquals(again.map(({ name, reason }) => `${name}: ${reason}`), []);
});

/** What a member has said of its tracker. */
interface Heard {
  name: string;
  event: AppEvent["event"];
  /** Why the tracker was lost. */
  reason?: string;
}

/** Has members join, each with a listener of its own that the tracker dials back. */
async function join(
  world: World,
  { invite, events }: { invite: string; events: EventLog<Heard> },
): Promise<Peer[]> {
  const { host, port, network, secret } = parseInvite(invite);
  const names = Array.from({ length: MEMBERS }, (_, i) => `m${i}`);
  const joining = pooledMap(16, names, async (name) => {
    const peer = new Peer({
      identity: Identity.generate(),
      membership: { id: network, secret },
      tracker: { host, port },
      role: "peer",
      name,
      received: world.path("received", name),
      folder: world.path("state", name),
      emit: (event) => {
        // What each hears of all others is no matter here.
        if (event.event === "registered") events.add({ name, event: event.event });
        if (event.event === "tracker-lost") {
          events.add({ name, event: event.event, reason: event.reason });
        }
      },
    });
    world.use(peer);
    await peer.start();
    return peer;
  });
  return await Array.fromAsync(joining);
}

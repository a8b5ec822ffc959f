/**
 * A line that goes away in the middle of a transfer and comes back, a program that is stopped and goes on, and a machine
 * whose address changes: everything goes on within 5 s. `deno task cuts` tries all of it, the suite what tells most.
 */

import { assert, assertEquals, assertLessOrEqual } from "@std/assert";
import { join } from "@std/path";
import { type Host, Network, whyNoSlowLine } from "../helpers/netns.ts";
import {
  e2e,
  last,
  leftovers,
  type Line,
  namesIn,
  type PeerProcess,
  type Program,
  sha256Of,
  type StartOptions,
  type TrackerProcess,
  variable,
  World,
} from "./helpers.ts";

const NO_SLOW_LINE = { ignore: await whyNoSlowLine() };

/** Whether all is tried. */
const IS_FULL = variable("P2P_CUTS") !== undefined;
/** Seconds after which everything has to go on: 5 are promised, the rest is for a machine that is busy with other tests. */
const LIMIT = IS_FULL ? 5 : 9;
/** Cases that are tried at the same time. */
const PARALLEL = 12;

/** Size of what is sent, and when in bytes the trouble begins: the line takes 1 MB in a second. */
const SIZE = 12_000_000;
const UNDER_WAY = 2_000_000;
const LINE = { rate: "8mbit", queue: 60_000, burst: 16_000 };

const PLACES = ["sender", "receiver", "tracker"] as const;
type Place = typeof PLACES[number];

/** Hosts and programs of one case. */
interface Scene {
  world: World;
  hosts: Record<Place, Host>;
  programs: Record<Place, Program>;
  tracker: TrackerProcess;
  receiver: PeerProcess;
  sender: Program;
  invite: string;
  sha256: string;
}

/** Something that goes wrong at one of the three, and how it is put right. */
interface Trouble {
  begin(scene: Scene, at: Place): Promise<void>;
  end(scene: Scene, at: Place): Promise<void>;
}

const TROUBLES = {
  /** Without a carrier. */
  unplugged: {
    begin: ({ hosts }, at) => hosts[at].unplug(),
    end: ({ hosts }, at) => hosts[at].plugIn(),
  },
  /** With a carrier, and nothing that gets through. */
  isolated: {
    begin: ({ hosts }, at) => hosts[at].isolate(),
    end: ({ hosts }, at) => hosts[at].plugIn(),
  },
  /** With a device that is switched off: its routes are gone. */
  down: {
    begin: ({ hosts }, at) => hosts[at].ip("link", "set", "eth0", "down"),
    end: ({ hosts }, at) => hosts[at].ip("link", "set", "eth0", "up"),
  },
  stopped: {
    begin: ({ programs }, at) => Promise.resolve(programs[at].signal("SIGSTOP")),
    end: ({ programs }, at) => Promise.resolve(programs[at].signal("SIGCONT")),
  },
  moved: {
    begin: ({ hosts }, at) => hosts[at].ip("addr", "flush", "dev", "eth0", "scope", "global"),
    end: ({ hosts }, at) => hosts[at].addAddress("10.77.0.99/24"),
  },
} satisfies Record<string, Trouble>;

interface Case {
  what: keyof typeof TROUBLES;
  at: Place;
  /** Seconds. */
  lasts: number;
}

/** What the suite tries. */
const TELLING: Case[] = [
  { what: "isolated", at: "receiver", lasts: 40 },
  { what: "unplugged", at: "sender", lasts: 40 },
  { what: "isolated", at: "tracker", lasts: 40 },
  { what: "isolated", at: "sender", lasts: 5 },
  { what: "unplugged", at: "receiver", lasts: 5 },
  ...PLACES.map((at): Case => ({ what: "stopped", at, lasts: 60 })),
  { what: "moved", at: "sender", lasts: 2 },
  { what: "moved", at: "receiver", lasts: 2 },
];

/** Everything. */
const ALL: Case[] = [
  ...PLACES.map((at): Case => ({ what: "stopped", at, lasts: 60 })),
  ...[40, 20, 12, 5].flatMap((lasts) =>
    (["unplugged", "isolated", "down"] as const).flatMap((what) =>
      PLACES.map((at) => ({ what, at, lasts }))
    )
  ),
  { what: "moved", at: "sender", lasts: 2 },
  { what: "moved", at: "receiver", lasts: 2 },
  { what: "moved", at: "sender", lasts: 0 },
  { what: "moved", at: "receiver", lasts: 0 },
];

e2e("a transfer goes on within 5 s when its line is back, or who was stopped", async () => {
  const cases = IS_FULL ? ALL : TELLING;
  const only = variable("P2P_CUTS_ONLY");
  const left = cases.filter(({ what, at, lasts }) => `${what} ${at} ${lasts}`.includes(only ?? ""));
  const failed: unknown[] = [];
  await Promise.all(Array.from({ length: PARALLEL }, async () => {
    for (let next = left.shift(); next; next = left.shift()) {
      await tryCase(next).catch((error) => failed.push(error));
    }
  }));
  if (failed.length > 0) {
    throw new AggregateError(
      failed,
      failed.map((e) => (e as Error).message.slice(0, 300)).join("\n"),
    );
  }
}, NO_SLOW_LINE);

async function tryCase({ what, at, lasts }: Case): Promise<void> {
  const title = `${at} ${what} for ${lasts} s`;
  await using scene = await setUp();
  const { sender, receiver, sha256 } = scene;
  await TROUBLES[what].begin(scene, at);
  await seconds(lasts);
  await TROUBLES[what].end(scene, at);
  const took = at === "tracker" ? await untilListed(scene) : await untilProgress(scene);
  const { code, lines, stderr } = await sender.outcome;
  if (IS_FULL) {
    console.log(
      title,
      took.toFixed(1),
      lines.filter(({ event }) => event === "transfer-retry").map(({ time, reason }) =>
        `${String(time).slice(14, 23)} ${String(reason).slice(0, 120)}`
      ).join(" | "),
    );
  }
  assertLessOrEqual(took, LIMIT, title);
  assertEquals(code, 0, `${title}: ${stderr}`);
  assertEquals(last(lines).recipients[0].state, "delivered", title);
  await receiver.program.until("file-received");
  assertEquals(await sha256Of(join(receiver.received, "f")), sha256, title);
  assertEquals(
    (await namesIn(receiver.received)).filter((name) => name !== ".partial"),
    ["f"],
    title,
  );
  assertEquals(await leftovers(receiver.received, receiver.id), [], title);
}

/** Seconds until the receiver has something new, as the sender knows. */
async function untilProgress({ sender }: Scene): Promise<number> {
  const at = performance.now();
  const before = bytesOf(sender.lines);
  await sender.until(({ event, bytes }) => event === "transfer-progress" && bytes > before);
  return (performance.now() - at) / 1000;
}

/** Seconds until the receiver is listed, also where that was never in doubt. */
async function untilListed(
  { receiver: { program, name }, world, hosts, invite }: Scene,
): Promise<number> {
  const at = performance.now();
  const isLost = ["tracker-lost", "registered"].map((name) =>
    program.lines.filter(({ event }) => event === name).length
  );
  if (isLost[0] === isLost[1]) await program.until("registered", { from: program.mark });
  const took = (performance.now() - at) / 1000;
  const { lines } = await world.run(
    "peer",
    ["peers", "--json", "--join", invite],
    on(world, hosts.sender),
  );
  assert(
    lines.some((line) => line.event === "peer" && line.name === name),
    "the receiver is not listed",
  );
  return took;
}

function bytesOf(lines: readonly Line[]): number {
  return Math.max(
    0,
    ...lines.filter(({ event }) => event === "transfer-progress").map(({ bytes }) =>
      bytes as number
    ),
  );
}

/** Starts a tracker, a receiver and a sender, each on a host of its own, and waits until the transfer is under way. */
async function setUp(): Promise<Scene & AsyncDisposable> {
  const world = await World.create();
  const network = world.use(new Network());
  const [t, a, b] = await network.lan(3);
  assert(t && a && b);
  await a.slowDown(LINE);
  const tracker = await world.tracker(["--host", "0.0.0.0"], on(world, t));
  const join = ["--join", tracker.invite];
  const receiver = await world.peer("in", ["--name", "b", ...join], on(world, b));
  const { path, sha256 } = await world.file("f", SIZE);
  const sender = await world.start(
    "peer",
    ["send", path, "--to", "b", "--json", ...join],
    on(world, a),
  );
  await sender.until(({ event, bytes }) => event === "transfer-progress" && bytes > UNDER_WAY);
  return {
    world,
    hosts: { sender: a, receiver: b, tracker: t },
    programs: { sender, receiver: receiver.program, tracker: tracker.program },
    tracker,
    receiver,
    sender,
    invite: tracker.invite,
    sha256,
    [Symbol.asyncDispose]: () => world[Symbol.asyncDispose](),
  };
}

/** How to start a program on a host, which has a state of its own. */
function on(world: World, host: Host): StartOptions {
  return { wrap: host.wrap, home: world.path(host.namespace) };
}

function seconds(count: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 1000 * count));
}

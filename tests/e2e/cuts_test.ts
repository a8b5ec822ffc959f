/**
 * A line that goes away in the middle of a transfer and comes back, a program that is stopped and goes on, and a machine
 * whose address changes: everything goes on within 5 s. The suite tries what tells most, `deno task cuts` all of it.
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

/** Whether everything is tried, and each figure shown. */
const IS_FULL = variable("P2P_CUTS") !== undefined;
/** Seconds after which everything has to go on: 5 are promised, the rest is for a machine that is busy with other tests. */
const LIMIT = IS_FULL ? 5 : 9;
/** The same for the end of a sender whose receiver does not come back. */
const LONGEST_END = IS_FULL ? 90 : 120;
/** Cases that are tried at the same time. */
const PARALLEL = 11;

/** Bytes that are sent, and those that have come when something goes wrong; the line takes 1 MB a second. */
const SIZE = 12_000_000;
const UNDER_WAY = 2_000_000;
const LINE = { rate: "8mbit", queue: 60_000, burst: 16_000 };

const PLACES = ["sender", "receiver", "tracker"] as const;
type Place = typeof PLACES[number];

/** Hosts and programs of one case, in which a transfer is under way. */
interface Scene extends AsyncDisposable {
  world: World;
  hosts: Record<Place, Host>;
  programs: Record<Place, Program>;
  tracker: TrackerProcess;
  receiver: PeerProcess;
  sha256: string;
}

/** Something that goes wrong in one place, and how it is put right. */
interface Trouble {
  begin(scene: Scene, at: Place): Promise<void>;
  end(scene: Scene, at: Place): Promise<void>;
}

const TROUBLES = {
  /** The cable is pulled: there is no carrier. */
  unplugged: {
    begin: ({ hosts }, at) => hosts[at].unplug(),
    end: ({ hosts }, at) => hosts[at].plugIn(),
  },
  /** Nothing gets through, and nothing shows it. */
  isolated: {
    begin: ({ hosts }, at) => hosts[at].isolate(),
    end: ({ hosts }, at) => hosts[at].plugIn(),
  },
  /** The device is switched off: its routes are gone too. */
  "switched off": {
    begin: ({ hosts }, at) => hosts[at].ip("link", "set", "eth0", "down"),
    end: ({ hosts }, at) => hosts[at].ip("link", "set", "eth0", "up"),
  },
  /** The program is stopped. */
  stopped: {
    begin: ({ programs }, at) => Promise.resolve(programs[at].signal("SIGSTOP")),
    end: ({ programs }, at) => Promise.resolve(programs[at].signal("SIGCONT")),
  },
  /** The machine loses its address, and gets another one. */
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

const STOPS = PLACES.map((at): Case => ({ what: "stopped", at, lasts: 60 }));

/** What the suite tries. */
const TELLING: Case[] = [
  ...STOPS,
  { what: "isolated", at: "receiver", lasts: 40 },
  { what: "unplugged", at: "sender", lasts: 40 },
  { what: "isolated", at: "tracker", lasts: 40 },
  { what: "unplugged", at: "receiver", lasts: 20 },
  { what: "isolated", at: "sender", lasts: 5 },
  { what: "moved", at: "sender", lasts: 2 },
  { what: "moved", at: "receiver", lasts: 0 },
];

/** Everything. */
const ALL: Case[] = [
  ...STOPS,
  ...[40, 20, 12, 5].flatMap((lasts) =>
    (["unplugged", "isolated", "switched off"] as const).flatMap((what) =>
      PLACES.map((at): Case => ({ what, at, lasts }))
    )
  ),
  ...[2, 0].flatMap((lasts) =>
    (["sender", "receiver"] as const).map((at): Case => ({ what: "moved", at, lasts }))
  ),
];

e2e("a transfer goes on within 5 s of the end of what held it up, or ends in time", async () => {
  const left = (IS_FULL ? ALL : TELLING).map((each) => () => goesOn(each));
  left.unshift(endsInTime);
  const failures: unknown[] = [];
  await Promise.all(Array.from({ length: PARALLEL }, async () => {
    for (let next = left.shift(); next; next = left.shift()) {
      await next().catch((error) => failures.push(error));
    }
  }));
  if (failures.length > 0) {
    throw new AggregateError(failures, failures.map((error) => `${error}`).join("\n"));
  }
}, NO_SLOW_LINE);

/** What was sent comes, once, and all of it soon after what happens in between. */
async function goesOn({ what, at, lasts }: Case): Promise<void> {
  const title = `${at} ${what} for ${lasts} s`;
  await using scene = await setUp();
  const { receiver, sha256, programs: { sender } } = scene;
  await TROUBLES[what].begin(scene, at);
  await seconds(lasts);
  await TROUBLES[what].end(scene, at);
  const took = at === "tracker" ? await untilListed(scene) : await untilProgress(scene);
  show(title, took);
  assertLessOrEqual(took, LIMIT, title);
  const { code, lines, stderr } = await sender.outcome;
  assertEquals(code, 0, `${title}: ${stderr}`);
  assertEquals(last(lines).recipients[0].state, "delivered", title);
  await receiver.program.until("file-received");
  assertEquals(await namesIn(receiver.received), [".partial", "f"], title);
  assertEquals(await leftovers(receiver.received, receiver.id), [], title);
  assertEquals(await sha256Of(join(receiver.received, "f")), sha256, title);
}

/** A receiver that is away for good costs its sender a bounded time; what it has of the file is kept for later. */
async function endsInTime(): Promise<void> {
  await using scene = await setUp();
  const { world, hosts, tracker, receiver, programs: { sender }, sha256 } = scene;
  await hosts.receiver.isolate();
  const at = performance.now();
  await tracker.program.until(({ event, name }) => event === "peer-left" && name === "b");
  await sender.status;
  const took = (performance.now() - at) / 1000;
  show("receiver isolated for ever: the sender ended", took);
  assertLessOrEqual(took, LONGEST_END);
  const { code, lines } = await sender.outcome;
  assertEquals(code, 4, sender.report);
  const { recipients: [{ state, error }] } = last(
    lines.filter(({ event }) => event === "transfer-finished"),
  );
  assertEquals([state, error.code], ["failed", "peer-unreachable"]);
  assert(lines.some(({ message }) => String(message).startsWith("`peer resume ")), sender.report);
  const { mark } = receiver.program;
  await hosts.receiver.plugIn();
  await receiver.program.until("registered", { from: mark });
  await hosts.sender.run("tc", "qdisc", "del", "dev", "eth0", "root");
  const resumed = await world.run(
    "peer",
    ["resume", "all", "--json", "--join", tracker.invite],
    on(world, hosts.sender),
  );
  assertEquals(resumed.code, 0, resumed.stderr);
  const { bytesSent } = last(resumed.lines.filter(({ event }) => event === "transfer-finished"));
  assertLessOrEqual(bytesSent, SIZE - UNDER_WAY / 2);
  assertEquals(await sha256Of(join(receiver.received, "f")), sha256);
}

function show(title: string, took: number): void {
  // deno-lint-ignore no-console
  if (IS_FULL) console.log(`${title}: ${took.toFixed(1)} s`);
}

/** Seconds until the receiver has something new, as its sender hears. */
async function untilProgress({ programs: { sender } }: Scene): Promise<number> {
  const at = performance.now();
  const before = bytesIn(sender.lines);
  await sender.until((line) => bytesIn([line]) > before);
  return (performance.now() - at) / 1000;
}

/** Seconds until the tracker lists the receiver, also where that was never in doubt. */
async function untilListed({ world, hosts, tracker, receiver }: Scene): Promise<number> {
  const at = performance.now();
  const { program, name } = receiver;
  const count = (name: string) => program.lines.filter(({ event }) => event === name).length;
  // It has registered once more than it has lost its tracker.
  if (count("tracker-lost") === count("registered")) {
    await program.until("registered", { from: program.mark });
  }
  const took = (performance.now() - at) / 1000;
  const { lines } = await world.run(
    "peer",
    ["peers", "--json", "--join", tracker.invite],
    on(world, hosts.sender),
  );
  assert(lines.some((line) => line.event === "peer" && line.name === name), program.report);
  return took;
}

function bytesIn(lines: readonly Line[]): number {
  const progress = lines.filter(({ event }) => event === "transfer-progress");
  return Math.max(0, ...progress.map(({ bytes }) => bytes as number));
}

/** Starts a tracker, a receiver and a sender, each on a host of its own, and waits until a transfer is under way. */
async function setUp(): Promise<Scene> {
  await using stack = new AsyncDisposableStack();
  const world = stack.use(await World.create());
  const network = world.use(new Network());
  const [t, a, b] = await network.lan(3);
  assert(t && a && b);
  await a.slowDown(LINE);
  const tracker = await world.tracker(["--host", "0.0.0.0"], on(world, t));
  const flags = ["--join", tracker.invite];
  const receiver = await world.peer("in", ["--name", "b", ...flags], on(world, b));
  const { path, sha256 } = await world.file("f", SIZE);
  const args = ["send", path, "--to", "b", "--json", ...flags];
  const sender = await world.start("peer", args, on(world, a));
  await sender.until((line) => bytesIn([line]) > UNDER_WAY);
  const owned = stack.move();
  return {
    world,
    hosts: { sender: a, receiver: b, tracker: t },
    programs: { sender, receiver: receiver.program, tracker: tracker.program },
    tracker,
    receiver,
    sha256,
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

/** How to start a program on a host, which has a state of its own. */
function on(world: World, host: Host): StartOptions {
  return { wrap: host.wrap, home: world.path(host.namespace) };
}

/** Time in which something is wrong: nothing shows when it has lasted long enough. */
function seconds(count: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 1000 * count));
}

import { join } from "@std/path";
import { Machines } from "../e2e/machines.ts";
import {
  leftovers,
  type Line,
  namesIn,
  type PeerProcess,
  type Program,
  sha256Of,
  World,
} from "../e2e/helpers.ts";
import type { Outcome } from "../helpers/campaign.ts";
import { eventually } from "../helpers/deadline.ts";
import { heldBy, peakMemoryOf } from "../helpers/process_stats.ts";
import { randomFrom } from "../helpers/random.ts";

const MIB = 1024 * 1024;
const NAME = "swarm.bin";
const SIZE = 12 * MIB;
/** Receivers, each with a line of 20 Mbit/s, on which a copy takes five seconds. */
const RECEIVERS = 6;
/** How many of them do not stay. */
const LOST = 2;
/** Seconds within which they go, or something else does. */
const LATEST = 5;
/** Times what it takes without trouble that it may take with it. */
const SLOWER = 2;
/** Seconds that a machine which is busy, or a neighbour that says nothing, may cost on top. */
const SPARE = 5;
/** Megabytes that a receiver may take at most. */
const MEMORY = 150;
/** What may be sent again for each receiver that goes on where it was: pieces that were on their way. */
const WASTE = 1 * MIB;

/** What goes wrong; four seeds in a row see all of it. */
const KINDS = ["killed", "stopped", "sender again", "tracker"] as const;

/** What happens in a run; it follows from the seed. */
export interface Plan {
  /**
   * `killed`, `stopped`: some receivers are, and the sender is killed as soon as it may leave. `sender again`: the
   * sender is killed and the command repeated. `tracker`: the tracker is killed.
   */
  kind: typeof KINDS[number];
  /** Seconds since the start, of each that goes. */
  times: number[];
}

/** The plan of a seed. */
export function planOf(seed: number): Plan {
  const random = randomFrom(seed);
  const kind = KINDS[seed % KINDS.length] as Plan["kind"];
  const count = kind === "killed" || kind === "stopped" ? LOST : 1;
  return { kind, times: Array.from({ length: count }, () => random() * LATEST) };
}

/** A plan in a few words. */
export function describe({ kind, times }: Plan): string {
  return `${kind} after ${times.map((time) => time.toFixed(1)).join(" and ")} s`;
}

/** Seconds that it takes without trouble, after which everything that was opened for it is closed again. */
export async function usual(): Promise<number> {
  await using scene = await Scene.open();
  const before = await scene.held();
  const started = performance.now();
  const sender = await scene.send();
  await sender.until("transfer-finished");
  const seconds = (performance.now() - started) / 1000;
  let now: number[] = [];
  await eventually(async () => {
    now = await scene.held();
    return now.every((count, i) => count <= (before[i] ?? 0));
  }, () => `${before} descriptors, and not ${now}`);
  return seconds;
}

/** Carries out a plan, and checks what those who stayed have. */
export async function run({ kind, times }: Plan, usual: number): Promise<Outcome> {
  await using scene = await Scene.open();
  const started = performance.now();
  const sender = await scene.send();
  await sender.until("transfer-started");
  const lost = kind === "killed" || kind === "stopped" ? scene.receivers.slice(0, LOST) : [];
  const stay = scene.receivers.slice(lost.length);
  const signal = kind === "stopped" ? "SIGSTOP" : "SIGKILL";
  await Promise.all(times.map(async (time, i) => {
    await new Promise((resolve) => setTimeout(resolve, time * 1000));
    if (kind === "sender again") await killed(sender);
    else if (kind === "tracker") await killed(scene.tracker);
    else lost[i]?.program.signal(signal);
  }));
  const problems: string[] = [];
  if (lost.length > 0) await scene.leave(sender);
  const report = kind === "sender again" ? await scene.repeat() : undefined;
  await Promise.all(stay.map(({ program }) => program.until("file-received")));
  const seconds = (performance.now() - started) / 1000;
  const megabytes = await largestOf(stay) / 1e6;
  if (megabytes > MEMORY) problems.push(`a receiver took ${Math.round(megabytes)} MB`);
  if (kind === "tracker") problems.push(...complete(await sender.until("transfer-finished")));
  if (report) problems.push(...complete(report), ...scene.frugal(sender, report));
  for (const peer of stay) problems.push(...await scene.whatIsWrongAt(peer));
  if (report === undefined && seconds > SLOWER * usual + SPARE) {
    problems.push(`it took ${seconds.toFixed(1)} s, and ${usual.toFixed(1)} s without trouble`);
  }
  const ratio = (seconds / usual).toFixed(2);
  const summary = `${ratio} x ${usual.toFixed(1)} s, at most ${megabytes.toFixed(0)} MB`;
  return { summary, problems, log: problems.length > 0 ? scene.log : "" };
}

/** The most bytes of memory that one of them has had. */
async function largestOf(receivers: readonly PeerProcess[]): Promise<number> {
  return Math.max(...await Promise.all(receivers.map(({ program }) => peakMemoryOf(program.pid))));
}

/** Everybody that a report names has it. */
function complete({ recipients }: Line): string[] {
  return recipients.filter(({ state }: Line) => state === "failed")
    .map(({ peer, error }: Line) => `${peer} does not have it: ${error?.message}`);
}

/** Kills a program that may have ended by itself. */
async function killed(program: Program): Promise<void> {
  try {
    program.signal("SIGKILL");
  } catch {
    // It has ended.
  }
  await program.status;
}

/** A tracker, a sender and receivers on machines of their own. */
class Scene implements AsyncDisposable {
  readonly receivers: PeerProcess[];
  readonly tracker: Program;
  readonly #world: World;
  readonly #machines: Machines;
  readonly #file: { path: string; sha256: string };
  readonly #senders: Program[] = [];

  private constructor(
    world: World,
    { machines, receivers, file }: {
      machines: Machines;
      receivers: PeerProcess[];
      file: { path: string; sha256: string };
    },
  ) {
    this.#world = world;
    this.#machines = machines;
    this.#file = file;
    this.receivers = receivers;
    this.tracker = machines.tracker;
  }

  static async open(): Promise<Scene> {
    const world = await World.create();
    try {
      const machines = await Machines.star(world, RECEIVERS);
      const places = Array.from({ length: RECEIVERS }, (_, i) => i + 2);
      const receivers = await Promise.all(places.map((i) => machines.peer(i)));
      return new Scene(world, { machines, receivers, file: await world.file(NAME, SIZE) });
    } catch (error) {
      await world[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** What all programs wrote. */
  get log(): string {
    const programs = [...this.#senders, ...this.receivers.map(({ program }) => program)];
    return programs.map(({ report }) => report).join("\n");
  }

  async send(): Promise<Program> {
    const to = this.receivers.map(({ name }) => name).join(",");
    const args = ["send", this.#file.path, "--to", to, "--json"];
    const sender = await this.#world.start("peer", args, this.#machines.on(1));
    this.#senders.push(sender);
    return sender;
  }

  /** Kills the sender when it says that it may leave, or has nothing left to do. */
  async leave(sender: Program): Promise<void> {
    const isSpread = () => {
      const said = sender.lines.findLast(({ event }) => event === "transfer-spread");
      return said?.["spread"] === true;
    };
    while (!isSpread()) {
      const from = sender.mark;
      const { event } = await sender.until(
        ({ event }) => event === "transfer-spread" || event === "transfer-finished",
        { from },
      );
      if (event === "transfer-finished") return;
    }
    await killed(sender);
  }

  /** Gives the command once more; resolves with its report. */
  async repeat(): Promise<Line> {
    const sender = await this.send();
    return await sender.until("transfer-finished");
  }

  /** What the second sender sent beyond what was missing, as the first one knew it. */
  frugal(first: Program, { bytesSent }: Line): string[] {
    const had = new Map<string, number>();
    for (const { event, peer, bytes } of first.lines) {
      if (event === "transfer-progress") had.set(peer, bytes);
    }
    const missing = this.receivers.map(({ name }) => SIZE - (had.get(name) ?? 0));
    const most = missing.reduce((sum, bytes) => sum + bytes + WASTE, 0);
    return bytesSent <= most
      ? []
      : [`${bytesSent} bytes were sent again, and ${most} were missing`];
  }

  /** How many sockets and files of its own each receiver has open. */
  async held(): Promise<number[]> {
    const { folder } = this.#world;
    return await Promise.all(
      this.receivers.map(async ({ program }) => (await heldBy(program.pid, folder)).length),
    );
  }

  /** A receiver has the file once, whole, and nothing else. */
  async whatIsWrongAt({ name, id, received }: PeerProcess): Promise<string[]> {
    const names = (await namesIn(received)).filter((name) => name !== ".partial");
    const problems: string[] = [];
    if (names.join() !== NAME) problems.push(`${name} has ${names.join(", ") || "nothing"}`);
    else if (await sha256Of(join(received, NAME)) !== this.#file.sha256) {
      problems.push(`what ${name} has is not what was sent`);
    }
    const left = await leftovers(received, id);
    if (left.length > 0) problems.push(`${name} still has ${left.join(", ")}`);
    return problems;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#world[Symbol.asyncDispose]();
  }
}

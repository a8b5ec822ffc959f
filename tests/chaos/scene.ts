import { join } from "@std/path";
import {
  last,
  type Line,
  type PeerProcess,
  type Program,
  type TrackerProcess,
  World,
} from "../e2e/helpers.ts";
import { CountingProxy } from "../helpers/counting_proxy.ts";
import type { Moment, Plan, Victim } from "./plan.ts";

/** Name of the receiver. */
const RECEIVER = "bob";
/** How often the command is repeated before that is called a failure. */
const TRIES = 20;

/** The file that all runs send. */
export interface SourceFile {
  path: string;
  /** Its name without the folder. */
  name: string;
  /** Bytes. */
  size: number;
  /** In hex. */
  sha256: string;
}

/**
 * A tracker, a receiver behind a proxy that counts, and a sender who is another user of the same machine.
 * Each is a process that is killed and started again with the same command line.
 */
export class Scene implements AsyncDisposable {
  readonly world: World;
  readonly proxy: CountingProxy;
  readonly #plan: Plan;
  readonly #source: SourceFile;
  #tracker: TrackerProcess;
  #receiver: PeerProcess;
  #sender: Program | undefined;
  readonly #log: string[] = [];

  private constructor(
    world: World,
    { plan, source, proxy, tracker, receiver }: {
      plan: Plan;
      source: SourceFile;
      proxy: CountingProxy;
      tracker: TrackerProcess;
      receiver: PeerProcess;
    },
  ) {
    this.world = world;
    this.proxy = proxy;
    this.#plan = plan;
    this.#source = source;
    this.#tracker = tracker;
    this.#receiver = receiver;
  }

  /** Starts the tracker and the receiver of a plan. */
  static async open(plan: Plan, source: SourceFile): Promise<Scene> {
    const world = await World.create();
    try {
      await Deno.mkdir(world.path("sender"));
      const proxy = world.use(new CountingProxy());
      const tracker = await world.tracker();
      const receiver = await startReceiver(world, plan, proxy);
      return new Scene(world, { plan, source, proxy, tracker, receiver });
    } catch (error) {
      await world[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** The receiver that runs now. */
  get receiver(): PeerProcess {
    return this.#receiver;
  }

  /** The tracker that runs now. */
  get tracker(): TrackerProcess {
    return this.#tracker;
  }

  /** Folders that belong to the programs. */
  get owned(): string[] {
    return [
      this.#receiver.received,
      this.world.path("home/.local"),
      this.world.path("sender/.local"),
    ];
  }

  /** What the programs wrote that are no more. */
  get log(): string {
    return this.#log.join("\n");
  }

  /** Starts the command, unless it runs. */
  async send(path = this.#source.path): Promise<Program> {
    return this.#sender ??= await this.world.start(
      "peer",
      ["send", path, "--to", RECEIVER, "--json"],
      { home: this.world.path("sender"), env: { P2P_JOIN: this.#tracker.invite } },
    );
  }

  /** Waits for the moment; false when the command has ended before it came. */
  async until(moment: Moment): Promise<boolean> {
    const sender = await this.send();
    using stop = new DisposableStack();
    const ended = sender.status.then(() => false);
    return await Promise.race([this.#reach(moment, stop).then(() => true), ended]);
  }

  /** Kills, and starts again what is not the sender: its user does that later. */
  async strike(victims: readonly Victim[]): Promise<void> {
    await Promise.all(victims.map((victim) => this.#kill(victim)));
    if (victims.includes("tracker")) {
      const from = this.#receiver.program.mark;
      this.#tracker = await this.world.tracker(["--port", `${this.#tracker.port}`]);
      await this.#receiver.program.until("registered", { from });
    }
    if (victims.includes("receiver")) {
      this.#receiver = await startReceiver(this.world, this.#plan, this.proxy);
    }
  }

  /** Repeats the command until it succeeds, and resolves with its report. */
  async deliver(): Promise<Line> {
    const failures: string[] = [];
    while (failures.length < TRIES) {
      const sender = await this.send();
      const { code, lines } = await sender.outcome;
      this.#sender = undefined;
      this.#log.push(sender.report);
      if (code === 0) return last(lines);
      failures.push(sender.report);
    }
    throw new Error(`the command failed ${TRIES} times: ${failures.at(-1)}`);
  }

  /** Sends a small file; resolves with the milliseconds that it took from the start of the command. */
  async sendAnother(name: string): Promise<number> {
    const { path } = await this.world.file(name, 1000);
    const started = performance.now();
    const sender = await this.send(path);
    const { code } = await sender.outcome;
    this.#sender = undefined;
    if (code !== 0) throw new Error(`a new transfer failed: ${sender.report}`);
    return performance.now() - started;
  }

  /** Stops the receiver as its user would, and starts it again. */
  async restartReceiver(): Promise<void> {
    const { code } = await this.#receiver.program.stop();
    this.#log.push(this.#receiver.program.report);
    if (code !== 0) throw new Error(`the receiver ended badly: ${this.log}`);
    this.#receiver = await startReceiver(this.world, this.#plan, this.proxy);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.world[Symbol.asyncDispose]();
  }

  async #kill(victim: Victim): Promise<void> {
    const program = this.#processOf(victim);
    try {
      program?.signal("SIGKILL");
    } catch {
      // It has just ended by itself.
    }
    if (!program) return;
    const { signal } = await program.status;
    // A sender that was done in time is not to be started again.
    if (victim === "sender" && signal === "SIGKILL") this.#sender = undefined;
    if (signal === "SIGKILL") this.#log.push(program.report);
  }

  #processOf(victim: Victim): Program | undefined {
    switch (victim) {
      case "sender":
        return this.#sender;
      case "receiver":
        return this.#receiver.program;
      case "tracker":
        return this.#tracker.program;
    }
  }

  async #reach(moment: Moment, stop: DisposableStack): Promise<void> {
    switch (moment.at) {
      case "passed":
        return await this.proxy.until(moment.bytes);
      case "time":
        return await new Promise((resolve) => {
          stop.defer(() => clearTimeout(timer));
          const timer = setTimeout(resolve, moment.ms);
        });
      case "publishing":
        return await this.#published(stop);
      case "unacknowledged":
        // What is asked for is asked for: from here on there is nothing but the ACK to come back.
        await this.proxy.until(this.#source.size);
        this.proxy.mute();
        await this.#receiver.program.until("file-received");
    }
  }

  /** Resolves when the file has its final name. */
  async #published(stop: DisposableStack): Promise<void> {
    const path = join(this.#receiver.received, this.#source.name);
    const watcher = stop.use(Deno.watchFs(this.#receiver.received, { recursive: false }));
    for await (const { paths } of watcher) if (paths.includes(path)) return;
    await new Promise(() => {}); // Not published, and nobody waits any longer.
  }
}

/** The menu with an input that stays empty, or `peer run`; under the same name and port each time. */
async function startReceiver(
  world: World,
  { receiver }: Plan,
  proxy: CountingProxy,
): Promise<PeerProcess> {
  const received = world.path("in");
  const command = receiver === "run" ? ["run"] : [];
  const program = await world.start(
    "peer",
    [...command, "--json", "--name", RECEIVER, "--received", received, ...proxy.flags],
    { stdin: receiver === "menu" },
  );
  const { id, port } = await program.until("listening");
  const { name } = await program.until("registered");
  return { program, id, port, name, received };
}

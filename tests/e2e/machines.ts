import { fromFileUrl, join } from "@std/path";
import { type Host, Network } from "../helpers/netns.ts";
import {
  cacheFolder,
  type Outcome,
  type PeerProcess,
  type Program,
  ROOT,
  type StartOptions,
  type TrackerProcess,
  type World,
} from "./helpers.ts";

/** The machines of one network: a tracker on the first. */
export class Machines {
  readonly hosts: Host[];
  readonly #world: World;
  #tracker: TrackerProcess | undefined;

  private constructor(world: World, hosts: Host[]) {
    this.#world = world;
    this.hosts = hosts;
  }

  static async start(world: World, count: number): Promise<Machines> {
    const hosts = await world.use(new Network()).lan(count);
    const machines = new Machines(world, hosts);
    machines.#tracker = await world.tracker(["--host", "0.0.0.0"], machines.on(0));
    return machines;
  }

  /**
   * As {@linkcode start}, with a sender on the second that has joined, and the receivers after it, on lines of 20 Mbit/s
   * both ways.
   *
   * @param slow the rate of the last one's line, as `tc` writes it.
   */
  static async star(world: World, receivers: number, slow?: string): Promise<Machines> {
    const machines = await Machines.start(world, receivers + 2);
    for (const host of machines.hosts.slice(1)) {
      const rate = slow && host === machines.hosts.at(-1) ? slow : "20mbit";
      const line = { rate, queue: 64_000, burst: 20_000 };
      await host.slowDown(line);
      const { hub, device } = host.port ?? {};
      await hub?.slowDown(line, device);
    }
    await machines.join(1);
    return machines;
  }

  /** The tracker on the first. */
  get tracker(): Program {
    if (!this.#tracker) throw new TypeError("the tracker has not been started");
    return this.#tracker.program;
  }

  get #invite(): string {
    return this.#tracker?.invite ?? "";
  }

  /** What starts a program on a machine, with a state of its own. */
  on(i: number): StartOptions {
    return this.#world.on(this.hosts[i] as Host, `state${i}`);
  }

  peer(i: number, flags: string[] = []): Promise<PeerProcess> {
    const args = ["--name", `m${i}`, "--join", this.#invite, ...flags];
    return this.#world.peer(`in${i}`, args, this.on(i));
  }

  /** A receiver that serves wrong bytes, and signs for what it has sent, or for what it should have: see liar.ts. */
  async liar(i: number, how: "hash" | "bytes"): Promise<PeerProcess> {
    const script = fromFileUrl(new URL("liar.ts", import.meta.url));
    const config = `--config=${join(ROOT, "deno.json")}`;
    const deno = [Deno.execPath(), "run", "-q", "--allow-all", "--no-prompt", config, script, how];
    const { wrap = [], ...options } = this.on(i);
    const received = this.#world.path(`in${i}`);
    const args = [
      "run",
      "--json",
      "--received",
      received,
      "--name",
      `m${i}`,
      "--join",
      this.#invite,
    ];
    const program = await this.#world.startCommand([...wrap, ...deno, ...args], {
      ...options,
      env: { ...options.env, DENO_DIR: await cacheFolder(), DENO_NO_UPDATE_CHECK: "1" },
    });
    const { id, port } = await program.until("listening");
    const { name } = await program.until("registered");
    return { program, id, port, name, received };
  }

  /** Joins, so that what is timed later is only that. */
  async join(i: number): Promise<void> {
    await this.run(i, "peers", "--join", this.#invite);
  }

  async run(i: number, ...args: string[]): Promise<Outcome & { seconds: number }> {
    const before = performance.now();
    const outcome = await this.#world.run("peer", [...args, "--json"], this.on(i));
    return { ...outcome, seconds: (performance.now() - before) / 1000 };
  }
}

import { type Host, Network } from "../helpers/netns.ts";
import type { Outcome, PeerProcess, StartOptions, World } from "./helpers.ts";

/** The machines of one network: a tracker on the first. */
export class Machines {
  readonly hosts: Host[];
  readonly #world: World;
  #invite = "";

  private constructor(world: World, hosts: Host[]) {
    this.#world = world;
    this.hosts = hosts;
  }

  static async start(world: World, count: number): Promise<Machines> {
    const hosts = await world.use(new Network()).lan(count);
    const machines = new Machines(world, hosts);
    machines.#invite = (await world.tracker(["--host", "0.0.0.0"], machines.on(0))).invite;
    return machines;
  }

  /** What starts a program on a machine, with a state of its own. */
  on(i: number): StartOptions {
    return this.#world.on(this.hosts[i] as Host, `state${i}`);
  }

  peer(i: number, flags: string[] = []): Promise<PeerProcess> {
    const args = ["--name", `m${i}`, "--join", this.#invite, ...flags];
    return this.#world.peer(`in${i}`, args, this.on(i));
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

import { join } from "@std/path";
import { type PeerProcess, type Program, World } from "../e2e/helpers.ts";
import { CountingProxy } from "../helpers/counting_proxy.ts";
import { Ext4Image } from "./ext4_image.ts";

const RECEIVER = "bob";
/** How often a command is repeated before that is called a failure. */
const TRIES = 20;

/** Settings of a {@linkcode Machine}. */
export interface MachineOptions {
  /** Bytes of its disk. */
  disk: number;
  /** Variables for the receiver. */
  env?: Record<string, string>;
}

/**
 * A receiver whose inbox and state are on a disk whose power can be cut, and a sender and a tracker beside
 * it on another.
 */
export class Machine implements AsyncDisposable {
  readonly world: World;
  readonly disk: Ext4Image;
  readonly proxy: CountingProxy;
  readonly #env: Record<string, string>;
  readonly #invite: string;
  readonly #log: string[] = [];
  #receiver: PeerProcess | undefined;

  private constructor(
    world: World,
    { disk, proxy, env }: {
      disk: Ext4Image;
      proxy: CountingProxy;
      env: Record<string, string> & { P2P_JOIN: string };
    },
  ) {
    this.world = world;
    this.disk = disk;
    this.proxy = proxy;
    this.#env = env;
    this.#invite = env.P2P_JOIN;
  }

  /** Makes the disk and starts everything. */
  static async create({ disk: size, env = {} }: MachineOptions): Promise<Machine> {
    const world = await World.create();
    try {
      await Deno.mkdir(world.path("sender"));
      const disk = world.use(await Ext4Image.create(world.folder, size));
      const proxy = world.use(new CountingProxy());
      const { invite } = await world.tracker();
      const machine = new Machine(world, { disk, proxy, env: { ...env, P2P_JOIN: invite } });
      await machine.#start();
      return machine;
    } catch (error) {
      await world[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** The folder of what arrives. */
  get inbox(): string {
    return join(this.disk.path, "in");
  }

  /** The receiver's id. */
  get id(): string {
    return this.#running.id;
  }

  /** What the programs wrote that have ended since this was asked last. */
  takeLog(): string {
    return this.#log.splice(0).join("\n");
  }

  /** Cuts the power: what is not synced is gone, and so is the receiver. */
  async cut(): Promise<void> {
    const { program } = this.#running;
    // Else it would live long enough to see a disk that fails, and say so.
    program.signal("SIGSTOP");
    await this.disk.cut();
    await program.kill();
    this.#log.push(program.report);
    this.#receiver = undefined;
    await this.disk.unmount();
    await this.disk.mount();
  }

  /** Starts the receiver again after a cut. */
  async boot(): Promise<void> {
    await this.#start();
  }

  /** Sends a file; resolves with the command, which runs. */
  send(path: string): Promise<Program> {
    return this.world.start("peer", ["send", path, "--to", RECEIVER, "--json"], {
      home: this.world.path("sender"),
      env: { P2P_JOIN: this.#invite },
    });
  }

  /**
   * Waits for the end of the command `sender`, repeats it until it succeeds, and cuts the power in the
   * moment in which it says so; resolves with the name that the file was saved under.
   */
  async deliverAndCut(path: string, sender: Program): Promise<string> {
    for (let tries = 0; tries < TRIES; tries++) {
      const finished = await sender.until("transfer-finished").catch(() => null);
      const recipient = finished?.recipients[0];
      if (recipient?.savedAs !== undefined) {
        await this.cut();
        await sender.status;
        this.#log.push(sender.report);
        return recipient.savedAs;
      }
      await sender.status;
      this.#log.push(sender.report);
      sender = await this.send(path);
    }
    throw new Error(`the command failed ${TRIES} times: ${this.takeLog()}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.world[Symbol.asyncDispose]();
  }

  get #running(): PeerProcess {
    if (!this.#receiver) throw new Error("there is no receiver since the power cut");
    return this.#receiver;
  }

  async #start(): Promise<void> {
    const program = await this.world.start("peer", [
      "run",
      "--json",
      "--name",
      RECEIVER,
      "--received",
      this.inbox,
      "--state",
      join(this.disk.path, "state"),
      ...this.proxy.flags,
    ], { env: this.#env });
    const { id, port } = await program.until("listening");
    const { name } = await program.until("registered");
    this.#receiver = { program, id, port, name, received: this.inbox };
  }
}

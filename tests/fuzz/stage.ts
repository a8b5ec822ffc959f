import { Identity } from "../../lib/identity/keys.ts";
import { parseInvite } from "../../lib/identity/invite.ts";
import type { Membership } from "../../lib/identity/network.ts";
import { type Program, World } from "../e2e/helpers.ts";
import { HostileTracker } from "./hostile_tracker.ts";

/** What the inbox of each peer may hold, in bytes. */
export const QUOTA = 8 * 1024 * 1024;

/** A real program that is attacked. */
export interface Target {
  /** What it is called in the output of others. */
  name: string;
  program: Program;
  port: number;
  id: string;
  role: "tracker" | "peer";
  /** Folder for what arrives; of a peer. */
  received?: string;
}

/** A tracker and two peers, each a process of its own, and what a member knows of them. */
export class Stage implements AsyncDisposable {
  readonly world: World;
  readonly targets: readonly Target[];
  readonly invite: string;
  readonly #hostile: HostileTracker | undefined;

  private constructor(world: World, invite: string, targets: Target[], hostile?: HostileTracker) {
    this.world = world;
    this.invite = invite;
    this.targets = targets;
    this.#hostile = hostile;
  }

  /** Starts the programs; their tracker is a real one, or `hostile`. */
  static async open(hostile?: HostileTracker): Promise<Stage> {
    const world = await World.create();
    try {
      if (hostile) world.use(hostile);
      const targets: Target[] = [];
      let invite = hostile?.invite ?? "";
      if (!hostile) {
        const tracker = await world.tracker(["--relay"]);
        targets.push({ ...tracker, name: "tracker", role: "tracker" });
        invite = tracker.invite;
      }
      for (const [name, isJson] of [["alice", true], ["bob", false]] as const) {
        targets.push(await startPeer(world, { name, isJson, join: hostile ? invite : undefined }));
      }
      return new Stage(world, invite, targets, hostile);
    } catch (error) {
      await world[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** The network as its members know it now. */
  get membership(): Membership {
    return membershipOf(this.invite);
  }

  /** The tracker in this process, if it is the hostile one. */
  get hostile(): HostileTracker | undefined {
    return this.#hostile;
  }

  get peers(): Target[] {
    return this.targets.filter(({ role }) => role === "peer");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.world[Symbol.asyncDispose]();
  }
}

/** What an invite says of its network. */
export function membershipOf(invite: string): Membership {
  const { network, secret } = parseInvite(invite);
  return { id: network, secret };
}

/** Starts `peer run`, with lines for programs or text for people. */
async function startPeer(
  world: World,
  { name, isJson, join: invite }: { name: string; isJson: boolean; join: string | undefined },
): Promise<Target> {
  const home = world.path(`home-${name}`);
  const received = world.path(`inbox-${name}`);
  await Deno.mkdir(home);
  const args = ["run", "--name", name, "--received", received, "--quota", `${QUOTA}`];
  const state = ["--state", world.path(`state-${name}`)];
  const more = isJson ? ["--json"] : [];
  const joined = invite ?? await inviteOf(world);
  const program = await world.start("peer", [...args, ...more, ...state, "--join", joined], {
    home,
    env: { NO_COLOR: "1" },
  });
  if (isJson) await program.until("registered");
  else await program.untilText((text) => text.includes("Registered at"));
  const key = await Deno.readTextFile(world.path(`state-${name}`, "peers", "1", "identity.key"));
  const { id } = Identity.fromPkcs8Pem(key);
  const listening = isJson
    ? (await program.until("listening"))["port"]
    : /listening on (?:port |\S+:)(\d+)/.exec(program.stdout)?.[1];
  return { name, program, port: Number(listening), id, role: "peer", received };
}

/** The invite of the real tracker of a world. */
async function inviteOf(world: World): Promise<string> {
  const { lines } = await world.run("tracker", ["invite", "--json"]);
  return lines.at(-1)?.["invite"];
}

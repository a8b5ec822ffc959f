import type { Address } from "../address.ts";
import { reasonOf } from "../errors.ts";
import type { InvitePlace } from "../identity/invite.ts";
import { isOnlyHere, nearest } from "./addresses.ts";
import type { CommandContext } from "./program.ts";
import { inviteAt, reachableAt } from "./tracker_setup.ts";
import type { TrackerState } from "./tracker_state.ts";

/** What {@linkcode Whereabouts} needs. */
export interface WhereaboutsOptions {
  context: Pick<CommandContext, "command" | "emit">;
  state: TrackerState;
  /** Where the tracker listens. */
  address: Address;
  /** Where a router leads to it, if one does now. */
  outside: () => Address | undefined;
}

/** Where a tracker can be had, as invites and the other programs of this user are told. */
export class Whereabouts {
  readonly #options: WhereaboutsOptions;
  readonly #notice: (message: string) => void;
  #named: InvitePlace;

  constructor(options: WhereaboutsOptions) {
    this.#options = options;
    this.#notice = (message) => options.context.emit({ event: "notice", message });
    this.#named = this.#now();
  }

  /** Whether nobody on another machine can reach what is named. */
  get isOnlyHere(): boolean {
    return isOnlyHere(this.#named.host);
  }

  /** Notes where the tracker is now; that it cannot is said. */
  async announce(): Promise<void> {
    const { state, address: { host, port } } = this.#options;
    this.#named = this.#now();
    const invite = state.network && inviteAt(this.#named, state.network);
    try {
      await state.announce({ host: nearest(host), port, invite });
    } catch (error) {
      this.#notice(
        `Cannot note where this tracker is: ${reasonOf(error)}; ` +
          "programs of this user may need --tracker and --join to find it",
      );
    }
  }

  /** Has invites name an address of today; one that is away for a moment may come back. */
  async follow(): Promise<void> {
    const before = hostsOf(this.#named);
    const now = this.#now();
    const hosts = hostsOf(now);
    if (`${hosts}` === `${before}` || isOnlyHere(now.host)) return;
    await this.announce();
    // Invites from before lead here as long as one of their addresses does.
    if (hosts.some((host) => before.includes(host))) return;
    this.#notice(
      `This machine's addresses have changed: invites name ${hosts.join(", ")} now, and those ` +
        `from before ${before.join(", ")}; get one of today with \`tracker invite\``,
    );
  }

  #now(): InvitePlace {
    const { context, address, outside } = this.#options;
    return reachableAt(context.command, address, outside());
  }
}

function hostsOf({ host, others = [] }: InvitePlace): string[] {
  return [host, ...others];
}

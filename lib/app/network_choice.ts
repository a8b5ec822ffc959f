import { P2PError } from "../errors.ts";
import type { Invite } from "../identity/invite.ts";
import type { Membership } from "../identity/network.ts";
import type { Address } from "../address.ts";
import type { Candidates } from "../net/candidates.ts";
import type { LocalTracker } from "./local_tracker.ts";

/** Address of a tracker, and the membership of its network. */
export interface NetworkChoice {
  tracker: Candidates;
  /** Null with `--insecure`. */
  membership: Membership | null;
  /** An invite that was pasted and is to be remembered once it has worked. */
  joined: Invite | null;
}

/** Networks that there are to choose from. */
export interface NetworkSources {
  insecure: boolean;
  join: Invite | null;
  tracker: Address;
  /** Whether `tracker` was given, by flag or environment, or is the default. */
  isTrackerExplicit: boolean;
  remembered: Invite | null;
  local: LocalTracker | null;
}

/**
 * Chooses the network: with `--insecure` none, and the tracker of `--tracker` or of this user; else `--join`, then an
 * explicit `--tracker` with the invite that fits it, then the network joined before, then the tracker of this user on
 * this machine.
 *
 * @throws {P2PError} `no-invite` or `tracker-unreachable` when nothing says which network.
 */
export function chooseNetwork(sources: NetworkSources): NetworkChoice {
  const { insecure, join, tracker, isTrackerExplicit, remembered, local } = sources;
  if (insecure) {
    const isOwn = !isTrackerExplicit && local !== null && local.invite === null;
    const found = isOwn ? { host: local.host, port: local.port } : tracker;
    return { tracker: found, membership: null, joined: null };
  }
  if (join) return { ...fromInvite(join), joined: join };
  const ownNetwork = local?.invite ?? null;
  if (isTrackerExplicit) {
    // The tracker of this machine is where its programs find it, and where its invite leads the others.
    const isOwn = sameEndpoint(local, tracker) || sameEndpoint(ownNetwork, tracker);
    const isRemembered = sameEndpoint(remembered, tracker);
    const invite = (isOwn && !isRemembered ? ownNetwork : remembered) ?? ownNetwork;
    if (!invite) {
      throw new P2PError(
        "no-invite",
        `Cannot join the tracker at ${tracker.host}:${tracker.port}: this peer has no invite; ` +
          "run `tracker invite` there and paste what it prints at `peer --join -`",
      );
    }
    return { ...fromInvite(invite), tracker, joined: null };
  }
  if (remembered) return { ...fromInvite(remembered), joined: null };
  if (local && ownNetwork) {
    // Not by an address of this machine that may change.
    const { host, port } = local;
    return { ...fromInvite(ownNetwork), tracker: { host, port }, joined: null };
  }
  throw new P2PError(
    "tracker-unreachable",
    local
      ? "Cannot join: the tracker of this machine ran with --insecure; use --insecure here too, " +
        "or start it without"
      : "Cannot find a tracker: start `tracker` on this machine, or paste the invite of another " +
        "machine's at `peer --join -`",
  );
}

/** The tracker that an invite leads to, and the membership that it gives. */
export function fromInvite({ host, others = [], port, network, secret }: Invite): {
  tracker: Candidates;
  membership: Membership;
} {
  const addresses = others.map((host) => ({ host, port }));
  const tracker = { host, port, ...(addresses.length > 0 ? { addresses } : {}) };
  return { tracker, membership: { id: network, secret } };
}

function sameEndpoint(known: Address | null, { host, port }: Address): boolean {
  const plain = (name: string) => name === "localhost" || name === "::1" ? "127.0.0.1" : name;
  return known !== null && known.port === port && plain(known.host) === plain(host);
}

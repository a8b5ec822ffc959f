import { ExitCode, P2PError } from "../errors.ts";
import { formatAddress, otherAddresses } from "../address.ts";
import { anotherKey, type Peer } from "../peer/peer.ts";
import { oneShot } from "./peer_setup.ts";
import type { Command, CommandContext } from "./program.ts";

/** `peer peers`: who is there. */
export const peers: Command = oneShot(async (peer, context) => {
  if (!peer.isConnected) {
    throw new P2PError("tracker-unreachable", "Cannot list the peers: the tracker does not answer");
  }
  await listPeers(peer, context);
  return ExitCode.done;
});

/** Shows the other peers: those that the tracker lists, or that it listed before it went away. */
export async function listPeers(peer: Peer, { emit }: CommandContext): Promise<void> {
  const entries = peer.isConnected ? await peer.updatePeersList() : peer.knownPeers;
  for (const entry of entries) {
    const { id, reachable } = entry;
    const name = peer.isConnected ? peer.nameOf(id) : entry.name;
    emit({
      event: "peer",
      id,
      name: name ?? id,
      address: formatAddress(entry),
      ...otherAddresses(entry.addresses),
      reachable,
      ...(entry.groups ? { groups: entry.groups } : {}),
      ...(peer.wasRelayed(id) ? { via: "relay" as const } : {}),
    });
    if (name === undefined) emit({ event: "notice", message: anotherKey(entry) });
  }
  if (entries.length === 0) emit({ event: "notice", message: "No other peer is there" });
}

/**
 * Peers that are registered and do nothing, in a process of their own for `idle.ts`: `idle_peers.ts INVITE FOLDER COUNT`
 * says `ready` when all are, and keeps them until it is killed.
 *
 * @module
 */
// deno-lint-ignore-file no-console

import { parseInvite } from "../../lib/identity/invite.ts";
import { Identity } from "../../lib/identity/keys.ts";
import { Peer } from "../../lib/peer/peer.ts";

const [invite = "", folder = "", count = "0"] = Deno.args;
const { host, port, network, secret } = parseInvite(invite);
for (let i = 0; i < Number(count); i++) {
  const peer = new Peer({
    identity: Identity.generate(),
    membership: { id: network, secret },
    tracker: { host, port },
    role: "peer",
    name: `idle-${i}`,
    folder: `${folder}/state-${i}`,
    received: `${folder}/received-${i}`,
  });
  await peer.start();
}
console.log("ready");

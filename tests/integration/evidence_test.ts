/** Evidence against a member of a swarm: from whoever met it, by the tracker, to everybody. */

import { concat } from "@std/bytes/concat";
import { assertEquals } from "@std/assert";
import { TrackerClient } from "../../lib/directory/tracker_client.ts";
import {
  blockDigest,
  encodeServed,
  type Evidence,
  swarmSigner,
} from "../../lib/identity/evidence.ts";
import { Identity } from "../../lib/identity/keys.ts";
import { sha256 } from "../../lib/pieces/hash.ts";
import { randomToken } from "../../lib/async/random.ts";
import { rejectsWith } from "../helpers/errors.ts";
import { startPeer } from "../helpers/peer.ts";
import { permitted } from "../helpers/permissions.ts";
import { tempDir } from "../helpers/temp_dir.ts";
import { startTracker, type TestTracker } from "../helpers/tracker.ts";

const NEEDS: Deno.PermissionName[] = ["net", "read", "write", "sys", "run"];
const HASHES = [0, 1, 2].map((byte) => sha256(Uint8Array.of(byte)));

/** Evidence that `server` has served piece 1 otherwise than `sharer` says, in a network. */
function evidenceOf(
  network: string,
  { sharer, server, hash = sha256(Uint8Array.of(9)) }: {
    sharer: Identity;
    server: Identity;
    hash?: Uint8Array;
  },
): Evidence {
  const transfer = randomToken(16);
  const hashes = concat(HASHES);
  const digest = blockDigest(hashes);
  const entries = encodeServed([{ index: 1, hash, digest }]);
  return {
    ...{ transfer, sharer: sharer.id, server: server.id, block: 0, index: 1, hashes, entries },
    blockSignature: swarmSigner(sharer, network).signBlock({ transfer, block: 0, digest }),
    servedSignature: swarmSigner(server, network)
      .signServed({ transfer, sharer: sharer.id, entries }),
  };
}

/** A session of a member that accuses. */
async function memberOf(
  tracker: TestTracker,
  identity = Identity.generate(),
): Promise<TrackerClient> {
  const { address, membership } = tracker;
  const client = new TrackerClient({
    address,
    credentials: { identity, role: "client", membership },
  });
  await client.connect();
  return client;
}

permitted("what is proven everybody hears, also who comes later", NEEDS, async () => {
  await using dir = await tempDir();
  await using tracker = startTracker();
  const network = tracker.membership?.id ?? "";
  const [sharer, server] = [Identity.generate(), Identity.generate()];
  await using anna = await startPeer(tracker, dir, { name: "anna" });
  await using liar = await startPeer(tracker, dir, { name: "liar", identity: server });
  await using member = await memberOf(tracker);
  const evidence = evidenceOf(network, { sharer, server });
  // So that it knows the liar's name.
  await anna.peer.updatePeersList();
  await member.accuse(evidence);
  const { id, name, transfer } = await anna.until("convicted");
  assertEquals([id, name, transfer], [server.id, "liar", evidence.transfer]);
  await using late = await startPeer(tracker, dir, { name: "late" });
  assertEquals((await late.until("convicted")).id, server.id);
  assertEquals(tracker.events.all.filter(({ event }) => event === "convicted"), [
    { event: "convicted", id: server.id, name: "liar" },
  ]);
  // Once more is no news, and nobody believes it of itself.
  await member.accuse(evidenceOf(network, { sharer, server }));
  await anna.peer.updatePeersList();
  await liar.peer.updatePeersList();
  assertEquals([anna.all("convicted").length, liar.all("convicted")], [1, []]);
});

permitted("what is not proven achieves nothing, however many say it", NEEDS, async () => {
  await using dir = await tempDir();
  await using tracker = startTracker();
  const network = tracker.membership?.id ?? "";
  const [sharer, honest] = [Identity.generate(), Identity.generate()];
  await using anna = await startPeer(tracker, dir, { name: "anna" });
  const right = evidenceOf(network, {
    sharer,
    server: honest,
    hash: HASHES[1] ?? new Uint8Array(),
  });
  const proven = evidenceOf(network, { sharer, server: honest });
  const other = evidenceOf(network, { sharer, server: honest });
  const false_: Evidence[] = [
    right,
    { ...right, entries: proven.entries },
    { ...proven, transfer: other.transfer },
    { ...proven, servedSignature: other.servedSignature },
    evidenceOf(Identity.generate().id, { sharer, server: honest }),
  ];
  for (const evidence of false_) {
    await using member = await memberOf(tracker);
    await rejectsWith("invalid", () => member.accuse(evidence));
  }
  await anna.peer.updatePeersList();
  assertEquals(anna.all("convicted"), []);
  assertEquals(tracker.events.all.filter(({ event }) => event === "convicted"), []);
  // Nor does a tracker that lies: what it says has to prove it as well.
  await using flood = await memberOf(tracker);
  for (let i = 0; i < 10; i++) await rejectsWith("invalid", () => flood.accuse(right));
  await rejectsWith("rate-limited", () => flood.accuse(right));
});

permitted("without keys nobody is accused", NEEDS, async () => {
  await using tracker = startTracker({ insecure: true });
  await using member = await memberOf(tracker);
  const [sharer, server] = [Identity.generate(), Identity.generate()];
  const evidence = evidenceOf(Identity.generate().id, { sharer, server });
  await rejectsWith("unauthorised", () => member.accuse(evidence));
});

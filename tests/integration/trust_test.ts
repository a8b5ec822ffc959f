/** Who is let in, and what happens to those who no longer are. */

import { assert, assertEquals, assertRejects } from "@std/assert";
import { P2PError } from "../../lib/errors.ts";
import { Identity } from "../../lib/identity/keys.ts";
import { parseInvite } from "../../lib/identity/invite.ts";
import { deadline, eventually } from "../helpers/deadline.ts";
import { rejectsWith } from "../helpers/errors.ts";
import { startPeer, type TestPeer } from "../helpers/peer.ts";
import { permitted } from "../helpers/permissions.ts";
import { openRaw } from "../helpers/raw.ts";
import { tempDir } from "../helpers/temp_dir.ts";
import { startTracker } from "../helpers/tracker.ts";

const NEEDS: Deno.PermissionName[] = ["net", "read", "write", "sys"];

/** The error with which the tracker sent the peer away for good. */
async function refusal({ peer, name }: TestPeer): Promise<P2PError> {
  return await assertRejects(() => deadline(peer.refused, `the refusal of ${name}`), P2PError);
}

permitted(
  "a peer of another network, or with another secret, is refused with exit code 6",
  NEEDS,
  async () => {
    await using dir = await tempDir();
    await using tracker = startTracker();
    await using other = startTracker();
    const { membership, address } = tracker;
    assert(membership);
    const cases = [
      { code: "wrong-network", setting: { membership: other.membership } },
      {
        code: "wrong-secret",
        setting: { membership: { ...membership, secret: new Uint8Array(16) } },
      },
      { code: "insecure-mismatch", setting: { membership: null } },
    ] as const;
    for (const { code, setting } of cases) {
      for (const role of ["peer", "client"] as const) {
        const error = await rejectsWith(code, () => startPeer(tracker, dir, { role, ...setting }));
        assertEquals(error.exitCode, 6);
        assert(/--join|--insecure/.test(error.message), error.message);
      }
    }
    assertEquals(await tracker.names(), []);
    assertEquals(parseInvite(tracker.tracker.invite ?? "").port, address.port);
  },
);

permitted("a secure peer says so when the tracker is insecure", NEEDS, async () => {
  await using dir = await tempDir();
  await using tracker = startTracker({ insecure: true });
  const membership = { id: Identity.generate().id, secret: new Uint8Array(16) };
  await rejectsWith("insecure-mismatch", () => startPeer(tracker, dir, { membership }));
});

permitted("a member cannot pose as the tracker", NEEDS, async () => {
  await using dir = await tempDir();
  await using tracker = startTracker();
  await using mallory = await startPeer(tracker, dir, { name: "mallory" });
  const error = await rejectsWith(
    "wrong-network",
    () => startPeer(tracker, dir, { tracker: mallory.address }),
  );
  assertEquals(error.exitCode, 6);
});

permitted("only the tracker's own key operates it", NEEDS, async () => {
  await using dir = await tempDir();
  await using tracker = startTracker();
  await using anna = await startPeer(tracker, dir, { name: "anna" });
  const { address, membership } = tracker;
  for (const role of ["peer", "client"] as const) {
    await using member = await openRaw({ address, membership, role });
    await rejectsWith("unauthorised", () => member.session.request({ verb: "ROTATE" }));
    const { id } = anna.identity;
    await rejectsWith("unauthorised", () => member.session.request({ verb: "REMOVE", id }));
  }
  await using poser = await openRaw({ address, membership, role: "operator" });
  assertEquals((await poser.end())?.code, "unauthorised");
  assertEquals(await tracker.names(), ["anna"]);
});

permitted("a new secret sends everybody away, and the new invite lets them in", NEEDS, async () => {
  await using dir = await tempDir();
  await using tracker = startTracker();
  await using anna = await startPeer(tracker, dir, { name: "anna", random: () => 0 });
  await using bob = await startPeer(tracker, dir, { name: "bob", random: () => 0 });
  const before = tracker.membership;
  await using operator = await tracker.operator();
  const invite = await operator.rotate();
  for (const peer of [anna, bob]) {
    const error = await refusal(peer);
    assertEquals([error.code, error.exitCode], ["wrong-secret", 6]);
  }
  await rejectsWith("wrong-secret", () => startPeer(tracker, dir, { membership: before }));
  const { network, secret } = parseInvite(invite ?? "");
  const membership = { id: network, secret };
  await using _carl = await startPeer(tracker, dir, { name: "carl", membership });
  await eventually(
    async () => (await tracker.names()).join() === "carl",
    "anna and bob to be gone",
  );
});

permitted("a removed peer is refused by the tracker and by the peers", NEEDS, async () => {
  await using dir = await tempDir();
  await using tracker = startTracker();
  await using anna = await startPeer(tracker, dir, { name: "anna" });
  await using mallory = await startPeer(tracker, dir, { name: "mallory" });
  await anna.until("peer-joined");
  await using operator = await tracker.operator();
  await operator.remove(mallory.identity.id);
  const error = await refusal(mallory);
  assertEquals([error.code, error.exitCode], ["barred", 6]);
  await anna.until("peer-left", ({ name }) => name === "mallory");
  assertEquals([await tracker.names(), await tracker.barred()], [["anna"], [mallory.identity.id]]);
  const { identity } = mallory;
  await rejectsWith("barred", () => startPeer(tracker, dir, { identity }));
  await rejectsWith("barred", () => startPeer(tracker, dir, { identity, role: "client" }));
  // It knows the others still, and the network's secret; they know that it is out.
  await rejectsWith("barred", () => mallory.peer.ping("anna"));
  await anna.until("notice", ({ message }) => message.includes("removed"));
});

permitted("the open sessions of a removed peer end at the peers too", NEEDS, async () => {
  await using dir = await tempDir();
  await using tracker = startTracker();
  await using anna = await startPeer(tracker, dir, { name: "anna" });
  const { membership } = tracker;
  const mallory = Identity.generate();
  // It has left the tracker: its session with anna is all that it has.
  await using open = await openRaw({
    address: anna.address,
    membership,
    identity: mallory,
    id: anna.identity.id,
  });
  await open.session.request({ verb: "PING" });
  await using operator = await tracker.operator();
  await operator.remove(mallory.id);
  assertEquals((await open.end())?.code, "barred");
});

permitted("who was removed stays out when the tracker starts again", NEEDS, async () => {
  await using dir = await tempDir();
  const { id } = Identity.generate();
  const mallory = Identity.generate();
  await using tracker = startTracker({ barred: [id, mallory.id] });
  await rejectsWith("barred", () => startPeer(tracker, dir, { identity: mallory }));
});

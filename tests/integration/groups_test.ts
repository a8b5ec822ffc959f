/** Groups: what peers say they are in, and who gets what is sent to one. */

import { assertEquals } from "@std/assert";
import { startPeer, type TestPeer } from "../helpers/peer.ts";
import { permitted } from "../helpers/permissions.ts";
import { bytesOf } from "../helpers/random.ts";
import { tempDir } from "../helpers/temp_dir.ts";
import { startTracker } from "../helpers/tracker.ts";

const NEEDS: Deno.PermissionName[] = ["net", "read", "write", "sys", "run"];

/** The groups of the others, by their names. */
async function groupsSeenBy({ peer }: TestPeer) {
  const listed = await peer.updatePeersList();
  return Object.fromEntries(listed.map(({ name, groups }) => [name, groups]));
}

for (const insecure of [false, true]) {
  permitted(
    `what goes to a group goes to those who are in it, ${insecure ? "plain" : "secure"}`,
    NEEDS,
    async () => {
      await using dir = await tempDir();
      await using tracker = startTracker({ insecure });
      await using anna = await startPeer(tracker, dir, { name: "anna", groups: ["lab"] });
      await using _bob = await startPeer(tracker, dir, {
        name: "bob",
        groups: ["lab", "gpu", "lab"],
      });
      await using _carol = await startPeer(tracker, dir, { name: "carol", groups: ["gpu"] });
      await using _dave = await startPeer(tracker, dir, { name: "dave" });
      assertEquals(await groupsSeenBy(anna), {
        bob: ["gpu", "lab"],
        carol: ["gpu"],
        dave: undefined,
      });
      const path = dir.at("a.bin");
      await Deno.writeFile(path, bytesOf(1000));
      const sentTo = async (...to: string[]) => {
        const { recipients } = await anna.peer.sendFile(path, to);
        return recipients.map(({ peer, state, error }) => [peer, error?.code ?? state]).sort();
      };
      // Not to oneself.
      assertEquals(await sentTo("@lab"), [["bob", "delivered"]]);
      assertEquals(await sentTo("@gpu,dave,@none"), [
        ["@none", "peer-unknown"],
        ["bob", "already"],
        ["carol", "delivered"],
        ["dave", "delivered"],
      ]);
    },
  );
}

permitted("a peer that comes back in other groups is in those", NEEDS, async () => {
  await using dir = await tempDir();
  await using tracker = startTracker();
  await using anna = await startPeer(tracker, dir, { name: "anna" });
  const bob = await startPeer(tracker, dir, { name: "bob", groups: ["lab"] });
  const { identity } = bob;
  assertEquals(await groupsSeenBy(anna), { bob: ["lab"] });
  await bob[Symbol.asyncDispose]();
  await using _again = await startPeer(tracker, dir, { name: "bob", identity, groups: ["gpu"] });
  assertEquals(await groupsSeenBy(anna), { bob: ["gpu"] });
});

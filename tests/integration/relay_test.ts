/** Two peers that have no other path to each other than through their tracker. */

import { assert, assertEquals } from "@std/assert";
import { join } from "@std/path";
import { assertSameBytes } from "../helpers/bytes.ts";
import { BEHIND_PROXY, FaultyProxy, NO_PROXY } from "../helpers/faulty_proxy.ts";
import { type PeerSetting, startPeer, type TestPeer } from "../helpers/peer.ts";
import { permitted } from "../helpers/permissions.ts";
import { bytesOf } from "../helpers/random.ts";
import { type TempDir, tempDir } from "../helpers/temp_dir.ts";
import { startTracker, type TestTracker } from "../helpers/tracker.ts";

const NEEDS: Deno.PermissionName[] = ["net", "read", "write", "sys"];

/** A peer that others look for where it does not listen. */
function hidden(
  tracker: TestTracker,
  dir: TempDir,
  name: string,
  setting: PeerSetting = {},
): Promise<TestPeer> {
  return startPeer(tracker, dir, { name, host: BEHIND_PROXY, ...setting });
}

/** Sends bytes to the other peer; resolves with the report. */
async function send(from: TestPeer, dir: TempDir, bytes: Uint8Array, name = "f.bin") {
  const path = dir.at(name);
  await Deno.writeFile(path, bytes);
  return await from.peer.sendFile(path, ["ben"]);
}

for (const insecure of [false, true]) {
  permitted(
    `peers without a path send through the tracker, ${insecure ? "without" : "with"} TLS`,
    NEEDS,
    async () => {
      await using dir = await tempDir();
      await using tracker = startTracker({ insecure, relay: {} });
      await using ben = await hidden(tracker, dir, "ben");
      await using anna = await hidden(tracker, dir, "anna");
      const bytes = bytesOf(3_000_000);
      const { failures, recipients: [to] } = await send(anna, dir, bytes);
      assertEquals([failures, to?.via], [[], "relay"]);
      assertSameBytes(await Deno.readFile(join(ben.inbox, "f.bin")), bytes);
    },
    { ignore: NO_PROXY },
  );
}

permitted(
  "transfers leave the relay, both ways, as soon as a direct path works",
  NEEDS,
  async () => {
    await using dir = await tempDir();
    await using tracker = startTracker({ relay: {} });
    await using proxy = new FaultyProxy(() => ({ cutAfter: 0 }));
    const limitRate = 4 * 1024 * 1024;
    await using ben = await startPeer(tracker, dir, { name: "ben", ...proxy.behind, limitRate });
    await using anna = await hidden(tracker, dir, "anna", { limitRate });
    const [there, back] = [bytesOf(12_000_000), bytesOf(12_000_000, 2)];
    const sending = send(anna, dir, there, "there.bin");
    await anna.until("transfer-path", ({ via }) => via === "relay");
    await Deno.writeFile(dir.at("back.bin"), back);
    const sendingBack = ben.peer.sendFile(dir.at("back.bin"), ["anna"]);
    const isUnderWay = ({ bytes }: { bytes: number }) => bytes > 0;
    await Promise.all([anna, ben].map((peer) => peer.until("transfer-progress", isUnderWay)));
    proxy.faults = () => undefined;
    // The tracker finds it reachable now, and tells anna.
    await ben.peer.registerWithTracker();
    const reports = await Promise.all([sending, sendingBack]);
    assertEquals(reports.flatMap(({ failures }) => failures), []);
    assertEquals(reports.map(({ recipients: [to] }) => to?.via), ["direct", "dialled-back"]);
    for (const [peer, last] of [[anna, "direct"], [ben, "dialled-back"]] as const) {
      assertEquals(peer.all("transfer-path").map(({ via }) => via), ["relay", last]);
      assertEquals(peer.all("transfer-retry"), []);
      assertEquals(peer.all("receive-failed"), []);
    }
    assertSameBytes(await Deno.readFile(join(ben.inbox, "there.bin")), there);
    assertSameBytes(await Deno.readFile(join(anna.inbox, "back.bin")), back);
    const ended = await tracker.events.until(({ event }) => event === "relay-ended");
    assert("bytes" in ended && ended.bytes > 0);
  },
  { ignore: NO_PROXY },
);

/** Two peers that have no other path to each other than through their tracker. */

import { assertEquals } from "@std/assert";
import { join } from "@std/path";
import { assertSameBytes } from "../helpers/bytes.ts";
import { BEHIND_PROXY, NO_PROXY } from "../helpers/faulty_proxy.ts";
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

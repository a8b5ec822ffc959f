import { assertEquals } from "@std/assert";
import { Inbox } from "../../../lib/inbox/inbox.ts";
import { rejectsWith } from "../../helpers/errors.ts";
import { offerOf, PROOF } from "../../helpers/partials.ts";
import { permitted } from "../../helpers/permissions.ts";
import { bytesOf } from "../../helpers/random.ts";
import { type TempDir, tempDir } from "../../helpers/temp_dir.ts";

const NEEDS: Deno.PermissionName[] = ["read", "write", "sys"];
const ID = "A".repeat(43);
const KIB = 1024;

/** A folder with a file in it and one below it, 5 KiB in all. */
async function folderIn(dir: TempDir): Promise<string> {
  await Deno.mkdir(dir.at("in", "sub"), { recursive: true });
  await Deno.writeFile(dir.at("in", "a"), bytesOf(2 * KIB));
  await Deno.writeFile(dir.at("in", "sub", ".b"), bytesOf(3 * KIB));
  return dir.at("in");
}

permitted("an inbox has room again when somebody makes some", NEEDS, async () => {
  await using dir = await tempDir();
  const folder = await folderIn(dir);
  using inbox = await Inbox.open(folder, ID, { quota: 8 * KIB });
  const offer = offerOf(4 * KIB, 16 * KIB);
  await rejectsWith("quota", () => inbox.begin(offer));
  await Deno.remove(dir.at("in", "a"));
  const partial = await inbox.begin(offer);
  await rejectsWith("quota", () => inbox.begin(offer));
  await partial.write(0, bytesOf(4 * KIB), PROOF);
  await partial.publish("new");
  await inbox.release(partial, false);
  await rejectsWith("quota", () => inbox.begin(offer));
  await (await inbox.begin(offerOf(KIB, 16 * KIB))).discard();
});

permitted("what is there of an unfinished file is not counted twice", NEEDS, async () => {
  await using dir = await tempDir();
  using inbox = await Inbox.open(dir.at("in"), ID, { quota: 41 * KIB });
  const offer = offerOf(40 * KIB, 16 * KIB);
  const partial = await inbox.begin(offer);
  await partial.write(0, bytesOf(16 * KIB), PROOF);
  await partial.write(1, bytesOf(16 * KIB), PROOF);
  await inbox.release(partial, true);
  await Deno.writeFile(dir.at("in", "other"), bytesOf(2 * KIB));
  await rejectsWith("quota", () => inbox.begin(offer));
  // It still waits.
  await Deno.remove(dir.at("in", "other"));
  const again = await inbox.begin(offer);
  assertEquals([...again.known.keys()], [0, 1]);
  await again.discard();
});

permitted("offers at once do not get the same room of an inbox", NEEDS, async () => {
  for (let round = 0; round < 10; round++) {
    await using dir = await tempDir();
    using inbox = await Inbox.open(dir.at("in"), ID, { quota: 100 * KIB });
    const begun = await Promise.allSettled(
      Array.from({ length: 8 }, (_, i) => {
        return inbox.begin({ ...offerOf(60 * KIB, 16 * KIB), name: `file ${i}` });
      }),
    );
    const targets = begun.flatMap((one) => one.status === "fulfilled" ? [one.value] : []);
    assertEquals(targets.length, 1, `in round ${round}`);
    for (const target of targets) await inbox.release(target, false);
  }
});

import { assertEquals, assertStringIncludes } from "@std/assert";
import { Identity } from "../../../lib/identity/keys.ts";
import { firstIdentity, takeSlot } from "../../../lib/peer/slots.ts";
import { rejectsWith } from "../../helpers/errors.ts";
import { permitted } from "../../helpers/permissions.ts";
import { tempDir } from "../../helpers/temp_dir.ts";

const NEEDS: Deno.PermissionName[] = ["read", "write"];

permitted(
  "each running peer has a slot and an identity of its own, stable over restarts",
  NEEDS,
  async () => {
    await using dir = await tempDir();
    const ids: string[] = [];
    {
      using first = await takeSlot(dir.path);
      using second = await takeSlot(dir.path);
      assertEquals([first.number, second.number], [1, 2]);
      ids.push(first.identity.id, second.identity.id);
    }
    assertEquals((await firstIdentity(dir.path)).id, ids[0]);
    using again = await takeSlot(dir.path);
    using next = await takeSlot(dir.path);
    assertEquals([again.identity.id, next.identity.id], ids);
    assertEquals(new Set([...ids, Identity.generate().id]).size, 3);
  },
);

permitted("an identity whose lock cannot be used is passed over, and said", NEEDS, async () => {
  await using dir = await tempDir();
  await Deno.mkdir(dir.at("1", "lock"), { recursive: true });
  const notices: string[] = [];
  using slot = await takeSlot(dir.path, (text) => notices.push(text));
  assertEquals(slot.number, 2);
  assertEquals(notices.length, 1);
  assertStringIncludes(notices[0] as string, dir.at("1", "lock"));
});

permitted("a folder of identities that is a file keeps a peer from starting", NEEDS, async () => {
  await using dir = await tempDir();
  await Deno.writeTextFile(dir.at("peers"), "");
  const { message } = await rejectsWith("disk", () => takeSlot(dir.at("peers")));
  assertStringIncludes(message, dir.at("peers"));
});

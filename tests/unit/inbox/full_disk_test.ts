/** A disk that is full, on a tmpfs of a few MiB; root alone may mount one. */

import { assertEquals, assertStringIncludes } from "@std/assert";
import { Inbox } from "../../../lib/inbox/inbox.ts";
import { rejectsWith } from "../../helpers/errors.ts";
import { permitted } from "../../helpers/permissions.ts";
import { tempDir } from "../../helpers/temp_dir.ts";
import { Tmpfs, whyNoTmpfs } from "../../helpers/tmpfs.ts";
import { HASH, offerOf } from "../../helpers/partials.ts";

const NEEDS: Deno.PermissionName[] = ["read", "write", "sys", "run"];
const ID = "A".repeat(43);
const MIB = 1024 * 1024;

permitted(
  "a disk that fills up while it receives is said so, and nothing stays",
  NEEDS,
  async () => {
    await using dir = await tempDir();
    await using _disk = await Tmpfs.mount(dir.at("disk"), 20);
    using inbox = await Inbox.open(dir.at("disk", "inbox"), ID);
    await rejectsWith("no-space", () => inbox.begin(offerOf(19 * MIB, MIB)));
    const partial = await inbox.begin(offerOf(null, MIB));
    const error = await rejectsWith("no-space", async () => {
      for (let i = 0; i < 30; i++) await partial.write(i, new Uint8Array(MIB), HASH);
    });
    assertStringIncludes(error.message, "the disk is full");
    await partial.discard();
    assertEquals([...Deno.readDirSync(inbox.path)].map(({ name }) => name), [".partial"]);
    await (await inbox.begin(offerOf(MIB, MIB))).discard();
  },
  { ignore: await whyNoTmpfs() },
);

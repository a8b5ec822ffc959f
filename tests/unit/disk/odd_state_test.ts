/** A state folder on disks that refuse modes, links or syncs of folders; see odd_disk.py. */

import { assertEquals } from "@std/assert";
import { join } from "@std/path";
import {
  loadOrCreatePrivate,
  readPrivate,
  replacePrivate,
} from "../../../lib/disk/private_file.ts";
import { StateFile } from "../../../lib/disk/state_file.ts";
import { writeOwn } from "../../../lib/disk/file_bytes.ts";
import { Mount, whyNoMount } from "../../helpers/mount.ts";
import { permitted } from "../../helpers/permissions.ts";
import { tempDir } from "../../helpers/temp_dir.ts";

for (const oddity of ["modes", "links", "syncs"]) {
  permitted(`state is kept on a disk with odd ${oddity}`, ["read", "write", "run"], async () => {
    await using dir = await tempDir();
    await using disk = await Mount.odd(dir.at("disk"), oddity);
    const path = join(disk.path, "state", "key");
    assertEquals(await loadOrCreatePrivate(path, () => "first"), "first");
    assertEquals(await loadOrCreatePrivate(path, () => "second"), "first");
    await replacePrivate(path, "third");
    assertEquals(await readPrivate(path), "third");
    const file = new StateFile<object>(join(disk.path, "names.json"), {
      parse: (value) => value ?? {},
    });
    await file.update(() => ({ a: 1 }));
    assertEquals(await file.read(), { a: 1 });
    const lines = join(disk.path, "history.jsonl");
    for (const line of ["a\n", "b\n"]) await writeOwn(lines, line, { append: true });
    assertEquals(await Deno.readTextFile(lines), "a\nb\n");
    await writeOwn(lines, "c");
    assertEquals(await Deno.readTextFile(lines), "c");
  }, { ignore: await whyNoMount((folder) => Mount.odd(join(folder, "odd"))) });
}

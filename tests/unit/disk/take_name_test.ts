import { assertEquals, assertRejects } from "@std/assert";
import { linkOrReserve } from "../../../lib/disk/take_name.ts";
import { permitted } from "../../helpers/permissions.ts";
import { tempDir } from "../../helpers/temp_dir.ts";

const NEEDS: Deno.PermissionName[] = ["read", "write"];

/** Runs `act` where there are no hard links. */
async function withoutLinks<T>(act: () => Promise<T>): Promise<T> {
  const { link } = Deno;
  Deno.link = () => Promise.reject(new Deno.errors.NotSupported("no links here"));
  try {
    return await act();
  } finally {
    Deno.link = link;
  }
}

for (const hasLinks of [true, false]) {
  const how = hasLinks ? "with" : "without";
  const take: typeof linkOrReserve = (from, to) =>
    hasLinks ? linkOrReserve(from, to) : withoutLinks(() => linkOrReserve(from, to));

  permitted(`${how} hard links a file gets a name that is free, and no other`, NEEDS, async () => {
    await using dir = await tempDir();
    const names = async () => {
      const from = dir.at(crypto.randomUUID());
      await Deno.writeTextFile(from, from);
      return { from, to: dir.at("name") };
    };
    const first = await names();
    assertEquals(await take(first.from, first.to), true);
    assertEquals(await Deno.readTextFile(first.to), first.from);
    const second = await names();
    assertEquals(await take(second.from, second.to), false);
    assertEquals(await Deno.readTextFile(second.to), first.from);
    assertEquals(await Deno.readTextFile(second.from), second.from);
  });

  permitted(`${how} hard links what is gone takes no name`, NEEDS, async () => {
    await using dir = await tempDir();
    await assertRejects(() => take(dir.at("gone"), dir.at("name")), Deno.errors.NotFound);
    assertEquals([...Deno.readDirSync(dir.path)], []);
  });
}

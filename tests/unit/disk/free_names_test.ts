import { assertEquals } from "@std/assert";
import { FreeNames } from "../../../lib/disk/free_names.ts";
import { permitted } from "../../helpers/permissions.ts";
import { tempDir } from "../../helpers/temp_dir.ts";

const NEEDS: Deno.PermissionName[] = ["read", "write"];

/** Takes a name by making an empty file; never one that is there. */
async function make(_name: string, path: string): Promise<boolean> {
  try {
    (await Deno.open(path, { write: true, createNew: true })).close();
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.AlreadyExists) return false;
    throw error;
  }
}

permitted("the 10 001st file of one name gets a name as the others did", NEEDS, async () => {
  await using dir = await tempDir();
  Deno.writeTextFileSync(dir.at("a.txt"), "");
  for (let i = 1; i < 10_001; i++) Deno.writeTextFileSync(dir.at(`a (${i}).txt`), "");
  const names = new FreeNames(dir.path);
  assertEquals((await names.take("a.txt", make)).name, "a (10001).txt");
  assertEquals((await names.take("A.txt", make)).name, "A (10002).txt");
});

permitted("a folder is listed once, however many names are taken in it", NEEDS, async () => {
  await using dir = await tempDir();
  const names = new FreeNames(dir.path);
  const list = Deno.readDirSync;
  let lists = 0;
  Deno.readDirSync = (path) => {
    lists++;
    return list(path);
  };
  try {
    for (let i = 0; i < 100; i++) await names.take(`${i}`, make);
    await Promise.all(Array.from({ length: 100 }, () => names.take("same", make)));
  } finally {
    Deno.readDirSync = list;
  }
  assertEquals(lists, 1);
  assertEquals([...Deno.readDirSync(dir.path)].length, 200);
});

permitted("what somebody else puts in or takes out counts", NEEDS, async () => {
  await using dir = await tempDir();
  const names = new FreeNames(dir.path);
  assertEquals((await names.take("a", make)).name, "a");
  await otherTime(dir.path, () => Deno.rename(dir.at("a"), dir.at("B")));
  assertEquals((await names.take("b", make)).name, "b (1)");
  assertEquals((await names.take("a", make)).name, "a");
});

permitted(
  "a name that was taken and given back at once is free, whatever the folder's time says",
  NEEDS,
  async () => {
    await using dir = await tempDir();
    const names = new FreeNames(dir.path);
    for (const expected of ["a", "a (1)"]) {
      assertEquals((await names.take("a", make)).name, expected);
    }
    const { mtime } = await Deno.stat(dir.path);
    await Deno.remove(dir.at("a (1)"));
    await Deno.utime(dir.path, new Date(), mtime ?? new Date());
    assertEquals((await names.take("a", make)).name, "a (1)");
  },
);

permitted("a name that could not be taken for another reason is free again", NEEDS, async () => {
  await using dir = await tempDir();
  const names = new FreeNames(dir.path);
  let error: unknown;
  await names.take("a", () => Promise.reject(new Error("no"))).catch((thrown) => error = thrown);
  assertEquals((error as Error).message, "no");
  assertEquals((await names.take("a", make)).name, "a");
});

/** Changes a folder so that its time shows it, however coarse its clock is. */
async function otherTime(folder: string, change: () => Promise<void>): Promise<void> {
  await change();
  await Deno.utime(folder, new Date(), new Date(1e12));
}

import { assertEquals, assertStringIncludes } from "@std/assert";
import { NameBook } from "../../../lib/directory/name_book.ts";
import { entryOf, idOf } from "../../helpers/entries.ts";
import { rejectsWith } from "../../helpers/errors.ts";
import { permitted } from "../../helpers/permissions.ts";
import { tempDir } from "../../helpers/temp_dir.ts";

const NEEDS: Deno.PermissionName[] = ["read", "write"];

permitted("a name is trusted on first use and held to it", NEEDS, async () => {
  await using dir = await tempDir();
  const book = new NameBook(dir.path);
  await book.check(entryOf(1, { name: "anna" }));
  await book.check(entryOf(1, { name: "anna", port: 1 }));
  const error = await rejectsWith(
    "name-changed-key",
    () => new NameBook(dir.path).check(entryOf(2, { name: "anna" })),
  );
  for (const id of [idOf(1), idOf(2)]) assertStringIncludes(error.message, id.slice(0, 8));
  assertStringIncludes(error.message, "peer trust anna");
  assertEquals(error.candidates, [`before: id:${idOf(1)}`, `now: id:${idOf(2)}`]);
  await book.trust(entryOf(2, { name: "anna" }));
  await book.check(entryOf(2, { name: "anna" }));
  await rejectsWith("name-changed-key", () => book.check(entryOf(1, { name: "anna" })));
});

permitted("names that every object has are names like any other", NEEDS, async () => {
  await using dir = await tempDir();
  const book = new NameBook(dir.path);
  for (const name of ["__proto__", "constructor", "toString", "hasOwnProperty"]) {
    await book.check(entryOf(1, { name }));
    await new NameBook(dir.path).check(entryOf(1, { name }));
    await rejectsWith("name-changed-key", () => book.check(entryOf(2, { name })));
  }
});

permitted("names that are checked at once are all remembered", NEEDS, async () => {
  await using dir = await tempDir();
  const book = new NameBook(dir.path);
  await Promise.all(Array.from({ length: 20 }, (_, n) => book.check(entryOf(n))));
  for (let n = 0; n < 20; n++) {
    await rejectsWith("name-changed-key", () => book.check(entryOf(99, { name: `p${n}` })));
  }
});

permitted("a name book that is broken is said so, and not thrown away", NEEDS, async () => {
  await using dir = await tempDir();
  await Deno.writeTextFile(dir.at("names.json"), "{");
  const error = await rejectsWith("disk", () => new NameBook(dir.path).check(entryOf(1)));
  assertStringIncludes(error.message, dir.at("names.json"));
  assertEquals(await Deno.readTextFile(dir.at("names.json")), "{");
});

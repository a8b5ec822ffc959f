import { assertEquals, assertStringIncludes } from "@std/assert";
import { fromFileUrl } from "@std/path";
import { NameBook } from "../../../lib/directory/name_book.ts";
import { entryOf, idOf } from "../../helpers/entries.ts";
import { rejectsWith } from "../../helpers/errors.ts";
import { permitted } from "../../helpers/permissions.ts";
import { tempDir } from "../../helpers/temp_dir.ts";

const NEEDS: Deno.PermissionName[] = ["read", "write"];
const NAMES_NEED: Deno.PermissionName[] = [...NEEDS, "run"];
/** Names that each of two processes adds. */
const EACH = 100;

permitted("a name is trusted on first use and held to it", NEEDS, async () => {
  await using dir = await tempDir();
  const book = new NameBook(dir.path, "net");
  await book.pin(entryOf(1, { name: "anna" }));
  await book.pin(entryOf(1, { name: "anna", port: 1 }));
  const error = await rejectsWith(
    "name-changed-key",
    () => new NameBook(dir.path, "net").pin(entryOf(2, { name: "anna" })),
  );
  for (const id of [idOf(1), idOf(2)]) assertStringIncludes(error.message, id.slice(0, 8));
  assertStringIncludes(error.message, "peer trust anna");
  assertEquals(error.candidates, [`before: id:${idOf(1)}`, `now: id:${idOf(2)}`]);
  await book.trust(entryOf(2, { name: "anna" }));
  await book.pin(entryOf(2, { name: "anna" }));
  await rejectsWith("name-changed-key", () => book.pin(entryOf(1, { name: "anna" })));
});

permitted("names that every object has are names like any other", NEEDS, async () => {
  await using dir = await tempDir();
  const book = new NameBook(dir.path, "net");
  for (const name of ["__proto__", "constructor", "toString", "hasOwnProperty"]) {
    await book.pin(entryOf(1, { name }));
    await new NameBook(dir.path, "net").pin(entryOf(1, { name }));
    await rejectsWith("name-changed-key", () => book.pin(entryOf(2, { name })));
  }
});

permitted("names that are checked at once are all remembered", NEEDS, async () => {
  await using dir = await tempDir();
  const book = new NameBook(dir.path, "net");
  await Promise.all(Array.from({ length: 20 }, (_, n) => book.pin(entryOf(n))));
  for (let n = 0; n < 20; n++) {
    await rejectsWith("name-changed-key", () => book.pin(entryOf(99, { name: `p${n}` })));
  }
});

permitted("a name book that is broken is said so, and not thrown away", NEEDS, async () => {
  await using dir = await tempDir();
  await Deno.writeTextFile(dir.at("names.json"), "{");
  const error = await rejectsWith("disk", () => new NameBook(dir.path, "net").pin(entryOf(1)));
  assertStringIncludes(error.message, dir.at("names.json"));
  assertEquals(await Deno.readTextFile(dir.at("names.json")), "{");
});

permitted("names of two processes at the same time are all remembered", NAMES_NEED, async () => {
  await using dir = await tempDir();
  const modules = ["lib/directory/name_book.ts", "tests/helpers/entries.ts"].map((path) =>
    JSON.stringify(new URL(`../../../${path}`, import.meta.url).href)
  );
  const start = (first: number) => {
    const code = `import { fromFileUrl } from "@std/path";
import { NameBook } from ${modules[0]}; import { entryOf } from ${modules[1]};
      const book = new NameBook(${JSON.stringify(dir.path)}, "net");
      for (let n = ${first}; n < ${first + EACH}; n++) await book.pin(entryOf(n));`;
    const config = fromFileUrl(new URL("../../../deno.json", import.meta.url));
    const args = ["eval", "--quiet", "--config", config, code];
    return new Deno.Command(Deno.execPath(), { args }).output();
  };
  for (const { code, stderr } of await Promise.all([start(0), start(EACH)])) {
    assertEquals([code, new TextDecoder().decode(stderr)], [0, ""]);
  }
  const book = new NameBook(dir.path, "net");
  for (let n = 0; n < 2 * EACH; n++) assertEquals(await book.idOf(`p${n}`), idOf(n));
});

permitted(
  "of two books one that is not asked sees what the other one has learnt",
  NEEDS,
  async () => {
    await using dir = await tempDir();
    const [one, other] = [new NameBook(dir.path, "net"), new NameBook(dir.path, "net")];
    await Promise.all(
      Array.from({ length: 40 }, (_, n) => (n % 2 ? one : other).pin(entryOf(n))),
    );
    for (let n = 0; n < 40; n++) {
      assertEquals([await one.idOf(`p${n}`), await other.idOf(`p${n}`)], [idOf(n), idOf(n)]);
    }
  },
);

permitted("a name that is pinned in one network says nothing of another", NEEDS, async () => {
  await using dir = await tempDir();
  const home = new NameBook(dir.path, "home");
  await home.pin(entryOf(1, { name: "anna" }));
  const work = new NameBook(dir.path, "work");
  assertEquals(await work.idOf("anna"), undefined);
  await work.pin(entryOf(2, { name: "anna" }));
  assertEquals([await home.idOf("anna"), await work.idOf("anna")], [idOf(1), idOf(2)]);
});

permitted("names that look the same are pinned as one", NEEDS, async () => {
  await using dir = await tempDir();
  const book = new NameBook(dir.path, "net");
  await book.pin(entryOf(1, { name: "anna" }));
  for (const name of ["Anna", "\uff41nna"]) {
    await rejectsWith("name-changed-key", () => book.pin(entryOf(2, { name })));
  }
});

for (const text of ["[]", '{"net":[]}', '{"net":{"anna":"me"}}', '{"anna":7}']) {
  permitted(`a file of names that holds ${text} is broken and not empty`, NEEDS, async () => {
    await using dir = await tempDir();
    await Deno.writeTextFile(dir.at("names.json"), text);
    const book = new NameBook(dir.path, "net");
    const error = await rejectsWith("disk", () => book.pin(entryOf(1, { name: "anna" })));
    assertStringIncludes(error.message, "mend it, or move it away");
    assertEquals(await Deno.readTextFile(dir.at("names.json")), text);
  });
}

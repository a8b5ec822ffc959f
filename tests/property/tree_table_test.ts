/** Tables of trees: what is sent arrives under the same paths, and what is hostile leads nowhere. */

import { assert, assertEquals } from "@std/assert";
import { P2PError } from "../../lib/errors.ts";
import { MAX_NAME_BYTES, nameKey, safeComponent } from "../../lib/disk/file_name.ts";
import { encodeTable, type TreeEntry } from "../../lib/pieces/tree_table.ts";
import fc from "../helpers/fast_check.ts";
import { newSeed } from "../helpers/random.ts";
import { planTree } from "../helpers/tree_plan.ts";
import hostileNames from "../testdata/hostile_names.json" with { type: "json" };

/** Set it to the number of a failed run to see it again. */
const SEED: number | undefined = undefined;
const RUN = { seed: newSeed("tests/property/tree_table_test.ts", SEED), numRuns: 500 };

/** A folder's entries by name: the bytes of a file, or another folder. */
interface Folder extends Record<string, number | Folder> {}

const goodName = fc.stringMatching(/^[.]?[a-z0-9]{1,8}([ _-][a-z]{1,3})?[.]?[a-z]{1,3}$/)
  .filter((name) => safeComponent(name) === name);
const fileSize = fc.oneof(fc.nat({ max: 3 }), fc.nat({ max: 2 ** 40 }));

const { good } = fc.letrec<{ good: Folder }>((tie) => ({
  good: fc.dictionary(goodName, fc.oneof({ depthSize: "small" }, fileSize, tie("good")), {
    maxKeys: 5,
  }),
}));

/** Its table, a folder before what is in it. */
function entriesOf(folder: Folder, above = ""): TreeEntry[] {
  return Object.entries(folder).flatMap(([name, what]) => {
    const path = `${above}${name}`;
    const size = typeof what === "number" ? what : null;
    const entry = { path, size, mtime: path.length - 8, executable: size === 1 };
    return typeof what === "number" ? [entry] : [entry, ...entriesOf(what, `${path}/`)];
  });
}

Deno.test("tree table: good names and numbers come back as they were", () => {
  fc.assert(
    fc.property(good, (folder) => {
      const entries = entriesOf(folder);
      const table = encodeTable(entries);
      const { folders, files, end } = planTree(table, { foldsCase: false });
      assertEquals(folders, entries.filter(({ size }) => size === null));
      let offset = table.length;
      for (const [i, entry] of entries.filter(({ size }) => size !== null).entries()) {
        assertEquals(files[i], { ...entry, size: entry.size as number, number: i, offset });
        offset += entry.size as number;
      }
      assertEquals(end, offset);
    }),
    RUN,
  );
});

const hostilePart = fc.oneof(
  fc.constantFrom(...hostileNames.map(({ name }) => name)),
  fc.constantFrom("a", "A", "b", ".", "..", "", "CON", "a.", "\u00df", "SS", "e\u0301", "\u00e9"),
  fc.string({ unit: "binary", maxLength: 6 }),
);
const hostilePath = fc.array(hostilePart, { minLength: 1, maxLength: 3 })
  .map((parts) => parts.join("/"));
const hostileEntry = fc.record({
  path: hostilePath,
  size: fc.oneof(fc.constant(null), fc.nat({ max: 9 })),
  mtime: fc.double({ noNaN: true, noDefaultInfinity: true }),
  executable: fc.boolean(),
});

/** The same with the folders that its paths need, so that more of it is looked at. */
function withParents(entries: TreeEntry[]): TreeEntry[] {
  const there = new Set<string>();
  const all: TreeEntry[] = [];
  for (const entry of entries) {
    const parts = entry.path.split("/");
    for (let i = 1; i < parts.length; i++) {
      const path = parts.slice(0, i).join("/");
      if (!there.has(path)) all.push({ path, size: null, mtime: 0, executable: false });
      there.add(path);
    }
    if (!there.has(entry.path)) all.push(entry);
    there.add(entry.path);
  }
  return all;
}

function expectSafe(entries: TreeEntry[], foldsCase: boolean): void {
  let plan: ReturnType<typeof planTree>;
  try {
    plan = planTree(encodeTable(entries), { foldsCase });
  } catch (error) {
    assert(error instanceof P2PError && ["malformed", "refused"].includes(error.code), `${error}`);
    return;
  }
  const { folders, files } = plan;
  assertEquals(folders.length + files.length, entries.length);
  const made = new Set<string>([""]);
  const taken = new Set<string>();
  for (const { path } of [...folders, ...files]) {
    const parts = path.split("/");
    for (const part of parts) {
      assertEquals(safeComponent(part), part, path);
      assert(part !== "" && part !== "." && part !== "..", path);
      assert(!part.includes("\\") && new TextEncoder().encode(part).length <= MAX_NAME_BYTES, path);
    }
    assert(made.has(parts.slice(0, -1).join("/")), `${path} has no folder`);
    const key = foldsCase ? parts.map(nameKey).join("/") : path;
    assert(!taken.has(key), `${path} is there twice`);
    taken.add(key);
    made.add(path);
  }
  // Nothing is made inside of a file.
  for (const { path } of files) {
    assert(!plan.folders.some((folder) => folder.path.startsWith(`${path}/`)), path);
  }
}

Deno.test("tree table: whatever somebody sends, it is refused or safe", () => {
  fc.assert(
    fc.property(
      fc.array(hostileEntry, { maxLength: 8 }),
      fc.boolean(),
      fc.boolean(),
      (entries, isComplete, foldsCase) =>
        expectSafe(isComplete ? withParents(entries) : entries, foldsCase),
    ),
    RUN,
  );
});

Deno.test("tree table: any bytes are a table or malformed, and never a crash", () => {
  const value = fc.oneof(fc.json(), fc.string(), fc.constantFrom('["file","a",1,1,true]', "[]"));
  const bytes = fc.oneof(
    fc.uint8Array({ maxLength: 40 }),
    fc.array(value).map((lines) => new TextEncoder().encode(lines.map((l) => `${l}\n`).join(""))),
  );
  fc.assert(
    fc.property(bytes, (table) => {
      try {
        planTree(table, { foldsCase: false });
      } catch (error) {
        assert(error instanceof P2PError, `${error}`);
        assert(error.code === "malformed" || error.code === "refused", error.code);
      }
    }),
    RUN,
  );
});

Deno.test("a safe component stays as it is, and is one component", () => {
  fc.assert(
    fc.property(hostilePart, (part) => {
      const safe = safeComponent(part);
      assertEquals(safeComponent(safe), safe);
      assert(safe !== "" && safe !== "." && safe !== "..", JSON.stringify(safe));
      assert(!/[/\\\0]/.test(safe), JSON.stringify(safe));
      assert(new TextEncoder().encode(safe).length <= MAX_NAME_BYTES);
    }),
    RUN,
  );
});

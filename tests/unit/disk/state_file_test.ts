import { assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { join } from "@std/path";
import { lock } from "../../../lib/disk/lock.ts";
import { StateFile } from "../../../lib/disk/state_file.ts";
import { turn } from "../../helpers/deadline.ts";
import { rejectsWith } from "../../helpers/errors.ts";
import { NO_MODES, permitted } from "../../helpers/permissions.ts";
import { tempDir } from "../../helpers/temp_dir.ts";

const NEEDS: Deno.PermissionName[] = ["read", "write"];

/** A list of words in a file. */
function wordsIn(path: string): StateFile<string[]> {
  const isWord = (word: unknown) => typeof word === "string";
  return new StateFile(path, {
    parse: (value) => Array.isArray(value) ? value.filter(isWord) : [],
  });
}

const modeOf = async (path: string) => ((await Deno.stat(path)).mode ?? 0) & 0o777;

permitted("a state is there for whoever reads it next", NEEDS, async () => {
  await using dir = await tempDir();
  const path = dir.at("folder", "words.json");
  const words = wordsIn(path);
  assertEquals(await words.read(), []);
  await words.update((state) => [...state, "one"]);
  await words.update(() => undefined);
  await words.update((state) => [...state, "two"]);
  assertEquals(await wordsIn(path).read(), ["one", "two"]);
  await words.replace(["three"]);
  assertEquals(await Deno.readTextFile(path), '["three"]');
  const names = [...Deno.readDirSync(dir.at("folder"))].map(({ name }) => name).sort();
  assertEquals(names, ["words.json", "words.json.lock"]);
});

permitted("a state, its lock and its folder are private", NEEDS, async () => {
  await using dir = await tempDir();
  const path = dir.at("folder", "words.json");
  await wordsIn(path).replace(["one"]);
  assertEquals([await modeOf(path), await modeOf(`${path}.lock`)], [0o600, 0o600]);
  assertEquals(await modeOf(dir.at("folder")), 0o700);
}, { ignore: NO_MODES });

permitted("of changes at the same time, through several files, none is lost", NEEDS, async () => {
  await using dir = await tempDir();
  const path = dir.at("words.json");
  const files = [wordsIn(path), wordsIn(path), wordsIn(path)];
  const added = Array.from({ length: 30 }, (_, i) => `${i}`);
  await Promise.all(
    added.map((word, i) => files[i % files.length]?.update((state) => [...state, word])),
  );
  assertEquals((await wordsIn(path).read()).sort(), added.sort());
});

permitted("a change waits for that of another process; reading does not", NEEDS, async () => {
  await using dir = await tempDir();
  const path = dir.at("words.json");
  const words = wordsIn(path);
  await words.replace(["one"]);
  const held = await lock(`${path}.lock`);
  const adding = words.update((state) => [...state, "three"]);
  await turn();
  assertEquals(await words.read(), ["one"]);
  await Deno.writeTextFile(path, '["one","two"]');
  held[Symbol.dispose]();
  await adding;
  assertEquals(await words.read(), ["one", "two", "three"]);
});

permitted("what is there already is not written again", NEEDS, async () => {
  await using dir = await tempDir();
  const words = wordsIn(dir.at("words.json"));
  await words.replace(["one"]);
  const { ino } = await Deno.stat(words.path);
  await words.replace(["one"]);
  assertEquals((await Deno.stat(words.path)).ino, ino);
});

permitted("a change that fails leaves the state, and the next one its turn", NEEDS, async () => {
  await using dir = await tempDir();
  const words = wordsIn(dir.at("words.json"));
  await words.replace(["one"]);
  const failing = words.update(() => {
    throw new Error("no");
  });
  const next = words.update((state) => [...state, "two"]);
  await assertRejects(() => failing, Error, "no");
  await next;
  assertEquals(await words.read(), ["one", "two"]);
});

permitted("a state that is no JSON is named and kept, unless it is replaced", NEEDS, async () => {
  await using dir = await tempDir();
  const words = wordsIn(dir.at("words.json"));
  await Deno.writeTextFile(words.path, "{");
  for (const act of [() => words.read(), () => words.update((state) => state)]) {
    assertStringIncludes((await rejectsWith("disk", act)).message, words.path);
  }
  assertEquals(await Deno.readTextFile(words.path), "{");
  await words.replace(["one"]);
  assertEquals(await words.read(), ["one"]);
});

permitted("a folder that cannot be made is an error of the disk", NEEDS, async () => {
  await using dir = await tempDir();
  await Deno.writeTextFile(dir.at("file"), "");
  const words = wordsIn(join(dir.at("file"), "words.json"));
  await rejectsWith("disk", () => words.update((state) => state));
});

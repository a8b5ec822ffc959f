import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { basename, join } from "@std/path";
import { randomToken } from "../../../lib/async/random.ts";
import { Inbox } from "../../../lib/inbox/inbox.ts";
import type { Scheme } from "../../../lib/pieces/scheme.ts";
import { assertSameBytes } from "../../helpers/bytes.ts";
import { rejectsWith } from "../../helpers/errors.ts";
import { KEPT_PRIVATE } from "../../helpers/invariants.ts";
import { NO_MODES, permitted } from "../../helpers/permissions.ts";
import { bytesOf } from "../../helpers/random.ts";
import { manifestOf } from "../../helpers/raw.ts";
import { type TempDir, tempDir } from "../../helpers/temp_dir.ts";
import { offerOf, PROOF } from "../../helpers/partials.ts";

const NEEDS: Deno.PermissionName[] = ["read", "write", "sys"];
const ID = "A".repeat(43);
const OTHER = "B".repeat(43);
const PIECE = 16 * 1024;

async function publish(inbox: Inbox, name: string, content = bytesOf(10)): Promise<string> {
  const partial = await inbox.begin(offerOf(content.length, PIECE));
  for (let index = 0; index * PIECE < content.length; index++) {
    await partial.write(index, content.subarray(index * PIECE, (index + 1) * PIECE), PROOF);
  }
  const published = await partial.publish(name);
  assertEquals(published.path, join(inbox.path, published.name));
  assertSameBytes(await Deno.readFile(published.path), content);
  return published.name;
}

function own(dir: TempDir): string {
  return dir.at("inbox", ".partial", ID);
}

async function partials(dir: TempDir): Promise<string[]> {
  const names: string[] = [];
  for await (const { name } of Deno.readDir(own(dir))) {
    if (!KEPT_PRIVATE.includes(name)) names.push(name);
  }
  return names.sort();
}

permitted(
  "what is published leaves no partial",
  NEEDS,
  async () => {
    await using dir = await tempDir();
    using inbox = await Inbox.open(dir.at("inbox"), ID);
    const name = await publish(inbox, "photo.png", bytesOf(3 * PIECE + 1));
    assertEquals(name, "photo.png");
    assertEquals(await partials(dir), []);
  },
);

permitted(
  "modes in the inbox are those of any new file, and below the private folder they are private",
  NEEDS,
  async () => {
    await using dir = await tempDir();
    using inbox = await Inbox.open(dir.at("inbox"), ID);
    const name = await publish(inbox, "photo.png", bytesOf(3 * PIECE + 1));
    await Deno.writeTextFile(dir.at("ordinary"), "");
    const mode = async (path: string) => ((await Deno.stat(path)).mode ?? 0) & 0o777;
    assertEquals(await mode(dir.at("inbox", name)), await mode(dir.at("ordinary")));
    assertEquals(await mode(own(dir)), 0o700);
    assertEquals(await mode(dir.at("inbox", ".partial")), 0o700);
    assertEquals(await mode(join(own(dir), "lock")), 0o600);
  },
  { ignore: NO_MODES },
);

permitted("a partial is private until it is published", NEEDS, async () => {
  await using dir = await tempDir();
  using inbox = await Inbox.open(dir.at("inbox"), ID);
  const partial = await inbox.begin(offerOf(1, PIECE));
  await partial.write(0, new Uint8Array(1), PROOF);
  const [name = ""] = (await partials(dir)).filter((name) => name !== "lock");
  const { mode } = await Deno.stat(join(own(dir), name));
  if (!NO_MODES) assertEquals((mode ?? 0) & 0o777, 0o600);
  await partial.discard();
  await partial.discard();
  assertEquals(await partials(dir), []);
});

permitted("nothing is ever overwritten", NEEDS, async () => {
  await using dir = await tempDir();
  using inbox = await Inbox.open(dir.at("inbox"), ID);
  await Deno.writeTextFile(dir.at("inbox", "a.tar.gz"), "mine");
  await Deno.mkdir(dir.at("inbox", "a (1).tar.gz"));
  const names: string[] = [];
  for (let i = 0; i < 3; i++) names.push(await publish(inbox, "a.tar.gz", bytesOf(10, i)));
  assertEquals(names, ["a (2).tar.gz", "a (3).tar.gz", "a (4).tar.gz"]);
  assertEquals(await Deno.readTextFile(dir.at("inbox", "a.tar.gz")), "mine");
});

permitted("names that another system takes for one are numbered too", NEEDS, async () => {
  await using dir = await tempDir();
  using inbox = await Inbox.open(dir.at("inbox"), ID);
  const given = ["Stra\u00dfe.txt", "STRASSE.TXT", "caf\u00e9", "cafe\u0301", "CAFE\u0301"];
  const names: string[] = [];
  for (const name of given) names.push(await publish(inbox, name));
  assertEquals(names, [
    "Stra\u00dfe.txt",
    "STRASSE (1).TXT",
    "caf\u00e9",
    "cafe\u0301 (1)",
    "CAFE\u0301 (2)",
  ]);
});

permitted("a hundred files of one name at once get a hundred names", NEEDS, async () => {
  await using dir = await tempDir();
  using inbox = await Inbox.open(dir.at("inbox"), ID);
  const names = await Promise.all(
    Array.from({ length: 100 }, (_, i) => publish(inbox, "same.txt", bytesOf(100, i))),
  );
  assertEquals(new Set(names).size, 100);
  assertEquals(await partials(dir), []);
});

permitted("a link in the way of the final name is not followed", NEEDS, async () => {
  await using dir = await tempDir();
  using inbox = await Inbox.open(dir.at("inbox"), ID);
  await Deno.writeTextFile(dir.at("victim"), "mine");
  await Deno.symlink(dir.at("victim"), dir.at("inbox", "a.txt"));
  await Deno.symlink(dir.at("nothing"), dir.at("inbox", "b.txt"));
  assertEquals(await publish(inbox, "a.txt"), "a (1).txt");
  assertEquals(await publish(inbox, "b.txt"), "b (1).txt");
  assertEquals(await Deno.readTextFile(dir.at("victim")), "mine");
  await Deno.lstat(dir.at("nothing")).then(() => assert(false), () => {});
});

const IN_THE_WAY = {
  "the folder of partials": (dir: TempDir) => dir.at("inbox", ".partial"),
  "its own folder": own,
  "the lock": (dir: TempDir) => join(own(dir), "lock"),
};

for (const [what, pathOf] of Object.entries(IN_THE_WAY)) {
  permitted(`a link in the way of ${what} is moved away, and not followed`, NEEDS, async () => {
    await using dir = await tempDir();
    (await Inbox.open(dir.at("inbox"), ID))[Symbol.dispose]();
    const path = pathOf(dir);
    await Deno.remove(path, { recursive: true });
    const isLock = basename(path) === "lock";
    if (isLock) await Deno.writeTextFile(dir.at("victim"), "mine");
    else await Deno.mkdir(dir.at("victim"));
    await Deno.symlink(dir.at("victim"), path);
    const notices: string[] = [];
    const notice = (text: string) => void notices.push(text);
    using inbox = await Inbox.open(dir.at("inbox"), ID, { notice });
    assertEquals(notices.length, 1);
    assertStringIncludes(notices[0] as string, path);
    assertEquals(await publish(inbox, "a.txt"), "a.txt");
    if (isLock) assertEquals(await Deno.readTextFile(dir.at("victim")), "mine");
    else assertEquals([...Deno.readDirSync(dir.at("victim"))], []);
  });
}

permitted("a folder of partials that others may enter is made private", NEEDS, async () => {
  await using dir = await tempDir();
  await Deno.mkdir(own(dir), { recursive: true });
  for (const path of [dir.at("inbox", ".partial"), own(dir)]) await Deno.chmod(path, 0o777);
  using _inbox = await Inbox.open(dir.at("inbox"), ID);
  for (const path of [dir.at("inbox", ".partial"), own(dir)]) {
    assertEquals(((await Deno.stat(path)).mode ?? 0) & 0o777, 0o700);
  }
}, { ignore: NO_MODES });

permitted("a file where the inbox should be is said so", NEEDS, async () => {
  await using dir = await tempDir();
  await Deno.writeTextFile(dir.at("inbox"), "");
  const error = await rejectsWith("disk", () => Inbox.open(dir.at("inbox"), ID));
  assertStringIncludes(error.message, dir.at("inbox"));
});

permitted("one process at a time holds the folder of an identity", NEEDS, async () => {
  await using dir = await tempDir();
  {
    using _first = await Inbox.open(dir.at("inbox"), ID);
    const error = await rejectsWith("disk", () => Inbox.open(dir.at("inbox"), ID));
    assertStringIncludes(error.message, "another peer");
    using _other = await Inbox.open(dir.at("inbox"), OTHER);
  }
  using _second = await Inbox.open(dir.at("inbox"), ID);
});

permitted(
  "what a crash left is swept, by its owner and without following links",
  NEEDS,
  async () => {
    await using dir = await tempDir();
    (await Inbox.open(dir.at("inbox"), ID))[Symbol.dispose]();
    await Deno.mkdir(dir.at("victim"));
    await Deno.writeTextFile(dir.at("victim", "file"), "mine");
    await Deno.writeTextFile(join(own(dir), "x.part"), "left");
    await Deno.mkdir(join(own(dir), "folder", "inner"), { recursive: true });
    await Deno.symlink(dir.at("victim"), join(own(dir), "link"));
    const theirs = dir.at("inbox", ".partial", OTHER);
    await Deno.mkdir(theirs);
    await Deno.writeTextFile(join(theirs, "y.part"), "theirs");
    using _inbox = await Inbox.open(dir.at("inbox"), ID);
    assertEquals(await partials(dir), []);
    assertEquals(await Deno.readTextFile(dir.at("victim", "file")), "mine");
    assertEquals(await Deno.readTextFile(join(theirs, "y.part")), "theirs");
  },
);

permitted("more than is free is refused at once", NEEDS, async () => {
  await using dir = await tempDir();
  using inbox = await Inbox.open(dir.at("inbox"), ID);
  await rejectsWith("no-space", () => inbox.begin(offerOf(Number.MAX_SAFE_INTEGER, PIECE)));
  assertEquals(await partials(dir), []);
});

permitted("pieces may come in any order", NEEDS, async () => {
  await using dir = await tempDir();
  using inbox = await Inbox.open(dir.at("inbox"), ID);
  const content = bytesOf(5 * PIECE + 5);
  const partial = await inbox.begin(offerOf(content.length, PIECE));
  await Promise.all(
    [5, 0, 3, 1, 4, 2].map((i) =>
      partial.write(i, content.subarray(i * PIECE, (i + 1) * PIECE), PROOF)
    ),
  );
  const { path } = await partial.publish("any order");
  assertSameBytes(await Deno.readFile(path), content);
});

permitted("a write that fails is told, and the next one is tried", NEEDS, async () => {
  await using dir = await tempDir();
  using inbox = await Inbox.open(dir.at("inbox"), ID);
  const partial = await inbox.begin(offerOf(1, PIECE));
  await rejectsWith("disk", () => partial.write(-1, new Uint8Array(1), PROOF));
  await partial.write(0, Uint8Array.of(7), PROOF);
  const { path } = await partial.publish("fine");
  assertEquals(await Deno.readFile(path), Uint8Array.of(7));
});

permitted(
  "the same under another manifest, or under none, is known by its SHA-256",
  NEEDS,
  async () => {
    await using dir = await tempDir();
    using inbox = await Inbox.open(dir.at("inbox"), ID);
    const content = bytesOf(3 * PIECE);
    const { last: { sha256 } } = manifestOf(content, PIECE);
    const offer = { ...offerOf(content.length, PIECE), name: "a.bin" };
    const receive = async (scheme: Scheme, computed: string | null) => {
      const item = await inbox.begin({ ...offer, transfer: randomToken(16) });
      for (let i = 0; i < 3; i++) {
        await item.write(i, content.subarray(i * PIECE, (i + 1) * PIECE), PROOF);
      }
      const { id: manifest } = manifestOf(content, PIECE, { scheme });
      const proven = { manifest, proof: scheme, size: content.length, sha256: computed };
      return () => inbox.publish(item, proven);
    };
    // Both at the same moment: one is kept.
    const both = [await receive("prefix", sha256), await receive("independent", sha256)];
    const published = await Promise.all(both.map((publish) => publish()));
    assertEquals(published.map(({ already }) => already).sort(), [false, true]);
    // What goes on after a restart has no SHA-256: that of the first is not forgotten.
    assertEquals((await (await receive("prefix", null))()).already, true);
    const { id: manifest } = manifestOf(content, PIECE, { scheme: "prefix" });
    const again = await inbox.alreadyHas({ ...offer, transfer: randomToken(16), manifest });
    assertEquals(again?.item.sha256, sha256);
    const found = await inbox.alreadyHas({ ...offer, transfer: randomToken(16), sha256 });
    assertEquals([found?.state, found?.item.name, found?.item.sha256], [
      "already",
      "a.bin",
      sha256,
    ]);
    assertEquals(await inbox.alreadyHas({ ...offer, transfer: randomToken(16) }), null);
  },
);

/** What is in an inbox and below it goes, changes hands or cannot be read, before it is opened and while it is. */

import { assertEquals, assertStringIncludes } from "@std/assert";
import { join } from "@std/path";
import { Inbox } from "../../../lib/inbox/inbox.ts";
import { RECEIPTS_FILE, TABLES_FOLDER } from "../../../lib/inbox/receipts.ts";
import { rejectsWith } from "../../helpers/errors.ts";
import { partialsIn } from "../../helpers/invariants.ts";
import { offerOf, PROOF } from "../../helpers/partials.ts";
import { NO_LINUX, permitted } from "../../helpers/permissions.ts";
import { bytesOf } from "../../helpers/random.ts";
import { receiveTree } from "../../helpers/receive.ts";
import { type TempDir, tempDir } from "../../helpers/temp_dir.ts";
import { sampleTree, transferOf } from "../../helpers/tree.ts";

const NEEDS: Deno.PermissionName[] = ["read", "write", "sys"];
const ID = "A".repeat(43);
const MIB = 1024 * 1024;

function own(dir: TempDir): string {
  return dir.at("inbox", ".partial", ID);
}

/** Receives a file of 10 bytes. */
async function receive(inbox: Inbox, name: string): Promise<void> {
  const offer = { ...offerOf(10, MIB), name };
  const item = await inbox.begin(offer);
  await item.write(0, bytesOf(10), PROOF);
  const content = { manifest: name, proof: "independent", size: 10, sha256: null };
  assertEquals((await inbox.publish(item, content)).name, name);
  assertEquals(await Deno.readFile(join(inbox.path, name)), bytesOf(10));
}

function listening(): { notices: string[]; notice: (text: string) => void } {
  const notices: string[] = [];
  return { notices, notice: (text) => void notices.push(text) };
}

const REMOVED = {
  "the inbox": (dir: TempDir) => dir.at("inbox"),
  "the folder of partials": (dir: TempDir) => dir.at("inbox", ".partial"),
  "its own folder": own,
  "the lock": (dir: TempDir) => join(own(dir), "lock"),
};

for (const [what, pathOf] of Object.entries(REMOVED)) {
  permitted(
    `${what} is removed while it runs: it is made anew, which is said once`,
    NEEDS,
    async () => {
      await using dir = await tempDir();
      const { notices, notice } = listening();
      using inbox = await Inbox.open(dir.at("inbox"), ID, { notice, quota: MIB });
      await receive(inbox, "before");
      for (const name of ["first", "second"]) {
        await Deno.remove(pathOf(dir), { recursive: true });
        await receive(inbox, name);
        await receive(inbox, `${name} again`);
      }
      assertEquals(notices.length, 1);
      assertStringIncludes(notices[0] as string, "it is made anew");
      const kept = [...Deno.readDirSync(own(dir))].map(({ name }) => name).sort();
      assertEquals(kept, ["lock", RECEIPTS_FILE]);
      // Nobody else gets the identity meanwhile.
      await rejectsWith("disk", () => Inbox.open(dir.at("inbox"), ID));
    },
  );
}

permitted("what was being received when the inbox went is said to be gone", NEEDS, async () => {
  await using dir = await tempDir();
  using inbox = await Inbox.open(dir.at("inbox"), ID);
  const file = await inbox.begin(offerOf(10, MIB));
  await file.write(0, bytesOf(10), PROOF);
  const { table, bytes } = await transferOf({ a: { content: bytesOf(10) } });
  const tree = await inbox.begin({ ...offerOf(bytes.length, MIB), table: table.length });
  await Deno.remove(dir.at("inbox"), { recursive: true });
  for (const act of [() => file.publish("a"), () => tree.write(0, bytes, PROOF)]) {
    const { message } = await rejectsWith("disk", act);
    assertStringIncludes(message, "was moved or removed meanwhile; send it again");
  }
  await inbox.release(file, true);
  await inbox.release(tree, true);
  await receive(inbox, "a");
});

permitted("a folder that others have put in the place of ours is not used", NEEDS, async () => {
  await using dir = await tempDir();
  const { notices, notice } = listening();
  using inbox = await Inbox.open(dir.at("inbox"), ID, { notice });
  await Deno.rename(dir.at("inbox", ".partial"), dir.at("inbox", "ours"));
  await Deno.mkdir(dir.at("elsewhere", ID), { recursive: true });
  await Deno.writeTextFile(dir.at("elsewhere", ID, "lock"), "");
  await Deno.symlink(dir.at("elsewhere"), dir.at("inbox", ".partial"));
  await receive(inbox, "a");
  assertEquals([...Deno.readDirSync(dir.at("elsewhere", ID))].map(({ name }) => name), ["lock"]);
  assertEquals(notices.length, 2);
}, { ignore: NO_LINUX });

permitted("a folder of another user is set aside with what is in it", NEEDS, async () => {
  await using dir = await tempDir();
  const { notices, notice } = listening();
  await Deno.mkdir(own(dir), { recursive: true });
  await Deno.writeTextFile(join(own(dir), "theirs"), "theirs");
  await Deno.chown(dir.at("inbox", ".partial"), 12345, 12345);
  using inbox = await Inbox.open(dir.at("inbox"), ID, { notice });
  await receive(inbox, "a");
  assertEquals(notices.length, 1);
  assertStringIncludes(notices[0] as string, "it belongs to another user");
  const names = [...Deno.readDirSync(dir.at("inbox"))].map(({ name }) => name).sort();
  assertEquals(names.length, 3);
  const aside = names.find((name) => name.endsWith(".aside")) ?? "";
  assertEquals(await Deno.readTextFile(dir.at("inbox", aside, ID, "theirs")), "theirs");
  assertEquals((await Deno.stat(dir.at("inbox", ".partial"))).uid, Deno.uid());
}, { ignore: NO_LINUX || Deno.uid() !== 0 && "needs root" });

/** What may be where a file of ours should be. */
const ODD: Record<string, (path: string, dir: TempDir) => Promise<void>> = {
  "a folder": (path) => Deno.mkdir(join(path, "with", "more"), { recursive: true }),
  "a link": (path, dir) => Deno.symlink(dir.at("victim"), path),
  "a dangling link": (path, dir) => Deno.symlink(dir.at("nowhere"), path),
};

for (const name of ["lock", "receipts.jsonl", "receipts.jsonl.new", "x.journal", "x.part"]) {
  for (const [what, make] of Object.entries(ODD)) {
    permitted(`${what} in the place of ${name} keeps nobody from receiving`, NEEDS, async () => {
      await using dir = await tempDir();
      await Deno.writeTextFile(dir.at("victim"), "mine");
      await Deno.mkdir(own(dir), { recursive: true });
      await make(join(own(dir), name), dir);
      using inbox = await Inbox.open(dir.at("inbox"), ID);
      await receive(inbox, "a");
      assertEquals(await Deno.readTextFile(dir.at("victim")), "mine");
      assertEquals(await partialsIn(dir.at("inbox")), []);
      assertEquals(await Deno.lstat(dir.at("nowhere")).catch(() => null), null);
    }, { ignore: NO_LINUX });
  }
}

permitted("the tables of trees are kept in no folder that a link leads to", NEEDS, async () => {
  await using dir = await tempDir();
  const { notices, notice } = listening();
  await Deno.mkdir(own(dir), { recursive: true });
  await Deno.mkdir(dir.at("elsewhere"));
  await Deno.symlink(dir.at("elsewhere"), join(own(dir), TABLES_FOLDER));
  using inbox = await Inbox.open(dir.at("inbox"), ID, { notice });
  await receiveTree(inbox, "tree", sampleTree());
  assertEquals([...Deno.readDirSync(dir.at("elsewhere"))], []);
  assertEquals([...Deno.readDirSync(join(own(dir), TABLES_FOLDER))].length, 1);
  assertEquals(notices.length, 1);
  assertStringIncludes(notices[0] as string, "it is not a folder");
}, { ignore: NO_LINUX });

permitted("an inbox that everybody may write to is said so", NEEDS, async () => {
  await using dir = await tempDir();
  const { notices, notice } = listening();
  await Deno.mkdir(dir.at("inbox"));
  await Deno.chmod(dir.at("inbox"), 0o777);
  (await Inbox.open(dir.at("inbox"), ID, { notice }))[Symbol.dispose]();
  assertEquals(notices.length, 1);
  assertStringIncludes(notices[0] as string, "`chmod o-w` ends that");
  await Deno.chmod(dir.at("inbox"), 0o1777);
  (await Inbox.open(dir.at("inbox"), ID, { notice }))[Symbol.dispose]();
  assertEquals(notices.length, 1);
}, { ignore: NO_LINUX });

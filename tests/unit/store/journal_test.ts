import { assertEquals } from "@std/assert";
import { Journal, parseJournal } from "../../../lib/store/journal.ts";
import { Inbox } from "../../../lib/store/inbox.ts";
import { sha256 } from "../../../lib/store/hash.ts";
import { bytesOf } from "../../helpers/random.ts";
import { offerOf } from "../../helpers/partials.ts";
import { permitted } from "../../helpers/permissions.ts";
import { tempDir } from "../../helpers/temp_dir.ts";

const PIECE = 1024 * 1024;
const SUBJECT = offerOf(20 * PIECE, PIECE);
const NEEDS: Deno.PermissionName[] = ["read", "write", "sys"];
const OWN_ID = "own";

/** The text of a journal with pieces 0 and 1. */
const TEXT = `${JSON.stringify(SUBJECT)}\n` +
  [0, 1].map((i) => `[${i},"${"A".repeat(42)}${"AEIMQUYcgkosw048"[i]}"]\n`).join("");

Deno.test("a journal that was cut short anywhere says what its whole lines say", () => {
  const subjectEnd = TEXT.indexOf("\n") + 1;
  const firstEnd = TEXT.indexOf("\n", subjectEnd) + 1;
  for (let length = 0; length <= TEXT.length; length++) {
    const content = parseJournal(TEXT.slice(0, length));
    if (length < subjectEnd) assertEquals(content, null);
    else {
      const pieces = length < firstEnd ? [] : length < TEXT.length ? [0] : [0, 1];
      assertEquals([...content?.pieces.keys() ?? []], pieces, `${length} bytes`);
      assertEquals(content?.subject, SUBJECT);
    }
  }
});

Deno.test("what is no journal is not taken for one", () => {
  for (
    const text of ["\n", "null\n", "[]\n", '{"from":1}\n', "\0\0\0\n", '{"from":"a","name":"b"}\n']
  ) {
    assertEquals(parseJournal(text), null, text);
  }
  const damaged = `${JSON.stringify(SUBJECT)}\n[0,"short"]\n[1,"${"A".repeat(43)}"]\n`;
  assertEquals(parseJournal(damaged)?.pieces.size, 0);
});

permitted("a journal is gone on with after a torn line", NEEDS, async () => {
  await using dir = await tempDir();
  const path = dir.at("x.journal");
  (await Journal.create(path, SUBJECT))[Symbol.dispose]();
  await Deno.writeTextFile(path, `${TEXT}[2,"AAAA`);
  const reopened = await Journal.reopen(path);
  assertEquals([...reopened?.content.pieces.keys() ?? []], [0, 1]);
  await reopened?.journal.append([{ index: 7, hash: new Uint8Array(32) }]);
  reopened?.journal[Symbol.dispose]();
  const content = parseJournal(await Deno.readTextFile(path));
  assertEquals([...content?.pieces.keys() ?? []], [0, 1, 7]);
});

/** Receives pieces 0 to 11 of 20 and leaves the partial as `leave` says. */
async function leaveHalf(folder: string, leave: "suspended" | "crashed"): Promise<void> {
  using inbox = await Inbox.open(folder, OWN_ID);
  const partial = await inbox.begin(SUBJECT);
  for (let index = 0; index < 12; index++) {
    const piece = bytesOf(PIECE, index);
    await partial.write(index, piece, sha256(piece));
  }
  await inbox.suspend(partial, SUBJECT);
  if (leave === "suspended") return;
  // What a crash loses of the journal: its last lines, and part of one.
  for await (const { name } of Deno.readDir(`${folder}/.partial/${OWN_ID}`)) {
    if (!name.endsWith(".journal")) continue;
    const path = `${folder}/.partial/${OWN_ID}/${name}`;
    const text = await Deno.readTextFile(path);
    await Deno.writeTextFile(path, text.slice(0, text.length * 0.7));
  }
}

for (const leave of ["suspended", "crashed"] as const) {
  permitted(
    `a partial that was ${leave} is gone on with, also by another process`,
    NEEDS,
    async () => {
      await using dir = await tempDir();
      await leaveHalf(dir.at("in"), leave);
      using inbox = await Inbox.open(dir.at("in"), OWN_ID);
      const partial = await inbox.begin(SUBJECT);
      const known = [...partial.known.keys()];
      assertEquals(known, known.map((_, i) => i));
      assertEquals(leave === "suspended" ? known.length === 12 : known.length > 4, true);
      for (let index = known.length; index < 20; index++) {
        const piece = bytesOf(PIECE, index);
        await partial.write(index, piece, sha256(piece));
      }
      const { path } = await partial.publish(SUBJECT.name);
      const content = await Deno.readFile(path);
      for (let index = 0; index < 20; index++) {
        const piece = content.subarray(index * PIECE, (index + 1) * PIECE);
        assertEquals(sha256(piece), sha256(bytesOf(PIECE, index)), `piece ${index}`);
      }
      const left = [...Deno.readDirSync(dir.at("in", ".partial", OWN_ID))].map(({ name }) => name);
      assertEquals(left, ["lock"]);
    },
  );
}

permitted("another sender, name, size or piece size begins anew", NEEDS, async () => {
  await using dir = await tempDir();
  await leaveHalf(dir.at("in"), "suspended");
  using inbox = await Inbox.open(dir.at("in"), OWN_ID);
  const others = [{ from: "x" }, { name: "y" }, { size: 20 * PIECE - 1 }, { pieceSize: PIECE / 2 }];
  for (const other of others) {
    const partial = await inbox.begin({ ...SUBJECT, ...other });
    assertEquals(partial.known.size, 0);
    await partial.discard();
  }
  const partial = await inbox.begin(SUBJECT);
  assertEquals(partial.known.size, 12);
  await partial.discard();
});

permitted("a partial that has waited too long is swept", NEEDS, async () => {
  await using dir = await tempDir();
  await leaveHalf(dir.at("in"), "suspended");
  using _inbox = await Inbox.open(dir.at("in"), OWN_ID, { keepPartials: -1 });
  const left = [...Deno.readDirSync(dir.at("in", ".partial", OWN_ID))].map(({ name }) => name);
  assertEquals(left, ["lock"]);
});

/** Partials that wait in the private folder of an inbox, and who may go on with them. */

import { assertEquals } from "@std/assert";
import { join } from "@std/path";
import { Inbox } from "../../../lib/inbox/inbox.ts";
import { sha256 } from "../../../lib/pieces/hash.ts";
import { PieceJournal, readJournal } from "../../../lib/pieces/piece_journal.ts";
import { eventually } from "../../helpers/deadline.ts";
import { partialsIn } from "../../helpers/invariants.ts";
import { offerOf, proofOf } from "../../helpers/partials.ts";
import { permitted } from "../../helpers/permissions.ts";
import { bytesOf } from "../../helpers/random.ts";
import { tempDir } from "../../helpers/temp_dir.ts";
import { pictureOf, pictureOfTree, sampleTree, transferOf } from "../../helpers/tree.ts";

const PIECE = 1024 * 1024;
const OFFER = offerOf(20 * PIECE, PIECE);
const NEEDS: Deno.PermissionName[] = ["read", "write", "sys"];
const OWN_ID = "own";
const JOURNAL_HEADER = 4096;

/** Receives pieces 0 to 11 of 20 and leaves the partial as `leave` says. */
async function leaveHalf(folder: string, leave: "suspended" | "crashed"): Promise<void> {
  using inbox = await Inbox.open(folder, OWN_ID);
  const partial = await inbox.begin(OFFER);
  for (let index = 0; index < 12; index++) {
    const piece = bytesOf(PIECE, index);
    await partial.write(index, piece, proofOf(piece));
  }
  await inbox.release(partial, true);
  if (leave === "suspended") return;
  // What a crash loses of the journal: its end, in the middle of a hash.
  for await (const { name } of Deno.readDir(`${folder}/.partial/${OWN_ID}`)) {
    if (!name.endsWith(".journal")) continue;
    const path = `${folder}/.partial/${OWN_ID}/${name}`;
    await Deno.truncate(path, JOURNAL_HEADER + 7 * 64 + 5);
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
      const partial = await inbox.begin(OFFER);
      const known = [...partial.known.keys()];
      assertEquals(known, known.map((_, i) => i));
      assertEquals(known.length, leave === "suspended" ? 12 : 7);
      for (let index = known.length; index < 20; index++) {
        const piece = bytesOf(PIECE, index);
        await partial.write(index, piece, proofOf(piece));
      }
      const { path } = await partial.publish(OFFER.name);
      const content = await Deno.readFile(path);
      for (let index = 0; index < 20; index++) {
        const piece = content.subarray(index * PIECE, (index + 1) * PIECE);
        assertEquals(sha256(piece), sha256(bytesOf(PIECE, index)), `piece ${index}`);
      }
      assertEquals(await partialsIn(dir.at("in")), []);
    },
  );
}

permitted("another sender, name, size, piece size or table begins anew", NEEDS, async () => {
  await using dir = await tempDir();
  await leaveHalf(dir.at("in"), "suspended");
  using inbox = await Inbox.open(dir.at("in"), OWN_ID);
  const others = [
    { from: "x" },
    { name: "y" },
    { size: 20 * PIECE - 1 },
    { pieceSize: PIECE / 2 },
    {
      table: 7,
    },
  ];
  for (const other of others) {
    const partial = await inbox.begin({ ...OFFER, ...other });
    assertEquals(partial.known.size, 0);
    await partial.discard();
  }
  const partial = await inbox.begin(OFFER);
  assertEquals(partial.known.size, 12);
  await partial.discard();
});

permitted("a partial that has waited too long is swept", NEEDS, async () => {
  await using dir = await tempDir();
  await leaveHalf(dir.at("in"), "suspended");
  using _inbox = await Inbox.open(dir.at("in"), OWN_ID, { keepPartials: -1 });
  assertEquals(await partialsIn(dir.at("in")), []);
});

permitted("the journal is written while the transfer goes on", NEEDS, async () => {
  await using dir = await tempDir();
  using inbox = await Inbox.open(dir.at("in"), OWN_ID);
  const partial = await inbox.begin(OFFER);
  for (let index = 0; index < 10; index++) {
    const piece = bytesOf(PIECE, index);
    await partial.write(index, piece, proofOf(piece));
  }
  await eventually(async () => {
    const log = await readJournal(`${partial.base}.journal`).catch(() => null);
    return (log?.pieces.independent.size ?? 0) >= 4;
  }, "four pieces in the journal");
  await partial.discard();
  assertEquals(await partialsIn(dir.at("in")), []);
});

permitted("nothing of a stream waits: nobody can send it again", NEEDS, async () => {
  await using dir = await tempDir();
  using inbox = await Inbox.open(dir.at("in"), OWN_ID);
  const subject = offerOf(null, PIECE);
  const partial = await inbox.begin(subject);
  for (let i = 0; i < 6; i++) await partial.write(i, new Uint8Array(PIECE), proofOf(bytesOf(i)));
  await inbox.release(partial, true);
  assertEquals(await partialsIn(dir.at("in")), []);
});

const NO_KEYS: object[] = [
  {},
  { ...OFFER, from: 1 },
  { ...OFFER, name: null },
  { ...OFFER, size: null },
  { ...OFFER, size: 1.5 },
  { ...OFFER, pieceSize: "1" },
  { ...OFFER, table: "1" },
];

permitted("a partial whose journal does not say what it is is swept", NEEDS, async () => {
  await using dir = await tempDir();
  (await Inbox.open(dir.at("in"), OWN_ID))[Symbol.dispose]();
  const at = (name: string) => dir.at("in", ".partial", OWN_ID, name);
  for (const [i, header] of NO_KEYS.entries()) {
    (await PieceJournal.create(at(`${i}.journal`), header, 20))[Symbol.dispose]();
    await Deno.writeTextFile(at(`${i}.part`), "left");
  }
  (await PieceJournal.create(at("alone.journal"), OFFER, 20))[Symbol.dispose]();
  await Deno.writeTextFile(at("text.journal"), "no log");
  await Deno.writeTextFile(at("text.part"), "left");
  await Deno.mkdir(at("folder.journal"));
  await Deno.writeTextFile(at("folder.part"), "left");
  using _inbox = await Inbox.open(dir.at("in"), OWN_ID);
  assertEquals(await partialsIn(dir.at("in")), []);
});

const SMALL = 64 * 1024;

for (const lost of ["nothing", ".table", ".part"] as const) {
  permitted(`a tree goes on by its table, with ${lost} lost meanwhile`, NEEDS, async () => {
    await using dir = await tempDir();
    const tree = sampleTree();
    const { table, bytes } = await transferOf(tree);
    const subject = { ...offerOf(bytes.length, SMALL), name: "tree", table: table.length };
    const pieces = Array.from({ length: Math.ceil(bytes.length / SMALL) }, (_, i) => {
      return bytes.slice(i * SMALL, (i + 1) * SMALL);
    });
    {
      using inbox = await Inbox.open(dir.at("in"), OWN_ID);
      const partial = await inbox.begin(subject);
      for (const [i, piece] of pieces.slice(0, 5).entries()) {
        await partial.write(i, piece, proofOf(piece));
      }
      await inbox.release(partial, true);
      if (lost !== "nothing") await Deno.remove(`${partial.base}${lost}`, { recursive: true });
    }
    using inbox = await Inbox.open(dir.at("in"), OWN_ID);
    const partial = await inbox.begin(subject);
    assertEquals(partial.known.size, lost === "nothing" ? 5 : 0);
    for (const [i, piece] of pieces.entries()) {
      if (!partial.known.has(i)) await partial.write(i, piece, proofOf(piece));
    }
    const { path } = await partial.publish("tree");
    assertEquals(await pictureOf(path), pictureOfTree(tree));
    assertEquals(await partialsIn(dir.at("in")), []);
  });
}

permitted("a piece that is about to be written over is not promised any more", NEEDS, async () => {
  await using dir = await tempDir();
  await leaveHalf(dir.at("in"), "suspended");
  const copy = dir.at("killed", ".partial", OWN_ID);
  await Deno.mkdir(copy, { recursive: true });
  using inbox = await Inbox.open(dir.at("in"), OWN_ID);
  const partial = await inbox.begin(OFFER);
  // The file has changed: another piece 0 comes, and the end of the process before the journal is written.
  const other = bytesOf(PIECE, 99);
  await partial.forget([0, 5]);
  await partial.write(0, other, proofOf(other));
  const folder = dir.at("in", ".partial", OWN_ID);
  for await (const { name } of Deno.readDir(folder)) {
    if (/part$|journal$/.test(name)) await Deno.copyFile(join(folder, name), join(copy, name));
  }
  await inbox.release(partial, false);
  using killed = await Inbox.open(dir.at("killed"), OWN_ID);
  const again = await killed.begin(OFFER);
  assertEquals([...again.known.keys()], [1, 2, 3, 4, 6, 7, 8, 9, 10, 11]);
  await killed.release(again, false);
});

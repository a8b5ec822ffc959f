import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import {
  type JournalPiece,
  parseJournal,
  PieceJournal,
  readJournal,
  readJournalHeader,
} from "../../../lib/pieces/piece_journal.ts";
import type { Scheme } from "../../../lib/pieces/scheme.ts";
import { rejectsWith } from "../../helpers/errors.ts";
import { permitted } from "../../helpers/permissions.ts";
import { tempDir } from "../../helpers/temp_dir.ts";
import { Tmpfs, whyNoTmpfs } from "../../helpers/tmpfs.ts";

const NEEDS: Deno.PermissionName[] = ["read", "write"];
const HEADER = 4096;
const SUBJECT = { name: "\u00e4\u{1f600}.bin", size: 12, of: null };

/** A hash that follows from a number. */
function hashOf(n: number): Uint8Array {
  return new Uint8Array(32).fill(n + 1);
}

function pieceOf(index: number, scheme: Scheme): JournalPiece {
  return { index, scheme, hash: hashOf(index) };
}

function piecesOf(...indexes: number[]) {
  return indexes.map((index) => pieceOf(index, "independent"));
}

/** What a log with these pieces says. */
function contentOf(...indexes: number[]) {
  const independent = new Map(indexes.map((index) => [index, hashOf(index)]));
  return { header: SUBJECT, pieces: { independent, prefix: new Map() } };
}

async function logAt(path: string, count: number): Promise<PieceJournal> {
  return await PieceJournal.create(path, SUBJECT, count);
}

permitted("a log says what was noted, in any order, also when it is reopened", NEEDS, async () => {
  await using dir = await tempDir();
  const path = dir.at("log");
  {
    using log = await logAt(path, 9);
    assertEquals(await readJournal(path), contentOf());
    log.note(piecesOf(7, 2, 0, 3, 1));
    log.note([]);
    await log.sync();
    assertEquals(await readJournal(path), contentOf(0, 1, 2, 3, 7));
  }
  const reopened = await PieceJournal.reopen(path);
  assertEquals(reopened?.content, contentOf(0, 1, 2, 3, 7));
  using log = reopened?.journal;
  log?.note(piecesOf(8, 4));
  assertEquals(await readJournal(path), contentOf(0, 1, 2, 3, 4, 7, 8));
});

permitted("a log keeps a hash of each scheme, and forgets both", NEEDS, async () => {
  await using dir = await tempDir();
  const path = dir.at("log");
  using log = await logAt(path, 4);
  log.note([pieceOf(0, "prefix"), pieceOf(3, "prefix"), pieceOf(1, "independent")]);
  log.note([{ ...pieceOf(0, "independent"), hash: hashOf(9) }]);
  const prefix = new Map([[0, hashOf(0)], [3, hashOf(3)]]);
  const independent = new Map([[0, hashOf(9)], [1, hashOf(1)]]);
  assertEquals((await readJournal(path))?.pieces, { prefix, independent });
  log.forget([0, 2]);
  prefix.delete(0);
  independent.delete(0);
  assertEquals((await readJournal(path))?.pieces, { prefix, independent });
});

permitted("the room of all pieces is taken when a log is made", NEEDS, async () => {
  await using dir = await tempDir();
  using log = await logAt(dir.at("log"), 100);
  const room = HEADER + 100 * 64;
  assertEquals((await Deno.stat(dir.at("log"))).size, room);
  log.note(piecesOf(99, 0));
  assertEquals((await Deno.stat(dir.at("log"))).size, room);
  if (Deno.build.os !== "windows") {
    assertEquals(((await Deno.stat(dir.at("log"))).mode ?? 0) & 0o777, 0o600);
  }
});

permitted("another header, longer or shorter, leaves the pieces as they are", NEEDS, async () => {
  await using dir = await tempDir();
  const path = dir.at("log");
  using log = await logAt(path, 2);
  log.note(piecesOf(1));
  for (const header of [{ text: "x".repeat(4000) }, {}, SUBJECT]) {
    log.describe(header);
    assertEquals(await readJournalHeader(path), header);
    assertEquals((await readJournal(path))?.pieces, contentOf(1).pieces);
  }
});

permitted("a log that was cut short anywhere says what its whole hashes say", NEEDS, async () => {
  await using dir = await tempDir();
  const path = dir.at("log");
  {
    using log = await logAt(path, 3);
    log.note(piecesOf(0, 1, 2));
  }
  const bytes = await Deno.readFile(path);
  for (let length = HEADER - 2; length <= bytes.length; length++) {
    const whole = [0, 1, 2].slice(0, Math.floor(Math.max(0, length - HEADER + 32) / 64));
    const expected = length < HEADER ? null : contentOf(...whole);
    assertEquals(parseJournal(bytes.slice(0, length)), expected, `${length} bytes`);
  }
  // What is missing at the end is written when it is noted.
  await Deno.truncate(path, HEADER + 72);
  const reopened = await PieceJournal.reopen(path);
  assertEquals(reopened?.content, contentOf(0));
  using log = reopened?.journal;
  log?.note(piecesOf(2));
  assertEquals((await readJournal(path))?.pieces.independent.get(2), hashOf(2));
});

permitted("what is no log is not taken for one, and stays as it is", NEEDS, async () => {
  await using dir = await tempDir();
  const path = dir.at("log");
  const block = (text: string) => new TextEncoder().encode(text.padEnd(HEADER));
  const zeros = new Uint8Array(HEADER + 64);
  const damaged = block('{"a":1}');
  damaged[3] = 0xff;
  for (const bytes of [new Uint8Array(0), zeros, block("null"), block("{"), block("7"), damaged]) {
    assertEquals(parseJournal(bytes), null);
    await Deno.writeFile(path, bytes);
    assertEquals([await PieceJournal.reopen(path), await readJournalHeader(path)], [null, null]);
    assertEquals(await Deno.readFile(path), bytes);
  }
});

permitted("a log never takes the place of what is there", NEEDS, async () => {
  await using dir = await tempDir();
  await Deno.writeTextFile(dir.at("log"), "mine");
  await rejectsWith("disk", () => logAt(dir.at("log"), 1));
  await Deno.writeTextFile(dir.at("victim"), "mine");
  await Deno.symlink(dir.at("victim"), dir.at("link"));
  await rejectsWith("disk", () => logAt(dir.at("link"), 1));
  for (const name of ["log", "victim"]) {
    assertEquals(await Deno.readTextFile(dir.at(name)), "mine");
  }
  await rejectsWith("file-not-found", () => PieceJournal.reopen(dir.at("nothing")));
});

permitted("a header that is too long makes no log, and changes none", NEEDS, async () => {
  await using dir = await tempDir();
  const tooLong = { text: "x".repeat(HEADER) };
  await assertRejects(() => PieceJournal.create(dir.at("log"), tooLong, 1), RangeError);
  using log = await logAt(dir.at("log"), 1);
  assertThrows(() => log.describe(tooLong));
  assertEquals(await readJournal(dir.at("log")), contentOf());
});

permitted(
  "on a full disk no log is made, and one that has its room goes on",
  [...NEEDS, "run"],
  async () => {
    await using dir = await tempDir();
    await using _disk = await Tmpfs.mount(dir.at("disk"), 1);
    const path = dir.at("disk", "log");
    await rejectsWith("no-space", () => logAt(path, 100_000));
    using log = await logAt(path, 5);
    await rejectsWith("no-space", () => logAt(dir.at("disk", "filler"), 100_000));
    await Deno.writeFile(dir.at("disk", "rest"), new Uint8Array(2 * 1024 * 1024)).catch(() => {});
    log.note(piecesOf(4, 0));
    log.describe(SUBJECT);
    await log.sync();
    assertEquals(await readJournal(path), contentOf(0, 4));
  },
  { ignore: await whyNoTmpfs() },
);

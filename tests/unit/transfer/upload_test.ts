/** What a receiver may answer, and what either side hears when the other gives up. */

import { assertEquals } from "@std/assert";
import { FileContent } from "../../../lib/content/file_content.ts";
import { SourcePieces } from "../../../lib/content/source_pieces.ts";
import { uploadWithRetries } from "../../../lib/transfer/upload_retries.ts";
import { turn } from "../../helpers/deadline.ts";
import { rejectsWith } from "../../helpers/errors.ts";
import { FakeClock } from "../../helpers/fake_clock.ts";
import { permitted } from "../../helpers/permissions.ts";
import { bytesOf } from "../../helpers/random.ts";
import { tempDir } from "../../helpers/temp_dir.ts";
import {
  accept,
  byHand,
  GET,
  hear,
  OTHER,
  PIECE,
  said,
  say,
  settings,
  sourceIn,
  TRANSFER,
} from "../../helpers/upload.ts";

const NEEDS: Deno.PermissionName[] = ["read", "write"];

permitted(
  "a sender that gives up says why, however silent the receiver is then",
  NEEDS,
  async () => {
    await using dir = await tempDir();
    const path = dir.at("large");
    await Deno.writeFile(path, bytesOf(9 * 1024 * 1024));
    await using source = await SourcePieces.open(await FileContent.open(path), {
      scheme: "independent",
    });
    const clock = new FakeClock();
    const { raw, session } = byHand(clock, 1024 * 1024);
    const options = settings(source, clock, () => Promise.resolve(session));
    const sending = rejectsWith("source-changed", () => uploadWithRetries(options));
    await accept(raw);
    clock.advance(27_000);
    // What is read on when the first piece is asked for is not what it was.
    await Deno.truncate(path, 10);
    await say(raw, [GET]);
    await hear(raw, "CANCEL");
    await turn();
    clock.advance(4_000);
    await turn();
    clock.advance(5_000);
    await sending;
    assertEquals(options.retries, []);
    raw.close();
  },
);

const WRONG_ANSWERS: { [what: string]: Record<string, unknown> } = {
  "names another transfer": { transfer: OTHER, state: "ready" },
  "says that another transfer is saved": { transfer: OTHER, state: "saved", name: "file" },
  "says that another transfer was there already": {
    transfer: OTHER,
    state: "already",
    name: "file",
  },
  "is no answer": { state: "waiting" },
  "comes before there is anything to sync": { state: "syncing" },
  "has pieces that there are not": { state: "ready", have: [[0, 1], [5, 9]] },
  "lacks the name": { state: "saved" },
};
for (const [what, fields] of Object.entries(WRONG_ANSWERS)) {
  permitted(
    `an ACK of an offer that ${what} is malformed, and ends the transfer`,
    NEEDS,
    async () => {
      await using dir = await tempDir();
      await using source = await sourceIn(dir);
      await source.hashesFrom(1, 1);
      const { id: manifest } = source.manifest;
      const { raw, session } = byHand(new FakeClock(), 64 * 1024);
      const options = settings(source, new FakeClock(), () => Promise.resolve(session));
      const sending = rejectsWith("malformed", () => uploadWithRetries(options));
      await hear(raw, "SEND_FILE");
      await say(raw, [`ACK ${JSON.stringify({ re: 1, transfer: TRANSFER, manifest, ...fields })}`]);
      await hear(raw, "CANCEL");
      // What the receiver has heard of it: the session is for other transfers, too.
      await say(raw, [`PONG {"re":2}`]);
      await sending;
      assertEquals([options.retries, session.connection.closed], [[], undefined]);
      raw.close();
      await session.ended;
    },
  );
}

permitted("a HAVE of pieces that there are not ends the session", NEEDS, async () => {
  await using dir = await tempDir();
  await using source = await sourceIn(dir);
  const { raw, session } = byHand(new FakeClock(), 64 * 1024);
  const options = settings(source, new FakeClock(), () => Promise.resolve(session));
  const sending = rejectsWith("malformed", () => uploadWithRetries(options));
  await accept(raw);
  await say(raw, [`HAVE {"transfer":"${TRANSFER}","pieces":[[0,2]]}`]);
  await hear(raw, "ERROR");
  raw.close();
  await sending;
});

/** Pieces that are read ahead, by the milliseconds that a receiver takes each time until it asks again. */
const AHEAD = new Map([[5, 32], [25, 128]]);
for (const [late, ahead] of AHEAD) {
  const title =
    `${ahead} pieces are read ahead for a receiver that asks ${late} ms after the last one`;
  permitted(title, NEEDS, async () => {
    await using dir = await tempDir();
    await using source = await sourceIn(dir, 160 * PIECE);
    const clock = new FakeClock();
    const { raw, session } = byHand(clock, 4 * PIECE);
    const options = settings(source, clock, () => Promise.resolve(session));
    const sending = rejectsWith("refused", () => uploadWithRetries(options));
    await accept(raw);
    for (let index = 0; index < 4; index++) {
      await say(raw, [said("GET", { index })]);
      await hear(raw, "PIECE");
      await source.hashesFrom(index + 32, 1);
      await turn();
      clock.advance(late);
    }
    await source.hashesFrom(3 + ahead, 1);
    await turn();
    assertEquals(source.manifest.count, 4 + ahead);
    await say(raw, [said("CANCEL", { code: "refused", message: "no" })]);
    await sending;
    raw.close();
    await session.ended;
  });
}

permitted(
  "other hashes may be asked for once, and for fewer pieces of the first ones",
  NEEDS,
  async () => {
    await using dir = await tempDir();
    const path = dir.at("file");
    await Deno.writeFile(path, bytesOf(1024 * 1024));
    await using source = await SourcePieces.open(await FileContent.open(path), {
      scheme: "prefix",
    });
    const { raw, session } = byHand(new FakeClock(), 64 * 1024);
    const options = settings(source, new FakeClock(), () => Promise.resolve(session));
    const sending = rejectsWith("malformed", () => uploadWithRetries(options));
    await accept(raw);
    const ask = (independentFrom: number) =>
      say(raw, [`ACK ${JSON.stringify({ transfer: TRANSFER, state: "ready", independentFrom })}`]);
    await ask(3);
    await hear(raw, `HASHES {"transfer":"${TRANSFER}","start":3,"scheme":"independent"`);
    assertEquals(source.manifest.independentFrom, 3);
    // Of these they are so already.
    await ask(3);
    await ask(2);
    await hear(raw, "CANCEL");
    await say(raw, [`PONG {"re":2}`]);
    await sending;
    assertEquals(source.manifest.independentFrom, 3);
    raw.close();
    await session.ended;
  },
);

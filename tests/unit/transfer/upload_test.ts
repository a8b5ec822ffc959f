/** What a receiver may answer, and what either side hears when the other gives up. */

import { assertEquals } from "@std/assert";
import { uploadWithRetries } from "../../../lib/transfer/upload_retries.ts";
import { turn } from "../../helpers/deadline.ts";
import { rejectsWith } from "../../helpers/errors.ts";
import {
  accept,
  GET,
  hear,
  OTHER,
  PIECE,
  said,
  say,
  TRANSFER,
  uploadTest,
} from "../../helpers/upload.ts";

uploadTest(
  "a sender that gives up says why, however silent the receiver is then",
  async ({ path, clock, raw, options }) => {
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
  },
  { size: 9 * 1024 * 1024, capacity: 1024 * 1024 },
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
  uploadTest(
    `an ACK of an offer that ${what} is malformed, and ends the transfer`,
    async ({ source, raw, session, options }) => {
      await source.hashesFrom(1, 1);
      const { id: manifest } = source.manifest;
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

uploadTest("a HAVE of pieces that there are not ends the session", async ({ raw, options }) => {
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
  uploadTest(title, async ({ source, clock, raw, session, options }) => {
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
  }, { size: 160 * PIECE, capacity: 4 * PIECE });
}

uploadTest(
  "other hashes may be asked for once, and for fewer pieces of the first ones",
  async ({ source, raw, session, options }) => {
    const sending = rejectsWith("malformed", () => uploadWithRetries(options));
    await accept(raw);
    const ask = (independentFrom: number) =>
      say(raw, [`ACK ${JSON.stringify({ transfer: TRANSFER, state: "ready", independentFrom })}`]);
    await ask(3);
    await hear(raw, `HASHES {"transfer":"${TRANSFER}","start":3,"scheme":"independent"`);
    assertEquals(source.manifest.independentFrom, 3);
    // Of these they are so already: it goes on.
    await ask(3);
    await say(raw, [GET]);
    await hear(raw, "PIECE");
    await ask(2);
    await hear(raw, "CANCEL");
    await say(raw, [`PONG {"re":2}`]);
    await sending;
    assertEquals(source.manifest.independentFrom, 3);
    raw.close();
    await session.ended;
  },
  { size: 1024 * 1024, scheme: "prefix" },
);

/** After which failures an upload is tried again, and when, and over which link. */

import { assert, assertEquals } from "@std/assert";
import { P2PError } from "../../../lib/errors.ts";
import { PeerLink } from "../../../lib/transfer/peer_link.ts";
import { uploadWithRetries } from "../../../lib/transfer/upload_retries.ts";
import { deadline, turn } from "../../helpers/deadline.ts";
import { rejectsWith } from "../../helpers/errors.ts";
import { sessionPair } from "../../helpers/pipes.ts";
import {
  accept,
  byHand,
  fileTest,
  GET,
  hear,
  OTHER,
  READY,
  say,
  saySaved,
  take,
  TRANSFER,
  uploadOf,
  uploadTest,
} from "../../helpers/upload.ts";

fileTest(
  "a connection that breaks is tried again five times, more and more slowly",
  async (scene) => {
    const { clock } = scene;
    let tries = 0;
    const options = uploadOf(scene, () => {
      tries++;
      return Promise.reject(new P2PError("connection-lost", "lost"));
    });
    const failing = rejectsWith("connection-lost", () => uploadWithRetries(options));
    for (const pause of [500, 1000, 2000, 4000, 8000]) {
      assertEquals(await clock.timer(() => true), pause);
      clock.advance(pause);
    }
    await failing;
    assertEquals(tries, 6);
    assertEquals(options.retries, [1, 2, 3, 4, 5].map((n) => `${n} connection-lost`));
    assertEquals(clock.pending, []);
  },
);

fileTest(
  "a recipient that cannot be reached at first is not tried again, later it is",
  async (scene) => {
    const { clock } = scene;
    const codes = ["connection-lost", "peer-unreachable", "refused"] as const;
    let next = 1;
    const options = uploadOf(scene, () => {
      return Promise.reject(new P2PError(codes[next++] ?? "unexpected", "no"));
    });
    await rejectsWith("peer-unreachable", () => uploadWithRetries(options));
    next = 0;
    const failing = rejectsWith("refused", () => uploadWithRetries(options));
    for (let i = 0; i < 2; i++) clock.advance(await clock.timer(() => true));
    await failing;
    assertEquals(options.retries, ["1 connection-lost", "2 peer-unreachable"]);
  },
);

fileTest("with give-up-after it goes on, from the first failure, for so long", async (scene) => {
  const { clock } = scene;
  const start = clock.now();
  const away = () => Promise.reject(new P2PError("peer-unreachable", "away"));
  const options = uploadOf(scene, away, { giveUpAfter: 120_000 });
  let over = false;
  const failing = rejectsWith(
    "peer-unreachable",
    () => uploadWithRetries(options),
  ).then(() => over = true);
  const pauses: number[] = [];
  while (clock.now() - start < 120_000) {
    pauses.push(await clock.timer(() => true));
    clock.advance(pauses.at(-1) ?? 0);
    await turn();
  }
  await failing;
  assertEquals(pauses.slice(0, 7), [500, 1000, 2000, 4000, 8000, 15_000, 15_000]);
  assertEquals([over, options.retries.length, clock.pending], [true, pauses.length, []]);
  assert(pauses.length > 10 && pauses.slice(5).every((pause) => pause === 15_000));
});

fileTest("with give-up-after an answer is an answer all the same", async (scene) => {
  const refuse = () => Promise.reject(new P2PError("refused", "no"));
  const options = uploadOf(scene, refuse, { giveUpAfter: 120_000 });
  await rejectsWith("refused", () => uploadWithRetries(options));
  assertEquals(options.retries, []);
});

for (const code of ["refused", "no-space", "integrity", "source-changed", "wrong-key"] as const) {
  fileTest(`${code} is an answer and not tried again`, async (scene) => {
    const options = uploadOf(scene, () => Promise.reject(new P2PError(code, "no")));
    await rejectsWith(code, () => uploadWithRetries(options));
    assertEquals(options.retries, []);
  });
}

fileTest("an abort ends a pause, and a connection that comes too late", async (scene) => {
  const { clock } = scene;
  const reason = new P2PError("interrupted", "enough");
  const pausing = new AbortController();
  const lost = () => Promise.reject(new P2PError("connection-lost", "lost"));
  const first = uploadWithRetries({ ...uploadOf(scene, lost), signal: pausing.signal });
  const rejected = rejectsWith("interrupted", () => first);
  await clock.timer((ms) => ms === 500);
  pausing.abort(reason);
  await rejected;
  assertEquals(clock.pending, []);

  const connecting = new AbortController();
  const [near, far] = sessionPair({ clock });
  const late = () => {
    connecting.abort(reason);
    return Promise.resolve(new PeerLink(near));
  };
  await rejectsWith(
    "interrupted",
    () => uploadWithRetries({ ...uploadOf(scene, late), signal: connecting.signal }),
  );
  await near.ended;
  assert(near.connection.closed);
  far.connection.close();
  assertEquals(clock.pending, []);
});

uploadTest(
  "a session carries the next transfer, and late words on the last one",
  async ({ source, raw, session, link, options }) => {
    for (const [i, transfer] of [TRANSFER, OTHER].entries()) {
      const sending = uploadWithRetries({ ...options, transfer });
      const late = [`HAVE {"transfer":"${TRANSFER}","pieces":[]}`];
      await take(raw, source, { transfer, re: i + 1, late });
      assertEquals((await sending).savedAs, "file");
      assertEquals([link.isOpen, link.isFresh], [true, false]);
    }
    // Of a transfer that was never offered here it does not take a word.
    await say(raw, [`GET ${JSON.stringify({ transfer: "C".repeat(21) + "A", index: 0 })}`]);
    await hear(raw, "ERROR");
    await deadline(session.ended, "the end of the session");
    assertEquals([link.isOpen, options.retries], [false, []]);
  },
);

fileTest(
  "a session that ends under the offer after having waited is no failed try",
  async (scene) => {
    const { source, clock } = scene;
    const [old, fresh] = [byHand(clock, 64 * 1024), byHand(clock, 64 * 1024)];
    const waiting = new PeerLink(old.session);
    const links = [waiting, waiting, new PeerLink(fresh.session)];
    const options = uploadOf(scene, () => Promise.resolve(links.shift() as PeerLink));
    const first = uploadWithRetries(options);
    await take(old.raw, source, { transfer: TRANSFER, re: 1 });
    await first;
    const transfer = OTHER;
    const second = uploadWithRetries({ ...options, transfer });
    await hear(old.raw, "SEND_FILE");
    await say(old.raw, ["BYE"]);
    old.raw.close();
    await take(fresh.raw, source, { transfer, re: 1 });
    assertEquals([(await second).savedAs, options.retries], ["file", []]);
    fresh.raw.close();
  },
);

uploadTest(
  "a recipient that says connection-lost has answered: it counts as a try",
  async ({ source, clock, raw, options }) => {
    // The link has waited: another transfer went over it before.
    const first = uploadWithRetries(options);
    await take(raw, source, { transfer: TRANSFER, re: 1 });
    await first;
    const transfer = OTHER;
    const failing = rejectsWith(
      "connection-lost",
      () => uploadWithRetries({ ...options, transfer }),
    );
    for (let attempt = 1; attempt <= 6; attempt++) {
      await hear(raw, "SEND_FILE");
      await say(raw, [`ERROR {"re":${attempt + 1},"code":"connection-lost","message":"no"}`]);
      if (attempt < 6) clock.advance(await clock.timer((ms) => ms < 30_000 && ms >= 500));
    }
    await failing;
    assertEquals(options.retries.length, 5);
  },
);

uploadTest(
  "what still comes of an earlier try harms neither the next one nor the link",
  async ({ source, clock, raw, session, options }) => {
    const sending = uploadWithRetries(options);
    await accept(raw);
    await say(raw, [`CANCEL {"transfer":"${TRANSFER}","code":"timeout","message":"slow"}`]);
    clock.advance(await clock.timer((ms) => ms === 500));
    await hear(raw, "SEND_FILE");
    // A GET of the first try, before the second one is answered.
    await say(raw, [GET]);
    await turn();
    assertEquals(session.connection.closed, undefined);
    await say(raw, [READY.replace('"re":1', '"re":2'), GET]);
    await hear(raw, "PIECE");
    await saySaved(raw, source);
    assertEquals((await sending).savedAs, "file");
    assertEquals(options.retries, ["1 timeout"]);
  },
);

/** How long an upload waits for its receiver, whatever that one says meanwhile. */

import { assert, assertEquals } from "@std/assert";
import { SourcePieces } from "../../../lib/content/source_pieces.ts";
import { StreamContent } from "../../../lib/content/stream_content.ts";
import { ExitCode, P2PError } from "../../../lib/errors.ts";
import { exitCodeOfReports, sendToAll } from "../../../lib/peer/send_job.ts";
import { PeerLink } from "../../../lib/transfer/peer_link.ts";
import { transferSettings } from "../../../lib/transfer/settings.ts";
import { uploadWithRetries } from "../../../lib/transfer/upload_retries.ts";
import { turn } from "../../helpers/deadline.ts";
import { entryOf } from "../../helpers/entries.ts";
import { rejectsWith } from "../../helpers/errors.ts";
import { FakeClock } from "../../helpers/fake_clock.ts";
import { permitted } from "../../helpers/permissions.ts";
import { bytesOf } from "../../helpers/random.ts";
import {
  accept,
  byHand,
  fileTest,
  GET,
  hear,
  PIECE,
  READY,
  said,
  say,
  saySaved,
  take,
  TRANSFER,
  uploadOf,
  type UploadScene,
  uploadTest,
} from "../../helpers/upload.ts";

/** Sends until the first try has failed, and is not to be tried again; `act` is what the receiver does. */
async function failOnce(
  { clock, options }: UploadScene,
  act: () => Promise<void>,
): Promise<void> {
  const stop = new AbortController();
  const sending = rejectsWith(
    "interrupted",
    () => uploadWithRetries({ ...options, signal: stop.signal }),
  );
  await act();
  assertEquals(await clock.timer((ms) => ms < 5_000), 500);
  assertEquals(options.retries, ["1 timeout"]);
  stop.abort(new P2PError("interrupted", "enough"));
  await sending;
}

uploadTest("a receiver that says nothing for the ACK time-out is given up", async (scene) => {
  const { clock, raw, session } = scene;
  await failOnce(scene, async () => {
    await accept(raw);
    clock.advance(29_999);
    assertEquals(session.connection.closed, undefined);
    clock.advance(1);
  });
});

uploadTest("a receiver that asks a person first is waited for", async (scene) => {
  const { clock, raw, session, options } = scene;
  const sending = uploadWithRetries(options);
  await hear(raw, "SEND_FILE");
  for (let sign = 0; sign < 6; sign++) {
    await say(raw, [`ACK {"transfer":"${TRANSFER}","state":"waiting"}`]);
    await turn();
    clock.advance(29_000);
  }
  assertEquals([session.connection.closed, options.waits()], [undefined, 1]);
  const refused = rejectsWith("refused", () => sending);
  await say(raw, [`ERROR {"re":1,"code":"refused","message":"no"}`]);
  await refused;
});

uploadTest("a receiver that does not answer an offer is given up", async (scene) => {
  await failOnce(scene, async () => {
    await hear(scene.raw, "SEND_FILE");
    scene.clock.advance(30_000);
  });
});

/** A connection that takes little at a time. */
const SLOW = { size: PIECE, capacity: 8 * 1024, choices: { ackTimeout: 25_000 } };
uploadTest("a receiver that takes its bytes slowly is not a silent one", async (scene) => {
  const { source, clock, raw, session, options } = scene;
  const sending = uploadWithRetries(options);
  await accept(raw);
  await say(raw, [GET]);
  const buffer = new Uint8Array(8 * 1024);
  for (let taken = 0; taken < PIECE;) {
    clock.advance(10_000);
    assertEquals(session.connection.closed, undefined, `gave up after ${taken} bytes`);
    taken += await raw.read(buffer) ?? 0;
    await turn();
  }
  await source.hashesFrom(1, 1);
  await saySaved(raw, source);
  assertEquals((await sending).savedAs, "file");
}, SLOW);

/** A receiver that goes on for as long as it is listened to: every `interval` it says the next of `words`. */
async function dripFeed(
  { raw, clock, interval, words, limit }: {
    raw: Deno.Conn;
    clock: FakeClock;
    /** Milliseconds. */
    interval: number;
    words: (n: number) => string[];
    /** Milliseconds after which the sender should have given up. */
    limit: number;
  },
): Promise<number> {
  const start = clock.now();
  let isOver = false;
  const over = hear(raw, "CANCEL").then(() => isOver = true);
  for (let n = 0; !isOver; n++) {
    assert(clock.now() - start <= limit, `still waiting after ${(clock.now() - start) / 1000} s`);
    await say(raw, words(n));
    await turn();
    await turn();
    clock.advance(interval);
    await turn();
  }
  await over;
  return clock.now() - start;
}

const MINUTE = 60_000;
const SIGNS: { [what: string]: (n: number) => string[] } = {
  "empty HAVEs": () => [said("HAVE", { pieces: [] })],
  "the same HAVE": () => [said("HAVE", { pieces: [[1, 2]] })],
  "ACK syncing": () => [said("ACK", { state: "syncing" })],
  "ACK waiting, after it was accepted": () => [said("ACK", { state: "waiting" })],
  "GETs of pieces that it has been sent": (n) => [said("GET", { index: Math.floor(n / 8) % 16 })],
  "all of these and PINGs": (n) => [
    "PING",
    n < 100 ? said("GET", { index: n % 16 }) : said("HAVE", { pieces: [] }),
    said("ACK", { state: n % 2 === 0 ? "syncing" : "ready" }),
    said("HAVE", { pieces: [[0, 3]] }),
  ],
};
for (const [what, words] of Object.entries(SIGNS)) {
  uploadTest(`a receiver that goes on with ${what} is given up for good`, async (scene) => {
    const { clock, raw, session, options } = scene;
    const sending = rejectsWith("timeout", () => uploadWithRetries(options));
    await accept(raw);
    // Twenty minutes, and for some three more for a person.
    const took = await dripFeed({ raw, clock, interval: 11_000, words, limit: 24 * MINUTE });
    assert(took >= 19 * MINUTE, `given up after ${took / 1000} s`);
    const { remote } = await sending;
    assertEquals([options.retries, remote, session.connection.closed], [[], false, undefined]);
    raw.close();
    await session.ended;
    assertEquals(clock.pending, []);
  }, { size: 16 * PIECE, capacity: 16 * 1024 * 1024 });
}

/** A file of many pieces, and a connection that takes them. */
const MANY_PIECES = { size: 16 * PIECE, capacity: 1024 * 1024 };
uploadTest("a piece now and again does not keep a sender for ever", async (scene) => {
  const { clock, raw, options } = scene;
  const sending = rejectsWith("timeout", () => uploadWithRetries(options));
  await accept(raw);
  // One in fifteen minutes, each of which gives 256 s back.
  const words = (n: number) => {
    const have = Math.floor(n * 20_000 / (15 * MINUTE));
    return [said("HAVE", { pieces: have > 0 ? [[0, have]] : [] })];
  };
  await dripFeed({ raw, clock, interval: 20_000, words, limit: 30 * MINUTE });
  await sending;
  assertEquals(options.retries, []);
}, MANY_PIECES);

uploadTest("a receiver that gets further by a KiB a second is never given up", async (scene) => {
  const { source, clock, raw, options } = scene;
  const sending = uploadWithRetries(options);
  await accept(raw);
  for (let have = 1; have <= 16; have++) {
    await say(raw, [said("GET", { index: have - 1 })]);
    await hear(raw, "PIECE");
    for (let second = 0; second < 256; second += 16) {
      await say(raw, [said("HAVE", { pieces: [] })]);
      await turn();
      clock.advance(16_000);
    }
    await say(raw, [said("HAVE", { pieces: [[0, have]] })]);
    await turn();
  }
  await source.hashesFrom(16, 1);
  await saySaved(raw, source);
  assertEquals((await sending).savedAs, "file");
}, MANY_PIECES);

fileTest(
  "a receiver that comes back and begins anew has no more time than one that stays",
  async (scene) => {
    const { clock } = scene;
    const start = clock.now();
    let raw: Deno.Conn | undefined;
    const connected: (() => void)[] = [];
    const options = uploadOf(scene, () => {
      const ends = byHand(clock, 64 * 1024);
      raw = ends.raw;
      connected.shift()?.();
      return Promise.resolve(new PeerLink(ends.session));
    });
    let isOver = false;
    const next = () => new Promise<void>((resolve) => connected.push(resolve));
    const first = next();
    const sending = rejectsWith("timeout", () => uploadWithRetries(options)).then(() =>
      isOver = true
    );
    await first;
    while (!isOver) {
      const end = raw as Deno.Conn;
      await accept(end);
      // Silence, after which it is tried again.
      const again = next();
      for (let sign = 0; sign < 17 && !isOver; sign++) {
        await say(end, [said("HAVE", { pieces: [] })]);
        await turn();
        clock.advance(20_000);
        await turn();
      }
      end.close();
      await turn();
      if (isOver) break;
      clock.advance(await clock.timer((ms) => ms >= 500 && ms <= 15_000));
      await again;
    }
    await sending;
    assert(clock.now() - start < 22 * MINUTE, `${(clock.now() - start) / 1000} s`);
  },
);

permitted(
  "a stream that has nothing to send for hours is not its receiver's fault",
  [],
  async () => {
    let add = (_bytes: Uint8Array) => {};
    let end = () => {};
    const stream = new ReadableStream<Uint8Array>({
      start: (controller) => {
        add = (bytes) => controller.enqueue(bytes);
        end = () => controller.close();
      },
    });
    await using source = await SourcePieces.open(new StreamContent(stream, "log"), {
      scheme: "prefix",
    });
    const clock = new FakeClock();
    const { raw, session } = byHand(clock, 4 * 1024 * 1024);
    const link = Promise.resolve(new PeerLink(session));
    const sending = uploadWithRetries(uploadOf({ source, clock }, () => link));
    await hear(raw, "SEND_FILE");
    await say(raw, [READY]);
    add(bytesOf(1024 * 1024));
    add(bytesOf(1024 * 1024));
    await hear(raw, "HASHES");
    await say(raw, [GET]);
    await hear(raw, "PIECE");
    await say(raw, [said("HAVE", { pieces: [[0, 1]] })]);
    for (let sign = 0; sign < 3 * 60 * 3; sign++) {
      await say(raw, [said("HAVE", { pieces: [] })]);
      await turn();
      clock.advance(20_000);
      assertEquals(session.connection.closed, undefined);
    }
    end();
    await source.hashesFrom(3, 1);
    await say(raw, [said("ACK", { state: "saved", name: "log", manifest: source.manifest.id })]);
    assertEquals((await sending).savedAs, "log");
    raw.close();
  },
);

uploadTest("a person has three minutes, however short the ACK time-out is", async (scene) => {
  const { source, clock, raw, options } = scene;
  const stalled: boolean[] = [];
  options.observer = { ...options.observer, onStalled: (isIt) => void stalled.push(isIt) };
  const sending = uploadWithRetries(options);
  await hear(raw, "SEND_FILE");
  for (let second = 0; second < 180; second++) {
    await say(raw, [said("ACK", { state: "waiting" })]);
    await turn();
    clock.advance(1_000);
  }
  await take(raw, source, { transfer: TRANSFER, re: 1, isOffered: true });
  assertEquals([(await sending).savedAs, options.retries, stalled], ["file", [], []]);
}, { choices: { ackTimeout: 2_000 } });

fileTest(
  "a recipient that gets no further holds up nobody who has his turn after it",
  async ({ source, clock }) => {
    const [stuck, well] = [byHand(clock, 64 * 1024), byHand(clock, 64 * 1024)];
    const links = [new PeerLink(stuck.session), new PeerLink(well.session)];
    const sending = sendToAll({
      transfer: TRANSFER,
      source,
      to: { peers: [entryOf(1), entryOf(2)], missing: [] },
      isSwarm: false,
      connect: (entry) => Promise.resolve(links[entry.name === "p1" ? 0 : 1] as PeerLink),
      settings: transferSettings({ clock, parallel: 1 }),
      emit: () => {},
    });
    await accept(stuck.raw);
    const start = clock.now();
    const served = take(well.raw, source, { transfer: TRANSFER, re: 1 }).then(() => clock.now());
    const words = () => [said("HAVE", { pieces: [] })];
    await dripFeed({ raw: stuck.raw, clock, interval: 10_000, words, limit: 21 * MINUTE });
    const report = await sending;
    assertEquals(await served - start, MINUTE);
    assertEquals(report.recipients.map(({ peer, state, error }) => [peer, state, error?.code]), [
      ["p1", "failed", "timeout"],
      ["p2", "delivered", undefined],
    ]);
    assertEquals(exitCodeOfReports([report]), ExitCode.partialDelivery);
    stuck.raw.close();
    well.raw.close();
  },
);

import { assert, assertEquals } from "@std/assert";
import { ExitCode, P2PError } from "../../../lib/errors.ts";
import { Connection } from "../../../lib/net/connection.ts";
import { Session } from "../../../lib/net/session.ts";
import { FileContent } from "../../../lib/content/file_content.ts";
import { SourcePieces } from "../../../lib/content/source_pieces.ts";
import { StreamContent } from "../../../lib/content/stream_content.ts";
import { exitCodeOfReports, sendToAll } from "../../../lib/peer/send_job.ts";
import { PeerLink } from "../../../lib/transfer/peer_link.ts";
import {
  type RetriedUploadOptions,
  uploadWithRetries,
} from "../../../lib/transfer/upload_retries.ts";
import { type TransferChoices, transferSettings } from "../../../lib/transfer/settings.ts";
import { deadline, turn } from "../../helpers/deadline.ts";
import { entryOf } from "../../helpers/entries.ts";
import { rejectsWith } from "../../helpers/errors.ts";
import { FakeClock } from "../../helpers/fake_clock.ts";
import { permitted } from "../../helpers/permissions.ts";
import { sessionPair, socketPair } from "../../helpers/pipes.ts";
import { bytesOf } from "../../helpers/random.ts";
import { type TempDir, tempDir } from "../../helpers/temp_dir.ts";

const NEEDS: Deno.PermissionName[] = ["read", "write"];
const TRANSFER = "A".repeat(22);
const PIECE = 256 * 1024;

async function sourceIn(dir: TempDir, size = 10): Promise<SourcePieces> {
  await Deno.writeFile(dir.at("file"), bytesOf(size));
  return await SourcePieces.open(await FileContent.open(dir.at("file")));
}

/** An upload with a hand-turned clock, and what it says. */
function settings(
  source: SourcePieces,
  clock: FakeClock,
  connect: () => Promise<Session>,
  choices: TransferChoices = {},
): RetriedUploadOptions & { retries: string[]; waits: () => number } {
  const retries: string[] = [];
  let waits = 0;
  return {
    transfer: TRANSFER,
    source,
    place: source.enter(),
    connect: async () => new PeerLink(await connect()),
    settings: transferSettings({ clock, random: () => 0.5, ...choices }),
    observer: {
      onProgress: () => {},
      onWaiting: () => void waits++,
      onRetry: (attempt, { code }) => void retries.push(`${attempt} ${code}`),
    },
    retries,
    waits: () => waits,
  };
}

permitted(
  "a connection that breaks is tried again five times, more and more slowly",
  NEEDS,
  async () => {
    await using dir = await tempDir();
    await using source = await sourceIn(dir);
    const clock = new FakeClock();
    let tries = 0;
    const options = settings(source, clock, () => {
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

permitted(
  "a recipient that cannot be reached at first is not tried again, later it is",
  NEEDS,
  async () => {
    await using dir = await tempDir();
    await using source = await sourceIn(dir);
    const clock = new FakeClock();
    const codes = ["connection-lost", "peer-unreachable", "refused"] as const;
    let next = 1;
    const options = settings(source, clock, () => {
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

permitted("with give-up-after it goes on, from the first failure, for so long", NEEDS, async () => {
  await using dir = await tempDir();
  await using source = await sourceIn(dir);
  const clock = new FakeClock();
  const start = clock.now();
  const away = () => Promise.reject(new P2PError("peer-unreachable", "away"));
  const options = settings(source, clock, away, { giveUpAfter: 120_000 });
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

permitted("with give-up-after an answer is an answer all the same", NEEDS, async () => {
  await using dir = await tempDir();
  await using source = await sourceIn(dir);
  const refuse = () => Promise.reject(new P2PError("refused", "no"));
  const options = settings(source, new FakeClock(), refuse, { giveUpAfter: 120_000 });
  await rejectsWith("refused", () => uploadWithRetries(options));
  assertEquals(options.retries, []);
});

for (const code of ["refused", "no-space", "integrity", "source-changed", "wrong-key"] as const) {
  permitted(`${code} is an answer and not tried again`, NEEDS, async () => {
    await using dir = await tempDir();
    await using source = await sourceIn(dir);
    const options = settings(
      source,
      new FakeClock(),
      () => Promise.reject(new P2PError(code, "no")),
    );
    await rejectsWith(code, () => uploadWithRetries(options));
    assertEquals(options.retries, []);
  });
}

permitted("an abort ends a pause, and a connection that comes too late", NEEDS, async () => {
  await using dir = await tempDir();
  await using source = await sourceIn(dir);
  const clock = new FakeClock();
  const reason = new P2PError("interrupted", "enough");
  const pausing = new AbortController();
  const lost = () => Promise.reject(new P2PError("connection-lost", "lost"));
  const first = uploadWithRetries({ ...settings(source, clock, lost), signal: pausing.signal });
  const rejected = rejectsWith("interrupted", () => first);
  await clock.timer((ms) => ms === 500);
  pausing.abort(reason);
  await rejected;
  assertEquals(clock.pending, []);

  const connecting = new AbortController();
  const [near, far] = sessionPair({ clock });
  const late = () => {
    connecting.abort(reason);
    return Promise.resolve(near);
  };
  await rejectsWith(
    "interrupted",
    () => uploadWithRetries({ ...settings(source, clock, late), signal: connecting.signal }),
  );
  await near.ended;
  assert(near.connection.closed);
  far.connection.close();
  assertEquals(clock.pending, []);
});

/** A receiver that is written by hand: its end of the socket, and the sender's session. */
function byHand(clock: FakeClock, capacity: number): { raw: Deno.Conn; session: Session } {
  const [near, raw] = socketPair(capacity);
  const session = new Session(
    new Connection(near, { clock }),
    { id: "B".repeat(42) + "A", role: "peer" },
    clock,
  );
  return { raw, session };
}

async function say(raw: Deno.Conn, lines: string[]): Promise<void> {
  const bytes = new TextEncoder().encode(lines.map((line) => `${line}\n`).join(""));
  for (let at = 0; at < bytes.length;) at += await raw.write(bytes.subarray(at));
}

/** Reads frames until one has the verb. */
async function hear(raw: Deno.Conn, verb: string): Promise<void> {
  const take = async (length: number) => {
    for (let left = length; left > 0;) left -= await raw.read(new Uint8Array(left)) ?? left;
  };
  const byte = new Uint8Array(1);
  const reading = (async () => {
    let line = "";
    while (await raw.read(byte) !== null) {
      if (byte[0] !== 0x0a) {
        line += String.fromCharCode(byte[0] as number);
        continue;
      }
      await take(Number(/"body":(\d+)/.exec(line)?.[1] ?? 0));
      if (line.startsWith(verb)) return;
      line = "";
    }
  })();
  await deadline(reading, verb);
}

const READY = `ACK {"re":1,"transfer":"${TRANSFER}","state":"ready"}`;
const GET = `GET {"transfer":"${TRANSFER}","index":0}`;

permitted("a receiver that says nothing for the ACK time-out is given up", NEEDS, async () => {
  await using dir = await tempDir();
  await using source = await sourceIn(dir);
  const clock = new FakeClock();
  const { raw, session } = byHand(clock, 64 * 1024);
  const stop = new AbortController();
  const options = {
    ...settings(source, clock, () => Promise.resolve(session)),
    signal: stop.signal,
  };
  const sending = rejectsWith("interrupted", () => uploadWithRetries(options));
  await hear(raw, "SEND_FILE");
  await say(raw, [READY]);
  await hear(raw, "HASHES");
  clock.advance(29_999);
  assertEquals(session.connection.closed, undefined);
  clock.advance(1);
  assertEquals(await clock.timer((ms) => ms < 5_000), 500);
  assertEquals(options.retries, ["1 timeout"]);
  stop.abort(new P2PError("interrupted", "enough"));
  await sending;
  raw.close();
});

permitted("a receiver that asks a person first is waited for", NEEDS, async () => {
  await using dir = await tempDir();
  await using source = await sourceIn(dir);
  const clock = new FakeClock();
  const { raw, session } = byHand(clock, 64 * 1024);
  const options = settings(source, clock, () => Promise.resolve(session));
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
  raw.close();
});

permitted("a receiver that does not answer an offer is given up", NEEDS, async () => {
  await using dir = await tempDir();
  await using source = await sourceIn(dir);
  const clock = new FakeClock();
  const { raw, session } = byHand(clock, 64 * 1024);
  const stop = new AbortController();
  const options = settings(source, clock, () => Promise.resolve(session));
  const sending = rejectsWith(
    "interrupted",
    () => uploadWithRetries({ ...options, signal: stop.signal }),
  );
  await hear(raw, "SEND_FILE");
  clock.advance(30_000);
  assertEquals(await clock.timer((ms) => ms < 5_000), 500);
  assertEquals(options.retries, ["1 timeout"]);
  stop.abort(new P2PError("interrupted", "enough"));
  await sending;
  raw.close();
});

permitted("a receiver that takes its bytes slowly is not a silent one", NEEDS, async () => {
  await using dir = await tempDir();
  await using source = await sourceIn(dir, PIECE);
  const clock = new FakeClock();
  const { raw, session } = byHand(clock, 8 * 1024);
  const connect = () => Promise.resolve(session);
  const sending = uploadWithRetries(settings(source, clock, connect, { ackTimeout: 25_000 }));
  await hear(raw, "SEND_FILE");
  await say(raw, [READY]);
  await hear(raw, "HASHES");
  await say(raw, [GET]);
  const buffer = new Uint8Array(8 * 1024);
  for (let taken = 0; taken < PIECE;) {
    clock.advance(10_000);
    assertEquals(session.connection.closed, undefined, `gave up after ${taken} bytes`);
    taken += await raw.read(buffer) ?? 0;
    await turn();
  }
  await source.hashesFrom(1, 1);
  const { id: manifest } = source.manifest;
  const saved = { transfer: TRANSFER, state: "saved", name: "file", manifest };
  await say(raw, [`ACK ${JSON.stringify(saved)}`]);
  assertEquals((await sending).savedAs, "file");
  raw.close();
});

/** Plays the receiver of the next offer on a session to its end; `re` is the offer's number. */
async function take(raw: Deno.Conn, source: SourcePieces, options: {
  transfer: string;
  re: number;
  late?: string[];
  /** Whether the offer has been heard. */
  isOffered?: boolean;
}): Promise<void> {
  const { transfer, re, late = [], isOffered = false } = options;
  if (!isOffered) await hear(raw, "SEND_FILE");
  await say(raw, late);
  await say(raw, [`ACK ${JSON.stringify({ re, transfer, state: "ready" })}`]);
  await hear(raw, "HASHES");
  await say(raw, [`GET ${JSON.stringify({ transfer, index: 0 })}`]);
  await hear(raw, "PIECE");
  const { id: manifest } = source.manifest;
  const saved = { transfer, state: "saved", name: "file", manifest };
  await say(raw, [`ACK ${JSON.stringify(saved)}`]);
}

permitted(
  "a session carries the next transfer, and late words on the last one",
  NEEDS,
  async () => {
    await using dir = await tempDir();
    await using source = await sourceIn(dir);
    const clock = new FakeClock();
    const { raw, session } = byHand(clock, 64 * 1024);
    const link = new PeerLink(session);
    const options = settings(source, clock, () => Promise.reject(new Error("no second session")));
    for (const [i, transfer] of [TRANSFER, "B".repeat(21) + "A"].entries()) {
      const sending = uploadWithRetries({
        ...options,
        transfer,
        connect: () => Promise.resolve(link),
      });
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
    raw.close();
  },
);

permitted(
  "a session that ends under the offer after having waited is no failed try",
  NEEDS,
  async () => {
    await using dir = await tempDir();
    await using source = await sourceIn(dir);
    const clock = new FakeClock();
    const [old, fresh] = [byHand(clock, 64 * 1024), byHand(clock, 64 * 1024)];
    const waiting = new PeerLink(old.session);
    const links = [waiting, waiting, new PeerLink(fresh.session)];
    const connect = () => Promise.resolve(links.shift() as PeerLink);
    const options = { ...settings(source, clock, () => Promise.reject()), connect };
    const first = uploadWithRetries(options);
    await take(old.raw, source, { transfer: TRANSFER, re: 1 });
    await first;
    const transfer = "B".repeat(21) + "A";
    const second = uploadWithRetries({ ...options, transfer });
    await hear(old.raw, "SEND_FILE");
    await say(old.raw, ["BYE"]);
    old.raw.close();
    await take(fresh.raw, source, { transfer, re: 1 });
    assertEquals([(await second).savedAs, options.retries], ["file", []]);
    fresh.raw.close();
  },
);

permitted(
  "a recipient that says connection-lost has answered: it counts as a try",
  NEEDS,
  async () => {
    await using dir = await tempDir();
    await using source = await sourceIn(dir);
    const clock = new FakeClock();
    const { raw, session } = byHand(clock, 64 * 1024);
    const link = new PeerLink(session);
    // It has waited: another transfer went over it before.
    const options = {
      ...settings(source, clock, () => Promise.reject()),
      connect: () => Promise.resolve(link),
    };
    const first = uploadWithRetries(options);
    await take(raw, source, { transfer: TRANSFER, re: 1 });
    await first;
    const transfer = "B".repeat(21) + "A";
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
    raw.close();
  },
);

permitted(
  "what still comes of an earlier try harms neither the next one nor the link",
  NEEDS,
  async () => {
    await using dir = await tempDir();
    await using source = await sourceIn(dir);
    const clock = new FakeClock();
    const { raw, session } = byHand(clock, 64 * 1024);
    const link = new PeerLink(session);
    const options = {
      ...settings(source, clock, () => Promise.reject()),
      connect: () => Promise.resolve(link),
    };
    const sending = uploadWithRetries(options);
    await hear(raw, "SEND_FILE");
    await say(raw, [READY]);
    await hear(raw, "HASHES");
    await say(raw, [`CANCEL {"transfer":"${TRANSFER}","code":"timeout","message":"slow"}`]);
    clock.advance(await clock.timer((ms) => ms === 500));
    await hear(raw, "SEND_FILE");
    // A GET of the first try, before the second one is answered.
    await say(raw, [GET]);
    await turn();
    assertEquals(session.connection.closed, undefined);
    await say(raw, [READY.replace('"re":1', '"re":2'), GET]);
    await hear(raw, "PIECE");
    const saved = {
      transfer: TRANSFER,
      state: "saved",
      name: "file",
      manifest: source.manifest.id,
    };
    await say(raw, [`ACK ${JSON.stringify(saved)}`]);
    assertEquals((await sending).savedAs, "file");
    assertEquals(options.retries, ["1 timeout"]);
    raw.close();
  },
);

permitted(
  "a sender that gives up says why, however silent the receiver is then",
  NEEDS,
  async () => {
    await using dir = await tempDir();
    const path = dir.at("large");
    await Deno.writeFile(path, bytesOf(9 * 1024 * 1024));
    await using source = await SourcePieces.open(await FileContent.open(path));
    const clock = new FakeClock();
    const { raw, session } = byHand(clock, 1024 * 1024);
    const options = settings(source, clock, () => Promise.resolve(session));
    const sending = rejectsWith("source-changed", () => uploadWithRetries(options));
    await hear(raw, "SEND_FILE");
    await say(raw, [READY]);
    await hear(raw, "HASHES");
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

const OTHER = "B".repeat(21) + "A";
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
  await hear(raw, "SEND_FILE");
  await say(raw, [READY]);
  await hear(raw, "HASHES");
  await say(raw, [`HAVE {"transfer":"${TRANSFER}","pieces":[[0,2]]}`]);
  await hear(raw, "ERROR");
  raw.close();
  await sending;
});

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
const said = (verb: string, fields: Record<string, unknown>) =>
  `${verb} ${JSON.stringify({ transfer: TRANSFER, ...fields })}`;
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
  permitted(`a receiver that goes on with ${what} is given up for good`, NEEDS, async () => {
    await using dir = await tempDir();
    await using source = await sourceIn(dir, 16 * PIECE);
    const clock = new FakeClock();
    const { raw, session } = byHand(clock, 16 * 1024 * 1024);
    const options = settings(source, clock, () => Promise.resolve(session));
    const sending = rejectsWith("timeout", () => uploadWithRetries(options));
    await hear(raw, "SEND_FILE");
    await say(raw, [READY]);
    await hear(raw, "HASHES");
    // Twenty minutes, and for some three more for a person.
    const took = await dripFeed({ raw, clock, interval: 11_000, words, limit: 24 * MINUTE });
    assert(took >= 19 * MINUTE, `given up after ${took / 1000} s`);
    const { remote } = await sending;
    assertEquals([options.retries, remote, session.connection.closed], [[], false, undefined]);
    raw.close();
    await session.ended;
    assertEquals(clock.pending, []);
  });
}

permitted("a piece now and again does not keep a sender for ever", NEEDS, async () => {
  await using dir = await tempDir();
  await using source = await sourceIn(dir, 16 * PIECE);
  const clock = new FakeClock();
  const { raw, session } = byHand(clock, 1024 * 1024);
  const options = settings(source, clock, () => Promise.resolve(session));
  const sending = rejectsWith("timeout", () => uploadWithRetries(options));
  await hear(raw, "SEND_FILE");
  await say(raw, [READY]);
  await hear(raw, "HASHES");
  // One in fifteen minutes, each of which gives 256 s back.
  const words = (n: number) => {
    const have = Math.floor(n * 20_000 / (15 * MINUTE));
    return [said("HAVE", { pieces: have > 0 ? [[0, have]] : [] })];
  };
  await dripFeed({ raw, clock, interval: 20_000, words, limit: 30 * MINUTE });
  await sending;
  assertEquals(options.retries, []);
  raw.close();
});

permitted("a receiver that gets further by a KiB a second is never given up", NEEDS, async () => {
  await using dir = await tempDir();
  await using source = await sourceIn(dir, 16 * PIECE);
  const clock = new FakeClock();
  const { raw, session } = byHand(clock, 1024 * 1024);
  const sending = uploadWithRetries(settings(source, clock, () => Promise.resolve(session)));
  await hear(raw, "SEND_FILE");
  await say(raw, [READY]);
  await hear(raw, "HASHES");
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
  const { id: manifest } = source.manifest;
  await say(raw, [said("ACK", { state: "saved", name: "file", manifest })]);
  assertEquals((await sending).savedAs, "file");
  raw.close();
});

permitted(
  "a receiver that comes back and begins anew has no more time than one that stays",
  NEEDS,
  async () => {
    await using dir = await tempDir();
    await using source = await sourceIn(dir);
    const clock = new FakeClock();
    const start = clock.now();
    let raw: Deno.Conn | undefined;
    const connected: (() => void)[] = [];
    const options = settings(source, clock, () => {
      const ends = byHand(clock, 64 * 1024);
      raw = ends.raw;
      connected.shift()?.();
      return Promise.resolve(ends.session);
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
      await hear(end, "SEND_FILE");
      await say(end, [READY]);
      await hear(end, "HASHES");
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
    await using source = await SourcePieces.open(new StreamContent(stream, "log"));
    const clock = new FakeClock();
    const { raw, session } = byHand(clock, 4 * 1024 * 1024);
    const sending = uploadWithRetries(settings(source, clock, () => Promise.resolve(session)));
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

permitted("a person has three minutes, however short the ACK time-out is", NEEDS, async () => {
  await using dir = await tempDir();
  await using source = await sourceIn(dir);
  const clock = new FakeClock();
  const { raw, session } = byHand(clock, 64 * 1024);
  const stalled: boolean[] = [];
  const options = settings(source, clock, () => Promise.resolve(session), { ackTimeout: 2_000 });
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
  raw.close();
});

permitted(
  "a recipient that gets no further holds up nobody who has his turn after it",
  NEEDS,
  async () => {
    await using dir = await tempDir();
    await using source = await sourceIn(dir);
    const clock = new FakeClock();
    const [stuck, well] = [byHand(clock, 64 * 1024), byHand(clock, 64 * 1024)];
    const links = [new PeerLink(stuck.session), new PeerLink(well.session)];
    const sending = sendToAll({
      transfer: TRANSFER,
      source,
      recipients: [entryOf(1), entryOf(2)],
      missing: [],
      connect: (entry) => Promise.resolve(links[entry.name === "p1" ? 0 : 1] as PeerLink),
      settings: transferSettings({ clock, parallel: 1 }),
      emit: () => {},
    });
    await hear(stuck.raw, "SEND_FILE");
    await say(stuck.raw, [READY]);
    await hear(stuck.raw, "HASHES");
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

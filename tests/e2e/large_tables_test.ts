/** Folders with very large tables, many at once: what they cost their receiver, and who else notices. */

import { assert, assertEquals } from "@std/assert";
import { join } from "@std/path";
import { delay, systemClock } from "../../lib/async/clock.ts";
import { randomToken } from "../../lib/async/random.ts";
import { MAX_ENTRIES, MAX_TABLE, TableWriter } from "../../lib/pieces/tree_table.ts";
import { MAX_PIECE } from "../../lib/wire/limits.ts";
import { membershipOf } from "../fuzz/stage.ts";
import { hashesOf, openRaw, type RawManifest, type RawSession } from "../helpers/raw.ts";
import { e2e, namesIn, type PeerProcess, procFile, sha256Of, variable } from "./helpers.ts";

const MIB = 1024 * 1024;
/** Offers at once. */
const COUNT = 64;
const IS_BIG = variable("P2P_BIG") !== undefined;
/** Bytes of memory that the receiver may take in all: for smaller tables a part of what the largest may cost. */
const MOST_MEMORY = IS_BIG ? 300e6 : 250e6;
/**
 * Longest time in which the receiver answers a PING meanwhile: in milliseconds, or in what a table takes, which is the
 * longer the busier the machine is with other tests; on one that is not, 3 of them take 1.9 s.
 */
const PROMPT = IS_BIG ? { ms: 5_000 } : { tables: 3 };
/** How many answers may take as long as a table. */
const HELD_UP = 3;
/** Bytes of a table: the largest ones take minutes, and `deno task big` has them. */
const TABLE = IS_BIG ? MAX_TABLE : 4 * MIB;
/** Bytes of each file: so many that the pieces with the table's last bytes are whole. */
const SIZE = 128;

for (const pieceSize of [256 * 1024, MAX_PIECE]) {
  const what = `${COUNT} folders with tables of ${
    TABLE / MIB
  } MiB, in pieces of ${pieceSize} bytes`;
  e2e(`${what}, leave their receiver small and at the service of others`, async (world) => {
    const tracker = await world.tracker();
    const peer = await world.peer("in", ["--name", "bob"]);
    const membership = membershipOf(tracker.invite);
    const address = { host: "127.0.0.1", port: peer.port };
    await using stack = new AsyncDisposableStack();
    const open = async () => stack.use(await openRaw({ address, membership, id: peer.id }));
    const content = largeTable(pieceSize);
    const trees = await Promise.all(Array.from({ length: COUNT }, async (_, i) => {
      const tree = new HostileTree(await open(), `tree ${i}`, content);
      await tree.offer();
      return tree;
    }));
    const over = new AbortController();
    const began = performance.now();
    const pinging = answersOf(await open(), over.signal);
    // One table after another is planned; what others send meanwhile does not wait for that.
    await trees[0]?.served;
    await Deno.mkdir(world.path("folder"));
    for (let i = 0; i < 100; i++) await Deno.writeTextFile(world.path("folder", `${i}`), `${i}`);
    const { path, sha256 } = await world.file("file.bin", 8 * MIB);
    const sent = await world.run("peer", ["send", path, world.path("folder"), "--to", "bob"]);
    assertEquals(sent.code, 0, sent.stdout + sent.stderr);
    assert(await ended(peer, trees) < COUNT, "they were planned before anybody had to wait");
    assertEquals(await sha256Of(join(peer.received, "file.bin")), sha256);
    assertEquals((await namesIn(join(peer.received, "folder"))).length, 100);

    await Promise.all(trees.map(({ served }) => served));
    while (await ended(peer, trees) < COUNT) {
      // Who is silent for two minutes is thrown out.
      await Promise.all(trees.map((tree) => tree.ping()));
      await delay(systemClock, 500);
    }
    const table = (performance.now() - began) / COUNT;
    over.abort();
    const slowest = (await pinging).sort((a, b) => b - a);
    const peak = await peakOf(peer.program.pid);
    assert(peak > 0 && peak < MOST_MEMORY, `the receiver took ${peak} bytes`);
    const [longest = Infinity] = slowest;
    const limit = PROMPT.ms ?? PROMPT.tables * table;
    assert(longest < limit, `a PING was answered after ${longest} ms, not ${limit}`);
    const usual = slowest[HELD_UP] ?? Infinity;
    assert(usual < table, `PINGs were answered after ${usual} ms, where a table takes ${table} ms`);
  }, { ignore: Deno.build.os !== "linux" && "needs /proc" });
}

/** What a hostile sender offers: the pieces with its table, and what it says of the rest. */
interface Content extends Pick<RawManifest, "pieces" | "hashes"> {
  offer: { size: number; table: number; pieceSize: number };
}

/** A folder with as many bytes of table, or entries, as are allowed. */
function largeTable(pieceSize: number): Content {
  const writer = new TableWriter();
  const entry = { mtime: 1_735_787_045_678, executable: false };
  let files = 0;
  for (let i = 0; i < MAX_ENTRIES && writer.bytes.length < TABLE - 100; i++) {
    const folder = `folder-${i - i % 1000}`;
    if (i % 1000 === 0) writer.add({ ...entry, path: folder, size: null });
    else writer.add({ ...entry, path: `${folder}/${i}`, size: SIZE });
    if (i % 1000 !== 0) files++;
  }
  const table = writer.bytes.length;
  const pieces: Uint8Array<ArrayBuffer>[] = [];
  for (let at = 0; at < table; at += pieceSize) {
    // The last one has the first bytes of the files as well.
    const piece = new Uint8Array(pieceSize);
    piece.set(writer.bytes.subarray(at, at + pieceSize));
    pieces.push(piece);
  }
  const { hashes } = hashesOf(pieces, new Uint8Array(0));
  return { pieces, hashes, offer: { size: table + files * SIZE, table, pieceSize } };
}

/** A folder of which nothing comes but its table. */
class HostileTree {
  readonly #session: RawSession;
  readonly #transfer = randomToken(16);
  readonly #name: string;
  readonly #content: Content;
  readonly #served = Promise.withResolvers<void>();
  /** Whether the receiver has given it up: there is no room for what its table promises. */
  isGivenUp = false;

  constructor(session: RawSession, name: string, content: Content) {
    this.#session = session;
    this.#name = name;
    this.#content = content;
    let asked = 0;
    let sending = Promise.resolve();
    session.frames.listen(({ message }) => {
      if (message.verb === "CANCEL") this.isGivenUp = true;
      if (message.verb !== "GET") return;
      const { index } = message;
      const piece = content.pieces[index];
      if (!piece) return;
      const transfer = this.#transfer;
      // One after another: two of the largest that wait are more than a connection takes.
      const send = () => session.send({ verb: "PIECE", transfer, index }, piece);
      sending = sending.then(send).catch(() => {});
      if (++asked === content.pieces.length) this.#served.resolve();
    });
  }

  /** Resolves when every piece with bytes of the table was asked for. */
  get served(): Promise<void> {
    return this.#served.promise;
  }

  async ping(): Promise<void> {
    await this.#session.session.request({ verb: "PING" });
  }

  async offer(): Promise<void> {
    const transfer = this.#transfer;
    const { offer, hashes } = this.#content;
    await this.#session.offerTree({ ...offer, name: this.#name, transfer });
    await this.#session.send({ verb: "HASHES", transfer, start: 0 }, hashes);
  }
}

/** Milliseconds that each answer to a PING took, one PING after another until it is over. */
async function answersOf({ session }: RawSession, over: AbortSignal): Promise<number[]> {
  const answers: number[] = [];
  while (!over.aborted) {
    const before = performance.now();
    await session.request({ verb: "PING" });
    answers.push(performance.now() - before);
    await delay(systemClock, 50);
  }
  return answers;
}

/** Trees that wait for no planning any more: their table has got its name, or they were given up. */
async function ended(
  { received, id }: PeerProcess,
  trees: readonly HostileTree[],
): Promise<number> {
  const names = await namesIn(join(received, ".partial", id));
  const planned = names.filter((name) => name.endsWith(".table")).length;
  return planned + trees.filter(({ isGivenUp }) => isGivenUp).length;
}

/** The most memory that a process has taken, in bytes. */
async function peakOf(pid: number): Promise<number> {
  const kilobytes = /^VmHWM:\s+(\d+) kB$/m.exec(await procFile(pid, "status"))?.[1];
  return Number(kilobytes ?? 0) * 1024;
}

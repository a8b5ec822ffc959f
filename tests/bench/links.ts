/**
 * `deno task bench:links`: two peers, each in a process of its own, send each other the same bytes at the same
 * time, on one link and on two, in turn; then one direction beside another whose reader takes 16 MiB/s. Prints
 * medians and ratios, and exits with 1 when one link takes more than 1.15 times what two take. Loopback.
 *
 * Flags: --rounds N (5), --size MIB (256), --folder DIR (the temporary folder).
 *
 * @module
 */
// deno-lint-ignore-file no-console

import { parseArgs } from "@std/cli/parse-args";
import { fromFileUrl, join } from "@std/path";
import { TextLineStream } from "@std/streams/text-line-stream";
import { startTracker, type TestTracker } from "../helpers/tracker.ts";
import type { LinkPeerSetup, Order } from "./link_peer.ts";

const SCRIPT = fromFileUrl(new URL("./link_peer.ts", import.meta.url));
const MIB = 1024 * 1024;
/** Bytes per second of the slow reader. */
const SLOW = 16 * MIB;
/** Most that one link may take of the time of two. */
const BOUND = 1.15;

interface Word {
  /** The id of the peer. */
  ready?: string;
  started?: string;
  done?: string;
  seconds?: number;
  failures?: string[];
}

/** One of the two processes. */
class LinkPeer implements AsyncDisposable {
  readonly #process: Deno.ChildProcess;
  readonly #orders: WritableStreamDefaultWriter<Uint8Array>;
  /** The id of the peer, once it is ready. */
  id = "";
  readonly #words: Word[] = [];
  readonly #reading: Promise<void>;
  #news = Promise.withResolvers<void>();

  constructor(setup: LinkPeerSetup) {
    this.#process = new Deno.Command(Deno.execPath(), {
      args: ["run", "-q", "--allow-all", "--no-check", SCRIPT, JSON.stringify(setup)],
      stdin: "piped",
      stdout: "piped",
      stderr: "inherit",
    }).spawn();
    this.#orders = this.#process.stdin.getWriter();
    this.#reading = this.#read();
  }

  async order(order: Order): Promise<void> {
    await this.#orders.write(new TextEncoder().encode(`${JSON.stringify(order)}\n`));
  }

  /** The first word that fits; it is taken. */
  async word(fits: (word: Word) => boolean): Promise<Word> {
    while (true) {
      const at = this.#words.findIndex(fits);
      if (at >= 0) return this.#words.splice(at, 1)[0] as Word;
      await this.#news.promise;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#process.kill("SIGKILL");
    await this.#reading;
    await this.#process.status;
    await this.#orders.abort().catch(() => {});
  }

  async #read(): Promise<void> {
    const lines = this.#process.stdout.pipeThrough(new TextDecoderStream())
      .pipeThrough(new TextLineStream());
    for await (const line of lines) {
      this.#words.push(JSON.parse(line));
      this.#news.resolve();
      this.#news = Promise.withResolvers();
    }
  }
}

interface Place {
  folder: string;
  there: string;
  back: string;
  tracker: TestTracker;
}

/** A fresh pair; `reader` is the rate of whoever reads what `bob` receives. */
async function pairOf(place: Place, reader: number | null): Promise<
  AsyncDisposableStack & {
    anna: LinkPeer;
    bob: LinkPeer;
  }
> {
  const stack = new AsyncDisposableStack();
  const { tracker: { membership, address }, folder } = place;
  const peer = async (name: string, reader: number | null) => {
    const home = await Deno.makeTempDir({ dir: folder, prefix: `${name}-` });
    const started = stack.use(
      new LinkPeer({
        name,
        folder: home,
        tracker: address,
        membership: membership && { id: membership.id, secret: [...membership.secret] },
        reader,
      }),
    );
    const { ready = "" } = await started.word(({ ready }) => ready !== undefined);
    started.id = ready;
    stack.defer(() => Deno.remove(home, { recursive: true }));
    return started;
  };
  // What is deferred runs before the processes end: the folders go last.
  const anna = await peer("anna", null);
  const bob = await peer("bob", reader);
  return Object.assign(stack, { anna, bob });
}

async function finished(peer: LinkPeer, path: string): Promise<number> {
  const { seconds = 0, failures = [] } = await peer.word(({ done }) => done === path);
  if (failures.length > 0) throw new Error(failures.join());
  return seconds;
}

/** Seconds until both have everything. */
async function bothWays(place: Place, shared: boolean): Promise<number> {
  await using pair = await pairOf(place, null);
  const { anna, bob } = pair;
  const { there, back } = place;
  const began = performance.now();
  await anna.order({ path: there, to: `id:${bob.id}`, shared });
  // The link is there by then, and each direction has all of its bytes before it.
  await bob.word(({ started }) => started !== undefined);
  await bob.order({ path: back, to: `id:${anna.id}`, shared });
  await Promise.all([finished(anna, there), finished(bob, back)]);
  return (performance.now() - began) / 1000;
}

/** Seconds of the direction from bob to anna, alone or beside one to bob whose reader is slow. */
async function oneWay(place: Place, beside: boolean): Promise<number> {
  await using pair = await pairOf(place, SLOW);
  const { anna, bob } = pair;
  const { there, back } = place;
  if (beside) {
    await anna.order({ path: there, to: `id:${bob.id}`, shared: true });
    await bob.word(({ started }) => started !== undefined);
  }
  await bob.order({ path: back, to: `id:${anna.id}`, shared: true });
  return await finished(bob, back);
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? NaN;
}

/** Runs the two in turn and prints their medians and ratio, which it returns. */
async function compare(
  rounds: number,
  [[nameA, runA], [nameB, runB]]: [
    [string, () => Promise<number>],
    [string, () => Promise<number>],
  ],
): Promise<number> {
  const [a, b]: [number[], number[]] = [[], []];
  for (let round = 0; round < rounds; round++) {
    a.push(await runA());
    b.push(await runB());
  }
  const ratio = median(a) / median(b);
  const row = (name: string, times: number[]) => {
    const spread = `${Math.min(...times).toFixed(2)} to ${Math.max(...times).toFixed(2)}`;
    return `${name.padEnd(46)} ${median(times).toFixed(2).padStart(6)} s   ${spread}`;
  };
  console.log(row(nameA, a));
  console.log(row(nameB, b));
  console.log(`${"".padEnd(46)} ${ratio.toFixed(2).padStart(6)} x\n`);
  return ratio;
}

async function makeFile(path: string, mib: number): Promise<void> {
  using file = await Deno.open(path, { write: true, createNew: true });
  const block = new Uint8Array(MIB);
  for (let i = 0; i < mib; i++) {
    for (let at = 0; at < MIB; at += 65536) crypto.getRandomValues(block.subarray(at, at + 65536));
    for (let at = 0; at < MIB;) at += await file.write(block.subarray(at));
  }
}

const flags = parseArgs([...Deno.args], {
  string: ["rounds", "size", "folder"],
  default: { rounds: "5", size: "256" },
});
const [rounds, mib] = [Number(flags.rounds), Number(flags.size)];
const parent = flags.folder as string | undefined;
const folder = await Deno.makeTempDir({ prefix: "p2p-links-", ...(parent ? { dir: parent } : {}) });
const ratios: number[] = [];
try {
  const [there, back] = [join(folder, "there"), join(folder, "back")];
  for (const path of [there, back]) await makeFile(path, mib);
  for (const insecure of [false, true]) {
    await using tracker = startTracker({ insecure });
    const place = { folder, there, back, tracker };
    const how = `${mib} MiB each way, ${insecure ? "plain" : "secure"}`;
    ratios.push(
      await compare(rounds, [
        [`${how}, one link`, () => bothWays(place, true)],
        [`${how}, two links`, () => bothWays(place, false)],
      ]),
    );
    await compare(rounds, [
      [`one way, beside a reader of 16 MiB/s`, () => oneWay(place, true)],
      [`one way, alone`, () => oneWay(place, false)],
    ]);
  }
} finally {
  await Deno.remove(folder, { recursive: true });
}
if (ratios.some((ratio) => ratio > BOUND)) {
  console.error(`One link takes more than ${BOUND} times what two take`);
  Deno.exit(1);
}

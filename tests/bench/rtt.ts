/**
 * `deno task bench:rtt`: what 100 ms of round trip cost, against an rsync daemon. A sender and a receiver, each in a network
 * namespace of its own, with a line between them whose packets take 50 ms each way; `peer run`, the tracker and the
 * daemon are with the receiver. One after the other, round after round, `peer send` and `rsync -a` move the same bytes
 * from a cold start. Prints medians and ratios, and exits with 1 when `peer send` takes more than 1.1 times what rsync
 * takes for 100 MB, or 1.3 times for 1 MB or 1000 files. Linux, root, `apt-get install rsync time python3 iproute2`.
 *
 * Flags:
 *   --rounds N    how often (5; the small ones twice as often)
 *   --only KEYS   of large,small,tree (all)
 *   --delay MS    of each way (50)
 *   --folder DIR  where (the temporary folder)
 *
 * @module
 */
// deno-lint-ignore-file no-console

import { parseArgs } from "@std/cli/parse-args";
import { join } from "@std/path";
import { DelayedLine } from "../helpers/delayed_line.ts";
import { type Host, Network, whyNoNetwork } from "../helpers/netns.ts";
import { measure, median } from "./measure.ts";
import { FROM_SOURCE } from "./ours.ts";
import { Service } from "./service.ts";
import { align } from "./table.ts";
import { contentOf, makeSource, touch, type Workload } from "./workloads.ts";

const SENDER = "10.77.0.1";
const RECEIVER = "10.77.0.2";
const RSYNC_PORT = 8730;
const RSYNC = "rsync daemon";

interface Case extends Workload {
  /** Most times that `peer send` may take what rsync takes. */
  bound: number;
}

const CASES: readonly Case[] = [
  { key: "large", title: "100 MB", kind: "file", bytes: 1e8, files: 1, repeat: 1, bound: 1.1 },
  { key: "small", title: "1 MB", kind: "file", bytes: 1e6, files: 1, repeat: 2, bound: 1.3 },
  {
    key: "tree",
    title: "1000 files of 4 KiB",
    kind: "tree",
    bytes: 1000 * 4096,
    files: 1000,
    repeat: 2,
    bound: 1.3,
  },
];

/** One of those that are compared. */
interface Mover {
  name: string;
  /** Command line, run on the sender's host. */
  command(source: string): string[];
  /** Folder in which what was moved arrives. */
  received: string;
  /** Where it is held against rsync. */
  isHeld: boolean;
}

interface Place {
  folder: string;
  sender: Host;
  receiver: Host;
  /** Ends what is started. */
  stack: AsyncDisposableStack;
}

/** Tracker and receiving peer, secure or not, and the senders: one that has sent before, and one that never has. */
async function ours(place: Place, isSecure: boolean): Promise<Mover[]> {
  const home = join(place.folder, isSecure ? "secure" : "insecure");
  const received = join(home, "received");
  const insecure = isSecure ? [] : ["--insecure"];
  const start = (command: string[]) => place.stack.use(onHost(place.receiver, command));
  const state = (name: string) => ["--state", join(home, name), ...insecure];
  const tracker = start([
    ...FROM_SOURCE("tracker"),
    ...["--json", "--host", RECEIVER, "--port", "0", ...state("tracker")],
  ]);
  const { port, invite } = await tracker.event("listening");
  const joining = isSecure ? ["--join", `${invite}`] : ["--tracker", `${RECEIVER}:${port}`];
  const bob = start([
    ...FROM_SOURCE("peer"),
    ...["run", "--json", "--name", "bob", "--received", received, ...state("bob"), ...joining],
  ]);
  await bob.event("registered");
  const send = (name: string, source: string) => [
    ...FROM_SOURCE("peer"),
    ...["send", source, "--to", "bob", "--quiet", ...state(name), ...joining],
  ];
  const name = isSecure ? "p2p, secure" : "p2p, insecure";
  let strangers = 0;
  return [
    { name, command: (source) => send("anna", source), received, isHeld: true },
    {
      name: `${name}, first time`,
      command: (source) => send(`stranger-${strangers++}`, source),
      received,
      isHeld: false,
    },
  ];
}

async function rsyncDaemon({ folder, receiver, stack }: Place): Promise<Mover> {
  const received = join(folder, "rsync");
  const config = join(folder, "rsyncd.conf");
  await Deno.mkdir(received);
  await Deno.writeTextFile(
    config,
    `use chroot = no\nuid = ${Deno.uid()}\ngid = ${Deno.gid()}\n` +
      `[in]\npath = ${received}\nread only = no\n`,
  );
  const daemon = ["--daemon", "--no-detach", `--port=${RSYNC_PORT}`, `--config=${config}`];
  stack.use(onHost(receiver, ["rsync", ...daemon]));
  // Its port answers when a list of its modules comes.
  for (let tries = 0;; tries++) {
    try {
      await receiver.run("rsync", `rsync://${RECEIVER}:${RSYNC_PORT}`);
      break;
    } catch (error) {
      if (tries > 100) throw error;
    }
  }
  const url = `rsync://${RECEIVER}:${RSYNC_PORT}/in/`;
  return {
    name: RSYNC,
    command: (source) => ["rsync", "-a", source, url],
    received,
    isHeld: false,
  };
}

function onHost({ wrap: [command, ...args] }: Host, program: string[]): Service {
  return new Service(command, [...args, ...program]);
}

/** Seconds of one run, of which everything has arrived and is gone again afterwards. */
async function runOnce(mover: Mover, { key, bytes, files }: Case, place: Place): Promise<number> {
  const source = join(place.folder, `source-${key}`);
  await touch(source);
  const { seconds } = await measure([...place.sender.wrap, ...mover.command(source)].join(" "));
  const arrived = await contentOf(mover.received);
  if (arrived.files !== files || arrived.bytes !== bytes) {
    throw new Error(`${mover.name}: ${arrived.files} files of ${arrived.bytes} bytes arrived`);
  }
  for await (const { name } of Deno.readDir(mover.received)) {
    if (!name.startsWith(".")) await Deno.remove(join(mover.received, name), { recursive: true });
  }
  return seconds;
}

/** Runs all in turn, prints their medians, and returns those that are over the bound. */
async function compare(
  one: Case,
  movers: readonly Mover[],
  { rounds, place }: { rounds: number; place: Place },
): Promise<string[]> {
  const times = new Map<Mover, number[]>(movers.map((mover) => [mover, []]));
  for (let round = 0; round < rounds * one.repeat; round++) {
    for (const [mover, list] of times) list.push(await runOnce(mover, one, place));
  }
  const rsync = median([...times].find(([{ name }]) => name === RSYNC)?.[1] ?? []);
  const rows = [...times].map(([mover, list]) => ({ mover, list, ratio: median(list) / rsync }));
  console.log(`\n${one.title}, ${rounds * one.repeat} runs of each, at most ${one.bound} x rsync`);
  const lines = rows.map(({ mover: { name }, list, ratio }) => [
    name,
    `${median(list).toFixed(2)} s`,
    `${Math.min(...list).toFixed(2)} to ${Math.max(...list).toFixed(2)}`,
    `${ratio.toFixed(2)} x`,
  ]);
  for (const line of align(lines)) console.log(line);
  const over = rows.filter(({ mover, ratio }) => mover.isHeld && ratio > one.bound);
  return over.map(({ mover, ratio }) =>
    `${one.title}: ${mover.name} takes ${ratio.toFixed(2)} times what rsync takes`
  );
}

async function connectTime({ sender }: Place): Promise<number> {
  const { seconds } = await measure(
    [...sender.wrap, "bash", "-c", `'exec 3<>/dev/tcp/${RECEIVER}/${RSYNC_PORT}'`].join(" "),
  );
  return seconds * 1000;
}

const flags = parseArgs([...Deno.args], {
  string: ["rounds", "only", "delay", "folder"],
  default: { rounds: "5", only: "large,small,tree", delay: "50" },
});
const missing = await whyNoNetwork();
if (missing !== undefined) {
  console.error(`Cannot measure: this ${missing}`);
  Deno.exit(1);
}
// Deno reads the certificates that this names for every TLS connection: a machine's affair, not a program's.
Deno.env.delete("NODE_EXTRA_CA_CERTS");
const parent = flags.folder as string | undefined;
const folder = await Deno.makeTempDir({ prefix: "p2p-rtt-", ...(parent ? { dir: parent } : {}) });
const over: string[] = [];
try {
  await using network = new Network();
  const [sender, receiver] = [await network.host(), await network.host()];
  await using _line = await DelayedLine.between(
    { host: sender, address: `${SENDER}/24` },
    { host: receiver, address: `${RECEIVER}/24` },
    Number(flags.delay),
  );
  await using stack = new AsyncDisposableStack();
  const place: Place = { folder, sender, receiver, stack };
  const movers = [
    await rsyncDaemon(place),
    ...await ours(place, true),
    ...await ours(place, false),
  ];
  console.log(`connecting takes ${(await connectTime(place)).toFixed(0)} ms`);
  for (const one of CASES.filter(({ key }) => String(flags.only).split(",").includes(key))) {
    await makeSource(one, folder);
    over.push(...await compare(one, movers, { rounds: Number(flags.rounds), place }));
  }
} finally {
  await Deno.remove(folder, { recursive: true });
}
for (const line of over) console.error(line);
Deno.exit(over.length > 0 ? 1 : 0);

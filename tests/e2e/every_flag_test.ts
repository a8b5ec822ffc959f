/**
 * Every command with each of its flags, right and wrong, and with standard output closed, full, unread and abandoned.
 * The table of what is expected is held against the table that `--help` is made from: a command or a flag without an
 * expectation fails.
 *
 * @module
 */

import { assert, assertEquals, assertMatch } from "@std/assert";
import { pooledMap } from "@std/async/pool";
import { join } from "@std/path";
import { parseCommandLine } from "../../lib/cli/arguments/arguments.ts";
import { PEER_PROGRAM, TRACKER_PROGRAM } from "../../lib/cli/arguments/programs.ts";
import { flagsOf } from "../../lib/cli/arguments/spec.ts";
import { registryPath } from "../../lib/app/tracker_state.ts";
import { Identity } from "../../lib/identity/keys.ts";
import { MemoryRegistry } from "../../lib/tracker/registry/memory_registry.ts";
import { SqliteStore } from "../../lib/tracker/store/sqlite_store.ts";
import { eventually } from "../helpers/deadline.ts";
import {
  e2e,
  type Outcome,
  type Program,
  type ProgramName,
  type StartOptions,
  type TrackerProcess,
  type World,
} from "./helpers.ts";

const PROGRAMS = [TRACKER_PROGRAM, PEER_PROGRAM];
/** Processes at a time. */
const AT_A_TIME = 4;
/** What no line for people may have in it: words of Deno, of the system or of a library, and ends of a program. */
const FOREIGN =
  /os error|https?:\/\/|--allow-(all|read|write|net|env|sys|run)|docs\.rs|Uncaught|\bat file:|NotCapable|undefined/;

/** A tracker with one peer, and the same with `--insecure`. */
interface Scene {
  world: World;
  tracker: TrackerProcess;
  insecure: TrackerProcess;
  /** State folder of the first tracker and its peer. */
  state: string;
  /** A file to send. */
  file: string;
  /** A port that is in use. */
  taken: number;
  /** The id of somebody who was removed, another one each time. */
  removed(): string;
  /** What is different each time it is asked for. */
  unique(): string;
}

/** How a command is run and what it does when all is well. */
interface CommandCase {
  /** Arguments after its name. */
  args(scene: Scene): string[];
  /** Brings it to its end, when it does not come there by itself. */
  end?(started: Started, scene: Scene): Promise<void>;
  /** Whether it has a `--name` of its own each time. */
  named?: true;
  /** Exit code; 0 when left out. */
  code?: number;
  /** What it says, on standard output. */
  says: RegExp;
  /** Exit code when standard output is full: a service goes on, and a missing answer is an error. */
  full: 0 | 8;
}

/** A command that runs. */
interface Started {
  process: Program;
  args: string[];
  /** Its `--name`, when it is listed. */
  name: string;
}

/** One try of a flag. */
interface Try {
  value(scene: Scene): string | null;
  /** Further arguments. */
  with?(scene: Scene): string[];
  /** Exit code: the command's own when left out, 2 of a wrong value. */
  code?: number;
  /** What is said, on either stream. */
  says?: RegExp;
  /** A service that waits for what the value names, and says so: it is asked to end then. */
  waits?: true;
}

/** A flag's value that works, and others that don't. */
interface FlagCase {
  right: Try;
  wrong: Try[];
}

/** Waits until its tracker lists it, or it has ended. */
async function joined({ process, args, name }: Started, scene: Scene): Promise<void> {
  const { program: tracker } = args.includes("--insecure") ? scene.insecure : scene.tracker;
  const there = tracker.until((line) => line.event === "peer-joined" && line.name === name);
  await Promise.race([there, process.status]);
}

/** Sends the file to a peer that is listed. */
async function sendTo({ args, name }: Started, scene: Scene): Promise<Outcome> {
  const how = args.includes("--insecure") ? ["--insecure", ...insecurely(scene)] : [];
  return await scene.world.run("peer", ["send", scene.file, "--to", name, ...how]);
}

/** By program and command. */
const COMMANDS: Record<string, CommandCase> = {
  "tracker run": {
    args: ({ world, unique }) => ["--port", "0", "--state", world.path(unique())],
    async end(started) {
      const { process, args } = started;
      const state = args[args.lastIndexOf("--state") + 1] ?? "";
      let over = false;
      process.status.then(() => over = true);
      // It says where it is once it listens.
      const listens = () => over || exists(join(state, "tracker", "address.json"));
      await eventually(listens, "the tracker");
      await stop(started);
    },
    says: /listening on 127\.0\.0\.1:\d+|"listening"/,
    full: 0,
  },
  "tracker invite": { args: () => [], says: /p2p:\/\/(127\.0\.0\.1|localhost):\d+/, full: 8 },
  "tracker peers": { args: () => [], says: /box/, full: 8 },
  "tracker shares": {
    args: () => [],
    says: /have it|delivered|Nothing has been shared|"share"/,
    full: 8,
  },
  "tracker broadcast": {
    args: () => ["hi"],
    says: /delivered to \d+ peer|"delivered":\d/,
    full: 8,
  },
  "tracker remove": {
    // A key that nobody has.
    args: () => [`id:${Identity.generate().id}`],
    says: /Removed [\w-]+|"removed"/,
    full: 8,
  },
  "tracker removed": { args: () => [], says: /Nobody has been removed|removed|"barred"/, full: 8 },
  "tracker restore": {
    // Whoever is restored once is not there to be restored again.
    args: ({ removed }) => [`id:${removed()}`],
    says: /Restored [\w-]+|"restored"/,
    full: 8,
  },
  "peer menu": { args: receiving, named: true, says: /Registered at|"registered"|^$/, full: 8 },
  "peer run": {
    args: receiving,
    named: true,
    async end(started, scene) {
      await joined(started, scene);
      // What it has received it has received while nobody could read what it says.
      const { code, stderr } = await sendTo(started, scene);
      if (code !== 0) assertEquals((await started.process.outcome).code !== 0, true, stderr);
      await stop(started);
    },
    says: /Registered at|"registered"|^$/,
    full: 0,
  },
  "peer peers": { args: () => [], says: /box/, full: 8 },
  "peer ping": { args: () => ["box"], says: /PONG from box|"pong"/, full: 8 },
  "peer broadcast": { args: () => ["hi"], says: /delivered to \d+ peer|"delivered":\d/, full: 8 },
  "peer send": {
    args: ({ file }) => [file, "--to", "box"],
    says: /box: (delivered|already)|"state":"(delivered|already)"/,
    full: 8,
  },
  "peer share": {
    args: ({ file }) => [file, "--host", "127.0.0.1"],
    async end(started, { world, unique }) {
      const { process, args } = started;
      const invite = () => /p2p:\/\/[^\s'"]+/.exec(process.stdout)?.[0];
      const isUp = process.untilText(() => invite() !== undefined, "the invite");
      const isOver = await Promise.race([isUp.then(() => false), process.status.then(() => true)])
        .catch(() => true);
      if (isOver) return;
      const own = ["--state", world.path(unique()), "--received", world.path(unique())];
      const { code, stderr } = await world.run("peer", ["receive", invite() ?? "", ...own]);
      assertEquals(code, 0, stderr);
      if (args.includes("--keep")) await stop(started);
    },
    says: /has everything|"share-delivered"/,
    full: 8,
  },
  "peer receive": {
    args: receiving,
    named: true,
    async end(started, scene) {
      await joined(started, scene);
      await sendTo(started, scene);
    },
    says: /Received 5 B|"file-received"|hello/,
    full: 8,
  },
  "peer receipts": { args: () => [], says: /signed:|Nobody has signed|"receipt"/, full: 8 },
  "peer shares": {
    args: () => [],
    says: /have it|delivered|Nothing has been shared|"share"/,
    full: 8,
  },
  "peer history": { args: () => [], says: /f\.txt|Nothing has been sent/, full: 8 },
  // With a state of its own: what others are sending just now would be theirs to resume.
  "peer resume": {
    args: ({ tracker, world, unique }) => [
      "all",
      "--state",
      world.path(unique()),
      "--join",
      tracker.invite,
    ],
    says: /Nothing is unfinished/,
    full: 8,
  },
  "peer queue": { args: () => [], says: /Nothing is queued|queued |"queued"/, full: 8 },
  "peer forget": {
    args: ({ world, unique }) => ["all", "--state", world.path(unique())],
    says: /Nothing is unfinished/,
    full: 8,
  },
  "peer trust": { args: () => ["box"], says: /box is id:/, full: 8 },
};

const NOT_A_SIZE = wrong("10 apples", /is not a size; write bytes/);
const NOT_A_TIME = [
  wrong("never", /is not a time; write seconds/),
  wrong("0", /is not a time/),
  wrong("-1", /'-1' is not a time/),
];
const SWITCH = [wrong("maybe", /takes no value/)];

/** By flag; one of a single command is found by program, command and flag. */
const FLAGS: Record<string, FlagCase> = {
  // Of both programs
  state: {
    right: right(({ state }) => state),
    wrong: [wrong(({ file }) => file, /Cannot .*f\.txt.*: .*choose --state/, 8)],
  },
  json: { right: right(null, /^\{"event":/m), wrong: SWITCH },
  quiet: { right: right(null, /^/), wrong: SWITCH },
  insecure: { right: { ...right(null), with: insecurely }, wrong: SWITCH },
  port: {
    right: right("0"),
    wrong: [
      wrong("70000", /'70000' is not a whole number from 0 to 65535/),
      wrong("-1", /'-1' is not a whole number/),
      wrong("http", /'http' is not a whole number/),
    ],
  },
  // Of the tracker
  "tracker run host": {
    right: right("127.0.0.1", /127\.0\.0\.1/),
    wrong: [
      waits("203.0.113.1", /Cannot listen on 203\.0\.113\.1:0: it is no address of this/),
      waits("nosuch.invalid", /no address is known for that name; choose .* --host/),
      wrong("a b", /it is neither a name nor an address; choose .* --host/, 8),
    ],
  },
  "tracker host": {
    right: { ...right("127.0.0.1"), with: ({ tracker }) => ["--port", `${tracker.port}`] },
    wrong: [
      wrong("nosuch.invalid", /no address is known for that name; (is|start) the tracker/, 3),
    ],
  },
  "tracker port": {
    right: right(({ tracker }) => `${tracker.port}`),
    wrong: [wrong("1", /connection refused; (is|start) the tracker/, 3), wrong("x", /'x' is not/)],
  },
  "tracker run port": {
    right: right("0", /listening on 127/),
    wrong: [wrong(({ taken }) => `${taken}`, /the port is in use; choose another with --port/, 8)],
  },
  "tracker run state": {
    right: right(({ world, unique }) => world.path(unique())),
    wrong: [wrong(({ file }) => file, /Cannot .*f\.txt.*: .*choose --state/, 8)],
  },
  "tracker run advertise": {
    right: right("192.0.2.7:5000", /listening/),
    wrong: [wrong("a:b:c", /'a:b:c' is not an address; write host:port/)],
  },
  "peer share advertise": {
    right: right("127.0.0.1"),
    wrong: [wrong("a:b:c", /'a:b:c' is not an address; write host:port/)],
  },
  http: {
    right: right("127.0.0.1:0", /Page at http:\/\/127\.0\.0\.1:\d+\//),
    wrong: [
      wrong("a:b:c", /'a:b:c' is not an address; write host:port/),
      wrong(
        ({ taken }) => `127.0.0.1:${taken}`,
        /the port is in use; choose another with --http/,
        8,
      ),
      wrong("203.0.113.1:0", /Cannot listen on 203\.0\.113\.1:0 for --http: it is no address of/),
    ],
  },
  "tracker run ping-after": { right: right("30"), wrong: NOT_A_TIME },
  "tracker run pong-timeout": { right: right("500ms"), wrong: NOT_A_TIME },
  "tracker run allow-advertise": { right: right(null), wrong: SWITCH },
  "tracker run relay": { right: right(null), wrong: SWITCH },
  "tracker run relay-rate": {
    right: { ...right("10M"), with: () => ["--relay"] },
    wrong: [
      NOT_A_SIZE,
      wrong("10M", /Cannot use --relay-rate: this tracker does not relay; add --relay/),
    ],
  },
  "tracker insecure": {
    right: { ...right(null), with: ({ world }) => ["--state", world.path("insecure")] },
    wrong: SWITCH,
  },
  "tracker run insecure": { right: right(null), wrong: SWITCH },
  "tracker invite rotate": {
    // A tracker of its own: the others have members that would have to join again.
    right: {
      ...right(null, /p2p:\/\//),
      with: ({ world, unique }) => ["--state", world.path(unique())],
      code: 3,
      says: /Cannot invite: no tracker has run/,
    },
    wrong: SWITCH,
  },
  // Of the peer
  join: {
    right: right(({ tracker }) => tracker.invite),
    wrong: [
      wrong("p2p://nothing", /invite/),
      wrong("p2p://127.0.0.1:1/#x", /invite/),
    ],
  },
  tracker: {
    right: right(({ tracker }) => `localhost:${tracker.port}`),
    wrong: [
      wrong("a:b:c", /'a:b:c' is not an address; write host:port/),
      wrong("localhost:1", /Cannot connect to localhost:1: connection refused; is the tr/, 3),
      wrong("nosuch.invalid:5000", /no address is known for that name; is the tracker/, 3),
    ],
  },
  "peer run tracker": {
    right: right(({ tracker }) => `localhost:${tracker.port}`),
    wrong: [
      wrong("a:b:c", /'a:b:c' is not an address; write host:port/),
      waits("localhost:1", /Cannot connect to localhost:1: connection refused; is the tr/),
      waits("nosuch.invalid:5000", /no address is known for that name; is the tracker/),
    ],
  },
  "peer run host": {
    right: right("127.0.0.1"),
    wrong: [
      waits("203.0.113.1", /Cannot listen on 203\.0\.113\.1:0: it is no address of this/),
      waits("nosuch.invalid", /no address is known for that name; choose .* --host/),
    ],
  },
  ...ofCommands(["peer ping", "peer broadcast", "peer send", "peer trust"], {
    tracker: {
      right: right(({ tracker }) => `localhost:${tracker.port}`),
      wrong: [
        wrong("a:b:c", /'a:b:c' is not an address; write host:port/),
        // The list that was seen last serves.
        wrong("localhost:1", /connection refused; .*Going on with the peers that were there/, 0),
      ],
    },
  }),
  name: {
    right: right(({ unique }) => unique()),
    wrong: [wrong("two words", /Cannot use the name 'two words'/), wrong("all", /the name 'all'/)],
  },
  host: {
    right: right("127.0.0.1"),
    wrong: [
      wrong("203.0.113.1", /Cannot listen on 203\.0\.113\.1:0: it is no address of this/, 8),
      wrong("nosuch.invalid", /no address is known for that name; choose .* --host/, 8),
      wrong("fe80::1", /needs its interface, for example fe80::1%eth0; choose/, 8),
    ],
  },
  advertise: {
    right: right("127.0.0.1"),
    wrong: [
      wrong("a:b:c", /'a:b:c' is not an address; write host:port/),
      wrong("laptop:5001", /'laptop' is not an IP address; write one, for example/),
    ],
  },
  // What listens on loopback, and a machine of which no router is found, are told so and go on.
  "map-port": { right: right(null), wrong: SWITCH },
  received: {
    right: right(({ world, unique }) => world.path(unique())),
    wrong: [wrong(({ file }) => file, /Cannot use .*f\.txt/, 8)],
  },
  group: {
    right: right("lab,gpu"),
    wrong: [
      wrong("Lab", /Cannot use --group: 'Lab' is no name of a group/),
      wrong("a,b,c,d,e,f,g,h,i", /more than 8 groups/),
    ],
  },
  accept: {
    right: right("box,members-of-staff"),
    wrong: [
      wrong("all", /Cannot use --accept all: all names no peer/),
      wrong("id:abc", /id:abc is too short/),
      wrong("10.0.0.1:5001", /10\.0\.0\.1:5001 is an address, which anybody may have next/),
    ],
  },
  "max-size": { right: right("10G"), wrong: [NOT_A_SIZE, wrong("-1", /'-1' is not a size/)] },
  quota: { right: right("10G"), wrong: [NOT_A_SIZE] },
  "keep-partials": { right: right("24h"), wrong: NOT_A_TIME },
  "seed-for": { right: right("0"), wrong: [wrong("soon", /.soon. is not a time/)] },
  "limit-rate": {
    right: right("10M"),
    wrong: [NOT_A_SIZE, wrong("100", /'100' is too little; write 1024 or more/)],
  },
  "ack-timeout": { right: right("5"), wrong: NOT_A_TIME },
  "give-up-after": { right: right("1h"), wrong: NOT_A_TIME },
  parallel: {
    right: right("2"),
    wrong: [wrong("0", /'0' is not a whole number from 1 to 1024/), wrong("-2", /'-2' is not/)],
  },
  follow: { right: right(null), wrong: SWITCH },
  strict: { right: right(null), wrong: SWITCH },
  queue: { right: right(null), wrong: SWITCH },
  "queue-for": {
    right: { ...right("1h"), with: () => ["--queue"] },
    wrong: [...NOT_A_TIME, wrong("1h", /Cannot use --queue-for: nothing is to be queued; add/)],
  },
  "peer menu data": {
    right: right(({ world }) => world.folder),
    wrong: [wrong("", /Cannot use --data: its value is empty/)],
  },
  "peer receive accept": {
    // Whoever sends to it is not one of them.
    right: right("members"),
    wrong: [wrong("all", /Cannot use --accept all: all names no peer/)],
  },
  "peer receive stdout": { right: right(null, /hello/), wrong: SWITCH },
  "peer send to": {
    right: right("box"),
    wrong: [
      wrong("nosuch", /Cannot find nosuch: no peer has that name, id or address/, 4),
      wrong("id:", /Cannot find id:/, 4),
      wrong(",", /Cannot use --to/, 2),
    ],
  },
  "peer send name": {
    right: { ...right("piped.txt", /piped\.txt/), with: () => ["-"] },
    wrong: [wrong("x", /Cannot use --name: it names standard input, and no path is `-`/)],
  },
  "peer send retry": {
    // Its arguments name a file; what it does without one is in ledger_test.ts.
    right: { ...right("all", /Cannot use --retry with .*f\.txt: the share says what/), code: 2 },
    wrong: [],
  },
  "peer shares tracker": {
    // What this user has sent needs no tracker.
    right: right("localhost:1", /What others share is not shown: .*the tracker is away/),
    wrong: [wrong("a:b:c", /'a:b:c' is not an address; write host:port/)],
  },
  "peer share count": {
    right: right("1"),
    wrong: [wrong("0", /'0' is not a whole number of 1 or more/)],
  },
  "peer share keep": { right: right(null), wrong: SWITCH },
  "peer share host": {
    right: right("127.0.0.1"),
    wrong: [wrong("nosuch.invalid", /no address is known for that name; choose .* --host/, 8)],
  },
  ...ofCommands(["peer resume", "peer forget"], {
    state: {
      right: right(({ world, unique }) => world.path(unique())),
      wrong: [wrong(({ file }) => file, /Cannot .*f\.txt.*: .*choose --state/, 8)],
    },
  }),
  "peer resume tracker": {
    // --join, which it is given here, wins.
    right: right(({ tracker }) => `localhost:${tracker.port}`),
    wrong: [wrong("a:b:c", /'a:b:c' is not an address; write host:port/)],
  },
  "peer resume insecure": {
    right: { ...right(null), with: ({ insecure }) => ["--tracker", `localhost:${insecure.port}`] },
    wrong: SWITCH,
  },
  "peer history received": { right: right(({ world, unique }) => world.path(unique())), wrong: [] },
  "peer forget received": { right: right(({ world, unique }) => world.path(unique())), wrong: [] },
};

Deno.test("Every command and flag of --help has an expectation, and nothing else has", () => {
  const commands = PROGRAMS.flatMap(({ name, commands }) =>
    commands.map((c) => `${name} ${c.name}`)
  );
  assertEquals(Object.keys(COMMANDS).sort(), commands.sort());
  const used = new Set<string>();
  for (const { title, flag } of everyFlag()) {
    const key = keyOf(title, flag);
    assert(key !== undefined, `${title} --${flag} has no expectation`);
    used.add(key);
  }
  assertEquals(Object.keys(FLAGS).filter((key) => !used.has(key)), []);
});

Deno.test("A variable does what its flag does, right or wrong", () => {
  for (const program of PROGRAMS) {
    for (const command of program.commands) {
      const args = [command.name, ...Array(command.positionals.min).fill("x")];
      for (const { name, kind, env } of flagsOf(program, command)) {
        if (env === undefined) continue;
        const parse = (text: string) =>
          parseCommandLine(program, args, (asked) => asked === env ? text : undefined);
        const value = { boolean: "yes", integer: "7", seconds: "7", size: "7K" }[kind as string] ??
          "localhost:7";
        const parsed = parse(value);
        assert("command" in parsed && parsed.values[name] !== undefined, `${name} ${env}`);
        assert(parsed.explicit.has(name) && !parsed.typed.has(name));
        if (kind === "string") continue;
        const wrong = new RegExp(`Cannot use ${env}: 'a:b:c' is`);
        let said = "";
        try {
          parse("a:b:c");
        } catch (error) {
          said = (error as Error).message;
        }
        assertMatch(said, wrong);
      }
    }
  }
});

e2e("Every flag of every command, with a value that works", async (world) => {
  const scene = await sceneIn(world);
  await inParallel(everyFlag(), async ({ title, flag }) => {
    const { right } = caseOf(title, flag);
    await expectTry(scene, { title, flag, attempt: right, code: COMMANDS[title]?.code ?? 0 });
  });
});

e2e("Every flag of every command, with values that don't work", async (world) => {
  const scene = await sceneIn(world);
  const tries = [...everyFlag()].flatMap(({ title, flag }) =>
    caseOf(title, flag).wrong.map((attempt) => ({ title, flag, attempt, code: 2 }))
  );
  await inParallel(tries, (each) => expectTry(scene, each));
});

/** How standard output is when nobody can read it, and the way of a shell to make it so. */
const OUTPUTS = {
  closed: 'exec "$@" >&-',
  full: 'exec "$@" >/dev/full',
  // Its reader has gone before the first byte.
  gone: 'exec 3<>"$FIFO" 4>"$FIFO" 3<&-; exec "$@" >&4',
  // Its reader is there and does not read: the pipe is full from the beginning.
  stalled: 'exec 3<>"$FIFO"; ' +
    'dd if=/dev/zero of="$FIFO" oflag=nonblock bs=4096 count=64 2>/dev/null; exec "$@" >"$FIFO"',
};

/** Starts a command whose standard output is one of {@linkcode OUTPUTS}. */
async function startWith(output: keyof typeof OUTPUTS, title: string, scene: Scene) {
  const fifo = scene.world.path(scene.unique());
  await new Deno.Command("mkfifo", { args: [fifo] }).output();
  const wrap = ["sh", "-c", OUTPUTS[output], "sh"];
  return { fifo, started: await start(scene, title, [], { wrap, env: { FIFO: fifo } }) };
}

e2e("Every command with standard output closed, full, or without a reader", async (world) => {
  const scene = await sceneIn(world);
  const runs = Object.keys(COMMANDS).flatMap((title) =>
    (["closed", "full", "gone"] as const).map((output) => ({ title, output }))
  );
  await inParallel(runs, async ({ title, output }) => {
    const { full, end } = commandOf(title);
    const { started } = await startWith(output, title, scene);
    // Nobody can read the line that a share is joined with.
    const isShare = title === "peer share";
    if (isShare) started.process.signal("SIGINT");
    else await end?.(started, scene);
    const { code, stderr } = await started.process.outcome;
    const expected = isShare ? 130 : output === "full" ? full : 0;
    assertEquals(code, expected, `${title} (${output}): ${stderr}`);
    if (expected === 8) assertMatch(stderr, /Cannot write to standard output: the disk is full/);
    assert(!FOREIGN.test(stderr), stderr);
  });
}, { ignore: whyNoShell() });

e2e(
  "Every command while its standard output stalls: it works, and says the rest later",
  async (world) => {
    const scene = await sceneIn(world);
    const titles = Object.keys(COMMANDS).filter((title) => title !== "peer share");
    await inParallel(titles, async (title) => {
      const { full, says, end } = commandOf(title);
      const { started, fifo } = await startWith("stalled", title, scene);
      await end?.(started, scene);
      // A service ends without its last words, an answer waits for its reader.
      const text = full === 0 ? null : await Deno.readTextFile(fifo);
      const { code, stderr } = await started.process.outcome;
      assertEquals(code, 0, `${title}: ${stderr}`);
      if (text !== null) assertMatch(text, says, title);
      assert(!FOREIGN.test(stderr), stderr);
    });
  },
  { ignore: whyNoShell() },
);

/** The same for several commands. */
function ofCommands(titles: string[], flags: Record<string, FlagCase>): Record<string, FlagCase> {
  return Object.fromEntries(
    titles.flatMap((title) => Object.entries(flags).map(([flag, it]) => [`${title} ${flag}`, it])),
  );
}

function right(value: string | null | Try["value"], says?: RegExp): Try {
  return { value: asValue(value), ...(says ? { says } : {}) };
}

function wrong(value: string | Try["value"], says: RegExp, code = 2): Try {
  return { value: asValue(value), says, code };
}

/** A value that may come true: the service says that it waits for that. */
function waits(value: string, says: RegExp): Try {
  return { value: asValue(value), says, waits: true };
}

function asValue(value: string | null | Try["value"]): Try["value"] {
  return typeof value === "function" ? value : () => value;
}

/** Arguments of a command that joins as a listed peer. */
function receiving({ world, unique }: Scene): string[] {
  return ["--received", world.path(unique())];
}

/** The arguments that lead to the tracker without encryption. */
function insecurely({ world, insecure: { port } }: Scene): string[] {
  return ["--tracker", `localhost:${port}`, "--state", world.path("insecure")];
}

/** Every flag of every command, once. */
function everyFlag(): { title: string; flag: string }[] {
  return PROGRAMS.flatMap((program) =>
    program.commands.flatMap((command) =>
      flagsOf(program, command).map(({ name }) => ({
        title: `${program.name} ${command.name}`,
        flag: name,
      }))
    )
  );
}

function keyOf(title: string, flag: string): string | undefined {
  const [program] = title.split(" ");
  const keys = [`${title} ${flag}`, `${program} ${flag}`, flag];
  return keys.find((key) => Object.hasOwn(FLAGS, key));
}

function caseOf(title: string, flag: string): FlagCase {
  const found = FLAGS[keyOf(title, flag) ?? ""];
  if (found === undefined) throw new Error(`${title} --${flag} has no expectation`);
  return found;
}

function commandOf(title: string): CommandCase {
  const found = COMMANDS[title];
  if (found === undefined) throw new Error(`${title} has no expectation`);
  return found;
}

async function sceneIn(world: World): Promise<Scene> {
  const state = world.path("home", ".local", "state", "p2p");
  const file = world.path("f.txt");
  await Deno.writeTextFile(file, "hello");
  const ids = Array.from({ length: 40 }, () => Identity.generate().id);
  bar(registryPath(join(state, "tracker")), ids);
  const removed = () => ids.pop() ?? "";
  const tracker = await world.tracker(["--allow-advertise"]);
  await world.peer("in", ["--name", "box"]);
  // The list that serves while the tracker does not answer.
  await world.run("peer", ["peers"]);
  const other = ["--state", world.path("insecure"), "--insecure"];
  const insecure = await world.tracker(other);
  const there = ["--tracker", `localhost:${insecure.port}`];
  await world.peer("in-insecure", ["--name", "box", ...other, ...there]);
  let count = 0;
  const unique = () => `unique-${++count}`;
  return { world, state, file, tracker, insecure, taken: tracker.port, removed, unique };
}

/** Has ids removed before the tracker starts. */
function bar(path: string, ids: readonly string[]): void {
  using store = new SqliteStore(path, { notice: (message) => assert(false, message) });
  const registry = new MemoryRegistry(() => "", { store });
  for (const id of ids) registry.bar(id);
}

async function start(
  scene: Scene,
  title: string,
  more: string[],
  options: StartOptions = {},
): Promise<Started> {
  const { args, named } = commandOf(title);
  const [program = "", command = ""] = title.split(" ");
  const given = more.includes("--name") ? more[more.indexOf("--name") + 1] : undefined;
  const name = given ?? scene.unique();
  const own = named && given === undefined ? ["--name", name] : [];
  const all = [command, ...args(scene), ...own, ...more];
  const process = await scene.world.start(program as ProgramName, all, options);
  return { process, args: all, name };
}

/** Runs a command with a flag to its end, and holds what came of it against what is expected. */
async function expectTry(
  scene: Scene,
  { title, flag, attempt, code }: { title: string; flag: string; attempt: Try; code: number },
): Promise<void> {
  const value = attempt.value(scene);
  const isSwitch = value === null;
  const given = isSwitch ? [`--${flag}`] : [`--${flag}`, value];
  // A switch takes no value; of other flags one that starts with a dash is still a value.
  const typed = attempt.code === 2 && caseOf(title, flag).wrong === SWITCH
    ? [`--${flag}=${value}`]
    : given;
  const { says, end } = commandOf(title);
  const started = await start(scene, title, [...attempt.with?.(scene) ?? [], ...typed], {
    // With another HOME only the flag says where the state is.
    ...(flag === "state" ? { home: scene.world.path(scene.unique()) } : {}),
  });
  if (attempt.waits) {
    await started.process.untilText((text) => attempt.says?.test(text) ?? false);
    await stop(started);
  } else await end?.(started, scene);
  const outcome: Outcome = await started.process.outcome;
  const all = outcome.stdout + outcome.stderr;
  if (attempt.waits) return assertEquals(outcome.code, 0, all);
  const what = `${started.args.join(" ")}: ${all}`;
  assertEquals(outcome.code, attempt.code ?? code, what);
  if (attempt.says) assertMatch(all, attempt.says, what);
  else if (outcome.code === 0) assertMatch(outcome.stdout, says, what);
  if (outcome.code !== 0) assertMatch(outcome.stderr, /^error: Cannot .*\n$/s, what);
  // That of the page is our own.
  assert(!FOREIGN.test(all.replace(/^Page at \S+$/m, "")), what);
}

/** Asks a program to end, if it has not yet. */
async function stop({ process }: Started): Promise<void> {
  try {
    process.signal("SIGTERM");
  } catch {
    // It has ended by itself.
  }
  await process.status;
}

/** Tries all of them, and then says all that was wrong. */
async function inParallel<T>(items: T[], act: (item: T) => Promise<void>): Promise<void> {
  const wrong: string[] = [];
  const trying = (item: T) => act(item).catch((error) => void wrong.push(error.message));
  for await (const _ of pooledMap(AT_A_TIME, items, trying));
  assertEquals(wrong.length, 0, wrong.join("\n----\n"));
}

async function exists(path: string): Promise<boolean> {
  return await Deno.lstat(path).then(() => true, () => false);
}

function whyNoShell(): string | undefined {
  return Deno.build.os === "linux" ? undefined : "needs /dev/full and the FIFOs of Linux";
}

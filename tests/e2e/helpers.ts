/**
 * Real processes of the two programs, in a world of their own: a temporary HOME that is removed in the end.
 *
 * `P2P_TRACKER_BIN` and `P2P_PEER_BIN` name compiled binaries to test; without them the sources run.
 *
 * @module
 */

import { createHash } from "node:crypto";
import { TextLineStream } from "@std/streams/text-line-stream";
import { encodeHex } from "@std/encoding/hex";
import { fromFileUrl, join } from "@std/path";
import { KEPT_PRIVATE } from "../helpers/invariants.ts";
import { permitted, type Reason } from "../helpers/permissions.ts";

/** What a test of this folder needs. */
const NEEDS: Deno.PermissionName[] = ["run", "read", "write", "net", "env", "sys"];
/** Longest wait for one event, in milliseconds: long enough for a machine that is busy with other tests. */
const PATIENCE = 60_000;

/** The folder of the project, with a slash at its end. */
export const ROOT = fromFileUrl(new URL("../../", import.meta.url));

/** One line that a program wrote to stdout with `--json`. */
export interface Line {
  event: string;
  time: string;
  // deno-lint-ignore no-explicit-any
  [field: string]: any;
}

/** Which program. */
export type ProgramName = "tracker" | "peer" | "demo";

/** How to start a program. */
export interface StartOptions {
  /** Variables beside HOME. */
  env?: Record<string, string>;
  /** Whether the test writes to its standard input; else that is empty. */
  stdin?: boolean;
  cwd?: string;
  home?: string;
  /** Command that starts the program, which is appended. */
  wrap?: string[];
  /** Flags of `deno run`; compiled binaries have none. */
  deno?: string[];
}

/** What a program left behind. */
export interface Outcome {
  code: number;
  lines: Line[];
  stdout: string;
  stderr: string;
}

/** Registers an end-to-end test; `ignore` is the reason not to run it here. */
export function e2e(
  name: string,
  fn: (world: World) => Promise<void>,
  options: { ignore?: Reason } = {},
): void {
  permitted(name, NEEDS, async () => {
    await using world = await World.create();
    await fn(world);
  }, options);
}

/** Asks for a variable without failing where that is not allowed. */
export function variable(name: string): string | undefined {
  const { state } = Deno.permissions.querySync({ name: "env", variable: name });
  return state === "granted" ? Deno.env.get(name) : undefined;
}

/** Whether compiled binaries are tested. */
export const ARE_BINARIES = variable("P2P_PEER_BIN") !== undefined;

let denoFolder: string | undefined;

/** Where Deno keeps what it has downloaded; the programs' HOME is another than ours. */
export async function cacheFolder(): Promise<string> {
  if (denoFolder === undefined) {
    const { stdout } = await new Deno.Command(Deno.execPath(), { args: ["info", "--json"] })
      .output();
    denoFolder = JSON.parse(new TextDecoder().decode(stdout)).denoDir as string;
  }
  return denoFolder;
}

/** The command line of a program, and the least environment that it starts in. */
export async function commandOf(
  program: ProgramName,
  deno: string[] = [],
): Promise<{ command: string[]; env: Record<string, string> }> {
  const binary = variable(`P2P_${program.toUpperCase()}_BIN`);
  if (binary !== undefined) return { command: [binary], env: {} };
  const config = join(ROOT, "deno.json");
  const script = join(ROOT, program === "demo" ? "lib/app/demo.ts" : `${program}.ts`);
  const run = [
    "run",
    "-q",
    "--no-prompt",
    ...deno,
    "--v8-flags=--optimize-for-size",
    "--config",
    config,
    `-P=${program}`,
    script,
  ];
  const env = { DENO_DIR: await cacheFolder(), DENO_NO_UPDATE_CHECK: "1" };
  return { command: [Deno.execPath(), ...run], env };
}

/** A temporary folder, its HOME, and the processes that a test starts in it. */
export class World implements AsyncDisposable {
  /** Absolute, without links. */
  readonly folder: string;
  readonly #resources: AsyncDisposable[] = [];

  private constructor(folder: string) {
    this.folder = folder;
  }

  static async create(): Promise<World> {
    const folder = await Deno.realPath(await Deno.makeTempDir({ prefix: "p2p-e2e-" }));
    await Deno.mkdir(join(folder, "home"));
    return new World(folder);
  }

  get home(): string {
    return join(this.folder, "home");
  }

  path(...parts: string[]): string {
    return join(this.folder, ...parts);
  }

  /** What starts a program on a host of a network, with a state of its own. */
  on({ wrap }: { wrap: string[] }, state: string): StartOptions {
    return { wrap, env: { P2P_STATE: this.path(state) } };
  }

  /** Takes care of something at the end of the test; what came last goes first. */
  use<T extends AsyncDisposable>(resource: T): T {
    this.#resources.push(resource);
    return resource;
  }

  /** Starts a program. */
  async start(program: ProgramName, args: string[], options: StartOptions = {}): Promise<Program> {
    const { command, env } = await commandOf(program, options.deno);
    const line = [...options.wrap ?? [], ...command, ...args];
    const more = { ...options, env: { ...env, ...options.env } };
    return this.startCommand(line, more, [program, ...args]);
  }

  /** Starts any program; `wrap` and `deno` of the options are not used. */
  startCommand(line: string[], options: StartOptions = {}, title = line): Program {
    const [name = "", ...args] = line;
    const child = new Deno.Command(name, {
      args,
      cwd: options.cwd ?? this.folder,
      clearEnv: true,
      env: { HOME: options.home ?? this.home, ...options.env },
      stdin: options.stdin ? "piped" : "null",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    return this.use(new Program(title, child, options));
  }

  /** Runs a program to its end. */
  async run(program: ProgramName, args: string[], options: StartOptions = {}): Promise<Outcome> {
    const started = await this.start(program, args, options);
    return await started.outcome;
  }

  /** Starts `tracker run --json` on a free port and waits until it listens. */
  async tracker(args: string[] = [], options: StartOptions = {}): Promise<TrackerProcess> {
    const port = args.includes("--port") ? [] : ["--port", "0"];
    const program = await this.start("tracker", ["run", "--json", ...port, ...args], options);
    const { port: listening, invite, id } = await program.until("listening");
    return { program, port: listening, invite, id };
  }

  /** Starts `peer run --json` with an inbox of its own and waits until it is registered. */
  async peer(inbox: string, args: string[] = [], options: StartOptions = {}): Promise<PeerProcess> {
    const received = this.path(inbox);
    const all = ["run", "--json", "--received", received, ...args];
    const program = await this.start("peer", all, options);
    const { id, port } = await program.until("listening");
    const { name } = await program.until("registered");
    return { program, id, port, name, received };
  }

  /** Writes a file of `size` bytes that no compression makes smaller; resolves with its SHA-256 in hex. */
  async file(name: string, size: number): Promise<{ path: string; sha256: string }> {
    const path = this.path(name);
    using file = await Deno.open(path, { write: true, create: true, truncate: true });
    const block = crypto.getRandomValues(new Uint8Array(64 * 1024));
    for (let at = 0; at < size; at += block.length) {
      // No two blocks are the same.
      new DataView(block.buffer).setFloat64(0, at);
      const part = block.subarray(0, Math.min(block.length, size - at));
      for (let done = 0; done < part.length;) done += await file.write(part.subarray(done));
    }
    return { path, sha256: await sha256Of(path) };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const resource of this.#resources.reverse()) {
      await inTime(resource[Symbol.asyncDispose](), () => `the end of ${Deno.inspect(resource)}`);
    }
    await Deno.remove(this.folder, { recursive: true });
  }
}

/** A tracker that listens. */
export interface TrackerProcess {
  program: Program;
  port: number;
  invite: string;
  id: string;
}

/** A peer that is registered. */
export interface PeerProcess {
  program: Program;
  id: string;
  name: string;
  port: number;
  /** Its inbox. */
  received: string;
}

/** A running program, read line by line. */
export class Program implements AsyncDisposable {
  readonly pid: number;
  readonly lines: Line[] = [];
  readonly #title: string;
  readonly #child: Deno.ChildProcess;
  readonly #stdin: WritableStreamDefaultWriter<Uint8Array> | undefined;
  readonly #reading: Promise<unknown>;
  readonly #waiting = new Set<() => void>();
  #stdout = "";
  #stderr = "";
  #broken: string | null = null;
  #ended: Deno.CommandStatus | null = null;

  constructor(title: string[], child: Deno.ChildProcess, { stdin }: StartOptions) {
    this.#title = title.join(" ");
    this.#stdin = stdin ? child.stdin.getWriter() : undefined;
    this.#child = child;
    this.pid = child.pid;
    this.#reading = Promise.all([
      title.includes("--json") ? this.#readLines() : this.#readText(),
      this.#readErrors(),
    ]);
    this.#reading.then(() => child.status).then((status) => {
      this.#ended = status;
      this.#notify();
    });
  }

  /** What it wrote to stdout so far. */
  get stdout(): string {
    return this.#stdout;
  }

  /** What it wrote to stderr so far. */
  get stderr(): string {
    return this.#stderr;
  }

  /** Where {@linkcode until} may start so that it finds only what is new. */
  get mark(): number {
    return this.lines.length;
  }

  /** Everything about it, for a failed test. */
  get report(): string {
    const state = this.#ended ? `ended with ${this.#ended.signal ?? this.#ended.code}` : "running";
    return `${this.#title} (${state})\n--- stdout\n${this.#stdout}\n--- stderr\n${this.#stderr}\n---`;
  }

  /** Resolves when it has ended and everything that it wrote has been read. */
  get status(): Promise<Deno.CommandStatus> {
    return this.#reading.then(() => this.#child.status);
  }

  /** How it ended, once it has. */
  get outcome(): Promise<Outcome> {
    return inTime(this.status, () => `the end of ${this.report}`).then(({ code }) => {
      if (this.#broken !== null) throw new Error(`not JSON: ${this.#broken}\n${this.report}`);
      return { code, lines: this.lines, stdout: this.#stdout, stderr: this.#stderr };
    });
  }

  /** The first event after `from` that has this name or fits the predicate, now or later. */
  async until(
    wanted: string | ((line: Line) => boolean),
    { from = 0 }: { from?: number } = {},
  ): Promise<Line> {
    const fits = typeof wanted === "string" ? (line: Line) => line.event === wanted : wanted;
    const found = () => this.lines.slice(from).find(fits);
    await this.#wait(`${wanted}`, () => found() !== undefined);
    return found() as Line;
  }

  /** Waits until all that it wrote to stdout fits. */
  async untilText(fits: (stdout: string) => boolean, what = `${fits}`): Promise<void> {
    await this.#wait(what, () => fits(this.#stdout));
  }

  /** Waits until all that it wrote to stderr fits. */
  async untilError(fits: (stderr: string) => boolean): Promise<void> {
    await this.#wait(`${fits}`, () => fits(this.#stderr));
  }

  signal(signal: Deno.Signal): void {
    this.#child.kill(signal);
  }

  /** Asks it to end and waits for that. */
  async stop(signal: Deno.Signal = "SIGTERM"): Promise<Outcome> {
    this.signal(signal);
    return await this.outcome;
  }

  /** Ends it without a chance to say goodbye. */
  async kill(): Promise<void> {
    this.signal("SIGKILL");
    await this.status;
  }

  /** Writes to its standard input, which must be the test's. */
  async write(content: string | Uint8Array): Promise<void> {
    const bytes = typeof content === "string" ? new TextEncoder().encode(content) : content;
    await this.#stdin?.write(bytes);
  }

  async closeInput(): Promise<void> {
    await this.#stdin?.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      this.#child.kill("SIGKILL");
    } catch {
      // It has ended.
    }
    await this.#stdin?.abort().catch(() => {});
    await inTime(this.status, () => `the end of ${this.report}`);
  }

  async #readLines(): Promise<void> {
    const lines = this.#child.stdout.pipeThrough(new TextDecoderStream())
      .pipeThrough(new TextLineStream());
    for await (const line of lines) {
      this.#stdout += `${line}\n`;
      try {
        const value = JSON.parse(line);
        const isEvent = typeof value.event === "string" && /^\d{4}-.*Z$/.test(value.time);
        if (!isEvent) this.#broken ??= line;
        this.lines.push(value);
      } catch {
        this.#broken ??= line;
      }
      this.#notify();
    }
  }

  async #readText(): Promise<void> {
    for await (const text of this.#child.stdout.pipeThrough(new TextDecoderStream())) {
      this.#stdout += text;
      this.#notify();
    }
  }

  async #readErrors(): Promise<void> {
    for await (const text of this.#child.stderr.pipeThrough(new TextDecoderStream())) {
      this.#stderr += text;
      this.#notify();
    }
  }

  #notify(): void {
    for (const look of [...this.#waiting]) look();
  }

  async #wait(what: string, isThere: () => boolean): Promise<void> {
    if (isThere()) return;
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const look = () => {
      if (isThere()) resolve();
      else if (this.#ended) reject(new Error(`ended before ${what}: ${this.report}`));
    };
    this.#waiting.add(look);
    look();
    await inTime(promise, () => `${what} of ${this.report}`).finally(() =>
      this.#waiting.delete(look)
    );
  }
}

/** Fails when a promise takes longer than anything should; `describe` says what it was then. */
export async function inTime<T>(promise: PromiseLike<T>, describe: () => string): Promise<T> {
  const late = Promise.withResolvers<never>();
  const timer = setTimeout(() => late.reject(new Error(`late: ${describe()}`)), PATIENCE);
  try {
    return await Promise.race([promise, late.promise]);
  } finally {
    clearTimeout(timer);
  }
}

/** The last event. */
export function last(lines: readonly Line[]): Line {
  const line = lines.at(-1);
  if (line === undefined) throw new Error("there is no event");
  return line;
}

/** What came of sending: how to go on may be said after it. */
export function finished(lines: readonly Line[]): Line {
  return last(lines.filter(({ event }) => event === "transfer-finished"));
}

/** SHA-256 of a file in hex. */
export async function sha256Of(path: string): Promise<string> {
  const hash = createHash("sha256");
  using file = await Deno.open(path);
  const buffer = new Uint8Array(1024 * 1024);
  for (let n = await file.read(buffer); n !== null; n = await file.read(buffer)) {
    hash.update(buffer.subarray(0, n));
  }
  return encodeHex(new Uint8Array(hash.digest()));
}

/** Names of what is in a folder, hidden ones too, in order. */
export async function namesIn(folder: string): Promise<string[]> {
  return (await Array.fromAsync(Deno.readDir(folder), ({ name }) => name)).sort();
}

/** Partials and other leftovers in an inbox; the lock and the receipts are none. */
export async function leftovers(inbox: string, id: string): Promise<string[]> {
  return (await namesIn(join(inbox, ".partial", id))).filter((name) =>
    !KEPT_PRIVATE.includes(name)
  );
}

/** A file of `/proc/PID`, which Deno itself reads with all permissions only. */
export async function procFile(pid: number, name: string): Promise<string> {
  const { stdout } = await new Deno.Command("cat", { args: [`/proc/${pid}/${name}`] }).output();
  return new TextDecoder().decode(stdout);
}

/** The most memory that a process has taken, in bytes; 0 when it has ended. Linux. */
export async function peakOf(pid: number): Promise<number> {
  const kilobytes = /^VmHWM:\s+(\d+) kB$/m.exec(await procFile(pid, "status"))?.[1];
  return Number(kilobytes ?? 0) * 1024;
}

/** The secret in an invite. */
export function secretOf(invite: string): string {
  return invite.slice(invite.lastIndexOf(".") + 1);
}

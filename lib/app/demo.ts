/**
 * `deno task demo`: a tracker and three peers as separate processes in a temporary folder; one peer
 * broadcasts a message and sends a picture to the others. Exit code 0 only when every step was true.
 *
 * @module
 */

import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";
import { TextLineStream } from "@std/streams/text-line-stream";
import { encodeHex } from "@std/encoding/hex";
import { bold, cyan, dim, green, red, setColorEnabled } from "@std/fmt/colors";
import { escapeText } from "../cli/output/escape.ts";
import type { AppEvent } from "../events.ts";
import { reasonOf } from "../errors.ts";

type EventOf<E extends AppEvent["event"]> = Extract<AppEvent, { event: E }>;

/** Time in milliseconds that any single step may take. */
const STEP_LIMIT = 30_000;
const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const PICTURE = join(ROOT, "data", "network.png");
const GREETING = "Hello from anna: a picture is on its way";
const PEERS = ["anna", "ben", "carl"];

/** A tracker or peer process whose JSON lines are read as events. */
class Member implements AsyncDisposable {
  readonly name: string;
  readonly #process: Deno.ChildProcess;
  readonly #reading: Promise<void>;
  readonly #seen: AppEvent[] = [];
  #news = Promise.withResolvers<void>();
  #over = false;

  constructor(name: string, program: "tracker" | "peer", args: string[]) {
    this.name = name;
    this.#process = new Deno.Command(Deno.execPath(), {
      args: [
        "run",
        "-q",
        "--no-prompt",
        `-P=${program}`,
        join(ROOT, `${program}.ts`),
        ...args,
        "--json",
      ],
      cwd: ROOT,
      stdin: "null",
      stdout: "piped",
      stderr: "inherit",
    }).spawn();
    this.#reading = this.#read();
  }

  /** Waits for an event, also one that has come already. */
  async event<E extends AppEvent["event"]>(kind: E): Promise<EventOf<E>> {
    let late = false;
    const timer = setTimeout(() => {
      late = true;
      this.#news.resolve();
    }, STEP_LIMIT);
    try {
      while (true) {
        const found = this.#seen.find((event): event is EventOf<E> => event.event === kind);
        if (found) return found;
        if (this.#over || late) throw new Error(`${this.name}: no ${kind} came`);
        await this.#news.promise;
      }
    } finally {
      clearTimeout(timer);
    }
  }

  /** Waits until the process has ended by itself. */
  async ended(): Promise<void> {
    await this.#reading;
    const { code } = await this.#process.status;
    if (code !== 0) throw new Error(`${this.name} ended with exit code ${code}`);
  }

  /** Asks it to end and waits. */
  async stop(): Promise<void> {
    this.#signal("SIGTERM");
    await this.ended();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#signal("SIGKILL");
    await this.#reading;
    await this.#process.status;
  }

  #signal(name: Deno.Signal): void {
    try {
      this.#process.kill(name);
    } catch {
      // The process has ended by itself.
    }
  }

  async #read(): Promise<void> {
    const lines = this.#process.stdout.pipeThrough(new TextDecoderStream())
      .pipeThrough(new TextLineStream());
    for await (const line of lines) {
      this.#seen.push(JSON.parse(line));
      this.#news.resolve();
      this.#news = Promise.withResolvers();
    }
    this.#over = true;
    this.#news.resolve();
  }
}

function say(text: string): void {
  Deno.stdout.writeSync(new TextEncoder().encode(`${text}\n`));
}

async function sha256(path: string): Promise<string> {
  return encodeHex(await crypto.subtle.digest("SHA-256", await Deno.readFile(path)));
}

async function demo(folder: string): Promise<void> {
  const tracker = (args: string[]) =>
    new Member("tracker", "tracker", [...args, "--state", folder]);
  const peer = (name: string, args: string[]) =>
    new Member(name, "peer", [...args, "--state", folder]);

  say(bold("1. A tracker"));
  await using hub = tracker(["--port", "0"]);
  const { host, port } = await hub.event("listening");
  say(`   listens on ${host}:${port} and has made a network with its own key and secret`);

  say(bold("2. Three peers find it, prove who they are, and are listed"));
  const members = PEERS.map((name) =>
    peer(name, ["run", "--name", name, "--received", join(folder, name)])
  );
  await using _stop = {
    [Symbol.asyncDispose]: async () => {
      await Promise.all(members.map((member) => member[Symbol.asyncDispose]()));
    },
  };
  for (const member of members) {
    const { id } = await member.event("listening");
    const { name, host, port, reachable } = await member.event("registered");
    if (name !== member.name || !reachable) throw new Error(`${member.name} is not reachable`);
    say(`   ${cyan(name)} at ${host}:${port}, key ${dim(`${id.slice(0, 8)}...`)}`);
  }

  say(bold("3. One message to everybody"));
  await using broadcast = peer("a command", ["broadcast", GREETING]);
  await broadcast.ended();
  for (const member of members) {
    const { text } = await member.event("message");
    if (text !== GREETING) throw new Error(`${member.name} got another message`);
    say(`   ${cyan(member.name)} reads: ${escapeText(text)}`);
  }

  say(bold(`4. ${basename(PICTURE)} to everybody`));
  await using send = peer("a command", ["send", PICTURE, "--to", "all"]);
  const report = await send.event("transfer-finished");
  await send.ended();
  for (const { peer, state, savedAs } of report.recipients) {
    if (state !== "delivered") throw new Error(`${peer} did not get the picture`);
    say(`   ${cyan(peer)} has it on disk as ${savedAs}`);
  }
  if (report.recipients.length !== PEERS.length) throw new Error("not every peer was sent to");

  say(bold("5. The checksums"));
  const expected = await sha256(PICTURE);
  say(`   ${dim(expected)}  data/${basename(PICTURE)}`);
  for (const member of members) {
    const { path } = await member.event("file-received");
    const actual = await sha256(path);
    say(`   ${dim(actual)}  ${member.name}/${basename(path)}`);
    if (actual !== expected) throw new Error(`${member.name} has other bytes`);
  }

  say(bold("6. Everybody leaves"));
  await Promise.all(members.map((member) => member.stop()));
  for (const member of members) await member.event("unregistered");
  await hub.stop();
  say("   all peers have unregistered, the tracker has stopped");
}

if (import.meta.main) {
  setColorEnabled(Deno.stdout.isTerminal() && !Deno.noColor);
  const started = performance.now();
  const folder = await Deno.makeTempDir({ prefix: "p2p-demo-" });
  try {
    await demo(folder);
    const seconds = ((performance.now() - started) / 1000).toFixed(1);
    say(
      green(`\nAll of it was true, in ${seconds} s. Your turn: deno task tracker, deno task peer`),
    );
  } catch (error) {
    say(red(`\nThe demo failed: ${escapeText(reasonOf(error))}`));
    Deno.exitCode = 1;
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

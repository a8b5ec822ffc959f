/**
 * What has to hold after each round, however hostile it was.
 *
 * @module
 */

import { decodeBase64Url } from "@std/encoding/base64url";
import { probe } from "../../lib/net/open_session.ts";
import { Identity } from "../../lib/identity/keys.ts";
import type { Membership } from "../../lib/identity/network.ts";
import { Connection } from "../../lib/net/connection.ts";
import { greetAsDialler } from "../../lib/net/handshake.ts";
import { dial } from "../../lib/net/transport.ts";
import { procFile } from "../e2e/helpers.ts";
import type { Spent } from "./attacker.ts";
import { MARK } from "./hostile_frames.ts";
import { membershipOf, QUOTA, type Stage, type Target } from "./stage.ts";

const MIB = 1024 * 1024;
/** Time in milliseconds in which everything is back to where it was. */
const RECOVERY = 15_000;
/** What a process may keep beside what it had: the heap grows in steps, and shrinks late. */
const KEPT_MEMORY = 96 * MIB;
/** What it may take meanwhile, and for each byte that came. */
const PEAK_MEMORY = 192 * MIB;
const MEMORY_PER_BYTE = 4;
/** Seconds of a processor: once, for each connection (TLS, two signatures), and for each byte (small frames). */
const WORK = { once: 4, connection: 0.04, byte: 4e-6 };
/** Largest piece. */
const PIECE = 4 * MIB;
/** Folders and notes of an inbox that count for nothing. */
const SPARE_INODES = 64;
/** The smallest file takes a block. */
const BLOCK = 4096;

/** What a process has open and uses. */
export interface Figures {
  /**
   * What each leads to, but for partials: a transfer has a minute to be gone on with, and how many there are is bounded.
   */
  descriptors: string[];
  /** Resident memory, and the most of it so far, in bytes. */
  memory: number;
  peak: number;
  /** Seconds of a processor so far. */
  work: number;
}

export async function figuresOf({ program: { pid } }: Target): Promise<Figures> {
  const [status, stat, open] = await Promise.all([
    procFile(pid, "status"),
    procFile(pid, "stat"),
    new Deno.Command("ls", { args: ["-l", `/proc/${pid}/fd`], stderr: "null" }).output(),
  ]);
  const kib = (name: string) => Number(new RegExp(`${name}:\\s+(\\d+)`).exec(status)?.[1] ?? NaN);
  const ticks = stat.slice(stat.lastIndexOf(")")).split(" ");
  return {
    descriptors: new TextDecoder().decode(open.stdout).split("\n")
      .flatMap((line) => line.split(" -> ")[1] ?? []).filter((path) =>
        !path.includes("/.partial/")
      ),
    memory: kib("VmRSS") * 1024,
    peak: kib("VmHWM") * 1024,
    work: (Number(ticks[12]) + Number(ticks[13])) / 100,
  };
}

/** Descriptors and memory are back, and neither they nor the work were out of proportion to what came. */
export async function frugal(
  targets: readonly Target[],
  before: ReadonlyMap<Target, Figures>,
  spent: Spent,
): Promise<string[]> {
  const end = performance.now() + RECOVERY;
  return (await Promise.all(targets.map(async (target) => {
    const problems: string[] = [];
    const was = before.get(target) as Figures;
    let now = await figuresOf(target);
    const worked = now.work - was.work;
    const isBack = () =>
      now.descriptors.length <= was.descriptors.length && now.memory <= was.memory + KEPT_MEMORY;
    while (!isBack() && performance.now() < end) {
      await new Promise((resolve) => setTimeout(resolve, 100));
      now = await figuresOf(target);
    }
    const { name } = target;
    if (!(now.descriptors.length > 0 && now.memory > 0)) problems.push(`${name} does not live`);
    const [had, has] = [was.descriptors.length, now.descriptors.length];
    if (has > had) {
      const more = now.descriptors.filter((path) => !was.descriptors.includes(path));
      problems.push(`${name} had ${had} descriptors, and has ${has}, now ${more.join(", ")}`);
    }
    if (now.memory > was.memory + KEPT_MEMORY) {
      problems.push(`${name} had ${inMib(was.memory)}, and has ${inMib(now.memory)}`);
    }
    const { bytes, connections } = spent;
    const most = was.peak + PEAK_MEMORY + MEMORY_PER_BYTE * bytes;
    if (now.peak > most) problems.push(`${name} took ${inMib(now.peak)}, over ${inMib(most)}`);
    const share = WORK.once + WORK.connection * connections + WORK.byte * bytes;
    if (worked > share) problems.push(`${name} worked ${worked} s for ${bytes} bytes (${share} s)`);
    return problems;
  }))).flat();
}

/** Whoever asks is answered. */
export async function lively(stage: Stage): Promise<string[]> {
  const problems: string[] = [];
  const identity = Identity.generate();
  for (const target of stage.targets) {
    await probe({
      address: { host: "127.0.0.1", port: target.port },
      id: target.role === "peer" ? target.id : undefined,
      credentials: { identity, role: "client", membership: stage.membership },
    }).catch((error) => problems.push(`${target.name} does not answer: ${error.message}`));
  }
  return problems;
}

/** Nothing remote begins a line, and nothing acts on a terminal. */
export function quiet(targets: readonly Target[]): string[] {
  const problems: string[] = [];
  for (const { name, program } of targets) {
    for (const text of [program.stdout, program.stderr]) {
      const lines = text.split(/\r\n|[\n\r\v\f\x85\u2028\u2029]/);
      const remote = lines.find((line) => line.startsWith(MARK));
      if (remote !== undefined) problems.push(`a line of ${name} is remote: ${cut(remote)}`);
      // deno-lint-ignore no-control-regex
      const raw = /[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]/.exec(text);
      if (raw) {
        const around = text.slice(Math.max(0, raw.index - 60), raw.index + 60);
        problems.push(`${name} wrote a control character: ${JSON.stringify(around)}`);
      }
    }
  }
  return problems;
}

/** Nobody who is honest has sent anything: no message or file is theirs. */
export function honest(targets: readonly Target[]): string[] {
  const ours = new Set(targets.flatMap(({ id, name }) => [id, name]));
  const problems: string[] = [];
  for (const { name, program } of targets) {
    for (const line of program.lines) {
      const from = [line["from"], ...line.event === "transfer-started" ? line["peers"] : []];
      if (line.event === "message") from.push(line["name"]);
      const shown = from.find((one) => ours.has(one));
      if (shown) problems.push(`${name} shows ${line.event} of ${shown}, who sent none`);
    }
    if (program.lines.length > 0) continue;
    for (const line of program.stdout.split("\n")) {
      const shown = senderShown(line);
      const peer = targets.find(({ id, name }) => [id, name, id.slice(0, 8)].includes(shown));
      if (peer) {
        problems.push(`${name} shows something of ${peer.name}, who sent none: ${cut(line)}`);
      }
    }
  }
  return problems;
}

/** Whom a line for people names as the sender; empty where it names none. A file may be called anything. */
function senderShown(line: string): string {
  const author = /^Message from .*?\((.{8})\):/.exec(line);
  const sender = /^(?:Receiving|Received|Not received:) \S+(?: \([^)]*\))? from (?:id:)?([^\s:]+)/;
  return author?.[1] ?? sender.exec(line)?.[1] ?? "";
}

/** The inbox is within its quota and one piece, in blocks and in inodes. */
export async function bounded(peers: readonly Target[]): Promise<string[]> {
  const problems: string[] = [];
  for (const { name, received } of peers) {
    const args = (more: string[]) => ["-s", ...more, received ?? ""];
    const count = async (more: string[]) => {
      const { stdout } = await new Deno.Command("du", { args: args(more), stderr: "null" })
        .output();
      return parseInt(new TextDecoder().decode(stdout));
    };
    const [bytes, inodes] = [await count(["-B1"]), await count(["--inodes"])];
    if (!(bytes <= QUOTA + PIECE)) problems.push(`the inbox of ${name} takes ${inMib(bytes)}`);
    const most = (QUOTA + PIECE) / BLOCK + SPARE_INODES;
    if (!(inodes <= most)) problems.push(`the inbox of ${name} has ${inodes} inodes`);
  }
  return problems;
}

/** After a rotation the old secret is worth nothing: neither to begin with nor to go on with. */
export async function rotated(stage: Stage): Promise<string[]> {
  const tracker = stage.targets.find(({ role }) => role === "tracker");
  if (!tracker) return [];
  const old = stage.membership;
  using connections = new DisposableStack();
  const halfDone: HalfDone[] = [];
  for (let n = 0; n < 4; n++) halfDone.push(connections.use(await HalfDone.open(tracker, old)));
  // Of two of them the HELLO has gone out already, and the answer is there.
  await halfDone[0]?.begin(old);
  await halfDone[1]?.begin(old);
  const open = connections.use(await HalfDone.open(tracker, old));
  await open.finish(old);
  const { code, lines } = await stage.world.run("tracker", ["invite", "--rotate", "--json"]);
  const invite = lines.findLast(({ event }) => event === "invite")?.["invite"];
  if (code !== 0 || invite === undefined) return [`the secret could not be changed: ${code}`];
  const fresh = membershipOf(invite);
  const problems: string[] = [];
  const late = await Promise.all(halfDone.map((one) => one.finish(old)));
  if (late.includes(true)) problems.push(`handshakes went on with the old secret: ${late}`);
  if (await open.asks()) problems.push("a session went on with the old secret");
  if (await admits(tracker, old)) problems.push("the tracker admits with the old secret");
  if (!await admits(tracker, fresh)) problems.push("the tracker does not admit with the new one");
  for (const peer of stage.peers) {
    if (await admits(peer, old) && await admits(peer, fresh)) {
      problems.push(`${peer.name} admits with the old secret and the new one`);
    }
  }
  return problems;
}

/** Whether a new member gets in and is answered. */
async function admits(target: Target, membership: Membership): Promise<boolean> {
  // A peer whose tracker has another secret may have ended.
  const one = await HalfDone.open(target, membership).catch(() => null);
  using _ = one;
  return await one?.finish(membership) ?? false;
}

/** A handshake that waits for the dialler: after TLS, or after the proof of the listener. */
class HalfDone implements Disposable {
  readonly #connection: Connection;
  readonly #target: Target;
  readonly #goOn = Promise.withResolvers<void>();
  readonly #proven = Promise.withResolvers<void>();
  #greeting: Promise<unknown> | undefined;

  private constructor(conn: Deno.Conn, target: Target) {
    this.#connection = new Connection(conn);
    this.#target = target;
  }

  static async open(target: Target, { id }: Membership): Promise<HalfDone> {
    const pin = decodeBase64Url(target.role === "peer" ? target.id : id);
    const address = { host: "127.0.0.1", port: target.port };
    return new HalfDone(await dial({ ...address, pin, timeout: 10_000 }), target);
  }

  /** Says HELLO and waits for that of the listener and its proof. */
  async begin(membership: Membership): Promise<void> {
    const credentials = { identity: Identity.generate(), role: "client" as const, membership };
    const expectedId = this.#target.role === "peer" ? this.#target.id : undefined;
    this.#greeting = greetAsDialler(this.#heldBack(), credentials, { expectedId });
    this.#greeting.catch(() => {});
    await Promise.race([this.#proven.promise, this.#greeting.catch(() => {})]);
  }

  /** Goes on with the secret that it has; whether it is let in. */
  async finish(membership: Membership): Promise<boolean> {
    this.#goOn.resolve();
    if (!this.#greeting) await this.begin(membership);
    try {
      await this.#greeting;
    } catch {
      return false;
    }
    return await this.asks();
  }

  /** Whether a request is answered. */
  async asks(): Promise<boolean> {
    try {
      await this.#connection.write({ verb: "PING", seq: 1 });
      for (let n = 0; n < 3; n++) {
        const frame = await this.#connection.read();
        if (frame === null || !("message" in frame)) return false;
        if (frame.message.verb === "PONG") return true;
      }
    } catch {
      // Closed, or ERROR.
    }
    return false;
  }

  [Symbol.dispose](): void {
    this.#goOn.resolve();
    this.#connection.close();
  }

  /** The connection, but that AUTH goes out only when the test goes on. */
  #heldBack(): Connection {
    const { promise: goOn } = this.#goOn;
    const proven = this.#proven.resolve;
    return new Proxy(this.#connection, {
      get(connection, key) {
        if (key === "write") {
          return async (...args: Parameters<Connection["write"]>) => {
            if (args[0].verb === "AUTH") {
              proven();
              await goOn;
            }
            await connection.write(...args);
          };
        }
        const value = Reflect.get(connection, key, connection);
        return typeof value === "function" ? value.bind(connection) : value;
      },
    });
  }
}

const inMib = (bytes: number) => `${(bytes / MIB).toFixed(1)} MiB`;
const cut = (line: string) => JSON.stringify(line.slice(0, 120));

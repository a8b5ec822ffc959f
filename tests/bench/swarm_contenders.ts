/**
 * Ways to bring one file to many machines of a star.
 *
 * @module
 */

import { fromFileUrl } from "@std/path";
import { TextLineStream } from "@std/streams/text-line-stream";
import type { Machines } from "../e2e/machines.ts";
import type { Line, PeerProcess, World } from "../e2e/helpers.ts";

/** Debian's modules are of Debian's Python, whichever other one comes first. */
const PYTHON = "/usr/bin/python3";
/** Machines that receive nothing: the tracker, and the sender on the second. */
const FIRST = 2;
const TORRENT = fromFileUrl(new URL("swarm_torrent.py", import.meta.url));
const TORRENT_PORT = 6881;

/** The machines around the switch: the first has the tracker, the second the file, the others receive. */
export interface Star {
  world: World;
  machines: Machines;
  receivers: number;
  bytes: number;
  /** Mbit/s of each line. */
  rate: number;
}

/** One way. */
export interface Way {
  name: string;
  /** Brings the file to the first `count` receivers. */
  run(path: string, count: number): Promise<{
    seconds: number;
    /** Copies that have left the sender; null where nobody says. */
    sent: number | null;
    /** Seconds of each receiver, where they are known. */
    each?: number[];
  }>;
}

/** Those that can be run here, and why others cannot. */
export async function contenders(star: Star): Promise<{ contenders: Way[]; missing: string[] }> {
  const missing: string[] = [];
  const ways = [await ours(star)];
  if (await works(PYTHON, "-c", "import libtorrent")) ways.push(torrent(star));
  else missing.push("libtorrent: apt-get install python3-libtorrent");
  if (await works("rsync", "--version")) ways.push(...rsync(star));
  else missing.push("rsync: apt-get install rsync");
  if (await works("sh", "-c", "command -v uftp uftpd")) ways.push(uftp(star));
  else missing.push("UFTP: apt-get install uftp");
  return { contenders: ways, missing };
}

async function ours(star: Star): Promise<Way> {
  const { send } = await startOurs(star);
  return { name: "p2p, secure", run: (path, count) => send(path, count, 1) };
}

/** Starts our receivers; `send` brings a file from a machine to the first `count` of them. */
export async function startOurs({ machines, receivers, bytes }: Star): Promise<{
  send: (path: string, count: number, from: number) => ReturnType<Way["run"]>;
}> {
  await machines.join(1);
  const peers: PeerProcess[] = [];
  for (let i = FIRST; i < FIRST + receivers; i++) peers.push(await machines.peer(i));
  return {
    send: async (path, count, from) => {
      const to = namesOf(count).join(",");
      const { code, lines } = await machines.run(from, "send", path, "--to", to);
      const finished = lines.find(({ event }) => event === "transfer-finished");
      if (code !== 0 || !finished) throw new Error(JSON.stringify(lines.at(-1)));
      const each = await Promise.all(
        peers.slice(0, count).map(async ({ program }) => {
          const isIt = (line: Line) =>
            line.event === "file-received" && line["transfer"] === finished["transfer"];
          return (await program.until(isIt))["seconds"] as number;
        }),
      );
      return { seconds: finished["seconds"], sent: finished["bytesSent"] / bytes, each };
    },
  };
}

function torrent({ world, machines, bytes }: Star): Way {
  return {
    name: "libtorrent v2",
    run: async (path, count) => {
      const numbers = Array.from({ length: count + 1 }, (_, i) => i + 1);
      const file = world.path("star.torrent");
      const addresses = numbers.map(addressOf);
      await using members = new AsyncDisposableStack();
      const all: Member[] = [];
      for (const number of numbers) {
        const folder = world.path(`torrent-${number}`);
        await Deno.mkdir(folder, { recursive: true });
        const others = addresses.filter((address) => address !== addressOf(number));
        const place = number === 1 ? path : folder;
        const [command, ...wrap] = machines.on(number).wrap ?? [];
        const args = [...wrap, PYTHON, TORRENT, place, file, `${TORRENT_PORT}`, ...others];
        const member = members.use(new Member(command ?? "", args));
        await member.line("ready");
        all.push(member);
      }
      const began = performance.now();
      for (const member of all) await member.goOn();
      await Promise.all(all.map((member) => member.line("done")));
      const seconds = (performance.now() - began) / 1000;
      const [seeder] = all;
      await seeder?.goOn();
      const sent = Number((await seeder?.line("sent"))?.split(" ")[1]);
      return { seconds, sent: sent / bytes };
    },
  };
}

/** A daemon on each machine: one after another, and all at once. */
function rsync({ world, machines, receivers }: Star): Way[] {
  let daemons: Promise<void> | undefined;
  const start = async () => {
    for (let i = FIRST; i < FIRST + receivers; i++) {
      const folder = world.path(`rsync-${i}`);
      await Deno.mkdir(folder, { recursive: true });
      const config = world.path(`rsync-${i}.conf`);
      const lines = [
        "uid = root",
        "gid = root",
        "use chroot = no",
        "[in]",
        `path = ${folder}`,
        "read only = no",
      ];
      await Deno.writeTextFile(config, `${lines.join("\n")}\n`);
      const daemon = ["rsync", "--daemon", "--no-detach", `--config=${config}`, "--port=8730"];
      const [command, ...wrap] = machines.on(i).wrap ?? [];
      world.use(new Member(command ?? "", [...wrap, ...daemon]));
      await machines.hosts[i]?.run(
        "bash",
        "-c",
        "for i in $(seq 200); do (: < /dev/tcp/127.0.0.1/8730) 2>/dev/null && exit; sleep 0.02; done; exit 1",
      );
    }
  };
  const to = async (path: string, i: number) => {
    await machines.hosts[1]?.run("rsync", "--whole-file", path, `rsync://${addressOf(i)}:8730/in/`);
  };
  const way = (name: string, send: (path: string, numbers: number[]) => Promise<unknown>): Way => ({
    name,
    run: async (path, count) => {
      await (daemons ??= start());
      const began = performance.now();
      await send(path, Array.from({ length: count }, (_, i) => FIRST + i));
      return { seconds: (performance.now() - began) / 1000, sent: count };
    },
  });
  return [
    way("rsync daemon, one after another", async (path, numbers) => {
      for (const i of numbers) await to(path, i);
    }),
    way(
      "rsync daemon, all at once",
      (path, numbers) => Promise.all(numbers.map((i) => to(path, i))),
    ),
  ];
}

/** Share of a line's bytes that are the file's in UFTP: the rest is headers, and what comes twice. */
const UFTP_SHARE = 0.93;

/** Multicast: the switch copies what leaves the sender once. It hashes nothing, and is told how fast the line is. */
function uftp({ world, machines, receivers, rate }: Star): Way {
  let daemons: Promise<void> | undefined;
  const start = async () => {
    for (let i = FIRST; i < FIRST + receivers; i++) {
      const folder = world.path(`uftp-${i}`);
      await Deno.mkdir(folder, { recursive: true });
      const daemon = ["uftpd", "-d", "-D", folder, "-I", "eth0"];
      const [command, ...wrap] = machines.on(i).wrap ?? [];
      world.use(new Member(command ?? "", [...wrap, ...daemon]));
    }
    // Each has joined its group when the kernel says so.
    for (let i = FIRST; i < FIRST + receivers; i++) {
      await machines.hosts[i]?.run(
        "sh",
        "-c",
        "for i in $(seq 200); do grep -q 010404E6 /proc/net/igmp && exit; sleep 0.02; done; exit 1",
      );
    }
  };
  return {
    name: "UFTP, multicast, unverified",
    run: async (path, count) => {
      await (daemons ??= start());
      const to = Array.from({ length: count }, (_, i) => addressOf(FIRST + i)).join(",");
      const speed = `${Math.floor(rate * 1000 * UFTP_SHARE)}`;
      const began = performance.now();
      await machines.hosts[1]?.run("uftp", "-q", "-R", speed, "-I", "eth0", "-H", to, path);
      return { seconds: (performance.now() - began) / 1000, sent: null };
    },
  };
}

/** A program that says in lines how far it is, and waits for one before it goes on. */
class Member implements AsyncDisposable {
  readonly #process: Deno.ChildProcess;
  readonly #writer: WritableStreamDefaultWriter<Uint8Array>;
  readonly #lines: ReadableStreamDefaultReader<string>;

  constructor(command: string, args: string[]) {
    this.#process = new Deno.Command(command, {
      args,
      stdin: "piped",
      stdout: "piped",
      stderr: "null",
    }).spawn();
    this.#writer = this.#process.stdin.getWriter();
    this.#lines = this.#process.stdout.pipeThrough(new TextDecoderStream())
      .pipeThrough(new TextLineStream()).getReader();
  }

  async goOn(): Promise<void> {
    await this.#writer.write(new TextEncoder().encode("\n"));
  }

  /** Waits for a line that begins with the word. */
  async line(word: string): Promise<string> {
    while (true) {
      const { value, done } = await this.#lines.read();
      if (done) throw new Error(`it ended before it said ${word}`);
      if (value.startsWith(word)) return value;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      this.#process.kill("SIGKILL");
    } catch {
      // It has ended.
    }
    await this.#writer.abort().catch(() => {});
    await this.#lines.cancel().catch(() => {});
    await this.#process.status;
  }
}

function namesOf(count: number): string[] {
  return Array.from({ length: count }, (_, i) => `m${FIRST + i}`);
}

/** The address of a machine on the switch. */
function addressOf(i: number): string {
  return `10.77.0.${i + 1}`;
}

async function works(command: string, ...args: string[]): Promise<boolean> {
  try {
    return (await new Deno.Command(command, { args, stdout: "null", stderr: "null" }).output())
      .success;
  } catch {
    return false;
  }
}

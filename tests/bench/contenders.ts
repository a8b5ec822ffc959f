/**
 * The programs that the benchmark compares, each with what it needs to run.
 *
 * @module
 */

import { fromFileUrl, join } from "@std/path";
import { aria2, uftp, wormhole } from "./others.ts";
import { ours } from "./ours.ts";
import { freePort, Service, startSshd, untilListening } from "./service.ts";
import type { Workload } from "./workloads.ts";

/** What a run is given. */
export interface Job {
  /** The file or folder to move. */
  source: string;
  /** A fresh, empty folder to move it to. */
  target: string;
}

/** What a program does beside moving bytes. */
export interface Does {
  /** How it makes sure at the receiver that the bytes are those that were sent, beside what TCP does. */
  verifies: string;
  /** How they are encrypted on their way. */
  encrypts: string;
  /** Whether they are synced to the disk when it says that it is done. */
  syncs: boolean;
}

/** Nothing of all that. */
const MOVES: Does = { verifies: "nothing", encrypts: "nothing", syncs: false };

/** A program that moves files from one folder to another, both on this machine. */
export interface Contender {
  name: string;
  /** What it does to the bytes beside moving them. */
  does: Does;
  /** Makes ready what a run needs, outside of what is measured. */
  prepare?: (source: string) => Promise<void>;
  /** The bash command line of one run. */
  command: (job: Job) => string;
  /** The command line of a run that goes on with what an earlier one left; absent where it cannot. */
  resume?: (job: Job) => string;
  /** Whether the command is the end that receives: the other one serves. */
  receives?: boolean;
  /** Whether it reads sockets as it reads files, so that the kernel counts both as one. */
  readsSockets?: boolean;
  /** Processes that serve it and are measured with it. */
  services?: readonly Service[];
  /** What it takes part in; everything by default. */
  takes?: (workload: Workload) => boolean;
  /** Moves nothing: a yardstick. */
  isYardstick?: boolean;
  /** The folder that it receives to, when it cannot be told `target`. */
  received?: string;
}

/** Contenders that can run here, and why the others cannot. */
export interface Field extends AsyncDisposable {
  contenders: Contender[];
  missing: string[];
}

/** Where things are set up, and how. */
export interface Setup {
  /** On the file system that is measured. */
  folder: string;
  /** Whether the compiled binaries take part. */
  binaries: boolean;
  /** Ends everything that was started. */
  stack: AsyncDisposableStack;
}

const BASELINE = fromFileUrl(new URL("./baseline.ts", import.meta.url));
const TORRENT = fromFileUrl(new URL("./torrent.py", import.meta.url));
/** Debian's modules are of Debian's Python, whichever other one comes first. */
const PYTHON = "/usr/bin/python3";

const isFile = ({ kind }: Workload) => kind === "file";
const isLarge = ({ key }: Workload) => key === "large";

/** What each program needs: commands, or modules of Debian's Python, and the packages that have them. */
const NEEDS = {
  time: { commands: ["/usr/bin/time"], packages: "time" },
  /** For where the milliseconds go. */
  strace: { commands: ["strace"], packages: "strace" },
  openssl: { commands: ["openssl"], packages: "openssl" },
  socat: { commands: ["socat", "tar"], packages: "socat" },
  ssh: { commands: ["/usr/sbin/sshd", "scp"], packages: "openssh-server openssh-client" },
  rsync: { commands: ["rsync"], packages: "rsync" },
  wormhole: {
    commands: ["wormhole"],
    modules: ["wormhole_mailbox_server"],
    packages: "magic-wormhole python3-magic-wormhole-mailbox-server",
  },
  libtorrent: { modules: ["libtorrent"], packages: "python3-libtorrent" },
  aria2: {
    commands: ["aria2c", "mktorrent", "opentracker"],
    packages: "aria2 mktorrent opentracker",
  },
  uftp: { commands: ["uftp", "uftpd"], packages: "uftp" },
} satisfies Record<string, { commands?: string[]; modules?: string[]; packages: string }>;

/** Sets everything up that is installed here, and says how to get the rest. */
export async function gather(options: Omit<Setup, "stack">): Promise<Field> {
  await using stack = new AsyncDisposableStack();
  const setup: Setup = { ...options, stack };
  // For what is started when the first run is made ready.
  const late = stack.use(new AsyncDisposableStack());
  const absent = new Set<keyof typeof NEEDS>();
  for (const name of Object.keys(NEEDS) as (keyof typeof NEEDS)[]) {
    if (!await isHere(NEEDS[name])) absent.add(name);
  }
  const missing = [...absent].map((name) => `${name}: apt-get install ${NEEDS[name].packages}`);
  if (absent.has("time")) throw new Error(`Cannot measure: ${missing.join("; ")}`);
  const has = (name: keyof typeof NEEDS) => !absent.has(name);

  const contenders: Contender[] = [
    { name: "cp -r", does: MOVES, command: ({ source, target }) => `cp -r ${source} ${target}/` },
  ];
  if (has("socat")) contenders.push(socat(), socatTree());
  if (has("openssl")) contenders.push(openssl());
  contenders.push(...await baselines(setup));
  contenders.push(...await ours(setup));
  if (has("ssh")) {
    const sshd = stack.use(await startSshd(options.folder));
    contenders.push(...scp(sshd));
    if (has("rsync")) contenders.push(rsyncOverSsh(sshd));
  }
  if (has("rsync")) contenders.push(await rsyncDaemon(setup));
  if (has("wormhole")) contenders.push(await wormhole(setup));
  if (has("libtorrent")) contenders.push(libtorrent());
  if (has("aria2")) contenders.push(aria2({ ...setup, stack: late }));
  if (has("uftp")) contenders.push(uftp(setup));
  const moved = stack.move();
  return { contenders, missing, [Symbol.asyncDispose]: () => moved.disposeAsync() };
}

async function isHere(
  { commands = [], modules = [] }: { commands?: string[]; modules?: string[] },
): Promise<boolean> {
  const tests = [
    ...commands.map((command) => `command -v ${command}`),
    ...modules.map((module) => `${PYTHON} -c 'import ${module}'`),
  ];
  const { success } = await new Deno.Command("bash", { args: ["-c", tests.join(" && ")] }).output();
  return success;
}

function openssl(): Contender {
  return {
    name: "openssl dgst -sha256",
    does: MOVES,
    command: ({ source }) => `openssl dgst -sha256 ${source}`,
    takes: isFile,
    isYardstick: true,
  };
}

/** socat to socat; the second is tried until the first listens. */
function socatPair(send: string, receive: string): string {
  const port = freePort();
  const [listen, dial] = [`TCP-LISTEN:${port},reuseaddr,bind=127.0.0.1`, `TCP:127.0.0.1:${port}`];
  return `socat -u -b 262144 ${listen} ${receive} & ` +
    `until socat -u -b 262144 ${send} ${dial} 2>/dev/null; do :; done; wait $!`;
}

function socat(): Contender {
  return {
    name: "socat, plain TCP",
    does: MOVES,
    command: ({ source, target }) => socatPair(`OPEN:${source}`, `OPEN:${target}/file,creat,trunc`),
    takes: isFile,
  };
}

function socatTree(): Contender {
  return {
    name: "tar, socat, tar",
    does: MOVES,
    command: ({ source, target }) =>
      socatPair(`EXEC:'tar -cC ${source} .'`, `EXEC:'tar -xC ${target}'`),
    takes: ({ kind }) => kind === "tree",
  };
}

/** A minimal script in Deno, plain and with TLS, with one pass of SHA-256 at each end; and what a second one costs. */
async function baselines(setup: Setup): Promise<Contender[]> {
  return await Promise.all([
    baseline(setup, { name: "Deno at its least, plain", flags: "" }),
    baseline(setup, { name: "Deno at its least, TLS", flags: "--tls" }),
    baseline(setup, {
      name: "  each end hashes twice",
      flags: "--tls --twice",
      takes: isLarge,
    }),
  ]);
}

async function baseline(
  { folder, stack }: Setup,
  { name, flags, takes }: { name: string; flags: string; takes?: (workload: Workload) => boolean },
): Promise<Contender> {
  const port = freePort();
  const received = await Deno.makeTempDir({ dir: folder, prefix: "baseline-" });
  const run = `${Deno.execPath()} run -q --allow-all ${BASELINE}`;
  const service = stack.use(
    new Service("bash", ["-c", `exec ${run} receive ${port} ${received} ${flags}`]),
  );
  await untilListening(port);
  const encrypts = flags.includes("--tls") ? "TLS 1.3" : "nothing";
  return {
    name,
    does: { verifies: "SHA-256", encrypts, syncs: true },
    command: ({ source }) => `${run} send ${port} ${source} ${flags}`,
    services: [service],
    received,
    ...(takes ? { takes } : {}),
  };
}

function scp(sshd: Service & { options: string }): Contender[] {
  const command = (cipher: string) => ({ source, target }: Job) =>
    `scp -q -r ${cipher} ${sshd.options} ${source} 127.0.0.1:${target}/`;
  const services = [sshd];
  const does = { verifies: "each packet", syncs: false };
  return [
    {
      name: "scp -c aes128-gcm",
      does: { ...does, encrypts: "AES-128-GCM" },
      command: command("-c aes128-gcm@openssh.com"),
      services,
    },
    { name: "scp", does: { ...does, encrypts: "ChaCha20" }, command: command(""), services },
  ];
}

function rsyncOverSsh(sshd: Service & { options: string }): Contender {
  return {
    name: "rsync over ssh",
    does: { verifies: "XXH3", encrypts: "ChaCha20", syncs: false },
    command: ({ source, target }) =>
      `rsync -aW -e 'ssh ${sshd.options}' ${source} 127.0.0.1:${target}/`,
    services: [sshd],
  };
}

async function rsyncDaemon({ folder, stack }: Setup): Promise<Contender> {
  const port = freePort();
  const config = join(folder, "rsyncd.conf");
  await Deno.writeTextFile(
    config,
    `port = ${port}\naddress = 127.0.0.1\nuse chroot = no\n` +
      `[all]\npath = /\nread only = no\nuid = ${Deno.uid()}\ngid = ${Deno.gid()}\n`,
  );
  const daemon = stack.use(
    new Service("rsync", ["--daemon", "--no-detach", `--config=${config}`]),
  );
  await untilListening(port);
  return {
    name: "rsync daemon, plain TCP",
    does: { verifies: "XXH3", encrypts: "nothing", syncs: false },
    command: ({ source, target }) => `rsync -aW ${source} rsync://127.0.0.1:${port}/all${target}/`,
    resume: ({ source, target }) =>
      `rsync -a --no-W --partial --inplace ${source} rsync://127.0.0.1:${port}/all${target}/`,
    readsSockets: true,
    services: [daemon],
  };
}

function libtorrent(): Contender {
  return {
    name: "libtorrent v2",
    does: { verifies: "SHA-256", encrypts: "nothing", syncs: false },
    command: ({ source, target }) => `${PYTHON} ${TORRENT} ${source} ${target}`,
  };
}

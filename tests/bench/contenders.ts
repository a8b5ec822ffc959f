/**
 * The programs that the benchmark compares, each with what it needs to run.
 *
 * @module
 */

import { fromFileUrl, join } from "@std/path";
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

/** A program that moves files from one folder to another, both on this machine. */
export interface Contender {
  name: string;
  /** The bash command line of one run. */
  command: (job: Job) => string;
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
} satisfies Record<string, { commands?: string[]; modules?: string[]; packages: string }>;

/** Sets everything up that is installed here, and says how to get the rest. */
export async function gather(options: Omit<Setup, "stack">): Promise<Field> {
  await using stack = new AsyncDisposableStack();
  const setup: Setup = { ...options, stack };
  const absent = new Set<keyof typeof NEEDS>();
  for (const name of Object.keys(NEEDS) as (keyof typeof NEEDS)[]) {
    if (!await isHere(NEEDS[name])) absent.add(name);
  }
  const missing = [...absent].map((name) => `${name}: apt-get install ${NEEDS[name].packages}`);
  if (absent.has("time")) throw new Error(`Cannot measure: ${missing.join("; ")}`);
  const has = (name: keyof typeof NEEDS) => !absent.has(name);

  const contenders: Contender[] = [
    { name: "cp -r", command: ({ source, target }) => `cp -r ${source} ${target}/` },
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
    command: ({ source, target }) => socatPair(`OPEN:${source}`, `OPEN:${target}/file,creat,trunc`),
    takes: isFile,
  };
}

function socatTree(): Contender {
  return {
    name: "tar, socat, tar",
    command: ({ source, target }) =>
      socatPair(`EXEC:'tar -cC ${source} .'`, `EXEC:'tar -xC ${target}'`),
    takes: ({ kind }) => kind === "tree",
  };
}

/** A minimal script in Deno, plain and with TLS, and what the second hash of a file costs it at each end. */
async function baselines(setup: Setup): Promise<Contender[]> {
  return await Promise.all([
    baseline(setup, { name: "Deno at its least, plain", flags: "" }),
    baseline(setup, { name: "Deno at its least, TLS", flags: "--tls" }),
    baseline(setup, {
      name: "  both hash pieces only",
      flags: "--tls --file-hash=none",
      takes: isLarge,
    }),
    baseline(setup, {
      name: "  sender hashes the file too",
      flags: "--tls --file-hash=sender",
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
  return {
    name,
    command: ({ source }) => `${run} send ${port} ${source} ${flags}`,
    services: [service],
    received,
    ...(takes ? { takes } : {}),
  };
}

function scp(sshd: Service & { options: string }): Contender[] {
  const command = (cipher: string) => ({ source, target }: Job) =>
    `scp -q -r ${cipher} ${sshd.options} ${source} 127.0.0.1:${target}/`;
  return [
    { name: "scp -c aes128-gcm", command: command("-c aes128-gcm@openssh.com"), services: [sshd] },
    { name: "scp", command: command(""), services: [sshd] },
  ];
}

function rsyncOverSsh(sshd: Service & { options: string }): Contender {
  return {
    name: "rsync over ssh",
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
    command: ({ source, target }) => `rsync -aW ${source} rsync://127.0.0.1:${port}/all${target}/`,
    services: [daemon],
  };
}

/** Both ends meet at a mailbox server on this machine; the bytes go from one to the other. */
async function wormhole({ folder, stack }: Setup): Promise<Contender> {
  const port = freePort();
  stack.use(
    new Service(PYTHON, [
      ...["-m", "twisted", "wormhole-mailbox", `--port=tcp:${port}:interface=127.0.0.1`],
      `--channel-db=${join(folder, "mailbox.sqlite")}`,
    ]),
  );
  await untilListening(port);
  const run = `wormhole --relay-url=ws://127.0.0.1:${port}/v1 --transit-helper=`;
  let runs = 0;
  return {
    name: "magic-wormhole",
    command: ({ source, target }) => {
      const code = `${++runs}-local-run`;
      return `cd ${target} && ${run} receive --accept-file --hide-progress ${code} & ` +
        `${run} send --hide-progress --code ${code} ${source} && wait $!`;
    },
  };
}

function libtorrent(): Contender {
  return {
    name: "libtorrent v2",
    command: ({ source, target }) => `${PYTHON} ${TORRENT} ${source} ${target}`,
  };
}

/**
 * The programs that the benchmark compares, each with what it needs to run.
 *
 * @module
 */

import { fromFileUrl, join } from "@std/path";
import { freePort, Service, startSshd, untilListening } from "./service.ts";

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
  /** Moves nothing: a yardstick. */
  isYardstick?: boolean;
  /** Where what it received is, when it cannot be told where to put it. */
  clean?: () => Promise<void>;
}

/** Contenders that can run here, and why the others cannot. */
export interface Field extends AsyncDisposable {
  contenders: Contender[];
  missing: string[];
}

const ROOT = fromFileUrl(new URL("../..", import.meta.url));
const BASELINE = fromFileUrl(new URL("./baseline.ts", import.meta.url));
const TORRENT = fromFileUrl(new URL("./torrent.py", import.meta.url));

async function has(program: string): Promise<boolean> {
  const { success } = await new Deno.Command("bash", { args: ["-c", `command -v ${program}`] })
    .output();
  return success;
}

/** Sets everything up below `folder`, which must be on the file system that is measured. */
export async function gather(folder: string): Promise<Field> {
  await using stack = new AsyncDisposableStack();
  const contenders: Contender[] = [];
  const missing: string[] = [];
  const need = async (programs: string[], packages: string, add: () => Promise<void>) => {
    const found = await Promise.all(programs.map(has));
    if (found.every(Boolean)) await add();
    else missing.push(`${programs.join(", ")}: apt-get install ${packages}`);
  };

  contenders.push({ name: "cp", command: (job) => `cp -r ${job.source} ${job.target}/` });
  await need(["openssl"], "openssl", () => {
    contenders.push({
      name: "openssl dgst -sha256",
      command: ({ source }) => `openssl dgst -sha256 ${source}`,
      isYardstick: true,
    });
    return Promise.resolve();
  });
  await need(["socat"], "socat", () => {
    contenders.push(socat());
    return Promise.resolve();
  });
  for (const tls of [false, true]) contenders.push(await baseline(folder, tls, stack));
  for (const insecure of [false, true]) contenders.push(await ours(folder, insecure, stack));
  await need(["sshd", "ssh", "scp"], "openssh-server openssh-client", async () => {
    const sshd = stack.use(await startSshd(folder));
    const { options } = sshd;
    const scp = (cipher: string) => ({ source, target }: Job) =>
      `scp -q -r ${cipher} ${options} ${source} 127.0.0.1:${target}/`;
    contenders.push(
      { name: "scp -c aes128-gcm", command: scp("-c aes128-gcm@openssh.com"), services: [sshd] },
      { name: "scp", command: scp(""), services: [sshd] },
    );
    if (!await has("rsync")) return;
    contenders.push({
      name: "rsync over ssh",
      command: ({ source, target }) =>
        `rsync -aW -e 'ssh ${options}' ${source} 127.0.0.1:${target}/`,
      services: [sshd],
    });
  });
  await need(["rsync"], "rsync", async () => {
    contenders.push(await rsyncDaemon(folder, stack));
  });
  await libtorrent(contenders, missing);
  const moved = stack.move();
  return { contenders, missing, [Symbol.asyncDispose]: () => moved.disposeAsync() };
}

function socat(): Contender {
  const port = freePort();
  return {
    name: "socat (plain TCP)",
    command: ({ source, target }) =>
      `socat -u -b 262144 TCP-LISTEN:${port},reuseaddr,bind=127.0.0.1 ` +
      `OPEN:${target}/file,creat,trunc & ` +
      `until socat -u -b 262144 OPEN:${source} TCP:127.0.0.1:${port} 2>/dev/null; do :; done; wait`,
  };
}

async function baseline(
  folder: string,
  tls: boolean,
  stack: AsyncDisposableStack,
): Promise<Contender> {
  const port = freePort();
  const received = join(folder, `baseline-${tls}`);
  await Deno.mkdir(received);
  const flag = tls ? "--tls" : "";
  const service = stack.use(
    new Service(Deno.execPath(), [
      "run",
      "-q",
      "--allow-all",
      BASELINE,
      "receive",
      `${port}`,
      received,
      flag,
    ]),
  );
  await untilListening(port);
  return {
    name: tls ? "Deno at its least, TLS" : "Deno at its least, plain",
    command: ({ source }) =>
      `${Deno.execPath()} run -q --allow-all ${BASELINE} send ${port} ${source} ${flag}`,
    services: [service],
    clean: () => emptyFolder(received),
  };
}

/** A tracker and a receiving peer; each run is one `peer send` from a cold start. */
async function ours(
  folder: string,
  insecure: boolean,
  stack: AsyncDisposableStack,
): Promise<Contender> {
  const name = insecure ? "insecure" : "secure";
  const [state, received] = [join(folder, `state-${name}`), join(folder, `received-${name}`)];
  const flags = ["--state", state, ...(insecure ? ["--insecure"] : [])];
  const run = (program: "tracker" | "peer") => [
    "run",
    "-q",
    "--no-prompt",
    `-P=${program}`,
    `--config=${join(ROOT, "deno.json")}`,
    join(ROOT, `${program}.ts`),
  ];
  const tracker = stack.use(
    new Service(Deno.execPath(), [...run("tracker"), "--json", "--port", "0", ...flags]),
  );
  const { port } = await tracker.event("listening");
  const at = ["--tracker", `127.0.0.1:${port}`];
  const peer = stack.use(
    new Service(Deno.execPath(), [
      ...run("peer"),
      "run",
      "--json",
      "--name",
      "bob",
      "--received",
      received,
      ...at,
      ...flags,
    ]),
  );
  await peer.event("registered");
  const send = [Deno.execPath(), ...run("peer"), "send", "--quiet", "--to", "bob", ...at, ...flags];
  return {
    name: `p2p, ${name}`,
    command: ({ source }) => `${send.join(" ")} ${source}`,
    services: [peer],
    clean: () => emptyFolder(received),
  };
}

async function rsyncDaemon(folder: string, stack: AsyncDisposableStack): Promise<Contender> {
  const port = freePort();
  const config = join(folder, "rsyncd.conf");
  await Deno.writeTextFile(
    config,
    `port = ${port}\naddress = 127.0.0.1\nuse chroot = no\nuid = root\ngid = root\n` +
      `[all]\npath = /\nread only = no\n`,
  );
  const daemon = stack.use(
    new Service("rsync", ["--daemon", "--no-detach", `--config=${config}`]),
  );
  await untilListening(port);
  return {
    name: "rsync daemon",
    command: ({ source, target }) => `rsync -aW ${source} rsync://127.0.0.1:${port}/all${target}/`,
    services: [daemon],
  };
}

async function libtorrent(contenders: Contender[], missing: string[]): Promise<void> {
  const { success } = await new Deno.Command("/usr/bin/python3", {
    args: ["-c", "import libtorrent"],
  }).output().catch(() => ({ success: false }));
  if (!success) {
    missing.push("libtorrent: apt-get install python3-libtorrent");
    return;
  }
  contenders.push({
    name: "libtorrent v2",
    command: ({ source, target }) => `/usr/bin/python3 ${TORRENT} ${source} ${target}`,
  });
}

/** Deletes what a service has received, outside the measured time. */
async function emptyFolder(folder: string): Promise<void> {
  for await (const { name } of Deno.readDir(folder)) {
    if (name !== ".partial") await Deno.remove(join(folder, name), { recursive: true });
  }
}

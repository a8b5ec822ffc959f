/**
 * Contenders that need something beside them: a mailbox, a torrent tracker, a receiver that waits.
 *
 * @module
 */

import { join } from "@std/path";
import type { Contender, Setup } from "./contenders.ts";
import { freePort, Service, untilListening } from "./service.ts";

/** Debian's modules are of Debian's Python, whichever other one comes first. */
const PYTHON = "/usr/bin/python3";

/** Both ends meet at a mailbox server on this machine; the bytes go from one to the other. */
export async function wormhole({ folder, stack }: Setup): Promise<Contender> {
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
    does: { verifies: "SHA-256", encrypts: "NaCl", syncs: false },
    command: ({ source, target }) => {
      const code = `${++runs}-local-run`;
      return `cd ${target} && ${run} receive --accept-file --hide-progress ${code} & ` +
        `${run} send --hide-progress --code ${code} ${source} && wait $!`;
    },
  };
}

/**
 * A file over UDP, to one receiver by unicast (loopback has no multicast): without congestion control and as fast as it
 * goes, which is what its authors advise for a line of one's own.
 */
export function uftp({ folder, stack }: Setup): Contender {
  const [port, received] = [freePort(), join(folder, "uftp")];
  Deno.mkdirSync(received);
  const service = stack.use(
    new Service("uftpd", [
      ...["-d", "-D", received, "-I", "127.0.0.1", "-M", "127.0.0.1", "-p", `${port}`],
      ...["-L", join(folder, "uftpd.log")],
    ]),
  );
  const flags = `-q -I 127.0.0.1 -M 127.0.0.1 -P 127.0.0.1 -p ${port} -R -1 -C none -x 0`;
  return {
    name: "uftp, unicast",
    does: { verifies: "nothing", encrypts: "nothing", syncs: false },
    command: ({ source }) => `uftp ${flags} ${source}`,
    services: [service],
    takes: ({ kind }) => kind === "file",
    received,
  };
}

/** A torrent of one file from one seeder, which a tracker on this machine names; made before the time begins. */
export function aria2({ folder, stack }: Setup): Contender {
  const [tracker, seeding, loading] = [freePort(), freePort(), freePort()];
  const torrent = join(folder, "aria2.torrent");
  const allowed = join(folder, "aria2.allowed");
  // Blocks that are taken before anything has come would look like what has come.
  const flags =
    "-q --file-allocation=none --enable-dht=false --bt-enable-lpd=false --enable-peer-exchange=false";
  const services: Service[] = [];
  const prepare = async (source: string) => {
    if (services.length > 0) return;
    const announce = `http://127.0.0.1:${tracker}/announce`;
    await bash(`mktorrent -l 20 -a ${announce} -o ${torrent} ${source}`);
    // Debian's opentracker serves only torrents that it was told of, and reads of them as nobody.
    await Deno.chmod(folder, 0o755);
    await bash(`aria2c -S ${torrent} | sed -n 's/^Info Hash: //p' > ${allowed}`);
    const address = ["-i", "127.0.0.1", "-p", `${tracker}`, "-P", `${tracker}`];
    stack.use(new Service("opentracker", [...address, "-w", allowed]));
    await untilListening(tracker);
    const seed = `aria2c ${flags} --seed-ratio=0.0 -V --allow-overwrite=true`;
    const run = `exec ${seed} --listen-port=${seeding} --dir=${join(source, "..")} ${torrent}`;
    services.push(stack.use(new Service("bash", ["-c", run])));
    // Whoever asks before the seeder has said that it is there is told of nobody, and asks again in half an hour.
    const hash = (await Deno.readTextFile(allowed)).trim().replace(/../g, "%$&");
    await untilSeeded(`http://127.0.0.1:${tracker}/scrape?info_hash=${hash}`);
  };
  const command: Contender["command"] = ({ target }) =>
    `aria2c ${flags} --seed-time=0 --listen-port=${loading} --dir=${target} ${torrent}`;
  return {
    name: "aria2, a torrent",
    does: { verifies: "SHA-1", encrypts: "nothing", syncs: false },
    prepare,
    command,
    // What is there it takes for wrong, unless it is told to look.
    resume: (job) => `${command(job)} -V`,
    receives: true,
    services,
    takes: ({ key }) => key === "large",
  };
}

/** Resolves when a tracker, asked at its address for a torrent, knows somebody who has all of it. */
async function untilSeeded(url: string): Promise<void> {
  // It hashes all of it first.
  for (let tries = 0; tries < 15_000; tries++) {
    const answer = await (await fetch(url)).text();
    if (/8:completei[1-9]/.test(answer)) return;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  throw new Error("nobody seeds it");
}

async function bash(script: string): Promise<void> {
  const { success, stderr } = await new Deno.Command("bash", {
    args: ["-c", `set -o pipefail; ${script}`],
    stdout: "null",
    stderr: "piped",
  }).output();
  if (!success) throw new Error(new TextDecoder().decode(stderr));
}

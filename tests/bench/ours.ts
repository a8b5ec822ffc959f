/**
 * This project as a contender: a tracker and a receiving peer run, and each run is one `peer send` from a
 * cold start.
 *
 * @module
 */

import { fromFileUrl, join } from "@std/path";
import type { Contender, Setup } from "./contenders.ts";
import { Service } from "./service.ts";

const ROOT = fromFileUrl(new URL("../..", import.meta.url));
/** What all others are compared with. */
export const REFERENCE = "p2p, secure";

type Program = "tracker" | "peer";
type CommandOf = (program: Program) => string[];

/** From the sources, as `deno task` runs them. */
export const FROM_SOURCE: CommandOf = (program) => [
  Deno.execPath(),
  ...[
    "run",
    "-q",
    "--no-prompt",
    "--v8-flags=--optimize-for-size",
    `-P=${program}`,
    `--config=${join(ROOT, "deno.json")}`,
  ],
  join(ROOT, `${program}.ts`),
];

const COMPILED: CommandOf = (program) => [join(ROOT, "dist", program)];

/** Secure and insecure from the sources, and secure as compiled binaries where those are to take part. */
export async function ours(setup: Setup): Promise<Contender[]> {
  const contenders = [
    await ourselves(setup, { name: REFERENCE, commandOf: FROM_SOURCE }),
    await ourselves(setup, { name: "p2p, insecure", commandOf: FROM_SOURCE, insecure: true }),
  ];
  if (setup.binaries) {
    contenders.push(await ourselves(setup, { name: "p2p, secure, binary", commandOf: COMPILED }));
  }
  return contenders;
}

async function ourselves(
  { folder, stack }: Setup,
  { name, commandOf, insecure = false }: {
    name: string;
    commandOf: CommandOf;
    insecure?: boolean;
  },
): Promise<Contender> {
  const home = await Deno.makeTempDir({ dir: folder, prefix: "p2p-" });
  const received = join(home, "received");
  const flags = ["--state", join(home, "state"), ...(insecure ? ["--insecure"] : [])];
  const start = ([command = "", ...args]: string[]) => stack.use(new Service(command, args));
  const tracker = start([...commandOf("tracker"), "--json", "--port", "0", ...flags]);
  const { port } = await tracker.event("listening");
  flags.push("--tracker", `127.0.0.1:${port}`);
  const as = ["--name", "bob", "--received", received];
  const peer = start([...commandOf("peer"), "run", "--json", ...as, ...flags]);
  await peer.event("registered");
  const send = [...commandOf("peer"), "send", "--quiet", "--to", "bob", ...flags].join(" ");
  const does = { verifies: "SHA-256", encrypts: insecure ? "nothing" : "TLS 1.3", syncs: true };
  const command: Contender["command"] = ({ source }) => `${send} ${source}`;
  return {
    name,
    does,
    command,
    resume: command,
    services: [peer],
    received,
  };
}

/** Whether `dist/` has binaries of the sources as they are now. */
export async function hasFreshBinaries(): Promise<boolean> {
  let oldest = Infinity;
  for (const program of ["tracker", "peer"]) {
    const info = await Deno.stat(join(ROOT, "dist", program)).catch(() => null);
    oldest = Math.min(oldest, info?.mtime?.getTime() ?? 0);
  }
  const sources = ["tracker.ts", "peer.ts", "deno.json", "deno.lock", "lib"];
  for (const source of sources) if (await newestOf(join(ROOT, source)) > oldest) return false;
  return true;
}

/** When the file, or the newest file below the folder, was changed. */
async function newestOf(path: string): Promise<number> {
  const { isDirectory, mtime } = await Deno.stat(path);
  if (!isDirectory) return mtime?.getTime() ?? 0;
  let newest = 0;
  for await (const { name } of Deno.readDir(path)) {
    newest = Math.max(newest, await newestOf(join(path, name)));
  }
  return newest;
}

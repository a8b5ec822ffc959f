/**
 * Compiles tracker.ts and peer.ts to single binaries with the permissions that deno.json names for them:
 * dist/tracker and dist/peer for this machine, dist/TARGET/... for each target with `--all`.
 *
 * Deno downloads the runtime that a binary is built on. Where that can't be reached, `--offline-runtime`
 * (or the environment's CI=true) builds on an older runtime from the npm registry instead, on x86-64
 * Linux only: enough to test compiled binaries, not meant to be released.
 *
 * @module
 */
// deno-lint-ignore-file no-console

import { offlineRuntime, OLDER_DENO } from "./offline_runtime.ts";
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";
import { listModules, ROOT, withLiteralImports } from "./modules.ts";

/** Also the names of their permission sets and of the binaries. */
const PROGRAMS = ["tracker", "peer"];

/** Files that are served: beside the modules of a bundle they are found where they are beside their own. */
const PAGE = "lib/http/page/";

const TARGETS = [
  "x86_64-unknown-linux-gnu",
  "aarch64-unknown-linux-gnu",
  "x86_64-apple-darwin",
  "aarch64-apple-darwin",
  "x86_64-pc-windows-msvc",
];

/** A firewall that swallows packets must not hold up a run that has another way. */
const PROBE_MS = 15_000;

interface Build {
  program: string;
  output: string;
  /** This machine's, if not given. */
  target?: string;
}

const known = ["--all", "--offline-runtime"];
const unknown = Deno.args.filter((arg) => !known.includes(arg));
if (unknown.length > 0) fail(`Cannot compile: ${unknown.join(" ")} is none of ${known.join(", ")}`);
const mayFallBack = Deno.args.includes("--offline-runtime") || Deno.env.get("CI") === "true";

const builds: Build[] = PROGRAMS.flatMap((program) =>
  Deno.args.includes("--all")
    ? TARGETS.map((target) => ({ program, target, output: `dist/${target}/${program}` }))
    : [{ program, output: `dist/${program}` }]
);
/** What is compiled. */
const work = await Deno.makeTempDir();
globalThis.addEventListener("unload", () => Deno.removeSync(work, { recursive: true }));
await bundle();
let told = false;
// One after the other: both programs share a runtime, which the first one downloads.
for (const build of builds) {
  const done = mayFallBack && !await canDownload(build.target)
    ? await compileOffline(build)
    : await compile(build, Deno.execPath());
  if (!done) {
    const hint = mayFallBack ? "" : "; --offline-runtime needs no download, for tests only";
    fail(`Cannot compile ${build.output}: see above${hint}`);
  }
  console.log(build.output);
}

/**
 * Bundles each program into a few modules at `work`/PROGRAM: a `peer send` from 250 modules starts 15 ms later, a tenth
 * of all its time.
 */
async function bundle(): Promise<void> {
  await Deno.mkdir(`${work}/lib`);
  for (const file of ["deno.json", "deno.lock", ...PROGRAMS.map((name) => `${name}.ts`)]) {
    await Deno.copyFile(new URL(file, ROOT), `${work}/${file}`);
  }
  for (const module of await listModules("lib")) {
    const source = await Deno.readTextFile(new URL(module, ROOT));
    const path = `${work}/${module}`;
    await Deno.mkdir(dirname(path), { recursive: true });
    await Deno.writeTextFile(path, withLiteralImports(source) ?? source);
  }
  for (const program of PROGRAMS) {
    const { success, stderr } = await new Deno.Command(Deno.execPath(), {
      args: [
        "bundle",
        "--quiet",
        "--frozen",
        "--platform=deno",
        "--code-splitting",
        `--outdir=${program}`,
        `${program}.ts`,
      ],
      cwd: work,
    }).output();
    if (!success) {
      await Deno.stderr.write(stderr);
      fail(`Cannot bundle ${program}.ts: see above`);
    }
    await Deno.mkdir(`${work}/${program}/page`);
    for await (const { name } of Deno.readDir(new URL(PAGE, ROOT))) {
      await Deno.copyFile(new URL(PAGE + name, ROOT), `${work}/${program}/page/${name}`);
    }
  }
}

async function compileOffline(build: Build): Promise<boolean> {
  const target = build.target ?? Deno.build.target;
  if (target !== Deno.build.target) {
    fail(`Cannot compile ${build.output}: the runtime for ${target} is out of reach`);
  }
  if (!told) {
    console.log(`Deno's runtime is out of reach: using that of ${OLDER_DENO}, for tests only`);
  }
  told = true;
  const runtime = await offlineRuntime().catch((error: Error) => fail(error.message));
  return compile(build, "npx", ["-y", `deno@${OLDER_DENO}`], {
    DENORT_BIN: runtime,
    DENO_TLS_CA_STORE: "mozilla,system",
  });
}

/** Runs one `deno compile`; its output is shown only if it fails. */
async function compile(
  build: Build,
  command: string,
  before: string[] = [],
  env: Record<string, string> = {},
): Promise<boolean> {
  const { success, stderr } = await new Deno.Command(command, {
    args: [
      ...before,
      "compile",
      "--quiet",
      "--frozen",
      "--no-check", // `deno task ok` checks, and an older Deno knows older types
      "--no-prompt",
      // Half the memory for a folder of 100 000 files; what takes time is not JavaScript.
      "--v8-flags=--optimize-for-size",
      `--permission-set=${build.program}`,
      ...build.target === undefined ? [] : ["--target", build.target],
      "--include",
      `${build.program}/page`,
      "--output",
      fileURLToPath(new URL(build.output, ROOT)),
      `${build.program}/${build.program}.js`,
    ],
    cwd: work,
    env,
  }).output();
  if (!success) await Deno.stderr.write(stderr);
  return success;
}

/** Whether the runtime for this target can be had: given, or a download that answers. */
async function canDownload(target = Deno.build.target): Promise<boolean> {
  if (Deno.env.has("DENORT_BIN")) return true;
  const url = `https://dl.deno.land/release/v${Deno.version.deno}/denort-${target}.zip`;
  try {
    const { ok } = await fetch(url, { method: "HEAD", signal: AbortSignal.timeout(PROBE_MS) });
    return ok;
  } catch {
    return false;
  }
}

function fail(message: string): never {
  console.error(message);
  Deno.exit(1);
}

/**
 * Holds lib/ to its floors: which folder may know which, no cycles between modules, no `Deno.*` in
 * lib/wire, calls of `onDemand` written so that `compile.ts` can bundle what they load, and the files that a byte passes on
 * its way out and in are where people look for them. Deno's own module graph is what is judged, so static, re-exported, type-only and literal dynamic imports all count; a
 * worker started from `new URL("./x.ts", import.meta.url)` too.
 *
 * Prints each offence as `file: ...` and exits 1; prints nothing and exits 0 when there is none.
 *
 * @module
 */
// deno-lint-ignore-file no-console

import { listModules, ROOT, withLiteralImports } from "./modules.ts";

/**
 * The floors of lib, top first. A folder may import what stands below its own line and is in its list;
 * folders of one line are neighbours, which do not know each other. `all` is every folder of this table.
 */
const MAY_IMPORT: Readonly<Record<string, readonly string[] | "all">> = {
  app: "all",
  http: ["net", "wire"],
  peer: ["transfer", "directory", "inbox", "net", "content", "identity", "pieces", "wire", "disk"],
  transfer: ["inbox", "net", "content", "identity", "pieces", "wire", "disk"],
  tracker: ["net", "identity", "wire", "disk"],
  directory: ["net", "identity", "wire", "disk"],
  inbox: ["pieces", "disk"],
  net: ["identity", "wire"],
  content: ["pieces", "disk"],
  identity: ["wire", "disk"],
  cli: [],
  pieces: ["wire", "disk"],
  wire: [],
  disk: [],
  async: [],
  types: [],
};

/** Modules directly in lib: what anything in lib may import, as it may the folder `async`. */
const GROUND = [
  "lib/address.ts",
  "lib/errors.ts",
  "lib/events.ts",
  "lib/on_demand.ts",
  "lib/suggest.ts",
  "lib/tell_once.ts",
  "lib/unicode.ts",
];

/** The stations of a file on its way out and in (docs/code.md), and what everybody looks for: moving one is a decision. */
const STATIONS = [
  "app/send.ts",
  "peer/send_service.ts",
  "content/source_pieces.ts",
  "transfer/upload.ts",
  "transfer/piece_server.ts",
  "transfer/peer_link.ts",
  "net/session.ts",
  "net/connection.ts",
  "transfer/downloads.ts",
  "peer/offer_policy.ts",
  "inbox/inbox.ts",
  "transfer/download.ts",
  "transfer/source_requests.ts",
  "transfer/picker.ts",
  "transfer/link_pool.ts",
  "pieces/verification.ts",
  "inbox/partial_item.ts",
  "pieces/piece_journal.ts",
  "disk/file_name.ts",
  "directory/name_book.ts",
  "tracker/roster.ts",
  "tracker/serve.ts",
  "wire/PROTOCOL.md",
  "EVENTS.md",
  "events.ts",
];

/** Outside lib, the one file that lib may read: it holds the version. */
const CONFIG = "deno.json";

interface Import {
  target: string;
  typeOnly: boolean;
}

/** The part of `deno info --json` that is read here. */
interface Graph {
  modules: {
    specifier: string;
    dependencies?: { code?: { specifier?: string }; type?: { specifier?: string } }[];
  }[];
}

const offences: string[] = [];

const files = await listModules("lib");
const graph = await readGraph(files);
for (const file of files) {
  for (const { target } of graph.get(file) ?? []) {
    const rule = brokenRule(file, target);
    if (rule !== undefined) offences.push(`${file}: imports ${target}: ${rule}`);
  }
  const source = await read(file);
  if (withLiteralImports(source) === null) {
    offences.push(
      `${file}: onDemand: write it as onDemand<typeof import("./x.ts")>("./x.ts", import.meta.url)`,
    );
  }
  if (file.startsWith("lib/wire/") && usesDeno(source)) {
    offences.push(`${file}: uses Deno: lib/wire knows bytes only, no Deno.*`);
  }
}
offences.push(...findCycles(files, graph));
for (const station of STATIONS) {
  if (await exists(`lib/${station}`)) continue;
  offences.push(`lib/${station}: is not there: see STATIONS in .ci/check_imports.ts`);
}
for (const offence of offences) console.error(offence);
if (offences.length > 0) Deno.exit(1);

function exists(file: string): Promise<boolean> {
  return Deno.stat(new URL(file, ROOT)).then(({ isFile }) => isFile, () => false);
}

function read(file: string): Promise<string> {
  return Deno.readTextFile(new URL(file, ROOT));
}

/** Imports of each file, read from one run of `deno info` over a root that imports all of them. */
async function readGraph(paths: string[]): Promise<Map<string, Import[]>> {
  const root = await Deno.makeTempFile({ suffix: ".ts" });
  let graph: Graph;
  try {
    const lines = paths.map((path) => `import ${JSON.stringify(new URL(path, ROOT).href)};\n`);
    await Deno.writeTextFile(root, lines.join(""));
    const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
      args: [
        "info",
        "--json",
        "--config",
        decodeURIComponent(new URL(CONFIG, ROOT).pathname),
        root,
      ],
      cwd: ROOT,
    }).output();
    if (!success) throw new Error(`Cannot read the module graph: ${decode(stderr)}`);
    graph = JSON.parse(decode(stdout));
  } finally {
    await Deno.remove(root);
  }
  const imports = new Map<string, Import[]>();
  for (const { specifier, dependencies = [] } of graph.modules) {
    const file = localPath(specifier);
    if (file === undefined || !paths.includes(file)) continue;
    const found = dependencies.flatMap(({ code, type }) => {
      const target = localPath((code ?? type)?.specifier);
      return target === undefined ? [] : [{ target, typeOnly: code === undefined }];
    });
    imports.set(file, [...found, ...workersOf(file, await read(file))]);
  }
  return imports;
}

function decode(bytes: Uint8Array): string {
  return new TextDecoder().decode(bytes);
}

/** The path inside the project; `undefined` for npm, node and remote modules. */
function localPath(specifier: string | undefined): string | undefined {
  if (!specifier?.startsWith("file:")) return undefined;
  const path = decodeURIComponent(specifier);
  const root = decodeURIComponent(ROOT.href);
  return path.startsWith(root) ? path.slice(root.length) : path;
}

/** Worker modules are no part of the graph; they are started only in this one way here. */
function workersOf(file: string, source: string): Import[] {
  const urls = source.matchAll(/new URL\(\s*(["'])(\.[^"']+\.ts)\1,\s*import\.meta\.url/g);
  return [...urls].flatMap(([, , path]) => {
    const target = localPath(new URL(path ?? "", new URL(file, ROOT)).href);
    return target === undefined ? [] : [{ target, typeOnly: false }];
  });
}

/** The rule that `file` importing `target` breaks, or `undefined`. */
function brokenRule(file: string, target: string): string | undefined {
  const from = folderOf(file);
  const isGround = GROUND.includes(target) || target.startsWith("lib/async/");
  const isOwnFloor = from !== undefined && from !== "async";
  if (isGround && isOwnFloor || target === "lib/errors.ts" || target.startsWith("lib/types/")) {
    return undefined;
  }
  if (target === CONFIG) return undefined;
  if (!target.startsWith("lib/")) return "lib imports nothing of the project outside lib";
  if (from === undefined) {
    return GROUND.includes(file)
      ? `${file} is on the ground and imports only lib/errors.ts`
      : `lib/*.ts is only ${GROUND.join(", ")}`;
  }
  const to = folderOf(target);
  const allowed = MAY_IMPORT[from];
  if (allowed === undefined) return `lib/${from} has no rule in .ci/check_imports.ts`;
  if (to === from || allowed === "all") return undefined;
  if (to !== undefined && allowed.includes(to)) return undefined;
  return `${from} may use ${allowed.length > 0 ? allowed.join(", ") : "no other folder of lib"}`;
}

/** `net` of lib/net/server.ts; `undefined` for a file directly in lib. */
function folderOf(file: string): string | undefined {
  const parts = file.split("/");
  return parts.length > 2 ? parts[1] : undefined;
}

/** Comments and plain strings don't count; a template literal does, as it can hold code. */
function usesDeno(source: string): boolean {
  const code = source.replace(
    /("(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*')|\/\*[\s\S]*?\*\/|\/\/.*/g,
    " ",
  );
  return /\bDeno\b/.test(code);
}

/** Depth first; each cycle is reported once, from the file at which the search met it. */
function findCycles(files: string[], graph: Map<string, Import[]>): string[] {
  const done = new Set<string>();
  const path: string[] = [];
  const found: string[] = [];
  const visit = (file: string) => {
    const start = path.indexOf(file);
    if (start >= 0) {
      const cycle = [...path.slice(start), file];
      found.push(`${file}: imports ${cycle.slice(1).join(" -> ")}: no cycles`);
      return;
    }
    if (done.has(file)) return;
    path.push(file);
    for (const { target, typeOnly } of graph.get(file) ?? []) if (!typeOnly) visit(target);
    path.pop();
    done.add(file);
  };
  files.forEach(visit);
  return found;
}

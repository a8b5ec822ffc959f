/** The pages for people: where their links lead, and whether they name what there is. */

import { assert, assertEquals } from "@std/assert";
import { dirname, fromFileUrl, join } from "@std/path";
import { PEER_PROGRAM, TRACKER_PROGRAM } from "../../lib/cli/arguments/programs.ts";
import { permitted } from "../helpers/permissions.ts";

const ROOT = fromFileUrl(new URL("../..", import.meta.url));
/** Lines of the first page, so that what most people do is not lost among the rest. */
const MOST_LINES = 130;

async function pages(): Promise<string[]> {
  const paths = ["README.md", "lib/EVENTS.md", "lib/wire/PROTOCOL.md"];
  for await (const { name, isFile } of Deno.readDir(join(ROOT, "docs"))) {
    if (isFile) paths.push(`docs/${name}`);
  }
  return paths;
}

const read = (path: string) => Deno.readTextFile(join(ROOT, path));
const withoutCode = (text: string) => text.replace(/^```[^]*?^```$/gm, "");

/** Anchors of a page: those that it sets, and those that GitHub makes of its headings. */
function anchorsOf(text: string): Set<string> {
  const set = [...text.matchAll(/<a id="([^"]*)">/g)].map(([, id = ""]) => id);
  const headings = [...withoutCode(text).matchAll(/^#+ (.*)$/gm)].map(([, title = ""]) =>
    title.toLowerCase().replace(/[^\p{L}\p{N} _-]/gu, "").replaceAll(" ", "-")
  );
  return new Set([...set, ...headings]);
}

permitted("every link of the pages leads to a file, and to an anchor of it", ["read"], async () => {
  const broken: string[] = [];
  for (const page of await pages()) {
    for (const [, link = ""] of withoutCode(await read(page)).matchAll(/\]\(([^)\s]+)\)/g)) {
      if (/^https?:/.test(link)) continue;
      const [path = "", anchor] = link.split("#");
      const target = path === "" ? page : join(dirname(page), path);
      const text = await read(target).catch(() => null);
      const isThere = text !== null && (anchor === undefined || anchorsOf(text).has(anchor));
      if (!isThere) broken.push(`${page}: ${link}`);
    }
  }
  assertEquals(broken, []);
});

permitted("the README is short and leads to every page", ["read"], async () => {
  const readme = await read("README.md");
  assert(readme.split("\n").length - 1 <= MOST_LINES, "too long: the rest belongs into docs/");
  for (const page of await pages()) {
    assert(page === "README.md" || readme.includes(`](${page})`), `no link to ${page}`);
  }
});

permitted("the README names the command of the tests that CI runs", ["read"], async () => {
  const version = /^readonly DENO_VERSION=(.*)$/m.exec(await read(".ci/run"))?.[1];
  assert((await read("README.md")).includes(`npx -y deno@${version} task test`));
});

permitted("the page about services lists every environment variable", ["read"], async () => {
  const flags = [PEER_PROGRAM, TRACKER_PROGRAM].flatMap(({ commonFlags, commands }) => [
    ...commonFlags,
    ...commands.flatMap((command) => command.flags),
  ]);
  const known = new Set(flags.flatMap(({ env }) => env ?? []));
  const listed = (await read("docs/service.md")).matchAll(/`(P2P_[A-Z_]+)`/g);
  assertEquals(new Set([...listed].map(([, name]) => name)), known);
});

permitted("the page about commands lists every exit code of --help", ["read"], async () => {
  const text = await read("docs/commands.md");
  const codes = PEER_PROGRAM.sections?.find(({ title }) => title === "Exit codes")?.rows ?? [];
  assert(codes.length > 0);
  for (const [code] of codes) assert(new RegExp(`\\| ${code} +\\|`).test(text), code);
});

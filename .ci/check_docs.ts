/**
 * `deno doc --lint` on every module of lib, without the part that asks for noise: fields, and
 * constructors that only take them, speak through their names and types, and `keyof typeof TABLE` is
 * our idiom for the codes of a private table.
 *
 * Prints what is left and exits 1; prints nothing and exits 0 when there is nothing.
 *
 * @module
 */
// deno-lint-ignore-file no-console

import { listModules, ROOT } from "./modules.ts";

const modules = (await listModules("lib")).filter((path) => !path.endsWith(".d.ts"));

const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
  args: ["doc", "--lint", ...modules],
  cwd: ROOT,
  env: { NO_COLOR: "1" },
}).output();
const output = new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr);
const [head = "", ...diagnostics] = output.split(/^(?=error(?:\[|:))/m);
const wanted = diagnostics.filter((text) => text.startsWith("error[") && !isNoise(text));
// Without a single diagnostic it failed for another reason, such as a module that doesn't parse.
const broken = code !== 0 && !diagnostics.some((text) => text.startsWith("error["));
if (broken) console.error(head + diagnostics.join(""));
for (const text of wanted) console.error(text.trimEnd() + "\n");
if (broken || wanted.length > 0) Deno.exit(1);

/** Whether this diagnostic asks for a comment that would only repeat the line. */
function isNoise(diagnostic: string): boolean {
  const line = /^\s*\d+ \| (.*)$/m.exec(diagnostic)?.[1] ?? "";
  if (diagnostic.startsWith("error[private-type-ref]")) return /\btypeof\b/.test(line);
  if (!diagnostic.startsWith("error[missing-jsdoc]")) return false;
  const isMember = /^\s/.test(line);
  // An override is what the class above it says.
  if (/^\s+override\b/.test(line)) return true;
  const isFieldOrConstructor = !/\w\s*[(<]/.test(line.split(/[:=]/)[0] ?? "") ||
    /^\s*constructor\(/.test(line);
  return isMember && isFieldOrConstructor;
}

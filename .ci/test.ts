/**
 * `deno test -P --parallel` with the arguments of the caller, plus what it lets pass: it fails when no
 * test ran, and when a test was ignored for want of a permission (`deno test` without `-P` allows that;
 * tests/helpers/permissions.ts then names `deno test -P`).
 *
 * @module
 */
// deno-lint-ignore-file no-console

import { ROOT } from "./modules.ts";

/** What the line about a test that lacks a permission contains. */
const HINT = "deno test -P";

const child = new Deno.Command(Deno.execPath(), {
  args: ["test", "-P", "--parallel", ...Deno.args],
  cwd: ROOT,
  stdout: "piped",
  stderr: "piped",
}).spawn();
// A terminal sends Ctrl-C to both; the child ends the run and its code is reported.
Deno.addSignalListener("SIGINT", () => {});
const text = (await Promise.all([pass(child.stdout, Deno.stdout), pass(child.stderr, Deno.stderr)]))
  .join("\n");
const { code } = await child.status;
if (code !== 0) Deno.exit(code);

// deno-lint-ignore no-control-regex
const lines = text.replace(/\x1b\[[0-9;]*m/g, "").split("\n");
const closing = lines.findLast((line) => /^(ok|FAILED) \| \d+ passed/.test(line)) ?? "";
const [passed = 0, ignored = 0] = ["passed", "ignored"].map((word) =>
  Number(new RegExp(`(\\d+) ${word}`).exec(closing)?.[1] ?? 0)
);
if (ignored > 0 && lines.some((line) => line.includes(HINT))) {
  console.error(
    "FAILED: a test was ignored for want of a permission: see permissions.default in deno.json",
  );
  Deno.exit(1);
}
if (passed === 0) {
  console.error("FAILED: no test ran");
  Deno.exit(1);
}

/** Copies as it comes, and returns all of it. */
async function pass(
  from: ReadableStream<Uint8Array>,
  to: { writeSync(bytes: Uint8Array): number },
): Promise<string> {
  const decoder = new TextDecoder();
  let text = "";
  for await (const chunk of from) {
    text += decoder.decode(chunk, { stream: true });
    for (let at = 0; at < chunk.length;) at += to.writeSync(chunk.subarray(at));
  }
  return text;
}

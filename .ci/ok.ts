/**
 * One command that checks everything (`deno task ok`): first what needs no run, side by side, each a
 * line; then the tests, unless one of those failed. What fails shows its own output and its one word.
 *
 * @module
 */
// deno-lint-ignore-file no-console

import { ROOT } from "./modules.ts";

const CHECKS: Readonly<Record<string, readonly string[]>> = {
  format: ["fmt", "--check"],
  lint: ["lint"],
  types: ["check", "--quiet"],
  docs: ["task", "-q", "doc"],
  imports: ["task", "-q", "check:imports"],
};

const results = await Promise.all(
  Object.entries(CHECKS).map(async ([name, args]) => {
    const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
      args: [...args],
      cwd: ROOT,
    }).output();
    if (!success) {
      await Deno.stderr.write(stdout);
      await Deno.stderr.write(stderr);
    }
    console.log(`${name} ${success ? "ok" : "FAILED"}`);
    return success;
  }),
);
if (results.includes(false)) Deno.exit(1);

const tests = await new Deno.Command(Deno.execPath(), { args: ["task", "-q", "test"], cwd: ROOT })
  .spawn().status;
if (!tests.success) console.log("tests FAILED");
Deno.exit(tests.code);

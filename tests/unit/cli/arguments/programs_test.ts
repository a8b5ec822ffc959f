import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { parseCommandLine } from "../../../../lib/cli/arguments/arguments.ts";
import { PEER_PROGRAM, TRACKER_PROGRAM } from "../../../../lib/cli/arguments/programs.ts";
import { flagsOf, type ProgramSpec } from "../../../../lib/cli/arguments/spec.ts";

const PROGRAMS = [TRACKER_PROGRAM, PEER_PROGRAM];

function helpOf(program: ProgramSpec, argv: string[]): string {
  const parsed = parseCommandLine(program, [...argv, "--help"], () => undefined);
  assert("help" in parsed);
  return parsed.help;
}

Deno.test("Every help fits in 80 columns, says every flag, and has an example that works", () => {
  for (const program of PROGRAMS) {
    for (const command of program.commands) {
      const help = helpOf(program, [command.name]);
      for (const line of help.split("\n")) assert(line.length <= 80, `${command.name}: ${line}`);
      assertStringIncludes(help, `Usage:\n  ${program.name} `);
      assertMatch(help, /Examples:\n {2}\w/);
      assertMatch(help, /Exit codes:\n {2}0 {4}done/);
      for (const flag of flagsOf(program, command)) assertStringIncludes(help, `--${flag.name}`);
      for (const example of command.examples) checkExample(program, command.name, example);
    }
    const help = helpOf(program, []);
    for (const line of help.split("\n")) assert(line.length <= 80, line);
    for (const command of program.commands) assertStringIncludes(help, `\n  ${command.name} `);
  }
});

function checkExample(program: ProgramSpec, command: string, example: string): void {
  // Something may be piped into it.
  const [name, ...argv] =
    (example.replace(/^.* \| /, "").replace(/ <.*$/, "").match(/'[^']*'|\S+/g) ?? [])
      .map((word) => word.replaceAll("'", ""));
  assertEquals(name, program.name);
  const parsed = parseCommandLine(program, argv, () => undefined);
  assert("command" in parsed);
  assertEquals(parsed.command, command, example);
}

Deno.test("The help of one command", () => {
  const help = helpOf(TRACKER_PROGRAM, ["invite"]);
  const end = help.indexOf("\n\nCommon flags:");
  assertEquals(
    help.slice(0, end),
    `tracker invite: print the invite that lets other machines join

Usage:
  tracker invite [--rotate] [flags]

Flags:
  --rotate  Make a new secret first: earlier invites stop working

Examples:
  tracker invite
  tracker invite --rotate`,
  );
  assertStringIncludes(
    help,
    "  --port PORT  The port that the tracker listens on; 0 takes a free one\n" +
      "               [default 5000, env P2P_PORT]\n",
  );
});

Deno.test("Names of flags and variables do not clash within a program", () => {
  for (const program of PROGRAMS) {
    for (const command of program.commands) {
      const flags = flagsOf(program, command);
      const names = flags.map(({ name }) => name);
      assertEquals(new Set(names).size, names.length);
      const variables = flags.flatMap(({ env }) => env === undefined ? [] : [env]);
      assertEquals(new Set(variables).size, variables.length);
      for (const variable of variables) assertMatch(variable, /^P2P_[A-Z_]+$/);
    }
  }
});

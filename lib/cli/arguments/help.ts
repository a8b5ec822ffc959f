/**
 * The text of `--help`, for a program and for each of its commands, at most 80 columns wide.
 *
 * @module
 */

import { type CommandSpec, flagsOf, type FlagSpec, type ProgramSpec } from "./spec.ts";

const WIDTH = 80;
/** Column at which the right cells start at the latest; a longer left cell gets a line of its own. */
const MAX_LEFT = 28;

/** A space that no line is broken at. */
const GLUE = "\u00a0";

/** A left and a right cell. */
type Row = [left: string, right: string];

/** Help for the whole program. */
export function programHelp(program: ProgramSpec): string {
  const { name, commands, defaultCommand } = program;
  const usage = commands.map((command) => `  ${name} ${command.usage}`.trimEnd());
  const rows = commands.map((command): Row => [
    command.name,
    command.name === defaultCommand ? `${command.summary} (the default)` : command.summary,
  ]);
  const examples = commands.flatMap((command) => command.examples.slice(0, 1));
  return join([
    wrap(`${name}: ${program.summary}`),
    ["Usage:", ...usage],
    ["Commands:", ...table(rows)],
    ["Common flags:", ...table(flagRows([...program.commonFlags, ...BUILT_IN]))],
    ["Examples:", ...examples.map(indent)],
    ...sections(program),
    wrap(`The flags of one command: ${name} <command> --help`),
  ]);
}

/** Help for one command. */
export function commandHelp(program: ProgramSpec, command: CommandSpec): string {
  const own = new Set(command.flags);
  const common = flagsOf(program, command).filter((flag) => !own.has(flag));
  const shown = command.flags.filter(({ hidden }) => !hidden);
  return join([
    wrap(`${program.name} ${command.name}: ${command.summary}`),
    ["Usage:", indent(`${program.name} ${command.usage}`.trimEnd())],
    ...shown.length > 0 ? [["Flags:", ...table(flagRows(shown))]] : [],
    ["Examples:", ...command.examples.map(indent)],
    [shown.length > 0 ? "Common flags:" : "Flags:", ...table(flagRows([...common, ...BUILT_IN]))],
    ...sections(program),
  ]);
}

const BUILT_IN: FlagSpec[] = [
  { name: "help", kind: "boolean", help: "Show this help (also -h)" },
  { name: "version", kind: "boolean", help: "Show the version" },
];

function sections(program: ProgramSpec): string[][] {
  return (program.sections ?? []).map(({ title, rows }) => [`${title}:`, ...table(rows)]);
}

function flagRows(flags: FlagSpec[]): Row[] {
  return flags.filter(({ hidden }) => !hidden).map((flag) => {
    const left = flag.placeholder === undefined
      ? `--${flag.name}`
      : `--${flag.name} ${flag.placeholder}`;
    const facts = [
      ...flag.default === undefined ? [] : [`default${GLUE}${flag.default}`],
      ...flag.env === undefined ? [] : [`env${GLUE}${flag.env}`],
    ];
    return [left, facts.length === 0 ? flag.help : `${flag.help} [${facts.join(", ")}]`];
  });
}

/** Two columns, the right one wrapped. */
function table(rows: Row[]): string[] {
  const lefts = rows.map(([left]) => left.length).filter((length) => length <= MAX_LEFT);
  const width = Math.max(0, ...lefts) + 2;
  return rows.flatMap(([left, right]) => {
    const [first = "", ...more] = wrap(right, WIDTH - 2 - width);
    const rest = more.map((line) => indent(" ".repeat(width) + line));
    return left.length + 2 <= width
      ? [indent(left.padEnd(width) + first), ...rest]
      : [indent(left), indent(" ".repeat(width) + first), ...rest];
  });
}

/** Breaks `text` between words so that no line is longer than `width`, if its words allow it. */
function wrap(text: string, width = WIDTH): string[] {
  const lines: string[] = [];
  let line = "";
  for (const word of text.split(" ")) {
    if (line !== "" && line.length + 1 + word.length > width) {
      lines.push(line);
      line = word;
    } else {
      line = line === "" ? word : `${line} ${word}`;
    }
  }
  return [...lines, line].map((wrapped) => wrapped.replaceAll(GLUE, " "));
}

function indent(line: string): string {
  return `  ${line}`;
}

/** Paragraphs with an empty line between them. */
function join(paragraphs: string[][]): string {
  return `${paragraphs.map((lines) => lines.join("\n")).join("\n\n")}\n`;
}

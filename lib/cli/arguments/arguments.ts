/**
 * From argv and the environment to the values of one command, by the tables of a
 * {@linkcode ProgramSpec}. Every complaint is a `usage` error that names the value and the remedy.
 *
 * @module
 */

import { parseArgs } from "@std/cli/parse-args";
import { P2PError } from "../../errors.ts";
import { escapeText } from "../output/escape.ts";
import { commandHelp, programHelp } from "./help.ts";
import {
  type Address,
  type CommandSpec,
  flagsOf,
  type FlagSpec,
  type FlagValue,
  type ProgramSpec,
} from "./spec.ts";
import { suggest } from "../../suggest.ts";
import { parseFlagValue } from "./value.ts";

/** Values by flag name. A switch that is off, and a flag without a default, are not in it. */
export type FlagValues = Readonly<Record<string, FlagValue>>;

/** One command, ready to run. */
export interface ParsedCommand {
  command: string;
  values: FlagValues;
  positionals: string[];
  /** The flags that the command line or the environment gave; the others are defaults. */
  explicit: ReadonlySet<string>;
  /** Those of them that the command line gave: somebody meant them for this very command. */
  typed: ReadonlySet<string>;
}

/** Request of a command line: a command, its help, or the version. */
export type CommandLine = ParsedCommand | { help: string } | { version: true };

/** Reads an environment variable. */
export type Environment = (name: string) => string | undefined;

/** Flags as typed: a string, or true for a switch. */
type RawFlags = Map<string, string | true>;

const HELP: FlagSpec = { name: "help", kind: "boolean", help: "Show this help" };
const VERSION: FlagSpec = { name: "version", kind: "boolean", help: "Show the version" };

/**
 * Parses `argv`. A flag wins over its environment variable, which wins over the default; of a
 * repeated flag the last one counts; `--` ends the flags; `-` is a positional or a value.
 *
 * @throws {P2PError} `usage`
 */
export function parseCommandLine(
  program: ProgramSpec,
  argv: readonly string[],
  env: Environment,
): CommandLine {
  const { flags, positionals } = split(program, argv);
  const helpAsked = flags.has("help") || positionals[0] === "help";
  if (positionals[0] === "help") positionals.shift();
  if (flags.has("version") && !helpAsked) return { version: true };
  const named = positionals.shift();
  if (named === undefined && helpAsked) return { help: programHelp(program) };
  const command = findCommand(program, named ?? program.defaultCommand);
  if (helpAsked) return { help: commandHelp(program, command) };
  checkFlags(program, command, flags);
  const { unless } = command.positionals;
  if (unless === undefined || !flags.has(unless)) checkPositionals(program, command, positionals);
  return { command: command.name, positionals, ...resolve(program, command, { flags, env }) };
}

/** The flag's text, if it has a value. */
export function textOf(values: FlagValues, name: string): string | undefined {
  const value = values[name];
  return typeof value === "string" ? value : undefined;
}

/** The flag's number (integer, seconds or bytes), if it has a value. */
export function numberOf(values: FlagValues, name: string): number | undefined {
  const value = values[name];
  return typeof value === "number" ? value : undefined;
}

/** A flag of seconds. */
export function millisecondsOf(values: FlagValues, flag: string): number | undefined {
  const seconds = numberOf(values, flag);
  return seconds === undefined ? undefined : seconds * 1000;
}

/** The flag's address, if it has a value. */
export function addressOf(values: FlagValues, name: string): Address | undefined {
  const value = values[name];
  return typeof value === "object" ? value : undefined;
}

/** Whether the switch is on. */
export function isOn(values: FlagValues, name: string): boolean {
  return values[name] === true;
}

/** Sorts argv into flags and positionals. */
function split(program: ProgramSpec, argv: readonly string[]) {
  const known = allFlags(program);
  const parsed = parseArgs(spell(program, argv, known), { string: ["_", ...known.keys()] });
  const flags: RawFlags = new Map();
  for (const [name, spec] of known) {
    const value = parsed[name];
    if (value === undefined) continue;
    flags.set(name, spec.kind === "boolean" ? true : String(value));
  }
  return { flags, positionals: parsed._.map(String) };
}

/**
 * Spells each flag as `--name=value`, in which parseArgs has nothing left to guess: it would take the
 * `true` of `--json true` for a value, would not take the `-` of `--join -` for one, and takes `-_` for its own list.
 *
 * @throws {P2PError} `usage` for what is no flag of any command.
 */
function spell(
  program: ProgramSpec,
  argv: readonly string[],
  known: Map<string, FlagSpec>,
): string[] {
  const spelled: string[] = [];
  for (let i = 0; i < argv.length; i++) {
    const arg = argv[i] ?? "";
    if (arg === "--") return [...spelled, ...argv.slice(i)];
    if (arg === "-h") {
      spelled.push("--help=true");
      continue;
    }
    const spec = arg.startsWith("--") ? known.get(arg.slice(2)) : undefined;
    if (spec === undefined) {
      const isFlag = arg.startsWith("-") && arg !== "-";
      const name = /^--([^=]+)=/.exec(arg)?.[1] ?? "";
      if (isFlag && !known.has(name)) throw unknownFlag(program, known, arg);
      if (isFlag) refuseSwitchValue(arg, known);
      spelled.push(arg);
    } else if (spec.kind === "boolean") {
      spelled.push(`${arg}=true`);
    } else {
      const value = argv[++i];
      // `-1` and `-x` are values, if wrong ones; `--` and what follows it never are.
      if (value === undefined || value.startsWith("--") || value === "-h") {
        throw new P2PError("usage", `Cannot use ${arg}: its value is missing${expected(spec)}`);
      }
      spelled.push(`${arg}=${value}`);
    }
  }
  return spelled;
}

/** A switch is on or not there. */
function refuseSwitchValue(arg: string, known: Map<string, FlagSpec>): void {
  const name = arg.slice(2, arg.indexOf("="));
  if (known.get(name)?.kind !== "boolean") return;
  throw new P2PError("usage", `Cannot use ${escapeText(arg)}: --${name} takes no value`);
}

function expected(spec: FlagSpec): string {
  return spec.placeholder === undefined ? "" : `; write --${spec.name} ${spec.placeholder}`;
}

/** The flags of all commands: which command it is shows only once flags and positionals are apart. */
function allFlags(program: ProgramSpec): Map<string, FlagSpec> {
  const flags = [HELP, VERSION, ...program.commonFlags];
  for (const command of program.commands) flags.push(...command.flags);
  return new Map(flags.map((spec) => [spec.name, spec]));
}

function unknownFlag(program: ProgramSpec, known: Map<string, FlagSpec>, arg: string): P2PError {
  const given = arg.replace(/=.*$/s, "");
  const near = suggest(given, [...known.keys()].map((name) => `--${name}`));
  const remedy = near !== null
    ? `did you mean ${near}?`
    : `see ${program.name} --help, or write -- before what is no flag`;
  return new P2PError("usage", `Cannot use ${escapeText(given)}: it is unknown; ${remedy}`);
}

function findCommand(program: ProgramSpec, name: string): CommandSpec {
  const command = program.commands.find((spec) => spec.name === name);
  if (command !== undefined) return command;
  const names = program.commands.map((spec) => spec.name);
  const near = suggest(name, names);
  const remedy = near === null ? `use one of ${names.join(", ")}` : `did you mean ${near}?`;
  const given = `${program.name} ${escapeText(name)}`;
  throw new P2PError("usage", `Cannot run ${given}: the command is unknown; ${remedy}`);
}

/** Refuses a flag that only another command has. */
function checkFlags(program: ProgramSpec, command: CommandSpec, flags: RawFlags): void {
  const own = new Set(flagsOf(program, command).map(({ name }) => name));
  for (const name of flags.keys()) {
    if (own.has(name)) continue;
    const others = program.commands.filter((spec) =>
      flagsOf(program, spec).some((flag) => flag.name === name)
    );
    const whose = others.map((spec) => `${program.name} ${spec.name}`).join(", ");
    throw new P2PError(
      "usage",
      `Cannot use --${name} with ${program.name} ${command.name}: it belongs to ${whose}`,
    );
  }
}

function checkPositionals(program: ProgramSpec, command: CommandSpec, given: string[]): void {
  const { min, max, names } = command.positionals;
  const usage = `usage: ${program.name} ${command.usage}`;
  if (given.length < min) {
    const name = names[Math.min(given.length, names.length - 1)] ?? "argument";
    throw new P2PError(
      "usage",
      `Cannot run ${program.name} ${command.name}: the ${name} is missing; ${usage}`,
    );
  }
  const surplus = given[max];
  if (surplus !== undefined) {
    throw new P2PError(
      "usage",
      `Cannot run ${program.name} ${command.name}: '${
        escapeText(surplus)
      }' is one too many; ${usage}`,
    );
  }
}

/** The value of each of the command's flags, and which of them somebody chose. */
function resolve(
  program: ProgramSpec,
  command: CommandSpec,
  { flags, env }: { flags: RawFlags; env: Environment },
): { values: FlagValues; explicit: Set<string>; typed: Set<string> } {
  const values: Record<string, FlagValue> = {};
  const explicit = new Set<string>();
  const given = new Set<string>();
  for (const spec of flagsOf(program, command)) {
    const typed = flags.get(spec.name);
    const inherited = typed === undefined && spec.env !== undefined ? env(spec.env) : undefined;
    // An empty variable counts as none, so that one can be switched off for a single call.
    const chosen = typed ?? (inherited === "" ? undefined : inherited);
    const text = chosen ?? spec.default;
    if (text === undefined) continue;
    const source = typed === undefined ? spec.env ?? `--${spec.name}` : `--${spec.name}`;
    const value = text === true ? true : parseFlagValue(spec, text, source);
    if (value !== false) values[spec.name] = value;
    if (chosen !== undefined) explicit.add(spec.name);
    if (typed !== undefined) given.add(spec.name);
  }
  return { values, explicit, typed: given };
}

/**
 * How a program's command line is described. The tables are in programs.ts; arguments.ts parses by
 * them and help.ts prints them.
 *
 * @module
 */

/** Kind of a flag's value. */
export type FlagKind = "string" | "boolean" | "integer" | "seconds" | "address" | "size";

/** Highest port of TCP. */
export const MAX_PORT = 65_535;

/** A `host:port`; the port is null when it was left out. */
export interface Address {
  host: string;
  port: number | null;
}

/** A parsed value: text, a switch, a number (integer, seconds or bytes), or an address. */
export type FlagValue = string | boolean | number | Address;

/** One flag. */
export interface FlagSpec {
  /** Without its dashes. */
  name: string;
  kind: FlagKind;
  /** The environment variable that is used when the flag is not given. */
  env?: string;
  /** Name of the value in the help, for example `DIR`. */
  placeholder?: string;
  /** Text of the help: one sentence without full stop. */
  help: string;
  /** Default value, as it would be typed. */
  default?: string;
  /** Largest value of an `integer`. */
  max?: number;
  /**
   * Smallest value of an `integer` or a `size`; 0 when left out. Of `seconds` 0 lets there be none, of an `address` a port that
   * the system chooses.
   */
  min?: number;
  /** Left out of the help. */
  hidden?: boolean;
}

/** One command of a program. */
export interface CommandSpec {
  name: string;
  /** One line for the list of commands. */
  summary: string;
  /** Line of usage without the program's name, for example `send <path>... [flags]`. */
  usage: string;
  positionals: {
    min: number;
    max: number;
    /** Names in errors, one each; the last one also stands for those after it. */
    names: string[];
    /** A flag that may stand in their place. */
    unless?: string;
  };
  /** Flags of its own. */
  flags: FlagSpec[];
  /** Names of those of the program's common flags that mean something to it; others are refused. */
  common: readonly string[];
  /** Whole lines as typed. */
  examples: string[];
}

/** A program. */
export interface ProgramSpec {
  name: string;
  summary: string;
  commands: CommandSpec[];
  /** The command that runs when none is named. */
  defaultCommand: string;
  /** Flags of several commands, which each name those that they take. */
  commonFlags: FlagSpec[];
  /** Sections at the end of the help, for example exit codes. */
  sections?: { title: string; rows: [string, string][] }[];
}

/** The flags that a command takes: its own first, as its help lists them. */
export function flagsOf(program: ProgramSpec, command: CommandSpec): FlagSpec[] {
  const { flags, common } = command;
  return [...flags, ...program.commonFlags.filter(({ name }) => common.includes(name))];
}

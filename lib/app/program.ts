import { isOn, parseCommandLine, type ParsedCommand } from "../cli/arguments/arguments.ts";
import type { AppEvent } from "../events.ts";
import { JsonOutput } from "../cli/output/json_output.ts";
import type { Menu } from "../cli/terminal/menu.ts";
import { errorEvent, type Output } from "../cli/output/output.ts";
import type { ProgressBars } from "../cli/terminal/progress.ts";
import { type Sink, stderrSink, stdoutSink } from "../cli/output/sink.ts";
import type { ProgramSpec } from "../cli/arguments/spec.ts";
import { TextOutput } from "../cli/output/text_output.ts";
import { asP2PError, ExitCode, P2PError } from "../errors.ts";
import { redactInvite } from "../identity/invite.ts";
import config from "../../deno.json" with { type: "json" };

/** Arguments, output and signals of one command. */
export interface CommandContext {
  command: ParsedCommand;
  output: Output;
  emit: (event: AppEvent) => void;
  /** The menu that holds the last line of the terminal; only for a command that has one. */
  menu: Menu | null;
  env: (name: string) => string | undefined;
  /** Aborts at the first SIGINT or SIGTERM. */
  signal: AbortSignal;
  /** Aborts at the second one: stop at once. */
  again: AbortSignal;
}

/** A command; its result is the exit code. */
export type Command = (context: CommandContext) => Promise<ExitCode>;

/** A program: its command line, its commands, and which of them have a menu. */
export interface Program {
  spec: ProgramSpec;
  commands: Record<string, Command>;
  menus?: readonly string[];
}

/** Parses, runs the command, reports what it throws, and resolves with the exit code. */
export async function runProgram(program: Program, args: readonly string[]): Promise<ExitCode> {
  const env = (name: string) => Deno.env.get(name);
  let parsed: ReturnType<typeof parseCommandLine>;
  try {
    parsed = parseCommandLine(program.spec, args, env);
  } catch (error) {
    return reportUsage(asP2PError(error), args);
  }
  if ("help" in parsed) return print(stdoutSink(), parsed.help);
  if ("version" in parsed) return print(stdoutSink(), `${program.spec.name} ${config.version}`);
  using signals = new Interrupts();
  const hasMenu = program.menus?.includes(parsed.command) ?? false;
  const { output, menu } = await outputFor(parsed, hasMenu);
  const command = program.commands[parsed.command];
  if (!command) throw new TypeError(`the command ${parsed.command} has no code`);
  try {
    return await command({
      command: parsed,
      output,
      emit: (event) => output.emit(event),
      menu,
      env,
      signal: signals.first,
      again: signals.second,
    });
  } catch (thrown) {
    if (signals.first.aborted) return ExitCode.interrupted;
    const error = asP2PError(thrown);
    output.emit(safeErrorEvent(error));
    return error.exitCode;
  } finally {
    output.close();
  }
}

/** The event of an error without the invite that was pasted in the wrong place: logs hold no secrets. */
function safeErrorEvent(error: P2PError): AppEvent {
  const event = errorEvent(error);
  return { ...event, message: redactInvite(event.message) };
}

function print(sink: Sink, text: string): ExitCode {
  sink.write(text.endsWith("\n") ? text : `${text}\n`);
  return ExitCode.done;
}

/** Reports a command line that is wrong. Its flags cannot say how, so `--json` is looked for by itself. */
function reportUsage(error: P2PError, args: readonly string[]): ExitCode {
  const sinks = { stdout: stdoutSink(), stderr: stderrSink() };
  const output = args.includes("--json") ? new JsonOutput(sinks) : new TextOutput(sinks);
  output.emit(safeErrorEvent(error));
  output.close();
  return error.exitCode;
}

/** Output by the flags. Menu and bars are loaded for them alone: a script's command starts sooner. */
async function outputFor(
  { values }: ParsedCommand,
  hasMenu: boolean,
): Promise<{ output: Output; menu: Menu | null }> {
  const stderr = stderrSink();
  // Text for people goes to standard error where standard output is for a file.
  const stdout = isOn(values, "stdout") ? stderr : stdoutSink();
  const [json, quiet] = [isOn(values, "json"), isOn(values, "quiet")];
  const menu = hasMenu ? await openMenu(json ? stderr : stdout) : null;
  const over = (sink: Sink) => menu ? menu.over(sink) : sink;
  const sinks = { stdout: over(stdout), stderr: over(stderr), quiet };
  if (json) return { output: new JsonOutput(sinks), menu };
  const hasBars = stdout.isTerminal && !menu?.interactive && !quiet;
  const bars = hasBars ? await openBars(sinks.stdout) : null;
  return { output: new TextOutput({ ...sinks, bars }), menu };
}

async function openMenu(sink: Sink): Promise<Menu> {
  const { Menu } = await import("../cli/terminal/menu.ts");
  return new Menu({ sink });
}

async function openBars(sink: Sink): Promise<ProgressBars> {
  const { ProgressBars } = await import("../cli/terminal/progress.ts");
  return new ProgressBars(sink);
}

/** SIGINT and SIGTERM as two abort signals: the first asks to end, the second to end at once. */
class Interrupts implements Disposable {
  readonly #first = new AbortController();
  readonly #second = new AbortController();
  readonly #names: Deno.Signal[] = Deno.build.os === "windows" ? ["SIGINT"] : ["SIGINT", "SIGTERM"];
  readonly #listener = () => {
    const next = this.#first.signal.aborted ? this.#second : this.#first;
    next.abort(new P2PError("interrupted", "Interrupted"));
  };

  constructor() {
    for (const name of this.#names) Deno.addSignalListener(name, this.#listener);
  }

  get first(): AbortSignal {
    return this.#first.signal;
  }

  get second(): AbortSignal {
    return this.#second.signal;
  }

  [Symbol.dispose](): void {
    for (const name of this.#names) Deno.removeSignalListener(name, this.#listener);
  }
}

import { onDemand } from "../on_demand.ts";
import { isOn, parseCommandLine, type ParsedCommand, textOf } from "../cli/arguments/arguments.ts";
import { untilAborted } from "../async/abort.ts";
import { delay, systemClock } from "../async/clock.ts";
import type { AppEvent } from "../events.ts";
import { escapeText } from "../cli/output/escape.ts";
import { JsonOutput } from "../cli/output/json_output.ts";
import type { Menu } from "../cli/terminal/menu.ts";
import { errorEvent, type Output } from "../cli/output/output.ts";
import type { ProgressBars } from "../cli/terminal/progress.ts";
import { type Sink, stderrSink, stdoutSink, type WriterSink } from "../cli/output/sink.ts";
import type { ProgramSpec } from "../cli/arguments/spec.ts";
import { redactInvite } from "../cli/output/redact.ts";
import { TextOutput } from "../cli/output/text_output.ts";
import { asP2PError, ExitCode, P2PError, reasonOf } from "../errors.ts";
import { IN_MEMORY, keepPrivate, stateFolders } from "./state_folder.ts";
import config from "../../deno.json" with { type: "json" };

/** Milliseconds that a command gets to stop at once. */
const PATIENCE = 3_000;

/** Arguments, output and signals of one command. */
export interface CommandContext {
  command: ParsedCommand;
  output: Output;
  emit: (event: AppEvent) => void;
  /** The menu that holds the last line of the terminal; only for a command that has one. */
  menu: Menu | null;
  env: (name: string) => string | undefined;
  /** Aborts at the first SIGINT, SIGTERM or SIGHUP. */
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
  /** Commands that run until a signal comes: their output is a log, which may have gaps. */
  services: readonly string[];
}

/** How long in milliseconds the end of a program waits for a reader who does not read, once somebody wants the end. */
const LAST_WORDS = 1_000;

/** Parses, runs the command, reports what it throws, and resolves with the exit code. */
export async function runProgram(program: Program, args: readonly string[]): Promise<ExitCode> {
  const env = (name: string) => Deno.env.get(name);
  let parsed: ReturnType<typeof parseCommandLine>;
  try {
    parsed = parseCommandLine(program.spec, args, env);
  } catch (error) {
    return await reportUsage(asP2PError(error), args);
  }
  using signals = new Interrupts();
  if ("help" in parsed) return await print(parsed.help, signals);
  if ("version" in parsed) {
    return await print(`${program.spec.name} ${config.version}`, signals);
  }
  const hasMenu = program.menus?.includes(parsed.command) ?? false;
  const isService = program.services.includes(parsed.command);
  const streams = streamsFor(isOn(parsed.values, "json"), isService);
  const { output, menu } = await outputFor(parsed, { hasMenu, ...streams });
  const exitCode = await runCommand(program, { parsed, output, menu, env, signals });
  const written = await allWritten(Object.values(streams), isService ? undefined : signals.first);
  return isService ? exitCode : await afterWriting(exitCode, written, streams);
}

/** Runs the command, and reports what it throws. */
async function runCommand(
  program: Program,
  { parsed, output, menu, env, signals }: Pick<CommandContext, "output" | "menu" | "env"> & {
    parsed: ParsedCommand;
    signals: Interrupts;
  },
): Promise<ExitCode> {
  const command = program.commands[parsed.command];
  if (!command) throw new TypeError(`the command ${parsed.command} has no code`);
  const emit = (event: AppEvent) => output.emit(event);
  try {
    const state = textOf(parsed.values, "state");
    if (state !== IN_MEMORY) {
      keepPrivate(stateFolders(state, env), (message) => emit({ event: "notice", message }));
    }
    const running = command({
      command: parsed,
      output,
      emit,
      menu,
      env,
      signal: signals.first,
      again: signals.second,
    });
    return await Promise.race([running, overdue(signals.second)]);
  } catch (thrown) {
    if (signals.first.aborted) return ExitCode.interrupted;
    const error = asP2PError(thrown);
    output.emit(errorEvent(error));
    if (env("P2P_DEBUG")) explain(thrown);
    return error.exitCode;
  } finally {
    output.close();
  }
}

/** The exit code of a command that goes on after it was to stop at once: a disk that hangs holds nobody here. */
async function overdue(stopAtOnce: AbortSignal): Promise<ExitCode> {
  await untilAborted(stopAtOnce);
  await delay(systemClock, PATIENCE);
  return ExitCode.interrupted;
}

/** Writes the whole story of an error, with what lies underneath, for a report of a fault in this program. */
function explain(thrown: unknown): void {
  const text = escapeText(redactInvite(Deno.inspect(thrown, { depth: 6 })), { multiline: true });
  // Indented, so that no text of another machine in it begins a line.
  stderrSink().write(`${text.replace(/^/gm, "  ")}\n`);
}

/** Standard output and standard error of this process. */
interface Streams {
  stdout: WriterSink;
  stderr: WriterSink;
}

/** The two streams; where lines had to be left out, a line of the same kind says so. */
function streamsFor(json: boolean, isLog = false): Streams {
  const text = (lines: number) => `${lines} lines were left out here: nobody read what came before`;
  const inText = (lines: number) => `${text(lines)}\n`;
  const inJson = (lines: number) => {
    const event = { event: "notice", time: new Date().toISOString(), message: text(lines) };
    return `${JSON.stringify(event)}\n`;
  };
  return {
    stdout: stdoutSink({ describeGap: json ? inJson : inText, isLog }),
    stderr: stderrSink({ describeGap: inText, isLog }),
  };
}

async function print(text: string, { first }: Interrupts): Promise<ExitCode> {
  const streams = streamsFor(false);
  streams.stdout.write(text.endsWith("\n") ? text : `${text}\n`);
  return await afterWriting(ExitCode.done, await allWritten([streams.stdout], first), streams);
}

/**
 * Waits until everything is written. An answer may wait for its reader as long as that takes, or until `signal` aborts;
 * a log, which has none, for a moment.
 *
 * @returns whether it was all taken.
 */
async function allWritten(sinks: WriterSink[], signal: AbortSignal | undefined): Promise<boolean> {
  const flushed = Promise.all(sinks.map((sink) => sink.flushed())).then(() => true);
  const over = new AbortController();
  const tooLong = (signal ? untilAborted(signal) : Promise.resolve())
    .then(() => delay(systemClock, LAST_WORDS, over.signal))
    .then(() => false, () => false);
  try {
    return await Promise.race([flushed, tooLong]);
  } finally {
    over.abort();
  }
}

/** The exit code of a command whose answer may have been lost: nobody must take it for one that was given. */
async function afterWriting(
  exitCode: ExitCode,
  written: boolean,
  { stdout, stderr }: Streams,
): Promise<ExitCode> {
  if (exitCode !== ExitCode.done) return exitCode;
  if (!written) return ExitCode.interrupted;
  if (stdout.failure === undefined) return ExitCode.done;
  const error = new P2PError(
    "disk",
    `Cannot write to standard output: ${reasonOf(stdout.failure)}; part of the answer is lost`,
  );
  new TextOutput({ stdout, stderr }).emit(errorEvent(error));
  await stderr.flushed();
  return ExitCode.local;
}

/** Reports a command line that is wrong. Its flags cannot say how, so `--json` is looked for by itself. */
async function reportUsage(error: P2PError, args: readonly string[]): Promise<ExitCode> {
  const streams = streamsFor(false);
  const output = args.includes("--json") ? new JsonOutput(streams) : new TextOutput(streams);
  output.emit(errorEvent(error));
  output.close();
  await allWritten(Object.values(streams), undefined);
  return error.exitCode;
}

/** Output by the flags. Menu and bars are loaded for them alone: a script's command starts sooner. */
async function outputFor(
  { values }: ParsedCommand,
  { hasMenu, stdout: own, stderr }: Streams & { hasMenu: boolean },
): Promise<{ output: Output; menu: Menu | null }> {
  // Text for people goes to standard error where standard output is for a file.
  const stdout = isOn(values, "stdout") ? stderr : own;
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
  const { Menu } = await onDemand<typeof import("../cli/terminal/menu.ts")>(
    "../cli/terminal/menu.ts",
    import.meta.url,
  );
  return new Menu({ sink });
}

async function openBars(sink: Sink): Promise<ProgressBars> {
  const { ProgressBars } = await onDemand<typeof import("../cli/terminal/progress.ts")>(
    "../cli/terminal/progress.ts",
    import.meta.url,
  );
  return new ProgressBars(sink);
}

/**
 * SIGINT and SIGTERM as two abort signals: the first asks to end, the second to end at once. SIGHUP, which comes when a
 * terminal is closed, asks to end too; of these several may come from the kernel and the shell, and mean one thing.
 */
class Interrupts implements Disposable {
  readonly #first = new AbortController();
  readonly #second = new AbortController();
  readonly #names: Deno.Signal[] = Deno.build.os === "windows" ? ["SIGINT"] : ["SIGINT", "SIGTERM"];
  readonly #listener = () => {
    const next = this.#first.signal.aborted ? this.#second : this.#first;
    next.abort(new P2PError("interrupted", "Interrupted"));
  };
  readonly #onHangup = () => {
    const end = (sheltered: boolean) => {
      if (!sheltered) this.#first.abort(new P2PError("interrupted", "Interrupted"));
    };
    onDemand<typeof import("./hangup.ts")>("./hangup.ts", import.meta.url).then(
      ({ isSheltered }) => end(isSheltered()),
      () => end(false),
    );
  };

  constructor() {
    for (const name of this.#names) Deno.addSignalListener(name, this.#listener);
    if (Deno.build.os !== "windows") Deno.addSignalListener("SIGHUP", this.#onHangup);
  }

  get first(): AbortSignal {
    return this.#first.signal;
  }

  get second(): AbortSignal {
    return this.#second.signal;
  }

  [Symbol.dispose](): void {
    for (const name of this.#names) Deno.removeSignalListener(name, this.#listener);
    if (Deno.build.os !== "windows") Deno.removeSignalListener("SIGHUP", this.#onHangup);
  }
}

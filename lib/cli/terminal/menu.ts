/**
 * The menu: commands typed at a terminal, or line by line from a script. On a terminal commands run
 * side by side, so that a long sendfile does not keep the next one waiting; a script's commands run
 * one after another.
 *
 * @module
 */

import process from "node:process";
import { onAbort } from "../../async/abort.ts";
import { asP2PError, ExitCode, P2PError } from "../../errors.ts";
import { complete } from "./completion.ts";
import { escapeText } from "../output/escape.ts";
import { type LinesEnd, type LineSource, ScriptLines } from "./line_source.ts";
import { joinAddress, MENU_HELP, type MenuCommand, parseMenuLine } from "./menu_line.ts";
import { errorEvent, type Output } from "../output/output.ts";
import type { Sink } from "../output/sink.ts";
import { TerminalPrompt } from "./terminal_prompt.ts";

/** The prompt, as it has always been. */
export const MENU_PROMPT = "Enter command (ping, broadcast <message>, sendfile <filename>, exit): ";

/** Actions of the commands. Each may reject; the menu reports that and goes on. */
export interface MenuActions {
  /** `target` is a peer or `host:port`. */
  ping(target: string): Promise<void>;
  /** Sends a message to everybody. */
  broadcast(text: string): Promise<void>;
  /** `recipients` is empty when none was named: ask ({@linkcode Menu.ask}) or refuse. */
  sendFile(name: string, recipients: string[]): Promise<void>;
  /** Shows who is there. */
  peers(): Promise<void>;
  /** Shows what was sent and received. */
  history(): Promise<void>;
  /** Names of the files in `data/`. */
  dataFiles(): Promise<string[]>;
  /** Names of the other peers, for completion. */
  peerNames(): string[];
}

/** Options of {@linkcode Menu}. */
export interface MenuOptions {
  /** Sink of prompt, help and lists: standard output, or standard error with `--json`. */
  sink: Sink;
  /** Lines of a script instead of standard input. */
  script?: ReadableStream<Uint8Array<ArrayBuffer>>;
  /** Keys of a terminal instead of standard input. */
  keys?: NodeJS.ReadableStream;
}

/** Options of {@linkcode Menu.run}. */
export interface MenuRunOptions {
  /** Errors of commands go here. */
  output: Output;
  signal?: AbortSignal;
}

/** How a menu ended. */
export interface MenuEnd {
  how: "exit" | LinesEnd;
  /** Exit code of the first command of a script that failed; done at a terminal. */
  exitCode: ExitCode;
}

/** One menu; it is run once. */
export class Menu {
  /** Whether a person types the commands and can be asked. */
  readonly interactive: boolean;
  readonly #options: MenuOptions;
  #source: LineSource | null = null;
  readonly #opened = Promise.withResolvers<void>();
  #exitCode: ExitCode = ExitCode.done;

  constructor(options: MenuOptions) {
    this.#options = options;
    const { sink, script, keys } = options;
    const typed = script === undefined && sink.isTerminal && Deno.stdin.isTerminal();
    this.interactive = keys !== undefined || typed;
  }

  /** `sink`, but what is written to it does not break the line being typed. Takes whole lines. */
  over(sink: Sink): Sink {
    const above = (write: () => void) => {
      if (this.#source === null || !sink.isTerminal) write();
      else this.#source.above(write);
    };
    return {
      isTerminal: sink.isTerminal,
      get columns() {
        return sink.columns;
      },
      get rows() {
        return sink.rows ?? 24;
      },
      write: (text) => above(() => sink.write(text)),
    };
  }

  /**
   * Asks the person at the terminal. Questions wait for each other, and for the menu to run.
   *
   * @throws {P2PError} `usage` in a script; `interrupted` when the menu ends instead, or `signal` aborts
   */
  ask(question: string, signal?: AbortSignal): Promise<string> {
    if (this.interactive) return this.#opened.promise.then(() => this.#answer(question, signal));
    const message = `Cannot ask '${question.trim()}': the commands come from a script`;
    return Promise.reject(new P2PError("usage", message));
  }

  /** Runs commands until `exit`, the end of the input, Ctrl-C or an abort. Commands may outlive it. */
  async run(actions: MenuActions, options: MenuRunOptions): Promise<MenuEnd> {
    const { output, signal } = options;
    const source = this.#open(actions);
    this.#source = source;
    this.#opened.resolve();
    using _ = onAbort(signal, () => source.close("aborted"));
    try {
      const exited = await this.#loop(source, actions, output);
      if (exited) source.close("end-of-input");
      const how = exited ? "exit" : source.end ?? "end-of-input";
      return { how, exitCode: this.interactive ? ExitCode.done : this.#exitCode };
    } finally {
      if (this.interactive && this.#options.keys === undefined) process.stdin.pause();
    }
  }

  #open(actions: MenuActions): LineSource {
    const { sink, script, keys } = this.#options;
    if (!this.interactive) return new ScriptLines(script ?? Deno.stdin.readable);
    return new TerminalPrompt({
      input: keys ?? process.stdin,
      sink,
      prompt: MENU_PROMPT,
      complete: (line) => complete(line, actions),
    });
  }

  /** Whether it ended by `exit`. */
  async #loop(source: LineSource, actions: MenuActions, output: Output): Promise<boolean> {
    for (let line = await source.next(); line !== null; line = await source.next()) {
      const command = this.#parse(line, output);
      if (command === null) continue;
      if (command.command === "exit") return true;
      const running = this.#execute(command, actions).catch((error) => this.#report(error, output));
      // A command that still runs when the menu ends is stopped by whoever ended it.
      if (!this.interactive) await untilEither(running, source.closed);
    }
    return false;
  }

  #parse(line: string, output: Output): MenuCommand | null {
    try {
      return parseMenuLine(line);
    } catch (error) {
      this.#report(error, output);
      return null;
    }
  }

  async #execute(command: Exclude<MenuCommand, { command: "exit" }>, actions: MenuActions) {
    switch (command.command) {
      case "ping":
        return await actions.ping(command.target ?? await this.#askAddress());
      case "broadcast":
        return await actions.broadcast(command.text);
      case "sendfile":
        if (command.name === null) return this.#listFiles(await actions.dataFiles());
        return await actions.sendFile(command.name, command.recipients);
      case "peers":
        return await actions.peers();
      case "history":
        return await actions.history();
      case "help":
        return this.#print(helpLines());
      default:
        return command satisfies never;
    }
  }

  /** Asks for address and port as the original did; a script answers with its next two lines. */
  async #askAddress(): Promise<string> {
    const host = await this.#answer("Enter the address of the peer: ");
    if (host === "") throw new P2PError("usage", "Cannot ping: the address is missing");
    const port = await this.#answer("Enter the port of the peer: ");
    if (/^\d{1,5}$/.test(port)) return joinAddress(host, port);
    throw new P2PError("usage", `Cannot ping: '${escapeText(port)}' is not a port, write a number`);
  }

  async #answer(question: string, signal?: AbortSignal): Promise<string> {
    const answer = await this.#source?.ask(question, signal) ?? null;
    if (answer !== null) return answer.trim();
    throw new P2PError("interrupted", "Cannot go on: the menu ended before the answer came");
  }

  #listFiles(names: string[]): void {
    this.#print(
      names.length === 0
        ? ["There are no files in the data folder; write sendfile <path>"]
        : ["Files in the data folder:", ...names.map((name) => `  ${escapeText(name)}`)],
    );
  }

  #report(error: unknown, output: Output): void {
    const known = asP2PError(error);
    if (this.#exitCode === ExitCode.done) this.#exitCode = known.exitCode;
    const isEnd = known.code === "interrupted" && this.#source?.end !== null;
    if (!isEnd) output.emit(errorEvent(known));
  }

  #print(lines: string[]): void {
    this.over(this.#options.sink).write(`${lines.join("\n")}\n`);
  }
}

/** Resolves when the promise does, or the signal aborts, which may outlive thousands of these. */
async function untilEither(promise: Promise<unknown>, signal: AbortSignal): Promise<void> {
  const { promise: aborted, resolve } = Promise.withResolvers<void>();
  using _ = onAbort(signal, resolve);
  await Promise.race([promise, aborted]);
}

function helpLines(): string[] {
  const width = Math.max(...MENU_HELP.map(([usage]) => usage.length));
  return MENU_HELP.map(([usage, help]) => `  ${usage.padEnd(width)}  ${help}`);
}

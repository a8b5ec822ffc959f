import { createInterface, type Interface } from "node:readline";
import type { Completion } from "./completion.ts";
import type { LinesEnd, LineSource } from "./line_source.ts";
import type { Sink } from "../output/sink.ts";
import { TerminalStream } from "./terminal_stream.ts";

/** Options of {@linkcode TerminalPrompt}. */
export interface TerminalPromptOptions {
  /** The keys, in raw mode: `node:process` stdin, or any stream in a test. */
  input: NodeJS.ReadableStream;
  /** The terminal. */
  sink: Sink;
  prompt: string;
  /** What Tab offers for the line typed so far. */
  complete(line: string): Promise<Completion>;
}

/** A question, and where its answer goes. */
interface Question {
  text: string;
  answer(line: string | null): void;
}

/** What readline keeps and its types do not show: the row of the cursor at its last redraw. */
interface ReadlineState {
  prevRows: number;
}

/**
 * A prompt on a terminal with line editing, history and completion. Whatever is printed meanwhile goes
 * through {@linkcode above}, which takes prompt and typed text off the screen and puts them back.
 */
export class TerminalPrompt implements LineSource {
  readonly interactive = true;
  readonly #prompt: string;
  readonly #sink: Sink;
  readonly #output: TerminalStream;
  readonly #readline: Interface;
  readonly #lines: string[] = [];
  readonly #questions: Question[] = [];
  #waiting: ((line: string | null) => void) | null = null;
  /** What was being typed when a question came. */
  #parked = "";
  /** Whether prompt and typed text are on the screen. */
  #visible = false;
  readonly #closed = Promise.withResolvers<void>();
  #end: LinesEnd | null = null;

  constructor(options: TerminalPromptOptions) {
    const { input, sink, prompt, complete } = options;
    this.#prompt = prompt;
    this.#sink = sink;
    this.#output = new TerminalStream(sink);
    this.#readline = createInterface({
      input,
      output: this.#output,
      terminal: true,
      completer: (line: string, callback: (error: null, result: Completion) => void) => {
        const none = (): Completion => [[], line];
        const found = this.#questions.length > 0 ? Promise.resolve(none()) : complete(line);
        found.catch(none).then((result) => {
          if (this.#end === null) callback(null, result);
        });
      },
    });
    this.#readline.on("history", (history) => {
      // Answers are no commands. This comes before their line event.
      if (this.#questions.length > 0) history.shift();
    });
    this.#readline.on("line", (line) => this.#onLine(line));
    this.#readline.on("SIGINT", () => this.close("interrupted"));
    // Back in the foreground after Ctrl-Z: readline pauses and leaves it to us to go on.
    this.#readline.on("SIGCONT", () => this.#readline.resume());
    this.#readline.on("close", () => this.#onClose());
  }

  get end(): LinesEnd | null {
    return this.#end;
  }

  get closed(): Promise<unknown> {
    return this.#closed.promise;
  }

  next(): Promise<string | null> {
    const line = this.#lines.shift();
    if (line !== undefined) return Promise.resolve(line);
    if (this.#end !== null) return Promise.resolve(null);
    const { promise, resolve } = Promise.withResolvers<string | null>();
    this.#waiting = resolve;
    if (!this.#visible) this.#show();
    return promise;
  }

  ask(question: string, signal?: AbortSignal): Promise<string | null> {
    if (this.#end !== null || signal?.aborted) return Promise.resolve(null);
    const { promise, resolve } = Promise.withResolvers<string | null>();
    const asked: Question = {
      text: question,
      answer: (line) => {
        signal?.removeEventListener("abort", withdraw);
        resolve(line);
      },
    };
    const withdraw = () => this.#withdraw(asked);
    signal?.addEventListener("abort", withdraw);
    this.#questions.push(asked);
    if (this.#questions.length === 1) {
      this.#parked = this.#readline.line;
      this.#erase();
      this.#show();
    }
    return promise;
  }

  above(write: () => void): void {
    if (!this.#visible) return write();
    this.#clear();
    write();
    this.#readline.prompt(true);
  }

  close(end: LinesEnd): void {
    if (this.#end !== null) return;
    this.#end = end;
    this.#readline.close();
  }

  #onLine(line: string): void {
    this.#visible = false;
    const question = this.#questions.shift();
    if (question === undefined) {
      if (this.#waiting === null) this.#lines.push(line);
      else this.#answerWaiting(line);
      return;
    }
    question.answer(line);
    this.#show();
    if (this.#questions.length === 0) this.#restore();
  }

  /** Nobody wants the answer any more: the question goes, and what was typed as its answer. */
  #withdraw(question: Question): void {
    const index = this.#questions.indexOf(question);
    if (index < 0) return;
    if (index === 0) this.#erase();
    this.#questions.splice(index, 1);
    question.answer(null);
    if (index > 0) return;
    this.#show();
    if (this.#questions.length === 0) this.#restore();
  }

  #onClose(): void {
    this.#end ??= "end-of-input";
    if (this.#visible) this.#sink.write("\n");
    this.#visible = false;
    this.#output.destroy();
    for (const question of this.#questions.splice(0)) question.answer(null);
    this.#answerWaiting(null);
    this.#closed.resolve();
  }

  #answerWaiting(line: string | null): void {
    const waiting = this.#waiting;
    this.#waiting = null;
    waiting?.(line);
  }

  /** Shows the question that is open, or the prompt. */
  #show(): void {
    this.#readline.setPrompt(this.#questions[0]?.text ?? this.#prompt);
    this.#readline.prompt();
    this.#visible = true;
  }

  /** Takes prompt and typed text, which may fill several rows, off the screen. */
  #clear(): void {
    const { rows } = this.#readline.getCursorPos();
    this.#sink.write(rows > 0 ? `\x1b[${rows}A\r\x1b[J` : "\r\x1b[J");
    // Or the next redraw would go up by as many rows, over what is printed in between.
    (this.#readline as unknown as ReadlineState).prevRows = 0;
  }

  /** Empties the typed text, on the screen too. */
  #erase(): void {
    if (this.#visible) this.#clear();
    if (this.#readline.line === "") return;
    this.#readline.write(null, { ctrl: true, name: "e" });
    this.#readline.write(null, { ctrl: true, name: "u" });
    if (this.#visible) this.#clear();
  }

  /** Brings back what was being typed before the question. */
  #restore(): void {
    const text = this.#parked;
    this.#parked = "";
    if (text !== "") this.#readline.write(text);
  }
}

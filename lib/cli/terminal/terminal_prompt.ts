import type { Completion } from "./completion.ts";
import { LineEditor } from "./line_editor.ts";
import type { LinesEnd, LineSource } from "./line_source.ts";
import type { Sink } from "../output/sink.ts";

/** Options of {@linkcode TerminalPrompt}. */
export interface TerminalPromptOptions {
  /** The keys, in raw mode: `node:process` stdin, or any stream in a test. */
  input: NodeJS.ReadableStream;
  /** The terminal. */
  sink: Sink;
  prompt: string;
  /** Words that Tab offers for the line typed so far. */
  complete(line: string): Promise<Completion>;
}

/** A question, and where its answer goes. */
interface Question {
  text: string;
  answer(line: string | null): void;
}

/**
 * A prompt on a terminal with line editing, history and completion. Whatever is printed meanwhile goes
 * through {@linkcode above}, which takes prompt and typed text off the screen and puts them back.
 */
export class TerminalPrompt implements LineSource {
  readonly interactive = true;
  readonly #prompt: string;
  readonly #sink: Sink;
  readonly #editor: LineEditor;
  readonly #lines: string[] = [];
  readonly #questions: Question[] = [];
  #waiting: ((line: string | null) => void) | null = null;
  /** Text that was being typed when a question came. */
  #parked = "";
  readonly #closed = new AbortController();
  #end: LinesEnd | null = null;

  constructor(options: TerminalPromptOptions) {
    const { input, sink, prompt, complete } = options;
    this.#prompt = prompt;
    this.#sink = sink;
    this.#editor = new LineEditor({
      input,
      sink,
      complete: (line) => this.#questions.length > 0 ? Promise.resolve([[], line]) : complete(line),
      onLine: (line) => this.#onLine(line),
      onInterrupt: () => this.close("interrupted"),
      onClose: () => this.#onClose(),
      // Answers are no commands. Readline reports the history before the line.
      onHistory: (history) => void (this.#questions.length > 0 && history.shift()),
    });
  }

  get end(): LinesEnd | null {
    return this.#end;
  }

  get closed(): AbortSignal {
    return this.#closed.signal;
  }

  next(): Promise<string | null> {
    const line = this.#lines.shift();
    if (line !== undefined) return Promise.resolve(line);
    if (this.#end !== null) return Promise.resolve(null);
    const { promise, resolve } = Promise.withResolvers<string | null>();
    this.#waiting = resolve;
    if (!this.#editor.isShown) this.#show();
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
      this.#parked = this.#editor.line;
      this.#editor.erase();
      this.#show();
    }
    return promise;
  }

  above(write: () => void): void {
    if (!this.#editor.isShown) return write();
    this.#editor.clear();
    write();
    this.#editor.showAgain();
  }

  close(end: LinesEnd): void {
    if (this.#end !== null) return;
    this.#end = end;
    this.#editor.close();
  }

  #onLine(line: string): void {
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

  /** Takes a question back, with the text typed as its answer, once nobody wants it any more. */
  #withdraw(question: Question): void {
    const index = this.#questions.indexOf(question);
    if (index < 0) return;
    if (index === 0) this.#editor.erase();
    this.#questions.splice(index, 1);
    question.answer(null);
    if (index > 0) return;
    this.#show();
    if (this.#questions.length === 0) this.#restore();
  }

  #onClose(): void {
    this.#end ??= "end-of-input";
    if (this.#editor.isShown) this.#sink.write("\n");
    for (const question of this.#questions.splice(0)) question.answer(null);
    this.#answerWaiting(null);
    this.#closed.abort();
  }

  #answerWaiting(line: string | null): void {
    const waiting = this.#waiting;
    this.#waiting = null;
    waiting?.(line);
  }

  /** Shows the question that is open, or the prompt. */
  #show(): void {
    this.#editor.show(this.#questions[0]?.text ?? this.#prompt);
  }

  /** Types again the text that a question interrupted. */
  #restore(): void {
    const text = this.#parked;
    this.#parked = "";
    if (text !== "") this.#editor.insert(text);
  }
}

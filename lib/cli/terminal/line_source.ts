import { TextLineStream } from "@std/streams/text-line-stream";

/** How the lines of a menu ended. */
export type LinesEnd = "end-of-input" | "interrupted" | "aborted";

/** Source of the lines of a menu. */
export interface LineSource {
  /** Whether a person types them. */
  readonly interactive: boolean;
  /** Set once {@linkcode next} has returned null. */
  readonly end: LinesEnd | null;
  /** Aborts at the end. */
  readonly closed: AbortSignal;
  /** The next line, or null at the end. */
  next(): Promise<string | null>;
  /**
   * Shows `question` where a person types; the answer is the next line, or null at the end
   * and when the signal aborts, which withdraws the question.
   */
  ask(question: string, signal?: AbortSignal): Promise<string | null>;
  /** Prints without breaking the line being typed. `write` prints whole lines. */
  above(write: () => void): void;
  /** Ends it: {@linkcode next} returns null from now on. */
  close(end: LinesEnd): void;
}

/** Lines of a file or pipe. */
export class ScriptLines implements LineSource {
  readonly interactive = false;
  readonly #reader: ReadableStreamDefaultReader<string>;
  readonly #closed = new AbortController();
  #end: LinesEnd | null = null;

  constructor(input: ReadableStream<Uint8Array<ArrayBuffer>>) {
    this.#reader = input
      .pipeThrough(new TextDecoderStream())
      .pipeThrough(new TextLineStream())
      .getReader();
  }

  get end(): LinesEnd | null {
    return this.#end;
  }

  get closed(): AbortSignal {
    return this.#closed.signal;
  }

  async next(): Promise<string | null> {
    if (this.#end !== null) return null;
    // Closing ends it too.
    const result = await this.#reader.read();
    if (this.#end === null && !result.done) return result.value;
    this.close("end-of-input");
    return null;
  }

  ask(_question: string): Promise<string | null> {
    return this.next();
  }

  above(write: () => void): void {
    write();
  }

  close(end: LinesEnd): void {
    if (this.#end !== null) return;
    this.#end = end;
    this.#closed.abort();
    // The input may never end by itself. What it still holds is of no interest, its errors neither.
    this.#reader.cancel().catch(() => {});
  }
}

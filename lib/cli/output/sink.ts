/**
 * Destinations of text. Injected everywhere, so that output can be tested without a terminal.
 *
 * @module
 */

/** A place to write text to. */
export interface Sink {
  /** Writes all of `text`, or drops it when nobody reads any longer. Does not throw for that. */
  write(text: string): void;
  /** Whether a person looks at it. */
  readonly isTerminal: boolean;
  /** Width of the terminal; 80 where there is none. */
  readonly columns: number;
  /** Height of the terminal; 24 where it is not known. */
  readonly rows?: number;
}

/** Options of {@linkcode stdoutSink} and {@linkcode stderrSink}. */
export interface SinkOptions {
  /** Called once when the reader has gone (`peer --json | head -1`). */
  onBroken?: () => void;
}

/** Part of `Deno.stdout` that a sink needs. */
export interface SyncWriter {
  /** Writes some of `data` and returns how many bytes. */
  writeSync(data: Uint8Array): number;
  /** Whether it is a terminal. */
  isTerminal(): boolean;
}

/** How long to wait before writing again to a pipe that is full, in milliseconds. */
const FULL_PIPE_WAIT = 5;

/** Standard output. */
export function stdoutSink(options: SinkOptions = {}): Sink {
  return new WriterSink(Deno.stdout, options);
}

/** Standard error. */
export function stderrSink(options: SinkOptions = {}): Sink {
  return new WriterSink(Deno.stderr, options);
}

/** A {@linkcode Sink} on a synchronous writer, so that nothing is lost when the process ends. */
export class WriterSink implements Sink {
  readonly isTerminal: boolean;
  readonly #writer: SyncWriter;
  readonly #onBroken: (() => void) | undefined;
  readonly #encoder = new TextEncoder();
  #broken = false;

  constructor(writer: SyncWriter, options: SinkOptions = {}) {
    this.#writer = writer;
    this.#onBroken = options.onBroken;
    this.isTerminal = writer.isTerminal();
  }

  get columns(): number {
    return consoleSize()?.columns || 80;
  }

  get rows(): number {
    return consoleSize()?.rows || 24;
  }

  write(text: string): void {
    const data = this.#encoder.encode(text);
    let written = 0;
    while (written < data.length && !this.#broken) {
      try {
        written += this.#writer.writeSync(data.subarray(written));
      } catch (error) {
        if (!this.#recover(error)) return;
      }
    }
  }

  /** Waits when the pipe is full; false when the text cannot be written and is dropped. */
  #recover(error: unknown): boolean {
    if (error instanceof Deno.errors.WouldBlock) {
      // A terminal or pipe may be non-blocking because another process shares it.
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, FULL_PIPE_WAIT);
      return true;
    }
    // A full disk under a log file must not end a service; a reader that has gone is said once.
    this.#broken = error instanceof Deno.errors.BrokenPipe;
    if (this.#broken) this.#onBroken?.();
    return false;
  }
}

/** The size now; it changes when the window does. */
function consoleSize(): { columns: number; rows: number } | null {
  try {
    return Deno.consoleSize();
  } catch {
    return null;
  }
}

/**
 * Destinations of text. Injected everywhere, so that output can be tested without a terminal.
 *
 * @module
 */

/** A place to write text to. */
export interface Sink {
  /** Writes all of `text`, now or soon, or drops it when nobody reads any longer. Does not throw for that. */
  write(text: string): void;
  /** Whether a person looks at it. */
  readonly isTerminal: boolean;
  /** Width of the terminal; 80 where there is none. */
  readonly columns: number;
  /** Height of the terminal; 24 where it is not known. */
  readonly rows?: number;
}

/** Options of a {@linkcode WriterSink}. */
export interface SinkOptions {
  /** Called once when the reader has gone (`peer --json | head -1`). */
  onBroken?: () => void;
  /** The text that stands where lines had to be left out, with its line feed. */
  describeGap?: (lines: number) => string;
  /** Whether a terminal waits as well: somebody may have stopped it (Ctrl-S), or its window may be gone. */
  isLog?: boolean;
}

/** Part of `Deno.stdout` that a sink needs. */
export interface Writer {
  /** Writes some of `data` and returns how many bytes. */
  writeSync(data: Uint8Array): number;
  /** As `writeSync`, but a reader that stalls holds nobody else up. */
  write(data: Uint8Array): Promise<number>;
  /** Whether it is a terminal. */
  isTerminal(): boolean;
}

/** How long to wait before writing again to a terminal that is full, in milliseconds. */
const FULL_WAIT = 5;
/** Bytes that wait for a reader who stalls; what comes then is left out. */
const MAX_WAITING = 4 * 1024 * 1024;

/** Standard output. */
export function stdoutSink(options: SinkOptions = {}): WriterSink {
  return new WriterSink(Deno.stdout, options);
}

/** Standard error. */
export function stderrSink(options: SinkOptions = {}): WriterSink {
  return new WriterSink(Deno.stderr, options);
}

/**
 * A {@linkcode Sink} on a file, pipe or terminal. What goes to a terminal is written at once, since the order of all
 * that is drawn there matters, unless it is a log. Elsewhere a bounded queue stands between: a service never waits for
 * who reads its log.
 */
export class WriterSink implements Sink {
  readonly isTerminal: boolean;
  readonly #writer: Writer;
  readonly #options: SinkOptions;
  readonly #encoder = new TextEncoder();
  readonly #waiting: Uint8Array[] = [];
  #waitingBytes = 0;
  #draining: Promise<void> | undefined;
  #broken = false;
  /** Whether the last text was written in part: what follows must not go on in its line. */
  #isTorn = false;
  /** Lines that had no room to wait. */
  #leftOut = 0;
  #failure: unknown;

  constructor(writer: Writer, options: SinkOptions = {}) {
    this.#writer = writer;
    this.#options = options;
    this.isTerminal = writer.isTerminal();
  }

  get columns(): number {
    return consoleSize()?.columns || 80;
  }

  get rows(): number {
    return consoleSize()?.rows || 24;
  }

  /** Why something could not be written that somebody might have read; undefined when all was. */
  get failure(): unknown {
    return this.#failure;
  }

  write(text: string): void {
    if (this.#broken) return;
    const data = this.#encoder.encode(text);
    if (this.isTerminal && !this.#options.isLog) return this.#writeNow(data);
    if (this.#waitingBytes + data.length > MAX_WAITING) {
      this.#leftOut += text.split("\n").length - 1;
      return;
    }
    this.#push(data);
    this.#draining ??= this.#drain();
  }

  /** Resolves when all that was written is where it goes, or lost. */
  async flushed(): Promise<void> {
    await this.#draining;
  }

  #push(data: Uint8Array): void {
    this.#waiting.push(data);
    this.#waitingBytes += data.length;
  }

  async #drain(): Promise<void> {
    for (let data = this.#waiting.shift(); data !== undefined; data = this.#waiting.shift()) {
      if (!this.#broken) await this.#writeAll(data);
      this.#waitingBytes -= data.length;
      if (this.#waiting.length > 0 || this.#leftOut === 0) continue;
      this.#push(this.#encoder.encode(this.#options.describeGap?.(this.#leftOut) ?? ""));
      this.#leftOut = 0;
    }
    this.#draining = undefined;
  }

  async #writeAll(data: Uint8Array): Promise<void> {
    let written = 0;
    try {
      if (this.#isTorn) await this.#writer.write(this.#encoder.encode("\n"));
      this.#isTorn = false;
      while (written < data.length) written += await this.#writer.write(data.subarray(written));
    } catch (error) {
      this.#isTorn ||= written > 0;
      this.#onFailure(error);
    }
  }

  #writeNow(data: Uint8Array): void {
    for (let written = 0; written < data.length;) {
      try {
        written += this.#writer.writeSync(data.subarray(written));
      } catch (error) {
        if (!(error instanceof Deno.errors.WouldBlock)) return this.#onFailure(error);
        // A terminal may be non-blocking because another process shares it.
        Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, FULL_WAIT);
      }
    }
  }

  /** A full disk under a log file must not end a service; a reader that has gone is said once. */
  #onFailure(error: unknown): void {
    this.#broken = error instanceof Deno.errors.BrokenPipe;
    if (this.#broken) this.#options.onBroken?.();
    else this.#failure ??= error;
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

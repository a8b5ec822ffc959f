import { Writable } from "node:stream";
import type { Sink } from "../output/sink.ts";

/**
 * A terminal as the Node stream that readline writes to. Each write is handed on synchronously, so that
 * the order of what readline and the outputs print is certain.
 */
export class TerminalStream extends Writable {
  readonly isTTY = true;
  readonly #sink: Sink;
  readonly #write: (text: string) => void;
  readonly #onResize = () => void this.emit("resize");
  #listening = false;

  constructor(sink: Sink, write: (text: string) => void) {
    super({ decodeStrings: false });
    this.#sink = sink;
    this.#write = write;
    try {
      Deno.addSignalListener("SIGWINCH", this.#onResize);
      this.#listening = true;
    } catch {
      // Windows tells it otherwise; the width is read afresh at each redraw.
    }
  }

  /** Width, which readline wraps by. */
  get columns(): number {
    return this.#sink.columns;
  }

  /** Height. */
  get rows(): number {
    return this.#sink.rows ?? 24;
  }

  override _write(chunk: string | Uint8Array, _encoding: string, done: () => void): void {
    this.#write(typeof chunk === "string" ? chunk : new TextDecoder().decode(chunk));
    done();
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    if (this.#listening) Deno.removeSignalListener("SIGWINCH", this.#onResize);
    this.#listening = false;
    done(error);
  }
}

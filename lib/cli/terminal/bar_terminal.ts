import type { BarTerminal } from "cli-progress";
import type { Sink } from "../output/sink.ts";

/** Moves progress bars on a {@linkcode Sink} with ANSI sequences. */
export class SinkBarTerminal implements BarTerminal {
  readonly #sink: Sink;
  /** Lines between the first bar and the cursor. */
  #down = 0;

  constructor(sink: Sink) {
    this.#sink = sink;
  }

  /** Bars are drawn on terminals only. */
  isTTY(): boolean {
    return true;
  }

  /** Columns. */
  getWidth(): number {
    return this.#sink.columns;
  }

  /** The cursor stays visible: a process that is killed could not bring it back. */
  cursor(_visible: boolean): void {}

  /** Lines are cut to the width instead, for the same reason. */
  lineWrapping(_enabled: boolean): void {}

  /** Moves the cursor to the first row of the bars. */
  cursorRelativeReset(): void {
    this.#sink.write(this.#down > 0 ? `\x1b[${this.#down}A\r` : "\r");
    this.#down = 0;
  }

  /** Moves to the first column of the row: cli-progress asks for no other place. */
  cursorTo(_x: number | null, _y: number | null): void {
    this.#sink.write("\r");
  }

  /** Empties the row. */
  clearLine(): void {
    this.#sink.write("\x1b[2K");
  }

  /** Empties the rest of the row. */
  clearRight(): void {
    this.#sink.write("\x1b[K");
  }

  /** Empties everything below. */
  clearBottom(): void {
    this.#sink.write("\x1b[J");
  }

  /** Ends the row. */
  newline(): void {
    this.#sink.write("\n");
    this.#down++;
  }

  /** Writes within the row. */
  write(text: string): void {
    this.#sink.write(text);
  }
}

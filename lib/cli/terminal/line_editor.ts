import { createInterface, type Interface, type Key } from "node:readline";
import type { Sink } from "../output/sink.ts";
import type { Completion } from "./completion.ts";
import { type LineView, type TerminalSize, viewOf } from "./line_view.ts";
import { TerminalStream } from "./terminal_stream.ts";

/** Settings of a {@linkcode LineEditor}. */
export interface LineEditorOptions {
  /** The keys. In raw mode from now on, if it is a terminal. */
  input: NodeJS.ReadableStream;
  /** The terminal. */
  sink: Sink;
  /** Words that Tab offers for the line typed so far. */
  complete(line: string): Promise<Completion>;
  /** A line was entered; the cursor is at the start of the row below it. */
  onLine(line: string): void;
  /** Ctrl-C was pressed. */
  onInterrupt(): void;
  /** No more keys will come. */
  onClose(): void;
  /** Every line as it goes into the history, which begins with it. */
  onHistory(history: string[]): void;
}

/**
 * The methods of readline that draw, and what they draw from. Its types leave them out; REPLs override them,
 * so readline calls them by these names.
 */
interface ReadlineInternals {
  line: string;
  cursor: number;
  /** False within a paste, where a Tab is a character. */
  isCompletionEnabled: boolean;
  _ttyWrite(text: string | undefined, key: Key | undefined): void;
  _insertString(text: string): void;
  _moveCursor(distance: number): void;
  _refreshLine(): void;
}

/**
 * Edits one line on a terminal: readline has the keys, the history and the undo, and the drawing is done
 * here. Readline draws at every key and measures the line from its start, which costs the square of the
 * length of a paste; here what has come in one read is inserted and drawn at once, and no more than a screen.
 */
export class LineEditor {
  readonly #options: LineEditorOptions;
  readonly #output: TerminalStream;
  readonly #readline: Interface;
  readonly #internals: ReadlineInternals;
  /** Characters of the read under way that are not in the line yet. */
  #typed = "";
  /** Whether the keys of one read are being taken in. */
  #reading = false;
  /** Part of the line that the screen lacks: the last change, or all of it. */
  #due: "nothing" | "change" | "all" = "nothing";
  /** View on the screen; null when there is none, and the cursor is at the start of a row. */
  #shown: (LineView & { size: TerminalSize }) | null = null;

  constructor(options: LineEditorOptions) {
    this.#options = options;
    const { input, onLine, onInterrupt, onHistory } = options;
    const { sink } = options;
    this.#output = new TerminalStream(sink, (text) => this.#writeOver(text));
    // Two listeners around readline's own: the start and the end of each read.
    input.prependListener("data", this.#onRead);
    this.#readline = createInterface({
      input,
      output: this.#output,
      terminal: true,
      completer: (line: string, callback: (error: null, result: Completion) => void) => {
        const none = (): Completion => [[], line];
        options.complete(line).catch(none).then((result) => {
          if (!this.#closed) callback(null, result);
        });
      },
    });
    input.on("data", this.#onReadEnd);
    this.#internals = this.#readline as unknown as ReadlineInternals;
    this.#takeOverDrawing();
    this.#readline.on("history", onHistory);
    this.#readline.on("line", onLine);
    this.#readline.on("SIGINT", onInterrupt);
    // Readline is paused when it is back in the foreground after Ctrl-Z, and leaves it to its user to go on.
    this.#readline.on("SIGCONT", () => this.#readline.resume());
    this.#readline.on("close", () => this.#onClose());
  }

  /** The text typed so far. */
  get line(): string {
    return this.#readline.line;
  }

  /** Whether prompt and typed text are on the screen. */
  get isShown(): boolean {
    return this.#shown !== null;
  }

  /** Shows a prompt, with what has been typed after it. */
  show(prompt: string): void {
    this.#readline.setPrompt(prompt);
    this.#readline.prompt(true);
    this.#draw();
  }

  /** Shows again what {@linkcode clear} took away. */
  showAgain(): void {
    this.#readline.prompt(true);
    this.#draw();
  }

  /** Takes prompt and typed text, which may fill several rows, off the screen. */
  clear(): void {
    if (this.#shown === null) return;
    const { row } = this.#shown.cursor;
    this.#options.sink.write(row > 0 ? `\x1b[${row}A\r\x1b[J` : "\r\x1b[J");
    this.#shown = null;
  }

  /** Empties the typed text. Nothing of it, nor of the prompt, is on the screen any more. */
  erase(): void {
    this.clear();
    if (this.line !== "") {
      this.#readline.write(null, { ctrl: true, name: "e" });
      this.#readline.write(null, { ctrl: true, name: "u" });
    }
    this.clear();
    this.#due = "nothing";
  }

  /** Types `text`. */
  insert(text: string): void {
    this.#readline.write(text);
  }

  /** Takes no more keys. */
  close(): void {
    this.#readline.close();
  }

  get #closed(): boolean {
    return this.#output.destroyed;
  }

  readonly #onRead = () => void (this.#reading = true);

  readonly #onReadEnd = () => {
    this.#reading = false;
    if (this.#closed) return;
    this.#insertTyped();
    this.#draw();
  };

  #takeOverDrawing(): void {
    const readline = this.#internals;
    const press = readline._ttyWrite.bind(readline);
    readline._ttyWrite = (text, key) => {
      if (this.#reading && this.#isPlain(text, key)) {
        this.#typed += text;
        return;
      }
      this.#insertTyped();
      press(text, key);
    };
    readline._insertString = (text) => {
      const { line, cursor } = readline;
      readline.line = line.slice(0, cursor) + text + line.slice(cursor);
      readline.cursor += text.length;
      this.#changed("change");
    };
    readline._moveCursor = (distance) => {
      readline.cursor = Math.min(Math.max(0, readline.cursor + distance), readline.line.length);
      this.#changed("change");
    };
    readline._refreshLine = () => this.#changed("all");
  }

  /** Whether a key does nothing but insert its character. */
  #isPlain(text: string | undefined, key: Key | undefined): text is string {
    if (text === undefined || key === undefined || key.ctrl || key.meta) return false;
    if (text === "\t") return !this.#internals.isCompletionEnabled;
    return text >= " " && text !== "\x7f";
  }

  /** Puts into the line what has been typed since; a line end among it, U+2028, enters the line. */
  #insertTyped(): void {
    const text = this.#typed;
    this.#typed = "";
    if (text !== "") this.#readline.write(text);
  }

  #changed(due: "change" | "all"): void {
    if (this.#due !== "all") this.#due = due;
    if (!this.#reading) this.#draw();
  }

  #draw(): void {
    const due = this.#due;
    if (due === "nothing") return;
    this.#due = "nothing";
    const { sink } = this.#options;
    const size = { columns: sink.columns, rows: sink.rows ?? 24 };
    const { line, cursor } = this.#readline;
    const view = viewOf({ prompt: this.#readline.getPrompt(), line, cursor }, size);
    const shown = this.#shown;
    const isSame = due === "change" && shown !== null && shown.size.columns === size.columns &&
      shown.size.rows === size.rows;
    this.#shown = { ...view, size };
    sink.write((isSame ? changeTo(view, shown) : null) ?? redrawn(view, shown));
  }

  /** Writes what readline itself writes: the line end after Enter, the list that Tab offers. */
  #writeOver(text: string): void {
    if (!this.#closed) this.#draw();
    this.#options.sink.write(text);
    this.#shown = null;
  }

  #onClose(): void {
    this.#draw();
    const { input } = this.#options;
    input.removeListener("data", this.#onRead);
    input.removeListener("data", this.#onReadEnd);
    this.#output.destroy();
    this.#options.onClose();
    this.#shown = null;
  }
}

/** Output that moves the cursor or adds what was appended; null when the view has to be drawn anew. */
function changeTo(view: LineView, shown: LineView): string | null {
  if (view.text === shown.text) {
    const down = view.cursor.row - shown.cursor.row;
    const vertical = down === 0 ? "" : down > 0 ? `\x1b[${down}B` : `\x1b[${-down}A`;
    return `${vertical}\x1b[${view.cursor.column + 1}G`;
  }
  const isAppended = isAtEnd(shown) && isAtEnd(view) && view.text.startsWith(shown.text);
  // At the start of a row the cursor would still be behind the last column.
  return isAppended && view.end.column > 0 ? view.text.slice(shown.text.length) : null;
}

function isAtEnd({ cursor, end }: LineView): boolean {
  return cursor.row === end.row && cursor.column === end.column;
}

/** Output that draws `view` in the place of `shown`. */
function redrawn({ text, cursor, end }: LineView, shown: LineView | null): string {
  const up = shown?.cursor.row ?? 0;
  const start = `${up > 0 ? `\x1b[${up}A` : ""}\x1b[1G\x1b[0J`;
  // A terminal begins the next row with the next character only.
  const filled = end.column === 0 ? `${text} ` : text;
  const back = end.row - cursor.row;
  return `${start}${filled}\x1b[${cursor.column + 1}G${back > 0 ? `\x1b[${back}A` : ""}`;
}

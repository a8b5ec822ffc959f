/**
 * The part of a line being typed that a terminal shows. A line of any length costs no more than a screen.
 *
 * @module
 */

import { columnsOf } from "../output/columns.ts";

/** A prompt, the text typed after it, and the cursor as an index into that text. */
export interface TypedLine {
  prompt: string;
  line: string;
  cursor: number;
}

/** Size of a terminal in cells. */
export interface TerminalSize {
  columns: number;
  rows: number;
}

/** A cell, counted from the first one of the text that is shown. */
export interface Cell {
  row: number;
  column: number;
}

/** The text that is shown, where the cursor stands in it, and the cell after its last character. */
export interface LineView {
  text: string;
  cursor: Cell;
  end: Cell;
}

/** Columns between tab stops, as terminals have them. */
const TAB = 8;

/**
 * Prompt and line where the screen has room for them and a row more. Of a longer line a part around the
 * cursor, which moves by half of its own length, so that most keys leave the rest of the screen alone.
 */
export function viewOf(typed: TypedLine, { columns, rows }: TerminalSize): LineView {
  const height = Math.max(1, rows - 1);
  // The cursor needs one, too.
  const cells = columns * height - 1;
  const { prompt, line } = typed;
  const cursor = prompt.length + typed.cursor;
  const length = prompt.length + line.length;
  const show = (from: number, to: number): LineView => {
    const before = slice(typed, from, cursor);
    const text = before + slice(typed, cursor, to);
    return { text, cursor: cellAfter(before, columns), end: cellAfter(text, columns) };
  };
  if (length <= cells) {
    const view = show(0, length);
    if (view.end.row < height) return view;
  }
  // Half as much again and again: characters may be wide.
  for (let half = cells >> 1;; half >>= 1) {
    const from = cursor < 2 * half ? 0 : Math.floor((cursor - half) / half) * half;
    const view = show(from, Math.min(length, from + 2 * half));
    if (view.end.row < height || half < 2) return view;
  }
}

/** Prompt and line as one text, from one index to another, but never from or to the middle of a pair. */
function slice({ prompt, line }: TypedLine, from: number, to: number): string {
  const text = prompt.slice(from, to) +
    line.slice(Math.max(0, from - prompt.length), Math.max(0, to - prompt.length));
  return text.replace(/^[\udc00-\udfff]|[\ud800-\udbff]$/g, "");
}

/** The cell after `text`, which a terminal breaks at its last column. */
function cellAfter(text: string, columns: number): Cell {
  let offset = 0;
  if (/^[ -~]*$/.test(text)) offset = text.length;
  else for (const character of text) offset = after(character, offset, columns);
  const column = offset % columns;
  return { row: (offset - column) / columns, column };
}

function after(character: string, offset: number, columns: number): number {
  if (character === "\t") return offset + TAB - offset % TAB;
  const width = columnsOf(character);
  // A wide character that the row has no room for begins the next one.
  return width === 2 && (offset + 1) % columns === 0 ? offset + 3 : offset + width;
}

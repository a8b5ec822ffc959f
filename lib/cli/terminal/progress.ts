import cliProgress, { type MultiBar, type SingleBar } from "cli-progress";
import { SinkBarTerminal } from "./bar_terminal.ts";
import { displayWidth, fit } from "../output/columns.ts";
import { count, formatLeft, formatRate, formatSize, percentOf } from "../output/format.ts";
import type { Sink } from "../output/sink.ts";

/** State that one bar shows. */
export interface BarState {
  /** Safe to print. */
  label: string;
  bytes: number;
  /** Null when it is not known; then there is no bar and no percentage. */
  size: number | null;
  /** Bytes per second. */
  rate: number;
  /** Files of a folder that are complete. */
  files?: number | undefined;
}

/** A row: one recipient, or how many more there are. */
export type Row = { state: BarState } | { more: number };

const REDRAWS_PER_SECOND = 8;
const MIN_LABEL = 8;
const MAX_LABEL = 20;
/** Room for `12:05 left` and the gap before it. */
const LEFT_WIDTH = 12;
const MIN_BAR = 5;
const MAX_BAR = 30;

/**
 * Progress bars at the bottom of a terminal, one per recipient. More than fit on the screen are
 * counted in a last row. Whatever else is printed meanwhile goes through {@linkcode above}.
 */
export class ProgressBars {
  readonly #sink: Sink;
  readonly #terminal: SinkBarTerminal;
  readonly #bars: MultiBar<Row>;
  readonly #shown = new Map<string, SingleBar<Row>>();
  readonly #hidden = new Set<string>();
  #more: SingleBar<Row> | null = null;

  constructor(sink: Sink) {
    this.#sink = sink;
    this.#terminal = new SinkBarTerminal(sink);
    this.#bars = new cliProgress.MultiBar<Row>({
      terminal: this.#terminal,
      fps: REDRAWS_PER_SECOND,
      format: (_options, { maxWidth }, row) => formatRow(row, maxWidth - 1),
      clearOnComplete: true,
      linewrap: true,
      forceRedraw: true,
    });
  }

  /** Shows how far `key` is. */
  update(key: string, state: BarState): void {
    const bar = this.#shown.get(key);
    if (bar !== undefined) {
      bar.update(state.bytes, { state });
    } else if (this.#shown.size < (this.#sink.rows ?? 24) - 2) {
      this.#hidden.delete(key);
      this.#uncount();
      this.#shown.set(key, this.#bars.create(state.size ?? 0, state.bytes, { state }));
      this.#count();
    } else {
      this.#hidden.add(key);
      this.#count();
    }
  }

  /** Takes the bar of `key` off the screen. */
  finish(key: string): void {
    if (this.#isEmpty) return;
    const bar = this.#shown.get(key);
    this.#shown.delete(key);
    this.#hidden.delete(key);
    this.#count();
    if (bar !== undefined) this.#bars.remove(bar);
    if (this.#isEmpty) this.#bars.stop();
  }

  /** Lets `write` print whole lines above the bars. */
  above(write: () => void): void {
    if (this.#isEmpty) return write();
    this.#terminal.cursorRelativeReset();
    this.#terminal.clearBottom();
    write();
    this.#bars.update();
  }

  /** Takes all bars off the screen. */
  close(): void {
    if (!this.#isEmpty) this.#bars.stop();
    this.#shown.clear();
    this.#hidden.clear();
    this.#more = null;
  }

  get #isEmpty(): boolean {
    return this.#shown.size === 0 && this.#more === null;
  }

  /** Brings the row that counts the hidden bars up to date. */
  #count(): void {
    const more = this.#hidden.size;
    if (this.#more === null) {
      if (more > 0) this.#more = this.#bars.create(0, 0, { more });
    } else if (more > 0) {
      this.#more.update(0, { more });
    } else {
      this.#uncount();
    }
  }

  /** Takes that row away: it is the last one, and others are only added behind. */
  #uncount(): void {
    if (this.#more !== null) this.#bars.remove(this.#more);
    this.#more = null;
  }
}

/** One row of at most `width` columns; parts are left out from the least important on. */
export function formatRow(row: Row, width: number): string {
  if ("more" in row) return fit(`and ${row.more} more`, width).trimEnd();
  const { label, bytes, size, rate, files } = row.state;
  const percent = percentOf(bytes, size);
  const done = percent === null ? "" : `${percent}%`;
  const amount = size === null ? formatSize(bytes) : `${formatSize(bytes)}/${formatSize(size)}`;
  const name = fit(label, Math.min(MAX_LABEL, Math.max(MIN_LABEL, Math.floor(width / 4))));
  // Columns that stay in place while the numbers change; what is left comes last and may be longer.
  const facts = [done.padStart(4), amount.padStart(17), formatRate(rate).padStart(10)];
  if (files !== undefined) facts.push(count(files, "file").padStart(12));
  const left = formatLeft(bytes, size, rate);
  while (facts.length > 1 && widthOf([name, ...facts]) + LEFT_WIDTH > width) facts.pop();
  const room = Math.min(MAX_BAR, width - widthOf([name, ...facts]) - LEFT_WIDTH - 4);
  const bar = room < MIN_BAR ? [] : [drawBar(percent, room)];
  return fit([name, ...bar, ...facts, left].join("  "), width).trimEnd();
}

function widthOf(parts: string[]): number {
  return parts.reduce((sum, part) => sum + displayWidth(part) + 2, -2);
}

/** `[=====>    ]`, `columns` between the brackets; blank where the percentage is not known. */
function drawBar(percent: number | null, columns: number): string {
  if (percent === null) return " ".repeat(columns + 2);
  const full = Math.floor((percent / 100) * columns);
  const head = full < columns ? ">" : "";
  return `[${("=".repeat(full) + head).padEnd(columns, " ")}]`;
}

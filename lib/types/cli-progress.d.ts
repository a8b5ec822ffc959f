/** Types of the parts of `cli-progress` 3 that this project uses; the package carries none. */

declare module "cli-progress" {
  /** Figures that a bar calculates by itself. */
  export interface FormatParameters {
    /** From 0 to 1. */
    progress: number;
    value: number;
    total: number;
    /** Columns of the terminal. */
    maxWidth: number;
  }

  /** How bars move on the screen; the package's own one writes to a Node stream. */
  export interface BarTerminal {
    isTTY(): boolean;
    getWidth(): number;
    cursor(visible: boolean): void;
    lineWrapping(enabled: boolean): void;
    /** Moves to the first column of the first bar. */
    cursorRelativeReset(): void;
    cursorTo(x: number | null, y: number | null): void;
    clearLine(): void;
    clearRight(): void;
    clearBottom(): void;
    newline(): void;
    write(text: string, raw?: boolean): void;
  }

  export interface MultiBarOptions<Payload> {
    terminal?: BarTerminal;
    /** Redraws per second. */
    fps?: number;
    format?: (options: unknown, parameters: FormatParameters, payload: Payload) => string;
    /** Takes the bars off the screen on `stop()`. */
    clearOnComplete?: boolean;
    /** Whether a long line wraps; when false, the terminal's wrapping is turned off for a while. */
    linewrap?: boolean;
    hideCursor?: boolean;
    /** Draws bars also when they have not changed. */
    forceRedraw?: boolean;
  }

  export class SingleBar<Payload> {
    private constructor();
    update(value: number, payload?: Partial<Payload>): void;
    setTotal(total: number): void;
  }

  export class MultiBar<Payload> {
    constructor(options: MultiBarOptions<Payload>);
    create(total: number, start: number, payload: Payload): SingleBar<Payload>;
    remove(bar: SingleBar<Payload>): boolean;
    /** Draws all bars now and starts the timer of the next time. */
    update(): void;
    stop(): void;
  }

  const cliProgress: { MultiBar: typeof MultiBar };
  export default cliProgress;
}

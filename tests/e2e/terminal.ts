/**
 * A program on a pseudo-terminal, and what a person sees there.
 *
 * @module
 */

import { fromFileUrl } from "@std/path";
import type { Program, World } from "./helpers.ts";

const SCRIPT = fromFileUrl(new URL("./terminal.py", import.meta.url));
const ROWS = 40;
const COLUMNS = 100;

const python = findPython();

/** Why no program can be run on a pseudo-terminal here. */
export const NO_TERMINAL = Deno.build.os === "windows" || python === undefined
  ? "needs Python 3 on a Unix"
  : undefined;

function findPython(): string | undefined {
  if (Deno.permissions.querySync({ name: "read" }).state !== "granted") return "not asked";
  return ["/usr/bin/python3", "/usr/local/bin/python3"].find((path) => {
    try {
      return Deno.statSync(path).isFile;
    } catch {
      return false;
    }
  });
}

/** `peer` on a terminal. */
export class Terminal {
  readonly program: Program;

  private constructor(program: Program) {
    this.program = program;
  }

  static async start(
    world: World,
    args: string[] = [],
    { rows = ROWS, env: more = {} }: { rows?: number; env?: Record<string, string> } = {},
  ): Promise<Terminal> {
    const wrap = [python ?? "", "-I", SCRIPT, `${rows}`, `${COLUMNS}`];
    const env = { TERM: "xterm", ...more };
    return new Terminal(await world.start("peer", args, { wrap, env, stdin: true }));
  }

  /** What is on the screen, and what has scrolled off it, without spaces at the ends of lines. */
  get screen(): string[] {
    return render(this.program.stdout);
  }

  /** The last line that has something on it. */
  get lastLine(): string {
    return this.screen.findLast((line) => line !== "") ?? "";
  }

  /** Waits until the screen fits. */
  async until(fits: (screen: string[]) => boolean): Promise<void> {
    await this.program.untilText((text) => fits(render(text)), `${fits}`);
  }

  /** Waits until a line of the screen contains `text`, at least so many times. */
  async shows(text: string, times = 1): Promise<void> {
    const fits = (shown: string) => render(shown).filter((line) => line.includes(text)).length;
    await this.program.untilText((shown) => fits(shown) >= times, `'${text}' on the screen`);
  }

  /** Waits until the line with the cursor is this one. */
  async showsLast(line: string): Promise<void> {
    const last = (text: string) => render(text).findLast((line) => line !== "") ?? "";
    await this.program.untilText((text) => last(text) === line, `'${line}' as the last line`);
  }

  /** Presses keys. */
  async type(keys: string): Promise<void> {
    await this.program.write(keys);
  }

  /** Types a line. */
  async enter(line: string): Promise<void> {
    await this.program.write(`${line}\r`);
  }
}

/** The lines that a terminal of {@linkcode COLUMNS} columns shows after this output. */
function render(output: string): string[] {
  const lines: string[][] = [[]];
  let [row, column] = [0, 0];
  const line = () => (lines[row] ??= []);
  const down = () => {
    row++;
    while (lines.length <= row) lines.push([]);
  };
  // deno-lint-ignore no-control-regex
  for (const [token] of output.matchAll(/\x1b\[[?\d;]*[ -/]*[@-~]|\x1b.|[^]/gu)) {
    // deno-lint-ignore no-control-regex
    const control = /^\x1b\[(\d*)[\d;]*([A-Z])$/.exec(token);
    const count = Number(control?.[1] || "1");
    if (token === "\r") column = 0;
    else if (token === "\n") down();
    else if (token === "\b") column = Math.max(0, column - 1);
    else if (control?.[2] === "A") row = Math.max(0, row - count);
    else if (control?.[2] === "B") row += count;
    else if (control?.[2] === "C") column = Math.min(COLUMNS - 1, column + count);
    else if (control?.[2] === "D") column = Math.max(0, column - count);
    else if (control?.[2] === "G") column = count - 1;
    else if (control?.[2] === "J") {
      line().splice(column);
      lines.splice(row + 1);
    } else if (control?.[2] === "K") line().splice(column);
    else if (token >= " " && token !== "\x7f") {
      if (column === COLUMNS) {
        down();
        column = 0;
      }
      while (line().length < column) line().push(" ");
      line()[column++] = token;
    }
  }
  return lines.map((cells) => cells.join("").trimEnd());
}

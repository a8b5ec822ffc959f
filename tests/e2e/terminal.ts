/**
 * A program on a pseudo-terminal, and what a person sees there.
 *
 * @module
 */

import { fromFileUrl } from "@std/path";
import { screenOf } from "../helpers/screen.ts";
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
    return screenOf(this.program.stdout, COLUMNS);
  }

  /** The last line that has something on it. */
  get lastLine(): string {
    return this.screen.findLast((line) => line !== "") ?? "";
  }

  /** Waits until the screen fits. */
  async until(fits: (screen: string[]) => boolean): Promise<void> {
    await this.program.untilText((text) => fits(screenOf(text, COLUMNS)), `${fits}`);
  }

  /** Waits until a line of the screen contains `text`, at least so many times. */
  async shows(text: string, times = 1): Promise<void> {
    const fits = (shown: string) =>
      screenOf(shown, COLUMNS).filter((line) => line.includes(text)).length;
    await this.program.untilText((shown) => fits(shown) >= times, `'${text}' on the screen`);
  }

  /** Waits until the line with the cursor is this one. */
  async showsLast(line: string): Promise<void> {
    const last = (text: string) => screenOf(text, COLUMNS).findLast((line) => line !== "") ?? "";
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

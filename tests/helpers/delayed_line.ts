/**
 * A line on which every packet takes its time, for what a netem of the kernel would do: see delayed_line.py.
 *
 * @module
 */

import { fromFileUrl } from "@std/path";
import type { Host } from "./netns.ts";

const SCRIPT = fromFileUrl(new URL("delayed_line.py", import.meta.url));
/** Debian's Python, whichever other one comes first. */
const PYTHON = "/usr/bin/python3";

/** One end of a {@linkcode DelayedLine}. */
export interface LineEnd {
  host: Host;
  /** Address of the end with the length of its prefix: `10.77.0.1/24`. */
  address: string;
}

/** A line between two hosts of a network; its packets pass until it is disposed of. */
export class DelayedLine implements AsyncDisposable {
  readonly #process: Deno.ChildProcess;

  private constructor(process: Deno.ChildProcess) {
    this.#process = process;
  }

  /**
   * Makes a line, up at both ends.
   *
   * @param delay milliseconds that a packet takes, either way: half of the round trip.
   */
  static async between(a: LineEnd, b: LineEnd, delay: number): Promise<DelayedLine> {
    const ends = [a, b].flatMap(({ host, address }) => [host.namespace, address]);
    const process = new Deno.Command(PYTHON, {
      args: [SCRIPT, `${delay}`, ...ends],
      stdin: "piped",
      stdout: "piped",
      stderr: "inherit",
    }).spawn();
    // Its one word, or its end.
    const { value } = await process.stdout.getReader().read();
    const line = new DelayedLine(process);
    if (value) return line;
    await line[Symbol.asyncDispose]();
    throw new Error("Cannot make a line with a delay: the script has failed");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#process.stdin.close().catch(() => {});
    await this.#process.status;
  }
}

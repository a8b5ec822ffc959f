import { dirname, join } from "node:path";
import { TextLineStream } from "@std/streams/text-line-stream";
import type { HistoryEvent } from "../cli/events.ts";

/** What was sent and received, one JSON object per line, shared by all peers of a user. */
export class History {
  readonly #path: string;

  constructor(peersFolder: string) {
    this.#path = join(peersFolder, "history.jsonl");
  }

  /** Appends one entry; one write, so that two processes do not mix their lines. */
  async add(entry: Omit<HistoryEvent, "event">): Promise<void> {
    await Deno.mkdir(dirname(this.#path), { recursive: true, mode: 0o700 });
    const line = new TextEncoder().encode(JSON.stringify(entry) + "\n");
    await Deno.writeFile(this.#path, line, { append: true, create: true, mode: 0o600 });
  }

  /** All entries, oldest first. A line that a crash cut short is passed over. */
  async *entries(): AsyncGenerator<HistoryEvent> {
    let file: Deno.FsFile;
    try {
      file = await Deno.open(this.#path);
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) return;
      throw error;
    }
    const lines = file.readable.pipeThrough(new TextDecoderStream()).pipeThrough(
      new TextLineStream(),
    );
    for await (const line of lines) {
      try {
        yield { ...JSON.parse(line), event: "history" };
      } catch {
        continue;
      }
    }
  }
}

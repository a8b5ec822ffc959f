import { TextLineStream } from "@std/streams/text-line-stream";
import { openRegular } from "../disk/open_regular.ts";
import { stateError } from "../disk/private_file.ts";
import type { HistoryEvent } from "../events.ts";
import type { History } from "./history.ts";

/**
 * All entries of a history, oldest first. A line that a crash cut short is passed over. Stands by itself because a
 * sender only adds entries: the streams of text that reading needs would make it start later.
 *
 * @throws {P2PError} when the file is there and cannot be opened.
 */
export async function* readHistory({ path }: History): AsyncGenerator<HistoryEvent> {
  let file: Deno.FsFile;
  try {
    file = await openRegular(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return;
    throw stateError("read", path, error);
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

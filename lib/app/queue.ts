import { textOf } from "../cli/arguments/arguments.ts";
import { fileStamp } from "../content/stamp.ts";
import { diskError } from "../disk/disk_error.ts";
import { timeOf } from "../disk/file_time.ts";
import { ExitCode, P2PError } from "../errors.ts";
import type { QueuedEvent } from "../events.ts";
import { Queue } from "../peer/queue.ts";
import { dequeuedEvent, queuedEvent } from "../peer/queue_events.ts";
import type { Queued } from "../peer/queued.ts";
import { expectAllRead } from "./noted.ts";
import type { CommandContext } from "./program.ts";
import { stateFolders } from "./state_folder.ts";

/** `peer queue`: lists what waits for those who are away, or takes it out. Needs no tracker. */
export async function queue(context: CommandContext): Promise<ExitCode> {
  const { command: { positionals, values }, env, emit } = context;
  const [action, id] = positionals;
  const isCancel = action === "cancel" && id !== undefined;
  if (action !== undefined && !isCancel) {
    throw new P2PError(
      "usage",
      `Cannot understand \`queue ${positionals.join(" ")}\`: it is \`peer queue\`, ` +
        "`peer queue cancel ID` or `peer queue cancel all`",
    );
  }
  const queue = new Queue(stateFolders(textOf(values, "state"), env).peers);
  const unread: string[] = [];
  for (const entry of await queue.expire()) emit(dequeuedEvent(entry, "expired"));
  const entries = await queue.list((message) => unread.push(message));
  if (isCancel) await cancel(queue, choose(entries, id), context);
  else for (const entry of entries) emit(queuedEvent(entry, await asItIsNow(entry)));
  if (entries.length === 0 && unread.length === 0) {
    emit({ event: "notice", message: "Nothing is queued" });
  }
  expectAllRead(unread);
  return ExitCode.done;
}

async function cancel(
  queue: Queue,
  entries: readonly Queued[],
  { emit }: CommandContext,
): Promise<void> {
  for (const entry of entries) {
    using free = await queue.hold(entry.id);
    // It may have been delivered this very moment.
    if (!await queue.remove(entry.id)) continue;
    emit(dequeuedEvent(entry, "cancelled"));
    if (free) continue;
    const message = `It was just being sent to ${entry.to.name}: the peer that does so ends that`;
    emit({ event: "notice", message });
  }
}

/**
 * The entries whose id begins with `prefix`: one, or several that were queued at once; all of them for `all`.
 *
 * @throws {P2PError} `usage` when no entry has it, or several have that were not queued at once.
 */
function choose(entries: readonly Queued[], prefix: string): readonly Queued[] {
  if (prefix === "all") return entries;
  const fitting = entries.filter(({ id }) => id.startsWith(prefix));
  const batches = new Set(fitting.map(({ id }) => id.slice(0, id.indexOf("-"))));
  const exact = fitting.find(({ id }) => id === prefix);
  if (exact) return [exact];
  if (batches.size === 1) return fitting;
  const what = batches.size === 0 ? "nothing is queued" : "several things are queued";
  throw new P2PError(
    "usage",
    `Cannot find ${prefix}: ${what} with that id; \`peer queue\` lists them`,
    { candidates: (batches.size === 0 ? entries : fitting).map(({ id }) => id) },
  );
}

/** How what was queued differs by now from what it was; of a folder only whether it is there. */
async function asItIsNow({ what }: Queued): Promise<Pick<QueuedEvent, "changed" | "reason">> {
  if (what.kind === "message") return {};
  try {
    const { size, mtime, isFile } = await Deno.stat(what.path);
    const stamp = fileStamp(size, timeOf(mtime) ?? undefined);
    return isFile && stamp !== what.stamp ? { changed: true } : {};
  } catch (error) {
    return { reason: diskError("read", what.path, error).message };
  }
}

import { ExitCode, P2PError } from "../errors.ts";
import { suggest } from "../suggest.ts";
import type { Barred } from "../tracker/registry/registry.ts";
import { MemoryRegistry } from "../tracker/registry/memory_registry.ts";
import { readBarred, SqliteStore } from "../tracker/store/sqlite_store.ts";
import type { CommandContext } from "./program.ts";
import { atTracker, folderOf } from "./tracker_setup.ts";
import { registryPath } from "./tracker_state.ts";

/** `tracker restore`: lets one who was removed join again, whether the tracker runs or not. */
export async function restore(context: CommandContext): Promise<ExitCode> {
  const [target = ""] = context.command.positionals;
  const folder = folderOf(context.command, context.env);
  const path = registryPath(folder);
  const chosen = choose(readBarred(path), target);
  await atTracker(context, `restore ${target}`, {
    running: (client) => client.restore(chosen.id),
    stopped: () => Promise.try(restoreIn, path, chosen.id),
  });
  context.emit({ event: "restored", ...chosen });
  return ExitCode.done;
}

/** Restores in the registry of a tracker that does not run; a disk that takes nothing is an error here, and no notice. */
function restoreIn(path: string, id: string): void {
  using store = new SqliteStore(path, { notice() {} });
  new MemoryRegistry(() => "", { store }).restore(id);
}

/** The one that `target` means: the name that it had, its id, or `id:` and the start of that. */
function choose(barred: readonly Barred[], target: string): Barred {
  const prefix = /^id:(.+)$/.exec(target)?.[1];
  const found = barred.filter(({ id, name }) =>
    name === target || id === target || prefix !== undefined && id.startsWith(prefix)
  );
  const [first] = found;
  if (first && found.length === 1) return first;
  const candidates = (first ? found : barred).map(({ id, name }) =>
    name === undefined ? `id:${id}` : `${name} (id:${id})`
  );
  if (first) {
    throw new P2PError(
      "peer-ambiguous",
      `Cannot choose: ${target} fits ${found.length} peers that were removed; say which by its id`,
      { candidates },
    );
  }
  const near = suggest(target, barred.flatMap(({ name }) => name ?? []));
  const remedy = near === null ? "`tracker removed` lists who was" : `did you mean ${near}?`;
  throw new P2PError(
    "peer-unknown",
    `Cannot restore ${target}: nobody of that name or id was removed; ${remedy}`,
    { candidates },
  );
}

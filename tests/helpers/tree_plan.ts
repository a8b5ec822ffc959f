import type { NameOptions } from "../../lib/pieces/tree_names.ts";
import { TreePlanner } from "../../lib/pieces/tree_planner.ts";
import type { TreeEntry, TreeFile } from "../../lib/pieces/tree_table.ts";

/** A whole table that is planned at once. */
export interface WholePlan {
  folders: TreeEntry[];
  files: TreeFile[];
  end: number;
  renamed: number;
  renames: { from: string; to: string }[];
}

/** Plans a table in memory; throws as {@linkcode TreePlanner.plan}. */
export function planTree(table: Uint8Array, options: NameOptions): WholePlan {
  const planner = new TreePlanner(table.length, options);
  const entries = planner.plan(table);
  const { end, renamed, renames } = planner;
  return {
    folders: entries.filter(({ size }) => size === null),
    files: entries.filter(({ size }) => size !== null) as TreeFile[],
    end,
    renamed,
    renames,
  };
}

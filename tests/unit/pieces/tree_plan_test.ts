import { assert, assertEquals, assertNotEquals } from "@std/assert";
import { P2PError } from "../../../lib/errors.ts";
import { type PlanOptions, TreePlan } from "../../../lib/pieces/tree_plan.ts";
import {
  encodeTable,
  MAX_TABLE_LINE,
  type TreeEntry,
  type TreeFile,
} from "../../../lib/pieces/tree_table.ts";
import { rejectsWith } from "../../helpers/errors.ts";
import { permitted } from "../../helpers/permissions.ts";
import { type TempDir, tempDir } from "../../helpers/temp_dir.ts";
import { planTree } from "../../helpers/tree_plan.ts";

const NEEDS: Deno.PermissionName[] = ["read", "write"];
const LF = 0x0a;

/** A tree whose table has many blocks: folders, empty files among others, and now and then one with a mode. */
function entriesOf(folders: number, nameOf = (i: number) => `file-${i}`): TreeEntry[] {
  const entries: TreeEntry[] = [];
  for (let i = 0; i < folders; i++) {
    const path = i % 3 === 2 ? `folder-${i - 1}/${i}` : `folder-${i}`;
    entries.push({ path, size: null, mtime: i, executable: false });
    for (let j = 0; j < 100; j++) {
      const mode = j % 5 === 0 ? { mode: 0o600 } : {};
      const size = (i * j) % 7;
      entries.push({ path: `${path}/${nameOf(j)}`, size, mtime: j, executable: j === 1, ...mode });
    }
  }
  return entries;
}

async function optionsFor(dir: TempDir, table: Uint8Array): Promise<PlanOptions> {
  const path = dir.at("x.table");
  await Deno.writeFile(path, table);
  return { table: path, head: table.length, rewritten: dir.at("x.plan"), foldsCase: false };
}

/** All that a plan says, block by block. */
async function allOf(plan: TreePlan): Promise<{ folders: TreeEntry[]; files: TreeFile[] }> {
  const all: { folders: TreeEntry[]; files: TreeFile[] } = { folders: [], files: [] };
  for (let index = 0; index < plan.blocks; index++) {
    const { folders, files } = await plan.block(index);
    assertEquals(plan.hasFolders(index), folders.length > 0);
    all.folders.push(...folders);
    all.files.push(...files);
  }
  return all;
}

const NAMES: Record<string, (i: number) => string> = {
  "as they were": (i) => `file-${i}`,
  "that become others, some the same": (i) => `file?${i >> 1}${i % 2 === 0 ? "" : "\u200b"}`,
};

for (const [what, nameOf] of Object.entries(NAMES)) {
  // Those of the larger one are not all kept in memory.
  for (const folders of [3, 30, 600]) {
    permitted(
      `a table is planned block by block: ${folders} folders, names ${what}`,
      NEEDS,
      async () => {
        await using dir = await tempDir();
        const table = encodeTable(entriesOf(folders, nameOf)).slice();
        const plan = await TreePlan.make(await optionsFor(dir, table));
        const whole = planTree(table, { foldsCase: false });
        const { end, renamed, renames, count, folders: folderCount } = plan;
        assertEquals({ end, renamed, renames: [...renames] }, {
          end: whole.end,
          renamed: whole.renamed,
          renames: whole.renames,
        });
        assertEquals([count, folderCount], [whole.files.length, whole.folders.length]);
        assert(folders < 4 || plan.blocks > 1);
        const { files, folders: listed } = whole;
        assertEquals(await allOf(plan), { files, folders: listed });
        // From wherever in the transfer it is asked.
        for (const file of files.filter(({ number, size }) => size > 0 && number % 97 === 0)) {
          const last = file.offset + file.size - 1;
          assertEquals(plan.within(last), file.number);
          const found = (await plan.filesAt(last)).find(({ number }) => number === file.number);
          assertEquals(found, file);
        }
        assertEquals([plan.within(0), plan.within(end)], [0, count]);
      },
    );
  }
}

permitted("a line is as long as a block at most", NEEDS, async () => {
  await using dir = await tempDir();
  const line = (length: number) => {
    const start = '["folder","a",1,511,"';
    return new TextEncoder().encode(`${start}${"x".repeat(length - start.length - 3)}"]\n`);
  };
  const longest = line(MAX_TABLE_LINE);
  assertEquals([longest.length, longest.at(-1)], [MAX_TABLE_LINE, LF]);
  const plan = await TreePlan.make(await optionsFor(dir, longest));
  assertEquals([plan.blocks, plan.folders], [1, 1]);
  const longer = await optionsFor(dir, line(MAX_TABLE_LINE + 1));
  await rejectsWith("malformed", () => TreePlan.make(longer));
  const cut = await optionsFor(dir, longest.subarray(0, -1));
  await rejectsWith("malformed", () => TreePlan.make(cut));
});

permitted("a table that others have changed since is not gone by", NEEDS, async () => {
  await using dir = await tempDir();
  const table = encodeTable(entriesOf(600)).slice();
  const options = await optionsFor(dir, table);
  const plan = await TreePlan.make(options);
  const text = new TextDecoder().decode(table);
  await Deno.writeTextFile(options.table, text.replaceAll("folder-1/", "../olde-1/"));
  await rejectsWith("disk", () => plan.block(0));
  // How far the transfer is can still be told, if not to the file.
  assertEquals(plan.within(table.length + 1), 0);
});

permitted(
  "large tables are planned one after another, and small ones meanwhile",
  NEEDS,
  async () => {
    await using dir = await tempDir();
    const large = await optionsFor(dir, encodeTable(entriesOf(600)).slice());
    await Deno.mkdir(dir.at("other"));
    const order: string[] = [];
    const made = async (name: string, options: PlanOptions) => {
      await TreePlan.make(options);
      order.push(name);
    };
    const names = Array.from({ length: 10 }, (_, at) => `${at}`);
    const larges = names.map((name) => made(name, { ...large, rewritten: dir.at("other", name) }));
    const stop = new AbortController();
    const stopped = rejectsWith(
      "cancelled",
      () => TreePlan.make({ ...large, rewritten: dir.at("other", "stopped"), signal: stop.signal }),
    );
    stop.abort(new P2PError("cancelled", "The transfer is over"));
    const table = dir.at("small.table");
    const bytes = encodeTable(entriesOf(1));
    await Deno.writeFile(table, bytes);
    const rewritten = dir.at("small.plan");
    await made("small", { table, head: bytes.length, rewritten, foldsCase: false });
    assertNotEquals(order.at(-2), names.at(-1), "the small one came after all the large ones");
    await Promise.all(larges);
    await stopped;
    assertEquals(order.filter((name) => name !== "small"), names);
  },
);

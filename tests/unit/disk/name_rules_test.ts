import { assertEquals } from "@std/assert";
import { legalComponent } from "../../../lib/disk/file_name.ts";
import { nameRulesOf } from "../../../lib/disk/name_rules.ts";
import { NO_LINUX, permitted } from "../../helpers/permissions.ts";
import { tempDir } from "../../helpers/temp_dir.ts";

permitted("a disk of Linux keeps names and tells case apart, and nothing is left of the tries", [
  "read",
  "write",
], async () => {
  await using dir = await tempDir();
  await Deno.writeTextFile(dir.at("lock"), "");
  assertEquals(await nameRulesOf(dir.at("."), "lock"), { foldsCase: false, keepsNames: true });
  assertEquals([...Deno.readDirSync(dir.at("."))].map(({ name }) => name), ["lock"]);
}, { ignore: NO_LINUX });

Deno.test("where names are kept only what is unsafe anywhere, or too long, becomes another", () => {
  const kept = ["a:b", "CON", "a. ", " a", "e\u0301", '?*<>|"', "l".repeat(255), "...", ".x"];
  kept.push("dev-disk\\x2d1.swap", "a\\b\\.c", "a\\...");
  for (const name of kept) assertEquals(legalComponent(name), name);
  const changed: [name: string, legal: string][] = [
    ["..", "unnamed"],
    [".", "unnamed"],
    ["", "unnamed"],
    ["a/../b", "a_.._b"],
    ["..\\x", ".._x"],
    ["a\\..\\b", "a_.._b"],
    ["a\\..", "a_.."],
    ["\\\\server\\share", "__server_share"],
    ["C:\\x", "C:_x"],
    ["a\\", "a_"],
    ["a\0b\x1b[2J\n", "a_b_[2J_"],
    ["invoice\u202etxt.exe", "invoice_txt.exe"],
    ["\ud800", "\ufffd"],
    ["l".repeat(256), "l".repeat(240)],
  ];
  for (const [name, legal] of changed) {
    assertEquals(legalComponent(name), legal);
    assertEquals(legalComponent(legal), legal);
  }
});

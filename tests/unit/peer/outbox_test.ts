import { assertEquals, assertStringIncludes } from "@std/assert";
import { Outbox, type Unsent } from "../../../lib/peer/outbox.ts";
import { rejectsWith } from "../../helpers/errors.ts";
import { permitted } from "../../helpers/permissions.ts";
import { tempDir } from "../../helpers/temp_dir.ts";

const NEEDS: Deno.PermissionName[] = ["read", "write"];

function unsent(id: string, to: string[], path = "/data/a.bin"): Unsent {
  const at = `2026-01-01T00:00:0${id.length}Z`;
  return { id, path, name: "a.bin", size: 5, follow: false, at, to: recipients(to) };
}

function recipients(to: string[]): Unsent["to"] {
  return to.map((name) => ({ id: `id-${name}`, name }));
}

async function kept(outbox: Outbox): Promise<string[]> {
  return (await outbox.list()).map(({ id, to }) => `${id}: ${to.map(({ name }) => name).join()}`);
}

permitted("what is sent takes the place of what was left of it", NEEDS, async () => {
  await using dir = await tempDir();
  const outbox = new Outbox(dir.at("peers"));
  assertEquals(await kept(outbox), []);
  await outbox.put(unsent("1", ["bob", "carol"]));
  await outbox.put(unsent("22", ["bob"], "/data/other.bin"));
  await outbox.put(unsent("333", ["carol", "bob"]));
  assertEquals(await kept(outbox), ["22: bob", "333: carol,bob"]);
  await outbox.settle(unsent("333", ["carol", "bob"]), recipients(["carol"]));
  assertEquals(await kept(outbox), ["22: bob", "333: carol"]);
  // One that was over before it was noted.
  await outbox.settle(unsent("4444", ["bob", "carol"]), recipients(["carol"]));
  assertEquals(await kept(outbox), ["22: bob", "4444: carol"]);
  await outbox.settle(unsent("55555", ["dave"]), []);
  assertEquals(await kept(outbox), ["22: bob", "4444: carol"]);
  await outbox.settle(unsent("55555", ["carol", "dave"]), []);
  assertEquals(await kept(outbox), ["22: bob"]);
});

permitted("an outbox that is no folder is named, with the remedy", NEEDS, async () => {
  await using dir = await tempDir();
  await Deno.mkdir(dir.at("peers"));
  await Deno.writeTextFile(dir.at("peers", "outbox"), "");
  const outbox = new Outbox(dir.at("peers"));
  for (const act of [() => outbox.put(unsent("1", ["bob"])), () => outbox.remove("1")]) {
    const { message } = await rejectsWith("disk", act);
    assertStringIncludes(message, `Cannot write ${dir.at("peers", "outbox", "1.json")}: `);
    assertStringIncludes(message, "check its owner and mode, or choose --state");
  }
  const told: string[] = [];
  assertEquals(await outbox.list((text) => void told.push(text)), []);
  assertEquals(told.length, 1);
});

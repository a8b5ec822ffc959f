/** The ledger on the disk: what it says after each end, what it forgets, and what it makes of broken files. */

import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { Ledger, type OpenShare } from "../../../lib/peer/ledger.ts";
import { lacking, resumable, type ShareRecipient } from "../../../lib/peer/share_log.ts";
import { rejectsWith } from "../../helpers/errors.ts";
import { permitted } from "../../helpers/permissions.ts";
import { type TempDir, tempDir } from "../../helpers/temp_dir.ts";

const NEEDS: Deno.PermissionName[] = ["read", "write"];

function recipient(
  name: string,
  state: ShareRecipient["state"] = "offered",
  code?: "refused" | "timeout",
): ShareRecipient {
  const error = code && { code, message: `it is ${code}` };
  return { id: `id-${name}`, name, state, ...(error ? { error } : {}) };
}

function begin(ledger: Ledger, id: string, names: string[], path = "/data/a.bin"): OpenShare {
  const at = new Date(Date.UTC(2026, 0, 1, 0, 0, id.length)).toISOString();
  const about = { id, path, name: "a.bin", size: 5, follow: false, strict: false, stamp: "5 1" };
  return ledger.begin({ ...about, at }, names.map((name) => recipient(name)));
}

/** Each share and its recipients with their states. */
async function noted(ledger: Ledger): Promise<string[]> {
  return (await ledger.list()).map(({ id, isRunning, recipients }) =>
    `${id}${isRunning ? "*" : ""}: ${
      recipients.map(({ name, state }) => `${name} ${state}`).join()
    }`
  );
}

function folderOf(dir: TempDir): string {
  return dir.at("peers", "shares");
}

permitted("what becomes of each recipient is on the disk as it happens", NEEDS, async () => {
  await using dir = await tempDir();
  const ledger = new Ledger(dir.at("peers"));
  assertEquals(await noted(ledger), []);
  {
    using share = begin(ledger, "1", ["bob", "carol"]);
    share.note(recipient("bob", "accepted"));
    assertEquals(await noted(ledger), []);
    await share.write({ isDurable: true });
    assertEquals(await noted(ledger), ["1*: bob accepted,carol offered"]);
    share.note(recipient("bob", "delivered"));
    share.note(recipient("carol", "failed", "timeout"));
    // Somebody who has come later.
    share.note(recipient("dave", "failed", "refused"));
    assertEquals(await noted(ledger), ["1*: bob delivered,carol failed,dave failed"]);
    await rejectsWith("busy", () => ledger.reopen("1"));
  }
  const [share] = await ledger.list();
  assert(share && !share.isRunning);
  assertEquals(lacking(share).map(({ name }) => name), ["carol", "dave"]);
  assertEquals(resumable(share).map(({ name }) => name), ["carol"]);
  assertEquals(share.recipients[2], recipient("dave", "failed", "refused"));
});

permitted("a share that goes on keeps its id and what it knew", NEEDS, async () => {
  await using dir = await tempDir();
  const ledger = new Ledger(dir.at("peers"));
  {
    using share = begin(ledger, "1", ["bob", "carol"]);
    share.note(recipient("bob", "delivered"));
    await share.write({ isDurable: false });
  }
  // Half a line, as a power cut leaves it.
  const path = `${folderOf(dir)}/1.jsonl`;
  await Deno.writeTextFile(path, '{"id":"id-bob","name":"bob","state":"fai', { append: true });
  assertEquals(await noted(ledger), ["1: bob delivered,carol offered"]);
  {
    using share = await ledger.reopen("1");
    share.note(recipient("carol", "already"));
  }
  assertEquals(await noted(ledger), ["1: bob delivered,carol already"]);
  await rejectsWith("usage", () => ledger.reopen("2"));
});

permitted("who was not there and has come is the same, whatever it was called", NEEDS, async () => {
  await using dir = await tempDir();
  const ledger = new Ledger(dir.at("peers"));
  {
    using share = begin(ledger, "1", ["bob"]);
    for (const name of ["carol", "id:id-da", "eve"]) {
      share.note({ id: "", name, state: "failed", error: { code: "peer-unknown", message: "" } });
    }
    await share.write({ isDurable: false });
    for (const target of ["id:id-da", "carol", "nobody"]) share.noteArrival(target);
    share.note(recipient("dave", "offered"));
    share.note(recipient("carol", "accepted"));
    share.note(recipient("carol", "delivered"));
  }
  assertEquals(await noted(ledger), [
    "1: bob offered,eve failed,dave offered,carol delivered",
  ]);
});

permitted("what is sent takes the place of what was left of it", NEEDS, async () => {
  await using dir = await tempDir();
  const ledger = new Ledger(dir.at("peers"));
  const end = async (id: string, to: Record<string, ShareRecipient["state"]>, path?: string) => {
    using share = begin(ledger, id, Object.keys(to), path);
    for (const [name, state] of Object.entries(to)) share.note(recipient(name, state));
    await share.write({ isDurable: false });
    await ledger.tidy(share.share, { isNoted: false, now: Date.UTC(2026, 0, 2) });
  };
  await end("1", { bob: "delivered", carol: "failed" });
  await end("22", { bob: "failed" }, "/data/other.bin");
  // Somebody lacks it still who is not among these.
  await end("333", { bob: "already" });
  assertEquals(await noted(ledger), [
    "1: bob delivered,carol failed",
    "22: bob failed",
    "333: bob already",
  ]);
  await end("4444", { carol: "failed", dave: "delivered" });
  assertEquals(await noted(ledger), [
    "22: bob failed",
    "333: bob already",
    "4444: carol failed,dave delivered",
  ]);
});

permitted(
  "of what has come to its end the latest hundred are kept, for a month",
  NEEDS,
  async () => {
    await using dir = await tempDir();
    const ledger = new Ledger(dir.at("peers"));
    const ids = Array.from({ length: 103 }, (_, i) => "x".repeat(i + 1));
    for (const id of ids) {
      using share = begin(ledger, id, ["bob"], `/data/${id.length}`);
      share.note(recipient("bob", id.length === 1 ? "failed" : "delivered"));
      await share.write({ isDurable: false });
    }
    {
      using last = begin(ledger, "last", ["bob"]);
      await ledger.tidy(last.share, { isNoted: true, now: Date.UTC(2026, 0, 2) });
      const left = (await ledger.list()).map(({ id }) => id);
      // One that somebody lacks is not over, and stays.
      assertEquals(left, [ids[0], ...ids.slice(3)]);
      await ledger.tidy(last.share, { isNoted: true, now: Date.UTC(2026, 1, 2) });
    }
    assertEquals(await noted(ledger), ["x: bob failed"]);
  },
);

permitted("files that are no shares, or not whole, are passed over", NEEDS, async () => {
  await using dir = await tempDir();
  const ledger = new Ledger(dir.at("peers"));
  {
    using share = begin(ledger, "1", ["bob"]);
    await share.write({ isDurable: true });
  }
  const text = await Deno.readTextFile(`${folderOf(dir)}/1.jsonl`);
  const [first = "", second = ""] = text.split("\n");
  const files = {
    "2.jsonl": text,
    "3.jsonl": first.slice(0, -3),
    "4.jsonl": "",
    "5.jsonl": "null\n[]\n",
    "6.json": text.replaceAll('"1"', '"6"'),
    "7.jsonl": `${first.replace('"1"', '"7"')}\n${second.replace("offered", "eaten")}\n7\n\u0000\n`,
  };
  for (const [name, content] of Object.entries(files)) {
    await Deno.writeTextFile(`${folderOf(dir)}/${name}`, content);
  }
  assertEquals((await noted(ledger)).sort(), ["1: bob offered", "7: "]);
});

permitted("a ledger that is no folder is named, with the remedy", NEEDS, async () => {
  await using dir = await tempDir();
  await Deno.mkdir(dir.at("peers"));
  await Deno.writeTextFile(folderOf(dir), "");
  const ledger = new Ledger(dir.at("peers"));
  using share = begin(ledger, "1", ["bob"]);
  for (const act of [() => share.write({ isDurable: true }), () => ledger.remove("1")]) {
    const { message } = await rejectsWith("disk", act);
    assertStringIncludes(message, `${folderOf(dir)}`);
    assertStringIncludes(message, "check its owner and mode, or choose --state");
  }
  const told: string[] = [];
  assertEquals(await ledger.list((text) => void told.push(text)), []);
  assertEquals(told.length, 1);
});

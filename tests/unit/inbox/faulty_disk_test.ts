/** Disks that fail or lack hard links, which are not to be had everywhere: Deno's functions are replaced. */

import { assertEquals } from "@std/assert";
import { Inbox } from "../../../lib/inbox/inbox.ts";
import { assertSameBytes } from "../../helpers/bytes.ts";
import { rejectsWith } from "../../helpers/errors.ts";
import { partialsIn } from "../../helpers/invariants.ts";
import { permitted } from "../../helpers/permissions.ts";
import { bytesOf } from "../../helpers/random.ts";
import { tempDir } from "../../helpers/temp_dir.ts";
import { offerOf, PROOF, proofOf } from "../../helpers/partials.ts";
import { joined, pictureOf, pictureOfTree, sampleTree, transferOf } from "../../helpers/tree.ts";

const NEEDS: Deno.PermissionName[] = ["read", "write", "sys"];
const ID = "A".repeat(43);

/** Puts something else in the place of a function of Deno until it is disposed of. */
function replaced<K extends "link" | "rename" | "open">(name: K, by: typeof Deno[K]): Disposable {
  const original = Deno[name];
  Deno[name] = by;
  return { [Symbol.dispose]: () => void (Deno[name] = original) };
}

function withoutLinks(code: string): Disposable {
  return replaced("link", () => {
    const error = code === "EPERM" ? new Deno.errors.PermissionDenied("no") : new Error("no");
    return Promise.reject(Object.assign(error, { code }));
  });
}

async function publish(inbox: Inbox, name: string, seed: number): Promise<string> {
  const partial = await inbox.begin(offerOf(10, 16 * 1024));
  await partial.write(0, bytesOf(10, seed), PROOF);
  return (await partial.publish(name)).name;
}

for (const code of ["EPERM", "ENOTSUP", "EOPNOTSUPP", "ENOSYS"]) {
  permitted(`without hard links (${code}) nothing is overwritten either`, NEEDS, async () => {
    await using dir = await tempDir();
    using inbox = await Inbox.open(dir.at("inbox"), ID);
    using _ = withoutLinks(code);
    const seeds = [1, 2, 3, 4, 5, 6, 7, 8];
    const names = await Promise.all(seeds.map((seed) => publish(inbox, "a.txt", seed)));
    assertEquals(new Set(names).size, seeds.length);
    for (const [i, name] of names.entries()) {
      assertEquals(await Deno.readFile(dir.at("inbox", name)), bytesOf(10, i + 1));
    }
  });
}

permitted("a reserved name that cannot be filled is given back", NEEDS, async () => {
  await using dir = await tempDir();
  using inbox = await Inbox.open(dir.at("inbox"), ID);
  using _ = withoutLinks("EPERM");
  {
    using _ = replaced("rename", () => Promise.reject(new Error("Input/output error")));
    await rejectsWith("disk", () => publish(inbox, "a.txt", 1));
  }
  assertEquals(await publish(inbox, "a.txt", 2), "a.txt");
});

permitted("any other failure to link is one", NEEDS, async () => {
  await using dir = await tempDir();
  using inbox = await Inbox.open(dir.at("inbox"), ID);
  using _ = withoutLinks("EIO");
  await rejectsWith("disk", () => publish(inbox, "a.txt", 1));
  assertEquals([...Deno.readDirSync(dir.at("inbox"))].map(({ name }) => name), [".partial"]);
});

permitted("a name that cannot be made durable is taken back", NEEDS, async () => {
  await using dir = await tempDir();
  using inbox = await Inbox.open(dir.at("inbox"), ID);
  const { open } = Deno;
  const failing: typeof Deno.open = (path, options) =>
    path === inbox.path ? Promise.reject(new Error("Input/output error")) : open(path, options);
  {
    using _ = replaced("open", failing);
    await rejectsWith("disk", () => publish(inbox, "a.txt", 1));
  }
  assertEquals([...Deno.readDirSync(inbox.path)].map(({ name }) => name), [".partial"]);
});

/** An inbox in which no name can be made durable, until it is disposed of. */
function withoutDurableNames(inbox: Inbox): Disposable {
  const { open } = Deno;
  return replaced("open", (path, options) => {
    return path === inbox.path
      ? Promise.reject(new Error("Input/output error"))
      : open(path, options);
  });
}

const MIB = 1024 * 1024;

// With more than four MiB the journal has been begun already.
for (const count of [3, 12]) {
  permitted(
    `what cannot be published of ${count} MiB is kept until that is mended`,
    NEEDS,
    async () => {
      await using dir = await tempDir();
      using inbox = await Inbox.open(dir.at("inbox"), ID);
      const subject = offerOf(count * MIB, MIB);
      const pieces = Array.from({ length: count }, (_, i) => bytesOf(MIB, i));
      const partial = await inbox.begin(subject);
      for (const [i, piece] of pieces.entries()) await partial.write(i, piece, proofOf(piece));
      {
        using _ = withoutDurableNames(inbox);
        await rejectsWith("disk", () => partial.publish("a.bin"));
      }
      await inbox.release(partial, true);
      assertEquals([...Deno.readDirSync(inbox.path)].map(({ name }) => name), [".partial"]);
      const again = await inbox.begin(subject);
      assertEquals([...again.known.keys()], [...pieces.keys()]);
      const { path } = await again.publish("a.bin");
      assertSameBytes(await Deno.readFile(path), await joined(pieces));
      assertEquals(await partialsIn(inbox.path), []);
    },
  );
}

permitted("a tree whose name cannot be made durable is taken back", NEEDS, async () => {
  await using dir = await tempDir();
  using inbox = await Inbox.open(dir.at("inbox"), ID);
  const { table, bytes } = await transferOf(sampleTree());
  const subject = { ...offerOf(bytes.length, MIB), table: table.length };
  const partial = await inbox.begin(subject);
  await partial.write(0, bytes, proofOf(bytes));
  {
    using _ = withoutDurableNames(inbox);
    await rejectsWith("disk", () => partial.publish("tree"));
  }
  assertEquals([...Deno.readDirSync(inbox.path)].map(({ name }) => name), [".partial"]);
  await inbox.release(partial, true);
  const { path } = await (await inbox.begin(subject)).publish("tree");
  assertEquals(await pictureOf(path), pictureOfTree(sampleTree()));
});

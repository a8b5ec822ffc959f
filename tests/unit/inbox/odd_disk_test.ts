/** An inbox on disks that cannot do all that a disk should, each of them a file system of its own; see odd_disk.py. */

import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { join } from "@std/path";
import { randomToken } from "../../../lib/async/random.ts";
import { Inbox } from "../../../lib/inbox/inbox.ts";
import { RECEIPTS_FILE } from "../../../lib/inbox/receipts.ts";
import { assertSameBytes } from "../../helpers/bytes.ts";
import { rejectsWith } from "../../helpers/errors.ts";
import { Mount, whyNoMount } from "../../helpers/mount.ts";
import { offerOf, PROOF } from "../../helpers/partials.ts";
import { permitted } from "../../helpers/permissions.ts";
import { bytesOf } from "../../helpers/random.ts";
import { fileSent, receive, receiveSent, receiveTree, treeSent } from "../../helpers/receive.ts";
import { tempDir } from "../../helpers/temp_dir.ts";
import { pictureOf, pictureOfTree, sampleTree, type TestTree } from "../../helpers/tree.ts";

const NEEDS: Deno.PermissionName[] = ["read", "write", "sys", "run"];
const ID = "A".repeat(43);
const PIECE = 16 * 1024;
const MIB = 1024 * 1024;
const IGNORE = await whyNoMount((folder) => Mount.odd(join(folder, "odd")));

/** What is odd about a disk, and what is said of it, if anything. */
const ODDITIES: [oddity: string, said: string | null][] = [
  ["inodes", null],
  ["links", null],
  ["modes", "does not let modes be set"],
  ["times", "does not let times be set"],
  ["syncs", "cannot sync folders"],
  ["statfs", "Cannot tell how much is free on the disk"],
  ["zeros", "it says 0; files are received until it is full"],
];

for (const [oddity, said] of ODDITIES) {
  permitted(
    `what is sent to a disk with odd ${oddity} arrives, and it is said once`,
    NEEDS,
    async () => {
      await using dir = await tempDir();
      await using disk = await Mount.odd(dir.at("disk"), oddity);
      const notices: string[] = [];
      const notice = (text: string) => void notices.push(text);
      const content = bytesOf(3 * PIECE + 1);
      const tree = sampleTree();
      for (let start = 0; start < 2; start++) {
        notices.length = 0;
        using inbox = await Inbox.open(join(disk.path, "inbox"), ID, { notice });
        for (const name of [`a${start}`, `b${start}`]) {
          const { path } = await receive(inbox, name, content);
          assertSameBytes(await Deno.readFile(path), content);
        }
        const { path } = await receiveTree(inbox, `tree${start}`, tree);
        const isExact = oddity !== "times" && oddity !== "modes";
        if (isExact) assertEquals(await pictureOf(path), pictureOfTree(tree));
        assertEquals(notices.length, said === null ? 0 : 1);
        if (said !== null) assertStringIncludes(notices[0] ?? "", said);
        // What a crash leaves of the receipts is mended at the next start.
        const receipts = join(inbox.path, ".partial", ID, RECEIPTS_FILE);
        await Deno.writeTextFile(receipts, '{"transfer":', { append: true });
      }
    },
    { ignore: IGNORE },
  );
}

permitted(
  "a folder whose sync fails is no odd disk: nothing is published, and why is said",
  NEEDS,
  async () => {
    await using dir = await tempDir();
    await using disk = await Mount.odd(dir.at("disk"), "broken-syncs");
    using inbox = await Inbox.open(join(disk.path, "inbox"), ID);
    for (
      const send of [
        () => receive(inbox, "a", bytesOf(10)),
        () => receiveTree(inbox, "b", sampleTree()),
      ]
    ) {
      const error = await rejectsWith("disk", send);
      assertStringIncludes(error.message, "input/output error");
    }
    assertEquals([...Deno.readDirSync(inbox.path)].map(({ name }) => name), [".partial"]);
  },
  { ignore: IGNORE },
);

permitted(
  "a file that is exchanged before it has its name is noticed without inodes too",
  NEEDS,
  async () => {
    await using dir = await tempDir();
    await using disk = await Mount.odd(dir.at("disk"), "inodes");
    using inbox = await Inbox.open(join(disk.path, "inbox"), ID);
    const item = await inbox.begin(offerOf(10, PIECE));
    await item.write(0, bytesOf(10), PROOF);
    await Deno.remove(`${item.base}.part`);
    await Deno.writeFile(`${item.base}.part`, bytesOf(11));
    const error = await rejectsWith("integrity", () => item.publish("a"));
    assert(error.message.includes("exchanged"));
    await inbox.release(item, false);
  },
  { ignore: IGNORE },
);

for (const oddity of ["quota", "late-quota"]) {
  permitted(`a disk's own ${oddity} is told as one, and what fits arrives`, NEEDS, async () => {
    await using dir = await tempDir();
    await using disk = await Mount.odd(dir.at("disk"), oddity);
    using inbox = await Inbox.open(join(disk.path, "inbox"), ID);
    const large = bytesOf(5 * MIB);
    for (
      const send of [
        () => receive(inbox, "large", large),
        () => receiveTree(inbox, "tree", { large: { content: large } }),
      ]
    ) {
      const { message } = await rejectsWith("quota", send);
      assertStringIncludes(message, "the user's quota on the disk is used up");
    }
    await receive(inbox, "small", bytesOf(10));
    const names = [...Deno.readDirSync(inbox.path)].map(({ name }) => name).sort();
    assertEquals(names, [".partial", "small"]);
  }, { ignore: IGNORE });
}

for (const oddity of ["coarse", "folds", "times", "inodes", "modes"]) {
  permitted(`what is sent again to a disk with odd ${oddity} is there already`, NEEDS, async () => {
    await using dir = await tempDir();
    const tree: TestTree = {
      ...sampleTree(),
      Upper: {},
      "Upper/Case.TXT": { content: bytesOf(100) },
      // Names that are legal here and not everywhere.
      "CON": {},
      "CON/a:b?": { content: bytesOf(100) },
    };
    const sents = [fileSent("A.bin", bytesOf(3 * PIECE + 1)), await treeSent("Photos", tree)];
    {
      await using disk = await Mount.odd(dir.at("disk"), oddity);
      using inbox = await Inbox.open(join(disk.path, "inbox"), ID);
      for (const sent of sents) await receiveSent(inbox, sent);
    }
    // What the kernel remembered of it is gone: times are those that the disk has.
    await using disk = await Mount.odd(dir.at("disk"), oddity);
    using inbox = await Inbox.open(join(disk.path, "inbox"), ID);
    const names = () => [...Deno.readDirSync(inbox.path)].map(({ name }) => name).sort();
    const before = names();
    assertEquals(before.length, 3);
    for (const { offer, bytes } of sents) {
      const again = { ...offer, transfer: randomToken() };
      assertEquals((await inbox.alreadyHas(again))?.state, "already");
      const { already } = await receiveSent(inbox, {
        offer: { ...again, transfer: randomToken() },
        bytes,
      });
      assertEquals(already, true);
    }
    assertEquals(names(), before);
    const [file] = sents;
    await Deno.writeFile(join(inbox.path, "A.bin"), bytesOf(3 * PIECE + 1, 2));
    if (file) {
      assertEquals(await inbox.alreadyHas({ ...file.offer, transfer: randomToken() }), null);
    }
  }, { ignore: IGNORE });
}

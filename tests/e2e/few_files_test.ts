/** Processes that may open few files at a time (`ulimit -n`). */

import { assertEquals } from "@std/assert";
import { join } from "@std/path";
import { ARE_BINARIES, e2e, last, namesIn, sha256Of, type World } from "./helpers.ts";

const PRLIMIT = "/usr/bin/prlimit";

/** Files of a folder: more than any of the processes may open. */
const COUNT = 300;

async function folderIn(world: World): Promise<string> {
  const folder = world.path("many");
  await Deno.mkdir(folder);
  for (let i = 0; i < COUNT; i++) await Deno.writeTextFile(join(folder, `${i}`), `file ${i}`);
  return folder;
}

async function whyNoLimit(): Promise<string | undefined> {
  if (Deno.permissions.querySync({ name: "run" }).state !== "granted") return undefined;
  try {
    const { success } = await new Deno.Command(PRLIMIT, { args: ["--version"] }).output();
    return success ? undefined : "needs prlimit";
  } catch {
    return "needs prlimit";
  }
}

for (const limit of [128, 64]) {
  e2e(`with ${limit} files open at most, files, folders and many at once arrive`, async (world) => {
    const wrap = [PRLIMIT, `--nofile=${limit}:${limit}`];
    await world.tracker([], { wrap });
    const peer = await world.peer("in", [], { wrap });
    const { path, sha256 } = await world.file("big", 8 * 1024 * 1024);
    const folder = await folderIn(world);
    const files = Array.from({ length: 50 }, (_, i) => join(folder, `${i}`));
    const sends = [[path], [folder], files];
    // One after another, so that what fails is seen with what it is about.
    for (const paths of sends) {
      const { code, lines } = await world.run("peer", ["send", ...paths, "--json"], { wrap });
      assertEquals(code, 0, JSON.stringify(last(lines)));
    }
    assertEquals(await sha256Of(join(peer.received, "big")), sha256);
    assertEquals((await namesIn(join(peer.received, "many"))).length, COUNT);
    assertEquals((await namesIn(peer.received)).length, 50 + 3);
    const copies = await Promise.all(
      Array.from({ length: 4 }, async (_, i) => {
        const copy = world.path(`copy ${i}`);
        await Deno.mkdir(copy);
        for (const file of files) await Deno.copyFile(file, file.replace(folder, copy));
        return copy;
      }),
    );
    const outcomes = await Promise.all(
      copies.map((copy) => world.run("peer", ["send", copy, "--json"], { wrap })),
    );
    assertEquals(
      outcomes.map(({ code }) => code),
      [0, 0, 0, 0],
      peer.program.report + JSON.stringify(outcomes),
    );
    for (let i = 0; i < 4; i++) {
      assertEquals((await namesIn(join(peer.received, `copy ${i}`))).length, 50);
    }
    await peer.program.stop();
  }, { ignore: await whyNoLimit() });
}

e2e("a folder arrives where the peer may open no more files for a while", async (world) => {
  await world.tracker();
  const peer = await world.peer("in");
  const folder = await folderIn(world);
  const limit = async (files: number) => {
    const args = [`--pid=${peer.program.pid}`, `--nofile=${files}:1024`];
    const { success } = await new Deno.Command(PRLIMIT, { args }).output();
    assertEquals(success, true);
  };
  // Fewer than are open already: nothing can be opened, not even the connection of who sends.
  await limit(16);
  const sending = await world.start("peer", ["send", folder, "--json"]);
  await sending.until("transfer-started");
  await limit(1024);
  assertEquals((await sending.outcome).code, 0);
  assertEquals((await namesIn(join(peer.received, "many"))).length, COUNT);
}, { ignore: ARE_BINARIES ? "needs the sources" : await whyNoLimit() });

/** Shares in which a side breaks off, stops or runs out of something: what the other one does, and what is sent again. */

import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { join } from "@std/path";
import { eventually } from "../helpers/deadline.ts";
import { Tmpfs, whyNoTmpfs } from "../helpers/tmpfs.ts";
import { e2e, type Line, namesIn, type Program, sha256Of, type World } from "./helpers.ts";
import { heldLineTo, of, receiver, share } from "./shares.ts";

const MIB = 1024 * 1024;

/** A share of a file, and a receiver `name` that is held up when it has asked for a part of it. */
async function heldUp(world: World, name: string, size = 40 * MIB) {
  const file = await world.file("f.bin", size);
  const sharer = await share(world, [file.path]);
  const slow = heldLineTo(world, sharer);
  const held = await receiver(world, name, slow.invite);
  await slow.proxy.held(held);
  return { ...file, sharer, slow, held };
}

/** Waits until `laptop` has noted on disk what has come before it was held up. */
async function noted(world: World, laptop: Program): Promise<void> {
  const { id } = await laptop.until("listening");
  const partials = world.path("laptop", ".partial", id);
  const isNoted = async () => {
    const journal = (await namesIn(partials)).find((name) => name.endsWith(".journal"));
    if (journal === undefined) return false;
    // Behind its head there is nothing but room at first.
    const entries = (await Deno.readFile(join(partials, journal))).subarray(1024);
    return entries.some((byte) => byte !== 0 && byte !== 0x20);
  };
  await eventually(isNoted, "a journal of what has come");
}

/** A share of a file, and a receiver that is held up when it has noted a part of it on disk. */
async function halfWay(world: World) {
  const { held: laptop, ...scene } = await heldUp(world, "laptop", 60 * MIB);
  await noted(world, laptop);
  return { ...scene, laptop };
}

e2e(
  "share: a second receiver waits, takes nothing from others, and is told when it was for one",
  async (world) => {
    const { path, sharer, slow, held: first } = await heldUp(world, "first");
    const second = await receiver(world, "second", sharer.invite);
    await sharer.program.until(({ event, name }) => event === "peer-joined" && name === "second");

    const stranger = ["--join", sharer.invite, "--state", world.path("stranger"), "--json"];
    const pushed = await world.run("peer", ["send", path, "--to", "second", ...stranger]);
    assertEquals(
      [pushed.code, of(pushed.lines, "transfer-finished")[0]?.recipients[0].error.code],
      [4, "refused"],
    );
    slow.proxy.release();
    assertEquals((await first.outcome).code, 0);
    assertEquals((await sharer.program.outcome).code, 0);
    const { code, lines } = await second.outcome;
    assertEquals([code, lines.at(-1)?.event, lines.at(-1)?.code], [4, "error", "shutting-down"]);
    assertEquals(await namesIn(world.path("second")), [".partial"]);
  },
);

e2e("receive killed and started again goes on where it was, and counts once", async (world) => {
  const { sha256, sharer, slow, laptop: first } = await halfWay(world);
  await first.kill();
  slow.proxy.cut();

  const { returned } = slow.proxy;
  const again = await (await receiver(world, "laptop", slow.invite)).outcome;
  assertEquals(again.code, 0, again.stderr);
  assertEquals(await sha256Of(world.path("laptop", "f.bin")), sha256);
  const { code, lines } = await sharer.program.outcome;
  assertEquals([code, of(lines, "share-delivered").length], [0, 1]);
  // Noted were 8 MiB or more; TLS and frames are the difference.
  const sent = slow.proxy.returned - returned;
  assert(sent < (60 - 4) * MIB, `${sent} bytes were sent`);
});

e2e("share and receive both killed and started again go on where they were", async (world) => {
  const { path, sha256, sharer: before, laptop: first } = await halfWay(world);
  await Promise.all([before.program.kill(), first.kill()]);

  const after = await share(world, [path]);
  assertEquals((await (await receiver(world, "laptop", after.invite)).outcome).code, 0);
  assertEquals(await sha256Of(world.path("laptop", "f.bin")), sha256);
  const { lines } = await after.program.outcome;
  const [{ bytesSent } = {} as Line] = of(lines, "transfer-finished");
  assert(bytesSent < (60 - 4) * MIB, `${bytesSent} bytes were sent`);
});

e2e("receive comes back by itself when the network broke, and goes on", async (world) => {
  const { sha256, sharer, slow, laptop } = await halfWay(world);
  slow.proxy.cut();
  const { returned } = slow.proxy;
  assertEquals((await laptop.outcome).code, 0);
  assertEquals(await sha256Of(world.path("laptop", "f.bin")), sha256);
  assertEquals(await namesIn(world.path("laptop")), [".partial", "f.bin"]);
  assert(slow.proxy.returned - returned < (60 - 4) * MIB);
  assertEquals((await sharer.program.outcome).code, 0);
});

e2e("share: a file that is gone when somebody comes ends it, and both say so", async (world) => {
  const { path } = await world.file("f.bin", 10);
  const sharer = await share(world, [path]);
  await Deno.remove(path);
  const { code, lines } = await (await receiver(world, "laptop", sharer.invite)).outcome;
  assertEquals([code, lines.at(-1)?.code], [8, "file-not-found"]);
  const ended = await sharer.program.outcome;
  assertEquals([ended.code, ended.lines.at(-1)?.code], [8, "file-not-found"]);
  assertStringIncludes(ended.stderr, path);
});

e2e("receive onto a full disk fails with 8; the share goes on", async (world) => {
  const { path } = await world.file("f.bin", 20 * MIB);
  const sharer = await share(world, [path]);
  const disk = world.use(await Tmpfs.mount(world.path("small"), 17));
  const full = await (await receiver(world, "small", sharer.invite)).outcome;
  assertEquals([full.code, full.lines.at(-1)?.code], [8, "no-space"]);
  assertEquals(await namesIn(disk.path), [".partial"]);
  assertEquals((await (await receiver(world, "roomy", sharer.invite)).outcome).code, 0);
  assertEquals((await sharer.program.outcome).code, 0);
}, { ignore: await whyNoTmpfs() });

e2e("share that is interrupted: both sides are told that it was stopped", async (world) => {
  const { path } = await world.file("f.bin", 20 * MIB);
  const sharer = await share(world, [path, "--limit-rate", "1M"]);
  const laptop = await receiver(world, "laptop", sharer.invite);
  await laptop.until("transfer-progress");
  const gave = await sharer.program.stop("SIGINT");
  const got = await laptop.outcome;
  const text = "Cannot go on: the share was stopped";
  const [finished] = of(gave.lines, "transfer-finished");
  assertEquals([gave.code, finished?.recipients[0].error.message], [130, text]);
  const last = got.lines.at(-1);
  assertEquals([got.code, last?.code, last?.message], [4, "shutting-down", text]);
});

e2e(
  "an interrupt on either side: 130 here, and the other side goes on or is told",
  async (world) => {
    const { sharer, slow, held: first } = await heldUp(world, "first");
    assertEquals((await first.stop("SIGINT")).code, 130);
    const { mark } = sharer.program;
    await sharer.program.until(({ event, message }) =>
      event === "notice" && message.startsWith("Peer first did not")
    );
    const second = await receiver(world, "second", slow.invite);
    await sharer.program.until("transfer-started", { from: mark });
    assertEquals((await sharer.program.stop("SIGINT")).code, 130);
    slow.proxy.release();
    assertEquals((await second.outcome).code, 4);
  },
);

/** What `peer share` hands over, and to whom. */

import { assert, assertEquals, assertNotEquals, assertStringIncludes } from "@std/assert";
import { join } from "@std/path";
import { rejectsWith } from "../helpers/errors.ts";
import { Network, whyNoNetwork } from "../helpers/netns.ts";
import { bytesOf } from "../helpers/random.ts";
import { manifestOf, openRaw } from "../helpers/raw.ts";
import { newNetwork, startTracker, type TrackerEvent } from "../helpers/tracker.ts";
import { e2e, type Line, namesIn, procFile, secretOf, sha256Of } from "./helpers.ts";
import { heldLineTo, INVITE, of, receiver, share } from "./shares.ts";

const MIB = 1024 * 1024;

/** A network for once leaves nothing of itself beside the own key, the history and receipts. */
async function assertNothingRemembered(peers: string): Promise<void> {
  const names = await namesIn(peers);
  assert(names.includes("1") && names.includes("history.jsonl"));
  const kept = ["network.json", "names.json", "cache.json"].filter((name) => names.includes(name));
  assertEquals(kept, []);
}

/** Whether a text stands in any file below the folder. */
async function isInFiles(folder: string, text: string): Promise<boolean> {
  for await (const { name, isDirectory, isFile } of Deno.readDir(folder)) {
    const path = join(folder, name);
    if (isDirectory && await isInFiles(path, text)) return true;
    if (isFile && (await Deno.readTextFile(path)).includes(text)) return true;
  }
  return false;
}

e2e(
  "share and receive: everything arrives, both end with 0, and nothing is remembered",
  async (world) => {
    const big = await world.file("big.bin", 20 * MIB);
    const small = await world.file("small.bin", 100);
    const sharer = await share(world, [big.path, small.path]);
    const [sharing] = of(sharer.program.lines, "sharing");
    assertEquals(sharing?.items, [
      { name: "big.bin", size: 20 * MIB },
      { name: "small.bin", size: 100 },
    ]);
    assertEquals([sharing?.wanted, sharing?.host, sharing?.addresses], [1, "127.0.0.1", undefined]);
    const secret = secretOf(sharer.invite);
    for (const name of ["cmdline", "environ"]) {
      assert(!(await procFile(sharer.program.pid, name)).includes(secret), name);
    }

    const got = await (await receiver(world, "laptop", sharer.invite)).outcome;
    assertEquals([got.code, got.stderr], [
      0,
      "Joined the share of desk; files go to " + `${world.path("laptop")}\n`,
    ]);
    assertEquals(
      of(got.lines, "file-received").map(({ path, size, sha256, from }) => ({
        path,
        size,
        sha256,
        from,
      })),
      [
        { path: world.path("laptop", "big.bin"), size: 20 * MIB, sha256: big.sha256, from: "desk" },
        { path: world.path("laptop", "small.bin"), size: 100, sha256: small.sha256, from: "desk" },
      ],
    );
    assertEquals(await sha256Of(world.path("laptop", "big.bin")), big.sha256);
    const gave = await sharer.program.outcome;
    assertEquals([gave.code, gave.stderr], [0, ""]);
    const [{ peer, delivered, wanted } = {} as Line] = of(gave.lines, "share-delivered");
    assertEquals({ peer, delivered, wanted }, { peer: "laptop", delivered: 1, wanted: 1 });
    assertEquals(of(gave.lines, "peer-left"), []);

    // The secret is in no file, and neither side has another network, other names or another list now.
    assert(!await isInFiles(world.folder, secret));
    const senders = join(world.home, ".local/state/p2p");
    for (const state of [senders, world.path("laptop-state")]) {
      assertEquals(await namesIn(state), ["peers"]);
      // The hashes of files that were read are no secret, and of use the next time.
      const kept = (await namesIn(join(state, "peers"))).filter((name) => name !== "manifests");
      const receipts = state === senders ? ["receipts.jsonl"] : [];
      assertEquals(kept, ["1", "history.jsonl", ...receipts]);
    }
    const history = await world.run("peer", [
      "history",
      "--json",
      "--state",
      world.path("laptop-state"),
    ]);
    assertEquals(history.lines.map(({ direction, name, peer }) => [direction, name, peer]), [
      ["receive", "big.bin", "desk"],
      ["receive", "small.bin", "desk"],
    ]);
  },
);

e2e("share and receive as text: the line to paste, and what came", async (world) => {
  const { path, sha256 } = await world.file("notes.txt", 1000);
  const sharer = await world.start("peer", ["share", path, "--host", "127.0.0.1", "--quiet"]);
  // A line that was taken from a pipe is the whole of it.
  await sharer.untilText((text) => text.includes("\n"));
  assert(/^p2p:\S+\n$/.test(sharer.stdout), sharer.stdout);
  const received = ["--received", world.path("in")];
  const receiving = await world.start("peer", ["receive", "-", ...received], { stdin: true });
  await receiving.write(sharer.stdout);
  const { code, stdout, stderr } = await receiving.outcome;
  assertEquals([code, stderr], [0, ""]);
  assertStringIncludes(stdout, `  ${world.path("in", "notes.txt")}\n  SHA-256 ${sha256}\n`);
  assertEquals(stdout.split("\n").length, 6, stdout);
  assertEquals((await sharer.outcome).code, 0);
});

e2e("share --count: as many as that get it, at the same time", async (world) => {
  const { path, sha256 } = await world.file("f.bin", 3 * MIB);
  const sharer = await share(world, [path, "--count", "3"]);
  const names = ["one", "two", "three"];
  const receivers = await Promise.all(names.map((name) => receiver(world, name, sharer.invite)));
  for (const [i, program] of receivers.entries()) {
    assertEquals((await program.outcome).code, 0);
    assertEquals(await sha256Of(world.path(names[i] ?? "", "f.bin")), sha256);
  }
  const { code, lines } = await sharer.program.outcome;
  assertEquals(code, 0);
  const delivered = of(lines, "share-delivered");
  assertEquals(delivered.map(({ delivered }) => delivered), [1, 2, 3]);
  assertEquals(delivered.map(({ peer }) => peer).sort(), names.toSorted());
});

e2e(
  "share --count: who joins in the middle of the first transfer gets all of it",
  async (world) => {
    const { path, sha256 } = await world.file("big.bin", 60 * MIB);
    const sharer = await share(world, [path, "--count", "2"]);
    const held = heldLineTo(world, sharer);
    const first = await receiver(world, "first", held.invite);
    await first.until((line) => line.event === "transfer-progress" && line.bytes > 0);
    const second = await receiver(world, "second", sharer.invite);
    assertEquals((await second.outcome).code, 0);
    held.proxy.release();
    assertEquals((await first.outcome).code, 0);
    for (const name of ["first", "second"]) {
      assertEquals(await sha256Of(world.path(name, "big.bin")), sha256, name);
    }
    assertEquals((await sharer.program.outcome).code, 0);
  },
);

e2e("share --keep: one after the other, until it is interrupted", async (world) => {
  const { path } = await world.file("f.bin", 1000);
  const sharer = await share(world, [path, "--keep"]);
  assertEquals(of(sharer.program.lines, "sharing")[0]?.wanted, null);
  for (const name of ["one", "two"]) {
    assertEquals((await (await receiver(world, name, sharer.invite)).outcome).code, 0);
  }
  const { code, lines } = await sharer.program.stop("SIGINT");
  assertEquals([code, of(lines, "share-delivered").length], [0, 2]);
});

e2e("share: paths are checked before there is a line to paste", async (world) => {
  const { path } = await world.file("f.bin", 10);
  const missing = world.path("missing.bin");
  const { code, stdout, stderr } = await world.run("peer", ["share", path, missing]);
  assertEquals([code, stdout], [8, ""]);
  assertStringIncludes(stderr, missing);
  for (const args of [[path, "--keep", "--count", "2"], [path, "--join", "p2p://x"], []]) {
    assertEquals((await world.run("peer", ["share", ...args])).code, 2, args.join(" "));
  }
});

e2e("receive: wrong, old and unreachable invites, each with its exit code", async (world) => {
  const { path } = await world.file("f.bin", 10);
  const sharer = await share(world, [path]);
  const secret = secretOf(sharer.invite);
  const other = sharer.invite.replace(secret, (secret[0] === "A" ? "B" : "A") + secret.slice(1));
  const wrong = await (await receiver(world, "wrong", other)).outcome;
  assertEquals([wrong.code, wrong.lines.at(-1)?.code], [6, "wrong-secret"]);
  assertStringIncludes(wrong.stderr, "peer share");
  const insecure = await world.run("peer", ["receive", sharer.invite, "--insecure"]);
  assertEquals(insecure.code, 2);
  assertEquals((await world.run("peer", ["receive", "p2p://nothing"])).code, 2);

  assertEquals((await sharer.program.stop("SIGINT")).code, 130);
  const gone = await (await receiver(world, "gone", sharer.invite)).outcome;
  assertEquals([gone.code, gone.lines.at(-1)?.code], [3, "tracker-unreachable"]);
  assertStringIncludes(gone.stderr, "`peer share`");
  // The invite of a share is worth nothing to the next one of the same user.
  const next = await share(world, [path]);
  assertNotEquals(secretOf(next.invite), secret);
  const old = sharer.invite.replace(`:${sharer.port}/`, `:${next.port}/`);
  assertEquals((await (await receiver(world, "old", old)).outcome).code, 6);
});

e2e("share of more files than a member may ask to be dialled for", async (world) => {
  const names = Array.from({ length: 70 }, (_, i) => `f${i}`);
  const files = await Promise.all(names.map((name) => world.file(name, 100)));
  const sharer = await share(world, files.map(({ path }) => path));
  const { code, lines } = await (await receiver(world, "laptop", sharer.invite)).outcome;
  assertEquals([code, of(lines, "file-received").length], [0, 70]);
  const ended = await sharer.program.outcome;
  assertEquals([ended.code, of(ended.lines, "transfer-retry")], [0, []]);
});

e2e("receive without an invite takes one transfer of the usual network", async (world) => {
  await world.tracker();
  const { path, sha256 } = await world.file("f.bin", 1000);
  const args = ["receive", "--name", "box", "--received", world.path("in"), "--json"];
  const program = await world.start("peer", args);
  await program.until("registered");
  assertEquals((await world.run("peer", ["send", path, "--to", "box"])).code, 0);
  const { code, lines } = await program.outcome;
  assertEquals([code, lines.at(-1)?.event], [0, "unregistered"]);
  assertEquals(of(lines, "file-received").map((line) => line.sha256), [sha256]);
  const waiting = await world.start("peer", args);
  await waiting.until("registered");
  assertEquals((await waiting.stop("SIGINT")).code, 130);
});

e2e(
  "receive with the invite of an ordinary tracker takes one transfer, and remembers nothing",
  async (world) => {
    const tracker = await world.tracker();
    const { path } = await world.file("f.bin", 1000);
    const program = await receiver(world, "box", tracker.invite);
    await program.until("registered");
    assertEquals((await world.run("peer", ["send", path, "--to", "box"])).code, 0);
    assertEquals((await program.outcome).code, 0);
    await assertNothingRemembered(world.path("box-state", "peers"));
  },
);

e2e(
  "share and receive on two machines: the printed line is enough, and one port is",
  async (world) => {
    const [one, two] = await world.use(new Network()).lan(2);
    assert(one && two);
    const { path, sha256 } = await world.file("f.bin", 30 * MIB);
    const sharer = await world.start("peer", ["share", path, "--port", "5005"], one);
    await sharer.untilText((text) => INVITE.test(text));
    const invite = INVITE.exec(sharer.stdout)?.[0] ?? "";
    assertStringIncludes(invite, "p2p://10.77.0.1:5005/#");
    const own = ["--state", world.path("state"), "--received", world.path("in"), "--json"];
    const receiving = await world.start("peer", ["receive", invite, ...own], two);
    const { code, lines } = await receiving.outcome;
    assertEquals(code, 0);
    assertEquals(of(lines, "file-received").map((line) => line.sha256), [sha256]);
    // It listens where no other machine reaches it, as if behind a firewall.
    assertEquals(of(lines, "listening").map(({ host }) => host), ["127.0.0.1"]);
    assertEquals((await sharer.outcome).code, 0);
  },
  { ignore: await whyNoNetwork() },
);

e2e("the host of a share cannot send more than it has announced", async (world) => {
  const network = newNetwork();
  const { key } = network;
  await using host = startTracker({ network, identity: key });
  const laptop = await receiver(world, "laptop", host.tracker.invite ?? "");
  const { entry } = await host.events.until(
    (event): event is Extract<TrackerEvent, { event: "joined" }> => event.event === "joined",
  );
  const { membership } = host;
  await using hostile = await openRaw({ address: entry, id: entry.id, membership, identity: key });
  const pieces = manifestOf(bytesOf(20));
  const first = await hostile.offer({ name: "wanted", size: 20 });
  assertEquals((await hostile.serve(first, pieces)).verb, "ACK");
  for (const more of ["wanted", "unwanted"]) {
    await rejectsWith("refused", () => hostile.offer({ name: more, size: 20 }));
  }
  await rejectsWith("refused", () => hostile.offer({ name: "stream" }));
  await host.tracker.dismiss(entry.id);
  assertEquals((await laptop.outcome).code, 0);
  assertEquals(await namesIn(world.path("laptop")), [".partial", "wanted"]);
});

import { assertEquals, assertMatch, assertNotEquals } from "@std/assert";
import { fromFileUrl } from "@std/path";
import { TextLineStream } from "@std/streams/text-line-stream";
import type { AppEvent } from "../../lib/events.ts";
import { parseInvite } from "../../lib/identity/invite.ts";
import { randomToken } from "../../lib/async/random.ts";
import { Identity } from "../../lib/identity/keys.ts";
import { Peer } from "../../lib/peer/peer.ts";
import { StreamContent } from "../../lib/content/stream_content.ts";
import { SCHEMES } from "../../lib/pieces/scheme.ts";
import { MemoryRegistry } from "../../lib/tracker/registry/memory_registry.ts";
import { closedPort } from "../helpers/closed_port.ts";
import { EventLog } from "../helpers/event_log.ts";
import { assertSameBytes } from "../helpers/bytes.ts";
import { minutesAhead } from "../helpers/file_age.ts";
import { startPeer } from "../helpers/peer.ts";
import { permitted } from "../helpers/permissions.ts";
import { bytesOf } from "../helpers/random.ts";
import { tempDir } from "../helpers/temp_dir.ts";
import { startTracker } from "../helpers/tracker.ts";
import { LONG_AGO, pictureOf, pictureOfTree, plant, sampleTree } from "../helpers/tree.ts";

// A client in another language, written from PROTOCOL.md alone, against the real tracker and peer: what it
// cannot do, the page does not say.

const PYTHON = "/usr/bin/python3";
const CLIENT = fromFileUrl(new URL("client.py", import.meta.url));
const NEEDS: Deno.PermissionName[] = ["net", "read", "write", "run", "sys"];
/** The protocol client gets no more time than this, in seconds. */
const LIMIT = "60";

/** Why the client cannot run here, if it cannot. */
function reasonNotToRun(): string | undefined {
  if (Deno.permissions.querySync({ name: "run" }).state !== "granted") return undefined;
  const isCi = Deno.permissions.querySync({ name: "env", variable: "CI" }).state === "granted" &&
    Deno.env.get("CI") !== undefined;
  if (isCi) return undefined;
  try {
    const { success } = new Deno.Command(PYTHON, {
      args: ["-c", "import cryptography"],
      stderr: "null",
    }).outputSync();
    return success
      ? undefined
      : `${PYTHON} has no module cryptography (Debian: python3-cryptography)`;
  } catch {
    return `there is no ${PYTHON}`;
  }
}

const REASON = reasonNotToRun();

function withPython(name: string, fn: () => Promise<void>): void {
  permitted(name, NEEDS, fn, { ignore: REASON });
}

/** Bytes of the pieces that the client makes. */
const PIECE = 256 * 1024;
/** Bytes of the pieces of a stream. */
const STREAM_PIECE = 1024 * 1024;

/** A line that the client printed. */
interface Line {
  event: string;
  [field: string]: unknown;
}

function command(args: string[]): Deno.Command {
  return new Deno.Command("timeout", {
    args: [LIMIT, PYTHON, "-B", CLIENT, ...args],
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  });
}

/** Runs the client to its end and resolves with what it printed. */
async function client(...args: string[]): Promise<Line[]> {
  const child = command(args).spawn();
  await child.stdin.close();
  const { stdout, stderr } = await child.output();
  const lines = new TextDecoder().decode(stdout).trim().split("\n");
  if (lines[0] === "") throw new Error(new TextDecoder().decode(stderr));
  return lines.map((line) => JSON.parse(line));
}

/** Runs the client as one sender; resolves with what it printed about one file, pieces in order. */
function sender(flags: string[]): (...args: string[]) => Promise<Line> {
  const seed = ["--seed", "07".repeat(32)];
  return async (...args) => {
    const [line] = await client(...flags, ...seed, ...args);
    const { served = [], ...rest } = line as Line & { served?: number[] };
    return { ...rest, served: served.sort((a, b) => a - b) };
  };
}

/** The client as a registered peer, which takes files into `inbox` if there is one. */
function registered(args: string[], inbox: string[] = []) {
  const child = command([...args, "register", "python", ...inbox]).spawn();
  const log = new EventLog<Line>();
  const lines = child.stdout.pipeThrough(new TextDecoderStream()).pipeThrough(new TextLineStream());
  const reading = (async () => {
    for await (const line of lines) log.add(JSON.parse(line));
    return await new Response(child.stderr).text();
  })();
  return {
    log,
    /** Lets it unregister and end; resolves with what it wrote to stderr. */
    async stop() {
      await child.stdin.close();
      const text = await reading;
      await child.status;
      return text;
    },
  };
}

/** A tracker and one peer of this program in this process, and the flags that lead the client there. */
async function startNetwork(isSecure: boolean) {
  const folder = await tempDir();
  const registry = new MemoryRegistry(() => randomToken(16));
  const started = startTracker({ insecure: !isSecure, registry });
  const { tracker, events: seen, membership, address } = started;
  const events = new EventLog<AppEvent>();
  const peer = new Peer({
    identity: Identity.generate(),
    membership,
    tracker: address,
    role: "peer",
    name: "deno",
    received: folder.at("received"),
    folder: folder.at("state"),
    emit: events.add,
  });
  await peer.start();
  const { invite } = tracker;
  return {
    folder,
    events,
    peer,
    tracker,
    started,
    registry,
    flags: invite === undefined
      ? ["--insecure", `${address.host}:${address.port}`]
      : ["--join", invite],
    async [Symbol.asyncDispose]() {
      await peer[Symbol.asyncDispose]();
      await seen.until(({ event, ...e }) =>
        event === "left" && "entry" in e && e.entry.id === peer.id
      );
      await tracker.close();
      await folder[Symbol.asyncDispose]();
    },
  };
}

function streamOf(bytes: Uint8Array<ArrayBuffer>): StreamContent {
  return new StreamContent(new Blob([bytes]).stream(), "log");
}

/** The numbers from `start` to before `end`. */
function range(start: number, end: number): number[] {
  return Array.from({ length: end - start }, (_, i) => start + i);
}

/** Names in the inbox. */
function namesIn(inbox: string): string[] {
  return [...Deno.readDirSync(inbox)].map(({ name }) => name).filter((name) => name !== ".partial")
    .sort();
}

withPython("protocol client: it computes the worked examples of the page", async () => {
  assertEquals(await client("selftest"), [{ event: "selftest", ok: true }]);
});

for (const isSecure of [true, false]) {
  const mode = isSecure ? "secure" : "insecure";

  withPython(`protocol client, ${mode}: it registers, is pinged, and hears messages`, async () => {
    await using network = await startNetwork(isSecure);
    const { peer, events, flags } = network;
    const python = registered(flags);
    const { name, reachable, id } = await python.log.until(({ event }) => event === "registered");
    assertEquals([name, reachable], ["python", true]);
    await python.log.until(({ names }) => `${names}` === "deno,python");
    const joined = await events.until((e) => e.event === "peer-joined" && e.name === "python");
    assertEquals((joined as { id: string }).id, id);
    await peer.ping("python");

    assertEquals((await peer.sendBroadcastMessage("gr\u00fc\u00dfe")).delivered, 1);
    const heard = await python.log.until(({ event }) => event === "message");
    assertEquals(heard, {
      event: "message",
      text: "gr\u00fc\u00dfe",
      sender: peer.id,
      valid: true,
    });

    assertEquals(await python.stop(), "");
    assertEquals(python.log.all.at(-1)?.event, "unregistered");
    await events.until((e) => e.event === "peer-left" && e.name === "python");
  });

  withPython(
    `protocol client, ${mode}: it is listed at several addresses, and tries those of others`,
    async () => {
      await using network = await startNetwork(isSecure);
      const { peer, registry, flags } = network;
      const python = registered([...flags, "--address", "192.0.2.7", "--address", "2001:db8::7"]);
      const { port, addresses } = await python.log.until(({ event }) => event === "registered");
      const claimed: unknown = [{ host: "192.0.2.7", port }, { host: "2001:db8::7", port }];
      assertEquals(addresses, claimed);
      const listed = (await peer.updatePeersList()).find(({ name }) => name === "python");
      assertEquals<unknown>(listed?.addresses, claimed);
      assertEquals(await python.stop(), "");
      // Nobody answers where the tracker has seen the peer, and somebody else at the first address.
      const own = registry.get(peer.id);
      if (!own) throw new Error("the peer is not listed");
      const others = [network.tracker.address, { host: own.host, port: own.port }];
      registry.register({ ...own, port: closedPort(), addresses: others });
      assertEquals(await client(...flags, "ping", "deno"), [{ event: "pong", verb: "PONG" }]);
    },
  );

  withPython(`protocol client, ${mode}: it lists, pings and broadcasts`, async () => {
    await using network = await startNetwork(isSecure);
    const { peer, events, flags } = network;
    const listed = await client(...flags, "list");
    const { host, port } = peer.address ?? { host: "", port: 0 };
    assertEquals(listed, [
      { event: "peer", id: peer.id, name: "deno", host, port, reachable: true },
    ]);
    assertEquals(await client(...flags, "ping", "deno"), [{ event: "pong", verb: "PONG" }]);
    const [sent] = await client(...flags, "broadcast", "\u00bfqu\u00e9?");
    assertEquals(sent?.delivered, 1);
    const heard = await events.until((e) => e.event === "message") as {
      text: string;
      from: string;
    };
    assertEquals([heard.text, heard.from], ["\u00bfqu\u00e9?", sent?.id]);
  });

  for (const scheme of SCHEMES) {
    withPython(
      `protocol client, ${mode}, ${scheme}: it sends files of 0, 1 and many pieces`,
      async () => {
        await using network = await startNetwork(isSecure);
        const { folder } = network;
        const flags = [...network.flags, "--scheme", scheme];
        for (const size of [0, 1, 256 * 1024, 1_500_000]) {
          const bytes = new Uint8Array(size).map((_, i) => i * i >> 8);
          await Deno.writeFile(folder.at("a.bin"), bytes);
          const [delivered] = await client(...flags, "send", folder.at("a.bin"), "deno");
          assertEquals(delivered?.event, "delivered", JSON.stringify(delivered));
          assertMatch(`${delivered?.savedAs}`, /^a( \(\d\))?\.bin$/);
          assertEquals(await Deno.readFile(folder.at("received", `${delivered?.savedAs}`)), bytes);
        }
      },
    );

    withPython(
      `protocol client, ${mode}, ${scheme}: it goes on with a file, as far as that is the same`,
      async () => {
        await using network = await startNetwork(isSecure);
        const { folder, flags } = network;
        const run = sender([...flags, "--scheme", scheme]);
        const path = folder.at("a.bin");
        const bytes = bytesOf(11 * PIECE + 7);
        await Deno.writeFile(path, bytes);
        assertEquals(await run("--stop-after", "6", "send", path, "deno"), {
          event: "left",
          had: [],
          served: range(0, 6),
        });
        bytes.fill(0, 2 * PIECE, 2 * PIECE + 32);
        await Deno.writeFile(path, bytes);
        assertEquals(await run("send", path, "deno"), {
          event: "delivered",
          state: "saved",
          savedAs: "a.bin",
          had: [[0, 6]],
          served: [2, ...range(6, 12)],
        });
        assertSameBytes(await Deno.readFile(folder.at("received", "a.bin")), bytes);
      },
    );

    withPython(
      `protocol client, ${mode}, ${scheme}: what it sends again is there already`,
      async () => {
        await using network = await startNetwork(isSecure);
        const { folder } = network;
        const flags = [...network.flags, "--scheme", scheme];
        const run = sender(flags);
        await Deno.writeFile(folder.at("a.bin"), bytesOf(2 * PIECE));
        await plant(folder.at("tree"), sampleTree());
        const names = scheme === "independent" ? ["a.bin", "tree"] : ["a.bin"];
        for (const name of names) {
          const first = await run("send", folder.at(name), "deno");
          assertEquals([first.state, first.savedAs], ["saved", name]);
          // A folder has no SHA-256 of its own.
          for (const field of name === "tree" ? ["manifest"] : ["manifest", "sha256"]) {
            const known = await run("--known", field, "send", folder.at(name), "deno");
            assertEquals([known.state, known.savedAs, known.served], ["already", name, []], field);
          }
          const late = await run("send", folder.at(name), "deno");
          assertEquals([late.state, late.savedAs, late.served], ["already", name, first.served]);
        }
        assertEquals(namesIn(folder.at("received")), names);
        const [other] = await client(
          ...flags,
          "--known",
          "manifest",
          "send",
          folder.at("a.bin"),
          "deno",
        );
        assertEquals([other?.state, other?.savedAs], ["saved", "a (1).bin"]);
      },
    );
  }

  withPython(`protocol client, ${mode}: it sends folders`, async () => {
    await using network = await startNetwork(isSecure);
    const { folder, flags } = network;
    for (const [name, tree] of Object.entries({ full: sampleTree(), empty: {} })) {
      await plant(folder.at(name), tree);
      const [delivered] = await client(...flags, "send", folder.at(name), "deno");
      assertEquals([delivered?.state, delivered?.savedAs], ["saved", name]);
      assertEquals(await pictureOf(folder.at("received", name)), pictureOfTree(tree));
    }
  });

  withPython(
    `protocol client, ${mode}: it goes on with a folder, unless its table changed`,
    async () => {
      await using network = await startNetwork(isSecure);
      const { folder, flags } = network;
      const run = sender(flags);
      for (const [name, mtime] of Object.entries({ same: LONG_AGO, touched: LONG_AGO + 1000 })) {
        const tree = {
          "one.bin": { content: bytesOf(5 * PIECE), mtime: LONG_AGO },
          "two.bin": { content: bytesOf(5 * PIECE, 2) },
        };
        await plant(folder.at(name), tree);
        const left = await run("--stop-after", "6", "send", folder.at(name), "deno");
        assertEquals(left.served, range(0, 6));
        tree["one.bin"].mtime = mtime;
        await plant(folder.at(name), tree);
        const { state, served } = await run("send", folder.at(name), "deno");
        assertEquals([state, served], ["saved", range(name === "same" ? 6 : 0, 11)], name);
        assertEquals(await pictureOf(folder.at("received", name)), pictureOfTree(tree));
      }
    },
  );

  withPython(`protocol client, ${mode}: it receives, goes on, and knows what it has`, async () => {
    await using network = await startNetwork(isSecure);
    const { folder, peer, events, flags } = network;
    const inbox = folder.at("python");
    const python = registered([...flags, "--break-after", "3"], [inbox]);
    await events.until((e) => e.event === "peer-joined" && e.name === "python");
    await Deno.writeFile(folder.at("b.bin"), bytesOf(7 * PIECE + 1));
    await plant(folder.at("tree"), sampleTree());
    await Deno.writeFile(folder.at("empty"), new Uint8Array(0));
    for (const name of ["b.bin", "tree", "empty"]) {
      // Only then the second offer has the id of the manifest.
      using _clock = minutesAhead();
      for (const state of ["delivered", "already"]) {
        const { recipients } = await peer.sendFile(folder.at(name), ["python"]);
        assertEquals(recipients.map((r) => [r.state, r.savedAs]), [[state, name]]);
      }
    }
    assertEquals(await python.stop(), "");
    assertEquals(
      python.log.all.filter(({ event }) => event === "accepted" || event === "received"),
      [
        { event: "accepted", have: [] },
        { event: "accepted", have: [[0, 3]] },
        { event: "received", state: "saved", name: "b.bin", got: range(3, 8) },
        { event: "received", state: "already", name: "b.bin", got: [], by: "manifest" },
        { event: "accepted", have: [] },
        { event: "received", state: "saved", name: "tree", got: range(0, 3) },
        { event: "received", state: "already", name: "tree", got: [], by: "manifest" },
        { event: "accepted", have: [] },
        { event: "received", state: "saved", name: "empty", got: [] },
        { event: "received", state: "already", name: "empty", got: [], by: "manifest" },
      ],
    );
    assertEquals(namesIn(inbox), ["b.bin", "empty", "tree"]);
    assertSameBytes(await Deno.readFile(`${inbox}/b.bin`), bytesOf(7 * PIECE + 1));
    assertEquals(await pictureOf(`${inbox}/tree`), pictureOfTree(sampleTree()));
  });

  withPython(
    `protocol client, ${mode}: of a file that has changed it receives what has changed`,
    async () => {
      await using network = await startNetwork(isSecure);
      const { folder, peer, events, flags } = network;
      const inbox = folder.at("python");
      const python = registered([...flags, "--stop-after", "3"], [inbox]);
      await events.until((e) => e.event === "peer-joined" && e.name === "python");
      const path = folder.at("b.bin");
      const bytes = bytesOf(7 * PIECE + 1);
      await Deno.writeFile(path, bytes);
      const interrupt = new AbortController();
      const sending = peer.sendFile(path, ["python"], { signal: interrupt.signal });
      await python.log.until(({ event }) => event === "stopped");
      interrupt.abort();
      await sending.catch(() => {});
      bytes.fill(0, PIECE, PIECE + 32);
      await Deno.writeFile(path, bytes);
      const { recipients } = await peer.sendFile(path, ["python"]);
      assertEquals(recipients.map((r) => [r.state, r.savedAs]), [["delivered", "b.bin"]]);
      assertEquals(await python.stop(), "");
      assertEquals(
        python.log.all.filter(({ event }) => event === "accepted" || event === "received"),
        [
          { event: "accepted", have: [] },
          { event: "accepted", have: [[0, 3]] },
          { event: "received", state: "saved", name: "b.bin", got: [1, ...range(3, 8)] },
        ],
      );
      assertSameBytes(await Deno.readFile(`${inbox}/b.bin`), bytes);
    },
  );

  withPython(
    `protocol client, ${mode}: it receives a stream, and goes on with it where it was cut`,
    async () => {
      await using network = await startNetwork(isSecure);
      const { folder, peer, events, flags } = network;
      const inbox = folder.at("python");
      const python = registered([...flags, "--break-after", "2"], [inbox]);
      await events.until((e) => e.event === "peer-joined" && e.name === "python");
      const bytes = bytesOf(3 * STREAM_PIECE + 1);
      const { recipients } = await peer.sendStream(streamOf(bytes), ["python"]);
      assertEquals(recipients.map((r) => [r.state, r.savedAs]), [["delivered", "log"]]);
      assertEquals(await python.stop(), "");
      assertEquals(
        python.log.all.filter(({ event }) => event === "accepted" || event === "received"),
        [
          { event: "accepted", have: [] },
          { event: "accepted", have: [[0, 2]] },
          { event: "received", state: "saved", name: "log", got: [2, 3] },
        ],
      );
      assertSameBytes(await Deno.readFile(`${inbox}/log`), bytes);
    },
  );

  for (const first of [0, 2]) {
    withPython(
      `protocol client, ${mode}: it is given hashes of single pieces from ${first} on, but not of a stream`,
      async () => {
        await using network = await startNetwork(isSecure);
        const { folder, peer, events, flags } = network;
        const inbox = folder.at("python");
        const python = registered([...flags, "--apart", `${first}`], [inbox]);
        await events.until((e) => e.event === "peer-joined" && e.name === "python");
        const bytes = bytesOf(4 * PIECE + 1);
        await Deno.writeFile(folder.at("b.bin"), bytes);
        const file = await peer.sendFile(folder.at("b.bin"), ["python"]);
        assertEquals(file.recipients.map((r) => [r.state, r.savedAs]), [["delivered", "b.bin"]]);
        const stream = await peer.sendStream(streamOf(bytes), ["python"]);
        assertEquals(stream.failures.map(({ code }) => code), ["malformed"]);
        assertEquals(await python.stop(), "");
        assertEquals(
          python.log.all.filter(({ event }) => event === "failed" || event === "received"),
          [
            { event: "received", state: "saved", name: "b.bin", got: range(0, 5) },
            { event: "failed", code: "malformed" },
          ],
        );
        assertSameBytes(await Deno.readFile(`${inbox}/b.bin`), bytes);
      },
    );
  }

  withPython(
    `protocol client, ${mode}: what it got alone it knows when it is sent to several`,
    async () => {
      await using network = await startNetwork(isSecure);
      const { folder, peer, events, flags } = network;
      const inbox = folder.at("python");
      const python = registered(flags, [inbox]);
      await using other = await startPeer(network.started, folder, { name: "other" });
      await events.until((e) => e.event === "peer-joined" && e.name === "python");
      await events.until((e) => e.event === "peer-joined" && e.name === "other");
      const [known, fresh] = [bytesOf(2 * PIECE + 1), bytesOf(2 * PIECE + 1, 2)];
      await Deno.writeFile(folder.at("known.bin"), known);
      await Deno.writeFile(folder.at("fresh.bin"), fresh);
      using _clock = minutesAhead();
      assertEquals((await peer.sendFile(folder.at("known.bin"), ["python"])).failures, []);
      for (const name of ["known.bin", "fresh.bin"]) {
        const { recipients, failures } = await peer.sendFile(folder.at(name), ["python", "other"]);
        assertEquals([recipients.length, failures], [2, []]);
      }
      assertEquals(await python.stop(), "");
      assertEquals(python.log.all.filter(({ event }) => event === "received"), [
        { event: "received", state: "saved", name: "known.bin", got: range(0, 3) },
        { event: "received", state: "already", name: "known.bin", got: [], by: "sha256" },
        { event: "received", state: "saved", name: "fresh.bin", got: range(0, 3) },
      ]);
      assertSameBytes(await Deno.readFile(`${inbox}/fresh.bin`), fresh);
      assertSameBytes(await Deno.readFile(`${other.inbox}/known.bin`), known);
    },
  );
}

withPython("protocol client: a wrong invite is refused with the code of the page", async () => {
  await using network = await startNetwork(true);
  const { invite = "", address: { host, port } } = network.tracker;
  const codeOf = async (text: string) => (await client("--join", text, "list"))[0]?.code;
  const secret = invite.slice(invite.lastIndexOf(".") + 1);
  const other = `${secret[0] === "A" ? "B" : "A"}${secret.slice(1)}`;
  assertNotEquals(other, secret);
  assertEquals(await codeOf(invite.slice(0, -secret.length) + other), "wrong-secret");
  const { network: id } = parseInvite(invite);
  const stranger = invite.replace(id, Identity.generate().id);
  assertEquals(await codeOf(stranger), "wrong-network");
  const [plain] = await client("--insecure", `${host}:${port}`, "list");
  assertEquals(plain?.event, "error");
});

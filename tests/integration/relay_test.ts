/** Two peers that have no other path to each other than through their tracker. */

import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { join } from "@std/path";
import { systemClock } from "../../lib/async/clock.ts";
import { certificatePem } from "../../lib/identity/certificate.ts";
import { relayedConn } from "../../lib/net/relayed_conn.ts";
import { openRelayed } from "../../lib/peer/relayed.ts";
import type { RelaySettings } from "../../lib/tracker/relay.ts";
import { splice } from "../../lib/tracker/splice.ts";
import { randomToken } from "../../lib/async/random.ts";
import { Identity } from "../../lib/identity/keys.ts";
import { type BareConnection, Connection } from "../../lib/net/connection.ts";
import { openSession } from "../../lib/net/open_session.ts";
import type { ErrorCode } from "../../lib/errors.ts";
import { type MessageOf, remoteError } from "../../lib/wire/message.ts";
import { assertSameBytes } from "../helpers/bytes.ts";
import { closedPort } from "../helpers/closed_port.ts";
import { deadline } from "../helpers/deadline.ts";
import { rejectsWith } from "../helpers/errors.ts";
import { FakeClock } from "../helpers/fake_clock.ts";
import { BEHIND_PROXY, FaultyProxy, NO_PROXY } from "../helpers/faulty_proxy.ts";
import { type PeerSetting, startPeer, type TestPeer } from "../helpers/peer.ts";
import { permitted } from "../helpers/permissions.ts";
import { bytesOf } from "../helpers/random.ts";
import { openRaw, type RawSession } from "../helpers/raw.ts";
import { type TempDir, tempDir } from "../helpers/temp_dir.ts";
import { startTracker, type TestTracker } from "../helpers/tracker.ts";

const NEEDS: Deno.PermissionName[] = ["net", "read", "write", "sys"];

/** A peer that others look for where it does not listen, nor anybody else: its port is a free one there too. */
function hidden(
  tracker: TestTracker,
  dir: TempDir,
  name: string,
  setting: PeerSetting = {},
): Promise<TestPeer> {
  return startPeer(tracker, dir, { name, host: BEHIND_PROXY, port: closedPort(), ...setting });
}

/** Sends bytes to the other peer; resolves with the report. */
async function send(from: TestPeer, dir: TempDir, bytes: Uint8Array, name = "f.bin") {
  const path = dir.at(name);
  await Deno.writeFile(path, bytes);
  return await from.peer.sendFile(path, ["ben"]);
}

for (const insecure of [false, true]) {
  permitted(
    `peers without a path send through the tracker, ${insecure ? "without" : "with"} TLS`,
    NEEDS,
    async () => {
      await using dir = await tempDir();
      await using tracker = startTracker({ insecure, relay: {} });
      await using ben = await hidden(tracker, dir, "ben");
      await using anna = await hidden(tracker, dir, "anna");
      const bytes = bytesOf(3_000_000);
      const { failures, recipients: [to] } = await send(anna, dir, bytes);
      assertEquals([failures, to?.via], [[], "relay"]);
      assertSameBytes(await Deno.readFile(join(ben.inbox, "f.bin")), bytes);
    },
    { ignore: NO_PROXY },
  );
}

/** Who takes part in a link without following the rules of a peer. */
interface Member {
  identity: Identity;
  /** On which it is registered. */
  registered: RawSession;
}

async function member(tracker: TestTracker, name: string): Promise<Member> {
  const { address, membership } = tracker;
  const identity = Identity.generate();
  const registered = await openRaw({ address, membership, identity, role: "peer" });
  await registered.session.request({ verb: "REGISTER", name, port: closedPort() });
  return { identity, registered };
}

/** Asks on a session of its own; resolves with the bytes that follow OK, and rejects with what ERROR says. */
async function bareOf(
  { address, membership }: TestTracker,
  identity: Identity,
  request: MessageOf<"RELAY" | "JOIN">,
): Promise<BareConnection> {
  const credentials = { identity, role: "client", membership } as const;
  const { connection } = await openSession({ address, id: undefined, credentials });
  await connection.write(request);
  const frame = await connection.read();
  if (frame === null || "unknown" in frame) throw new Error("the tracker did not answer");
  if (frame.message.verb === "OK") return connection.detach();
  connection.close();
  if (frame.message.verb === "ERROR") throw remoteError(frame.message);
  throw new Error(`RELAY was answered with ${frame.message.verb}`);
}

/** A link between two members, whose ends are in the hands of the test. */
interface Link {
  near: BareConnection;
  far: BareConnection;
}

/** Two members, and a link between them. */
async function linked(tracker: TestTracker): Promise<Link & { anna: Member; ben: Member }> {
  const [anna, ben] = [await member(tracker, "anna"), await member(tracker, "ben")];
  return { anna, ben, ...await linkOf(tracker, anna, ben) };
}

async function linkOf(tracker: TestTracker, anna: Member, ben: Member): Promise<Link> {
  const token = randomToken(16);
  const asking = bareOf(tracker, anna.identity, ask(ben, token));
  const asked = await ben.registered.until("JOIN", (join) => join.token === token);
  assertEquals(asked.peer, anna.identity.id);
  const far = await bareOf(tracker, ben.identity, { ...asked, seq: 1 });
  return { near: await asking, far };
}

function ask({ identity: { id: peer } }: Member, token = randomToken(16)): MessageOf<"RELAY"> {
  return { verb: "RELAY", seq: 1, peer, token };
}

/** Reads to the end; a connection that fails has ended too, and one that had nothing is closed. */
async function readAll(bare: BareConnection): Promise<number> {
  const buffer = new Uint8Array(64 * 1024);
  let bytes = 0;
  try {
    for (let n; (n = await bare.read(buffer)) !== null;) bytes += n;
  } catch {
    // Closed by the other side.
  }
  if (bytes === 0) bare.close();
  return bytes;
}

/** Has `action` reject with the code, and a text that has `part` in it. */
async function isRefused(
  code: ErrorCode,
  action: () => Promise<unknown>,
  part: string,
): Promise<void> {
  assertStringIncludes((await rejectsWith(code, action)).message, part);
}

/** Ends the sessions of members. */
async function leave(...members: Member[]): Promise<void> {
  await Promise.all(members.map(({ registered }) => registered[Symbol.asyncDispose]()));
}

permitted("a link passes bytes both ways, and the end of each direction", NEEDS, async () => {
  await using tracker = startTracker({ relay: {} });
  const { anna, ben, near, far } = await linked(tracker);
  const bytes = bytesOf(1_000_000);
  const answered = readAll(near);
  const heard = readAll(far);
  await Promise.all([near.write(bytes), far.write(bytes.subarray(0, 70_000))]);
  await near.closeWrite();
  assertEquals(await deadline(heard, "the end"), bytes.length);
  await far.closeWrite();
  assertEquals(await deadline(answered, "the end of the other direction"), 70_000);
  const ended = await tracker.events.until(({ event }) => event === "relay-ended");
  assert(ended.event === "relay-ended");
  assertEquals([ended.members, ended.bytes], [["anna", "ben"], bytes.length + 70_000]);
  near.close();
  far.close();
  await leave(anna, ben);
});

permitted("who may not have a link, and why", NEEDS, async () => {
  await using tracker = startTracker({ relay: {} });
  const { anna, ben, near, far } = await linked(tracker);
  const { id } = anna.identity;
  const token = randomToken(16);
  await isRefused(
    "peer-unknown",
    () => bareOf(tracker, anna.identity, { ...ask(ben), peer: Identity.generate().id }),
    "it is not here",
  );
  // Nobody comes in another's place, nor a second time.
  const eve = Identity.generate();
  const asking = bareOf(tracker, anna.identity, ask(ben, token));
  await ben.registered.until("JOIN", (join) => join.token === token);
  const join = { verb: "JOIN", seq: 1, peer: id, token } as const;
  await isRefused("peer-unknown", () => bareOf(tracker, eve, join), "nobody waits");
  await isRefused("invalid", () => bareOf(tracker, anna.identity, ask(ben, token)), "token");
  const ends = [await bareOf(tracker, ben.identity, join), await asking];
  await isRefused("peer-unknown", () => bareOf(tracker, ben.identity, join), "nobody waits");
  // The session on which a peer is registered has other uses.
  const { seq: _, ...request } = ask(ben);
  await isRefused(
    "invalid",
    () => anna.registered.session.request(request),
    "a peer is registered",
  );
  for (const end of [...ends, near, far]) end.close();
  await leave(anna, ben);
});

permitted("a tracker that does not relay says so, and peers do not ask it", NEEDS, async () => {
  await using dir = await tempDir();
  await using tracker = startTracker();
  const ben = await member(tracker, "ben");
  const remedy = "this tracker was started without --relay";
  await isRefused("refused", () => bareOf(tracker, ben.identity, ask(ben)), remedy);
  await using anna = await hidden(tracker, dir, "anna");
  const { failures: [error] } = await send(anna, dir, new Uint8Array(1));
  assertEquals(error?.code, "peer-unreachable");
  assertStringIncludes(`${error?.message}`, "a tracker that is started with --relay needs neither");
  assertEquals(ben.registered.frames.all.filter(({ message }) => message.verb === "JOIN"), []);
  await leave(ben);
}, { ignore: NO_PROXY });

permitted("an anonymous caller gets no link", NEEDS, async () => {
  await using tracker = startTracker({ insecure: true, relay: {} });
  const ben = await member(tracker, "ben");
  const conn = await Deno.connect({ hostname: "127.0.0.1", port: tracker.address.port });
  const connection = new Connection(conn);
  await connection.write(ask(ben));
  const frame = await connection.read();
  assert(frame && "message" in frame && frame.message.verb === "ERROR");
  assertEquals(frame.message.code, "unauthorised");
  connection.close();
  await leave(ben);
});

permitted("a member has some links at once, and no more", NEEDS, async () => {
  const clock = new FakeClock();
  await using tracker = startTracker({ relay: {}, clock });
  const [anna, ben] = [await member(tracker, "anna"), await member(tracker, "ben")];
  const askAgain = () => bareOf(tracker, anna.identity, ask(ben));
  for (let round = 1; round <= 2; round++) {
    const { frames } = ben.registered;
    const joins = 8 + frames.length;
    const waiting = Array.from(
      { length: 8 },
      () => isRefused("peer-unreachable", askAgain, "did not come to the tracker in time"),
    );
    await frames.until(() => frames.length === joins);
    await isRefused("busy", askAgain, "8 connections of this member go through the tracker");
    // Nobody comes: the places are free again.
    clock.advance(8_000);
    await Promise.all(waiting);
  }
  await leave(anna, ben);
});

permitted("a member asks for so many links in a time", NEEDS, async () => {
  await using tracker = startTracker({ relay: {}, clock: new FakeClock() });
  const [anna, ben] = [await member(tracker, "anna"), await member(tracker, "ben")];
  for (let i = 0; i < 16; i++) {
    const { near, far } = await linkOf(tracker, anna, ben);
    near.close();
    far.close();
  }
  const askAgain = () => bareOf(tracker, anna.identity, ask(ben));
  await isRefused("rate-limited", askAgain, "wait a moment");
  await leave(anna, ben);
});

permitted("a link on which nothing comes for long is closed", NEEDS, async () => {
  const clock = new FakeClock();
  await using tracker = startTracker({ relay: {}, clock });
  const { anna, ben, near, far } = await linked(tracker);
  clock.advance(200_000);
  await near.write(new Uint8Array(1));
  const buffer = new Uint8Array(1);
  assertEquals(await far.read(buffer), 1);
  clock.advance(200_000);
  const ended = Promise.all([readAll(near), readAll(far)]);
  const isOpen = () => tracker.events.all.every(({ event }) => event !== "relay-ended");
  assertEquals(isOpen(), true);
  clock.advance(100_000);
  assertEquals(await deadline(ended, "the end of both"), [0, 0]);
  await tracker.events.until(({ event }) => event === "relay-ended");
  near.close();
  far.close();
  await leave(anna, ben);
});

for (
  const [what, end] of [
    ["the end that asked", ({ near }) => Promise.resolve(near.close())],
    ["the other end", ({ far }) => Promise.resolve(far.close())],
    ["the tracker", ({ tracker }) => tracker.tracker.close()],
    ["a member's place in the network", async ({ tracker, ben }) => {
      await using operator = await tracker.operator();
      await operator.remove(ben.identity.id);
    }],
  ] as [
    string,
    (scene: Awaited<ReturnType<typeof linked>> & { tracker: TestTracker }) => Promise<void>,
  ][]
) {
  permitted(`a link ends with ${what}`, NEEDS, async () => {
    await using tracker = startTracker({ relay: {} });
    const link = await linked(tracker);
    const ended = Promise.all([readAll(link.near), readAll(link.far)]);
    await end({ ...link, tracker });
    assertEquals(await deadline(ended, "the end of both"), [0, 0]);
    await tracker.events.until(({ event }) => event === "relay-ended");
    link.near.close();
    link.far.close();
    await leave(link.anna, link.ben);
  });
}

permitted("who waits for the other end hears that the tracker stops", NEEDS, async () => {
  await using tracker = startTracker({ relay: {} });
  const [anna, ben] = [await member(tracker, "anna"), await member(tracker, "ben")];
  const asking = bareOf(tracker, anna.identity, ask(ben));
  asking.catch(() => {});
  await ben.registered.until("JOIN");
  const before = performance.now();
  await tracker.tracker.close();
  await asking.then(() => assert(false), () => {});
  assert(performance.now() - before < 7_000, "it waited for the other end");
  await leave(anna, ben);
});

/** What a hostile relay makes of the first chunk behind an offset. */
type Tampering = (chunk: Uint8Array<ArrayBuffer>) => Uint8Array[];

/** A connection whose bytes are tampered with once, behind an offset. */
function tampered(bare: BareConnection, offset: number, tamper: Tampering): BareConnection {
  let passed = 0;
  let left: Uint8Array[] = [];
  let isDone = false;
  const read = async (into: Uint8Array): Promise<number | null> => {
    const [next, ...others] = left;
    if (next) {
      left = others;
      into.set(next);
      return next.length;
    }
    const n = await bare.read(into);
    passed += n ?? 0;
    if (n === null || isDone || passed < offset || n < 200) return n;
    isDone = true;
    left = tamper(into.slice(0, n));
    return await read(into);
  };
  return { ...bare, read };
}

const flip: Tampering = (chunk) => {
  const middle = chunk.length >> 1;
  chunk[middle] = (chunk[middle] as number) ^ 1;
  return [chunk];
};

for (
  const [what, tamper] of [
    ["flips a bit", flip],
    ["drops bytes", (chunk) => [chunk.subarray(0, 100), chunk.subarray(200)]],
    ["replays bytes", (chunk) => [chunk, chunk]],
    ["swaps bytes", (chunk) => [chunk.subarray(150), chunk.subarray(0, 150)]],
  ] as [string, Tampering][]
) {
  permitted(
    `a relay that ${what} is found out, and nothing of it is kept`,
    NEEDS,
    async () => {
      await using dir = await tempDir();
      let links = 0;
      const relay: RelaySettings = {
        splice: (near, far, options) =>
          splice(links++ === 0 ? tampered(near, 300_000, tamper) : near, far, options),
      };
      await using tracker = startTracker({ relay });
      await using ben = await hidden(tracker, dir, "ben");
      await using anna = await hidden(tracker, dir, "anna");
      const bytes = bytesOf(3_000_000);
      const sending = send(anna, dir, bytes);
      const { reason, attempt } = await anna.until("transfer-retry");
      assertEquals(attempt, 1);
      assertMatch(reason, /^Connection lost: /);
      assertEquals(ben.all("file-received"), []);
      // The next one is honest.
      const { failures, recipients: [to] } = await sending;
      assertEquals([failures, to?.via, links], [[], "relay", 2]);
      assertSameBytes(await Deno.readFile(join(ben.inbox, "f.bin")), bytes);
      const names = await Array.fromAsync(Deno.readDir(ben.inbox), ({ name }) => name);
      assertEquals(names.filter((name) => !name.startsWith(".")), ["f.bin"]);
    },
    { ignore: NO_PROXY },
  );
}

permitted("a relay that always changes bytes leads nowhere", NEEDS, async () => {
  await using dir = await tempDir();
  const relay: RelaySettings = {
    splice: (near, far, options) => splice(tampered(near, 1, flip), far, options),
  };
  await using tracker = startTracker({ relay });
  await using ben = await hidden(tracker, dir, "ben");
  await using anna = await hidden(tracker, dir, "anna");
  await isRefused(
    "peer-unreachable",
    () => anna.peer.ping("ben"),
    "through the tracker: Connection lost: ",
  );
  assertEquals(ben.all("notice").filter(({ message }) => /Refused/.test(message)), []);
}, { ignore: NO_PROXY });

permitted("a relay that leads to another key is found out", NEEDS, async () => {
  await using tracker = startTracker({ relay: {} });
  const [anna, ben] = [await member(tracker, "anna"), await member(tracker, "ben")];
  const mallory = Identity.generate();
  const key = {
    cert: certificatePem({ subjectKey: mallory.publicKey, issuer: mallory }),
    key: mallory.pkcs8Pem(),
  };
  const { address, membership } = tracker;
  const opening = openRelayed(ben.identity.id, {
    address,
    credentials: { identity: anna.identity, role: "client", membership },
    timeout: 10_000,
    signal: new AbortController().signal,
    clock: systemClock,
  });
  opening.catch(() => {});
  const asked = await ben.registered.until("JOIN");
  const far = await relayedConn(await bareOf(tracker, ben.identity, { ...asked, seq: 1 }), { key });
  await rejectsWith("wrong-key", () => opening);
  far.close();
  await leave(anna, ben);
});

permitted(
  "transfers leave the relay, both ways, as soon as a direct path works",
  NEEDS,
  async () => {
    await using dir = await tempDir();
    await using tracker = startTracker({ relay: {} });
    await using proxy = new FaultyProxy(() => ({ cutAfter: 0 }));
    const limitRate = 4 * 1024 * 1024;
    await using ben = await startPeer(tracker, dir, { name: "ben", ...proxy.behind, limitRate });
    await using anna = await hidden(tracker, dir, "anna", { limitRate });
    const [there, back] = [bytesOf(12_000_000), bytesOf(12_000_000, 2)];
    const sending = send(anna, dir, there, "there.bin");
    await anna.until("transfer-path", ({ via }) => via === "relay");
    await Deno.writeFile(dir.at("back.bin"), back);
    const sendingBack = ben.peer.sendFile(dir.at("back.bin"), ["anna"]);
    const isUnderWay = ({ bytes }: { bytes: number }) => bytes > 0;
    await Promise.all([anna, ben].map((peer) => peer.until("transfer-progress", isUnderWay)));
    proxy.faults = () => undefined;
    // The tracker finds it reachable now, and tells anna.
    await ben.peer.registerWithTracker();
    const reports = await Promise.all([sending, sendingBack]);
    assertEquals(reports.flatMap(({ failures }) => failures), []);
    assertEquals(reports.map(({ recipients: [to] }) => to?.via), ["direct", "dialled-back"]);
    for (const [peer, last] of [[anna, "direct"], [ben, "dialled-back"]] as const) {
      assertEquals(peer.all("transfer-path").map(({ via }) => via), ["relay", last]);
      assertEquals(peer.all("transfer-retry"), []);
      assertEquals(peer.all("receive-failed"), []);
    }
    assertSameBytes(await Deno.readFile(join(ben.inbox, "there.bin")), there);
    assertSameBytes(await Deno.readFile(join(anna.inbox, "back.bin")), back);
    const ended = await tracker.events.until(({ event }) => event === "relay-ended");
    assert("bytes" in ended && ended.bytes > 0);
  },
  { ignore: NO_PROXY },
);

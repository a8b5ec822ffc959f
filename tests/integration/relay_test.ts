/** Two peers that have no other path to each other than through their tracker. */

import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { join } from "@std/path";
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

/** A peer that others look for where it does not listen. */
function hidden(
  tracker: TestTracker,
  dir: TempDir,
  name: string,
  setting: PeerSetting = {},
): Promise<TestPeer> {
  return startPeer(tracker, dir, { name, host: BEHIND_PROXY, ...setting });
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
  await near.write(bytes);
  await near.closeWrite();
  assertEquals(await deadline(heard, "the end"), bytes.length);
  await far.write(bytes.subarray(0, 70_000));
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

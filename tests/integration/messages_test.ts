import { assertEquals } from "@std/assert";
import { encodeBase64Url } from "@std/encoding/base64url";
import { Identity } from "../../lib/identity/keys.ts";
import { composeMessage } from "../../lib/peer/text_message.ts";
import { signMessage } from "../../lib/identity/signed_text.ts";
import { rejectsWith } from "../helpers/errors.ts";
import { FakeClock } from "../helpers/fake_clock.ts";
import { startPeer } from "../helpers/peer.ts";
import { permitted } from "../helpers/permissions.ts";
import { openRaw, type RawSession } from "../helpers/raw.ts";
import { tempDir } from "../helpers/temp_dir.ts";
import { startTracker, type TestTracker } from "../helpers/tracker.ts";

const NEEDS: Deno.PermissionName[] = ["net", "read", "write", "sys"];
const TEXT = "hello \u001b[2J\u202e\n\u{1f600}";

function member(tracker: TestTracker, identity = Identity.generate()): Promise<RawSession> {
  const { address, membership } = tracker;
  return openRaw({ address, membership, identity, role: "client" });
}

function composed(tracker: TestTracker, identity: Identity, text = TEXT) {
  return composeMessage(text, { identity, network: tracker.membership?.id, name: "anna" });
}

for (const insecure of [false, true]) {
  const how = insecure ? "without TLS" : "with TLS";
  permitted(
    `a broadcast reaches all but its author, as it was written, ${how}`,
    NEEDS,
    async () => {
      await using dir = await tempDir();
      await using tracker = startTracker({ insecure });
      await using anna = await startPeer(tracker, dir, { name: "anna" });
      await using bob = await startPeer(tracker, dir, { name: "bob" });
      await using carl = await startPeer(tracker, dir, { name: "carl" });
      assertEquals((await anna.peer.sendBroadcastMessage(TEXT)).delivered, 2);
      for (const peer of [bob, carl]) {
        const { text, from, name } = await peer.until("message");
        assertEquals([text, from, name], [TEXT, anna.identity.id, "anna"]);
      }
      assertEquals((await anna.until("broadcast-sent")).delivered, 2);
      await bob.peer.sendBroadcastMessage("done");
      assertEquals((await anna.until("message")).text, "done");
      assertEquals(anna.all("message").length, 1);
    },
  );
}

permitted("a message is shown under the listed name of its author", NEEDS, async () => {
  await using dir = await tempDir();
  await using tracker = startTracker();
  await using bob = await startPeer(tracker, dir, { name: "bob" });
  await using anna = await startPeer(tracker, dir, { name: "anna" });
  await bob.until("peer-joined");
  const { address, membership } = tracker;
  await using copy = await openRaw({ address, membership, identity: anna.identity });
  const { header, text } = composeMessage("it is me", {
    identity: anna.identity,
    network: membership?.id,
    name: "boss",
  });
  await copy.session.request({ verb: "BROADCAST", ...header }, { body: text });
  assertEquals((await bob.until("message")).name, "anna");
});

permitted("a forged broadcast goes to nobody", NEEDS, async () => {
  await using dir = await tempDir();
  await using tracker = startTracker();
  await using bob = await startPeer(tracker, dir, { name: "bob" });
  const anna = Identity.generate();
  await using mallory = await member(tracker);
  const { header, text } = composed(tracker, anna);
  const broadcast = (changes: Partial<typeof header>, body = text) =>
    mallory.session.request({ verb: "BROADCAST", ...header, ...changes }, { body });
  await rejectsWith("unauthorised", () => broadcast({}));
  await rejectsWith(
    "unauthorised",
    () => broadcast({ signature: encodeBase64Url(new Uint8Array(64)) }),
  );
  const own = composed(tracker, mallory.identity);
  await rejectsWith(
    "unauthorised",
    () => broadcast({ ...own.header, name: "bob" }, own.text),
  );
  assertEquals(tracker.events.all.filter(({ event }) => event === "broadcast"), []);
  await broadcast(own.header, own.text);
  await bob.until("message");
  assertEquals(bob.all("message").length, 1);
});

permitted("bytes that are no text are refused, and harm nobody", NEEDS, async () => {
  await using dir = await tempDir();
  await using tracker = startTracker();
  await using bob = await startPeer(tracker, dir, { name: "bob" });
  await using mallory = await member(tracker);
  const body = Uint8Array.of(0xff, 0xfe, 0x80);
  const { header } = composed(tracker, mallory.identity);
  const network = tracker.membership?.id;
  const signature = signMessage(mallory.identity, { ...header, network }, body);
  await rejectsWith(
    "invalid",
    () => mallory.session.request({ verb: "BROADCAST", ...header, signature }, { body }),
  );
  const good = composed(tracker, mallory.identity);
  await mallory.session.request({ verb: "BROADCAST", ...good.header }, { body: good.text });
  await bob.until("message");
  assertEquals(bob.all("tracker-lost"), []);
});

permitted("a member may broadcast twenty at once, then two a second", NEEDS, async () => {
  const clock = new FakeClock();
  await using tracker = startTracker({ clock });
  await using anna = await member(tracker);
  const broadcast = () => {
    const { header, text } = composed(tracker, anna.identity);
    return anna.session.request({ verb: "BROADCAST", ...header }, { body: text });
  };
  for (let i = 0; i < 20; i++) await broadcast();
  await rejectsWith("rate-limited", broadcast);
  clock.advance(500);
  await broadcast();
  await rejectsWith("rate-limited", broadcast);
  await using bob = await member(tracker);
  const other = composed(tracker, bob.identity);
  await bob.session.request({ verb: "BROADCAST", ...other.header }, { body: other.text });
});

permitted("while the tracker is down a message goes straight to the peers", NEEDS, async () => {
  await using dir = await tempDir();
  const tracker = startTracker();
  await using anna = await startPeer(tracker, dir, { name: "anna" });
  await using bob = await startPeer(tracker, dir, { name: "bob" });
  await anna.until("peer-joined");
  await tracker[Symbol.asyncDispose]();
  await anna.until("tracker-lost");
  assertEquals((await anna.peer.sendBroadcastMessage("still here")).delivered, 1);
  assertEquals((await bob.until("message")).text, "still here");
});

permitted("a peer takes messages from their author only", NEEDS, async () => {
  await using dir = await tempDir();
  await using tracker = startTracker();
  await using bob = await startPeer(tracker, dir, { name: "bob" });
  const { membership } = tracker;
  await using mallory = await openRaw({
    address: bob.address,
    membership,
    id: bob.identity.id,
  });
  const send = ({ header, text }: ReturnType<typeof composed>, from: string) =>
    mallory.session.request({ verb: "MESSAGE", from, ...header }, { body: text });
  const anna = Identity.generate();
  await rejectsWith("unauthorised", () => send(composed(tracker, anna), anna.id));
  const own = composed(tracker, mallory.identity);
  await rejectsWith(
    "unauthorised",
    () => send(composed(tracker, anna), mallory.identity.id),
  );
  for (let i = 0; i < 2; i++) await send(own, mallory.identity.id);
  assertEquals((await bob.until("message")).from, mallory.identity.id);
  assertEquals(bob.all("message").length, 1);
});

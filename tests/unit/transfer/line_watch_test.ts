/** What becomes of what is sent on a link that falls silent, by a hand-turned clock. */

import { assert, assertEquals } from "@std/assert";
import type { SourcePieces } from "../../../lib/content/source_pieces.ts";
import { P2PError } from "../../../lib/errors.ts";
import type { Session } from "../../../lib/net/session.ts";
import { LinkPool } from "../../../lib/transfer/link_pool.ts";
// Loaded here, so that no time of the clock goes by while it is asked for.
import "../../../lib/transfer/way_back.ts";
import { uploadWithRetries } from "../../../lib/transfer/upload_retries.ts";
import type { PeerEntry } from "../../../lib/wire/message.ts";
import { turn } from "../../helpers/deadline.ts";
import { entryOf } from "../../helpers/entries.ts";
import { rejectsWith } from "../../helpers/errors.ts";
import { FakeClock } from "../../helpers/fake_clock.ts";
import { permitted } from "../../helpers/permissions.ts";
import { tempDir } from "../../helpers/temp_dir.ts";
import {
  accept,
  byHand,
  GET,
  hear,
  PIECE,
  say,
  saySaved,
  settings,
  sourceIn,
  take,
  TRANSFER,
} from "../../helpers/upload.ts";

const NEEDS: Deno.PermissionName[] = ["read", "write"];
const ENTRY = entryOf(1);
/** Where it is after a while. */
const ELSEWHERE: PeerEntry = { ...ENTRY, host: "10.0.0.9" };

/** An upload over a pool whose sessions the test opens, and whose receivers are written by hand. */
function sendOver(source: SourcePieces, open: (entry: PeerEntry) => Promise<Session>) {
  const clock = new FakeClock();
  let isElsewhere = false;
  const pool = new LinkPool({
    open,
    locate: (entry) => Promise.resolve(isElsewhere ? ELSEWHERE : entry),
    services: () => ({}),
    isProven: true,
    idleTime: 250,
    clock,
  });
  const options = settings(source, clock, () => Promise.reject(new TypeError("unused")));
  return {
    clock,
    retries: options.retries,
    move: () => isElsewhere = true,
    sending: () => uploadWithRetries({ ...options, connect: () => pool.take(ENTRY) }),
    [Symbol.asyncDispose]: () => pool[Symbol.asyncDispose](),
  };
}

/** Lets time go by until something has come about. */
async function passTime<T>(clock: FakeClock, awaited: Promise<T>): Promise<T> {
  let isThere = false;
  awaited.finally(() => isThere = true).catch(() => {});
  for (let passed = 0; !isThere && passed < 300_000; passed += 100) {
    clock.advance(100);
    await turn();
  }
  return await awaited;
}

permitted("what is sent on a link that falls silent goes on on a new one", NEEDS, async () => {
  await using dir = await tempDir();
  await using source = await sourceIn(dir, PIECE);
  const hands: ReturnType<typeof byHand>[] = [];
  const dialled: string[] = [];
  const second = Promise.withResolvers<void>();
  await using scene = sendOver(source, ({ host }) => {
    const hand = byHand(scene.clock, 1024 * 1024);
    hands.push(hand);
    dialled.push(host);
    if (hands.length === 2) second.resolve();
    return Promise.resolve(hand.session);
  });
  const { clock } = scene;
  const sending = scene.sending();
  await turn();
  const [old] = hands;
  assert(old);
  await accept(old.raw);
  const began = clock.now();
  await passTime(clock, hear(old.raw, "PING"));
  assertEquals(clock.now() - began, 1_500);
  scene.move();
  await passTime(clock, second.promise);
  assert(clock.now() - began >= 2_500);
  const fresh = hands[1];
  assert(fresh);
  await hear(fresh.raw, "PING");
  await say(fresh.raw, ['PONG {"re":1}']);
  const taken = take(fresh.raw, source, { transfer: TRANSFER, re: 2 });
  assertEquals((await passTime(clock, sending)).state, "delivered");
  await taken;
  assertEquals(scene.retries, []);
  assertEquals(old.session.connection.closed?.code, "connection-lost");
  assertEquals(dialled[0], ENTRY.host);
  for (const { raw } of hands) raw.close();
});

permitted(
  "a silent link that answers after all goes on, and the new one is ended",
  NEEDS,
  async () => {
    await using dir = await tempDir();
    await using source = await sourceIn(dir, PIECE);
    const hands: ReturnType<typeof byHand>[] = [];
    const second = Promise.withResolvers<void>();
    await using scene = sendOver(source, () => {
      const hand = byHand(scene.clock, 1024 * 1024);
      hands.push(hand);
      if (hands.length === 2) second.resolve();
      return Promise.resolve(hand.session);
    });
    const { clock } = scene;
    const sending = scene.sending();
    await turn();
    const [old] = hands;
    assert(old);
    await accept(old.raw);
    await passTime(clock, second.promise);
    const fresh = hands[1];
    assert(fresh);
    await hear(fresh.raw, "PING");
    await say(fresh.raw, ['PONG {"re":1}']);
    // The first PING asks for no number, the second one is the second request after the offer.
    await hear(old.raw, 'PING {"seq":2}');
    await say(old.raw, ['PONG {"re":2}']);
    await passTime(clock, hear(fresh.raw, "BYE"));
    fresh.raw.close();
    await say(old.raw, [GET]);
    await hear(old.raw, "PIECE");
    await saySaved(old.raw, source);
    assertEquals((await sending).state, "delivered");
    assertEquals([scene.retries, hands.length], [[], 2]);
    old.raw.close();
  },
);

permitted(
  "a peer that has moved is dialled at its new address, though the old one says nothing",
  NEEDS,
  async () => {
    await using dir = await tempDir();
    await using source = await sourceIn(dir, PIECE);
    const hands: ReturnType<typeof byHand>[] = [];
    const dialled: string[] = [];
    const moved = Promise.withResolvers<void>();
    await using scene = sendOver(source, ({ host }) => {
      dialled.push(host);
      // The dial to where it was hangs.
      if (dialled.length > 1 && host === ENTRY.host) return new Promise(() => {});
      const hand = byHand(scene.clock, 1024 * 1024);
      hands.push(hand);
      if (host === ELSEWHERE.host) moved.resolve();
      return Promise.resolve(hand.session);
    });
    const { clock } = scene;
    const sending = scene.sending();
    await turn();
    const [old] = hands;
    assert(old);
    await accept(old.raw);
    scene.move();
    await passTime(clock, moved.promise);
    const fresh = hands[1];
    assert(fresh);
    await hear(fresh.raw, "PING");
    await say(fresh.raw, ['PONG {"re":1}']);
    const taken = take(fresh.raw, source, { transfer: TRANSFER, re: 2 });
    assertEquals((await passTime(clock, sending)).state, "delivered");
    await taken;
    assertEquals(dialled, [ENTRY.host, ENTRY.host, ELSEWHERE.host]);
    for (const { raw } of hands) raw.close();
  },
);

permitted("a peer that nobody answers for is given up after 70 s of silence", NEEDS, async () => {
  await using dir = await tempDir();
  await using source = await sourceIn(dir, PIECE);
  let old: ReturnType<typeof byHand> | undefined;
  await using scene = sendOver(source, () => {
    if (old) return Promise.reject(new P2PError("timeout", "no answer in time"));
    old = byHand(scene.clock, 1024 * 1024);
    return Promise.resolve(old.session);
  });
  const { clock } = scene;
  const sending = rejectsWith("timeout", scene.sending);
  await turn();
  assert(old);
  await accept(old.raw);
  const began = clock.now();
  await passTime(clock, sending);
  const took = clock.now() - began;
  assert(took >= 70_000 && took < 75_000, `${took} ms`);
  // The ACK time-out is said, and no try after it.
  assertEquals(scene.retries, ["1 timeout"]);
  old.raw.close();
});

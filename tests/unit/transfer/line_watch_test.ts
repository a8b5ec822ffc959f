/** What becomes of what is sent on a link that falls silent, by a hand-turned clock. */

import { assert, assertEquals } from "@std/assert";
import { P2PError } from "../../../lib/errors.ts";
import type { Session } from "../../../lib/net/session.ts";
import { LinkPool } from "../../../lib/transfer/link_pool.ts";
// Loaded here, so that no time of the clock goes by while it is asked for.
import "../../../lib/transfer/way_back.ts";
import type { Delivery } from "../../../lib/transfer/upload.ts";
import { uploadWithRetries } from "../../../lib/transfer/upload_retries.ts";
import type { PeerEntry } from "../../../lib/wire/message.ts";
import { turn } from "../../helpers/deadline.ts";
import { entryOf } from "../../helpers/entries.ts";
import { rejectsWith } from "../../helpers/errors.ts";
import type { FakeClock } from "../../helpers/fake_clock.ts";
import {
  accept,
  byHand,
  type FileScene,
  fileTest,
  GET,
  type Hand,
  hangUp,
  hear,
  PIECE,
  say,
  saySaved,
  take,
  TRANSFER,
  uploadOf,
} from "../../helpers/upload.ts";

const ENTRY = entryOf(1);
/** Where it is after a while. */
const ELSEWHERE: PeerEntry = { ...ENTRY, host: "10.0.0.9" };

/** An upload over a pool, whose offer the first receiver has taken and says nothing more. */
interface PoolScene extends FileScene {
  sending: Promise<Delivery>;
  retries: string[];
  /** The receivers that were dialled, each written by hand. */
  hands: Hand[];
  old: Hand;
  fresh: Promise<Hand>;
  /** Hosts in the order in which they were dialled. */
  dialled: string[];
  /** Has the peer listed elsewhere. */
  move: () => void;
}

/** What becomes of a dial when nobody answers it; undefined has a receiver answer. */
type Dial = (dialled: string[]) => Promise<never> | undefined;

/** Registers a test of an upload over a pool. */
function poolTest(
  name: string,
  fn: (scene: PoolScene) => Promise<void>,
  dial: Dial = () => undefined,
): void {
  fileTest(name, async (file) => {
    const { clock } = file;
    const hands: Hand[] = [];
    const dialled: string[] = [];
    const fresh = Promise.withResolvers<Hand>();
    const open = ({ host }: PeerEntry): Promise<Session> => {
      dialled.push(host);
      const unanswered = dial(dialled);
      if (unanswered) return unanswered;
      const hand = byHand(clock, 1024 * 1024);
      if (hands.push(hand) === 2) fresh.resolve(hand);
      return Promise.resolve(hand.session);
    };
    let isElsewhere = false;
    await using pool = new LinkPool({
      open,
      locate: (entry) => Promise.resolve(isElsewhere ? ELSEWHERE : entry),
      services: () => ({}),
      isProven: true,
      idleTime: 250,
      clock,
    });
    const upload = uploadOf(file, () => pool.take(ENTRY));
    const { retries } = upload;
    const sending = uploadWithRetries(upload);
    await turn();
    const [old] = hands;
    assert(old);
    await accept(old.raw);
    const move = () => void (isElsewhere = true);
    await fn({ ...file, sending, retries, hands, old, fresh: fresh.promise, dialled, move });
    for (const { raw } of hands) hangUp(raw);
  }, { size: PIECE });
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

/** Lets time go by until a second receiver is dialled, which shows that it is there. */
async function freshHand({ clock, fresh }: PoolScene): Promise<Hand> {
  const hand = await passTime(clock, fresh);
  await hear(hand.raw, "PING");
  await say(hand.raw, ['PONG {"re":1}']);
  return hand;
}

/** Takes the transfer on a second link to its end. */
async function takeAnew({ clock, source, sending }: PoolScene, { raw }: Hand): Promise<void> {
  const taken = take(raw, source, { transfer: TRANSFER, re: 2 });
  assertEquals((await passTime(clock, sending)).state, "delivered");
  await taken;
}

poolTest("what is sent on a link that falls silent goes on on a new one", async (scene) => {
  const { clock, old, retries, dialled, move } = scene;
  const began = clock.now();
  await passTime(clock, hear(old.raw, "PING"));
  assertEquals(clock.now() - began, 1_500);
  move();
  const fresh = await freshHand(scene);
  assert(clock.now() - began >= 2_500);
  await takeAnew(scene, fresh);
  assertEquals(retries, []);
  assertEquals(old.session.connection.closed?.code, "connection-lost");
  assertEquals(dialled[0], ENTRY.host);
});

poolTest(
  "a silent link that answers after all goes on, and the new one is ended",
  async (scene) => {
    const { clock, source, sending, retries, hands, old } = scene;
    const fresh = await freshHand(scene);
    // The first PING asks for no number, the second one is the second request after the offer.
    await hear(old.raw, 'PING {"seq":2}');
    await say(old.raw, ['PONG {"re":2}']);
    await passTime(clock, hear(fresh.raw, "BYE"));
    fresh.raw.close();
    await say(old.raw, [GET]);
    await hear(old.raw, "PIECE");
    await saySaved(old.raw, source);
    assertEquals((await sending).state, "delivered");
    assertEquals([retries, hands.length], [[], 2]);
  },
);

poolTest(
  "a peer that has moved is dialled at its new address, though the old one says nothing",
  async (scene) => {
    scene.move();
    await takeAnew(scene, await freshHand(scene));
    assertEquals(scene.dialled, [ENTRY.host, ENTRY.host, ELSEWHERE.host]);
  },
  // The second dial to where it was hangs.
  (dialled) => {
    const isAgain = dialled.length > 1 && dialled.at(-1) === ENTRY.host;
    return isAgain ? new Promise(() => {}) : undefined;
  },
);

poolTest(
  "a peer that nobody answers for is given up after 70 s of silence",
  async ({ clock, sending, retries }) => {
    const failing = rejectsWith("timeout", () => sending);
    const began = clock.now();
    await passTime(clock, failing);
    const took = clock.now() - began;
    assert(took >= 70_000 && took < 75_000, `${took} ms`);
    // The ACK time-out is said, and no try after it.
    assertEquals(retries, ["1 timeout"]);
  },
  ({ length }) => {
    const late = new P2PError("timeout", "no answer in time");
    return length > 1 ? Promise.reject(late) : undefined;
  },
);

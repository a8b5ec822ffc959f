/** Requests that a tracker refuses: they are taken from nobody's allowance, and are not free all the same. */

import { assertEquals } from "@std/assert";
import { randomToken } from "../../lib/async/random.ts";
import { Identity } from "../../lib/identity/keys.ts";
import { composeMessage } from "../../lib/peer/text_message.ts";
import type { ErrorCode } from "../../lib/errors.ts";
import { closedPort } from "../helpers/closed_port.ts";
import { rejectsWith } from "../helpers/errors.ts";
import { FakeClock } from "../helpers/fake_clock.ts";
import { permitted } from "../helpers/permissions.ts";
import { openRaw, type RawSession } from "../helpers/raw.ts";
import { startTracker, type TestTracker } from "../helpers/tracker.ts";

const NEEDS: Deno.PermissionName[] = ["net", "sys"];

function member(tracker: TestTracker, identity = Identity.generate()): Promise<RawSession> {
  const { address, membership } = tracker;
  return openRaw({ address, membership, identity, role: "peer" });
}

function broadcast(tracker: TestTracker, { session, identity }: RawSession, forged?: Identity) {
  const { header, text } = composeMessage("hello", {
    identity: forged ?? identity,
    network: tracker.membership?.id,
    name: "anna",
  });
  return session.request({ verb: "BROADCAST", ...header }, { body: text });
}

/** Requests that are refused, by what for. */
function refused(
  tracker: TestTracker,
  member: RawSession,
): { [what: string]: [ErrorCode, () => Promise<unknown>] } {
  const { session } = member;
  const register = (name: string, host?: string) =>
    session.request({ verb: "REGISTER", name, port: closedPort(), ...(host ? { host } : {}) });
  const stranger = Identity.generate();
  const connect = { verb: "CONNECT", peer: stranger.id, port: 1, token: randomToken(16) } as const;
  const offer = { name: "a", size: 0, pieceSize: 16_384, scheme: "independent" };
  return {
    "a forged broadcast": ["unauthorised", () => broadcast(tracker, member, stranger)],
    "a name that is not allowed": ["invalid", () => register("a b")],
    "an address that may not be asked for": ["invalid", () => register("a", "192.0.2.1")],
    "somebody who is not here": ["peer-unknown", () => session.request(connect)],
    "what only the operator may": ["unauthorised", () => session.request({ verb: "ROTATE" })],
    "what a tracker does not take": [
      "unexpected-verb",
      () => session.request({ verb: "SEND_FILE", transfer: randomToken(16), ...offer }),
    ],
  };
}

permitted(
  "requests that are refused use up nothing of what a member may ask for",
  NEEDS,
  async () => {
    await using tracker = startTracker({ clock: new FakeClock() });
    await using anna = await member(tracker);
    for (const [code, ask] of Object.values(refused(tracker, anna))) {
      for (let n = 0; n < 30; n++) await rejectsWith(code, ask);
    }
    for (let n = 0; n < 20; n++) await broadcast(tracker, anna);
    await rejectsWith("rate-limited", () => broadcast(tracker, anna));
    const connect = {
      verb: "CONNECT",
      peer: anna.identity.id,
      port: 1,
      token: randomToken(16),
    } as const;
    const register = { verb: "REGISTER", name: "anna", port: closedPort() } as const;
    await anna.session.request(register);
    for (let n = 1; n < 50; n++) await anna.session.request(connect);
    await rejectsWith("rate-limited", () => anna.session.request(connect));
  },
);

permitted(
  "requests that are refused are not free: a session has so many of them",
  NEEDS,
  async () => {
    const clock = new FakeClock();
    await using tracker = startTracker({ clock });
    await using anna = await member(tracker);
    for (const what of Object.keys(refused(tracker, anna))) {
      await using mallory = await member(tracker, anna.identity);
      const [code, ask] = refused(tracker, mallory)[what] as [ErrorCode, () => Promise<unknown>];
      for (let n = 0; n < 200; n++) await rejectsWith(code, ask);
      await rejectsWith("rate-limited", ask);
      // Whoever it claims to be, and wherever it comes from: others are heard.
      assertEquals((await anna.session.request({ verb: "PEERS", since: 0 })).message.more, false);
      clock.advance(100);
      await rejectsWith(code, ask);
      await rejectsWith("rate-limited", ask);
    }
    await broadcast(tracker, anna);
  },
);

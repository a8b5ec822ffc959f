import { assertEquals } from "@std/assert";
import { P2PError } from "../../../lib/errors.ts";
import { awaitTurn } from "../../../lib/transfer/pace.ts";
import { BandwidthLimiter } from "../../../lib/async/bandwidth_limiter.ts";
import { turn } from "../../helpers/deadline.ts";
import { rejectsWith } from "../../helpers/errors.ts";
import { FakeClock } from "../../helpers/fake_clock.ts";
import { sessionPair } from "../../helpers/pipes.ts";

const RATE = 1000;

/** A sender and its receiver, which counts what it hears. */
function scene() {
  const clock = new FakeClock();
  const [session, far] = sessionPair({ clock });
  const running = far.run({ onMessage: () => {}, onClosed: () => {} });
  const lane = new BandwidthLimiter({ rate: RATE, clock }).lane();
  const end = async () => {
    session.connection.close();
    far.connection.close();
    await running;
    assertEquals(clock.pending, []);
  };
  return { clock, session, far, lane, end };
}

Deno.test("A receiver whose piece is held back hears that the sender lives", async () => {
  const { clock, session, far, lane, end } = scene();
  let passed = false;
  const waiting = awaitTurn(60 * RATE, { lane, session, clock }).then(() => passed = true);
  for (let second = 1; second < 60; second++) {
    clock.advance(1000);
    for (let i = 0; i < 2; i++) await turn();
    assertEquals(passed, false);
    // A sign every 5 s.
    assertEquals(clock.now() - far.lastHeard, second % 5 * 1000);
  }
  clock.advance(2000);
  await waiting;
  await end();
});

Deno.test("The wait for the rate ends with the session, and with the command", async () => {
  const { clock, session, lane, end } = scene();
  const stop = new AbortController();
  const { signal } = stop;
  const stopped = rejectsWith(
    "interrupted",
    () => awaitTurn(1e9, { lane, session, clock, signal }),
  );
  stop.abort(new P2PError("interrupted", "enough"));
  await stopped;
  const lost = rejectsWith("connection-lost", () => awaitTurn(1e9, { lane, session, clock }));
  session.connection.close();
  clock.advance(5000);
  await lost;
  await end();
});

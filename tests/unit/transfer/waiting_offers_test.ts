import { assertEquals } from "@std/assert";
import { P2PError } from "../../../lib/errors.ts";
import { WaitingOffers } from "../../../lib/transfer/waiting_offers.ts";
import type { Frame } from "../../../lib/wire/frame.ts";
import { turn } from "../../helpers/deadline.ts";
import { rejectsWith } from "../../helpers/errors.ts";
import { FakeClock } from "../../helpers/fake_clock.ts";
import { sessionPair } from "../../helpers/pipes.ts";

const TRANSFER = "A".repeat(22);

/** Offers of one sender, which keeps what it hears. */
function scene() {
  const clock = new FakeClock();
  const [session, far] = sessionPair({ clock });
  const heard: string[] = [];
  const onMessage = ({ message }: Frame) =>
    void heard.push(message.verb === "ACK" ? message.state : message.verb);
  const running = [session, far].map((end) => end.run({ onMessage, onClosed: () => {} }));
  const offers = new WaitingOffers(clock);
  const gone = new AbortController();
  const { signal } = gone;
  const offer = (key: string, from = "anna") => ({
    key,
    transfer: TRANSFER,
    from,
    session,
    signal,
  });
  const end = async () => {
    session.connection.close();
    far.connection.close();
    await Promise.all(running);
    assertEquals(clock.pending, []);
  };
  return { clock, gone, offers, offer, heard, end };
}

/** A question that nobody answers; tells when it is withdrawn. */
function unanswered() {
  const { promise, resolve } = Promise.withResolvers<void>();
  const decide = (signal: AbortSignal) => {
    signal.addEventListener("abort", () => resolve());
    return new Promise<void>(() => {});
  };
  return { decide, withdrawn: promise };
}

Deno.test("A sender hears every 5 s that somebody is asked, until there is an answer", async () => {
  const { clock, offers, offer, heard, end } = scene();
  const answer = Promise.withResolvers<void>();
  const waiting = offers.wait(offer("a"), () => answer.promise);
  for (let i = 0; i < 3; i++) {
    await turn();
    clock.advance(5000);
  }
  await turn();
  assertEquals(heard, ["waiting", "waiting", "waiting", "waiting"]);
  answer.resolve();
  await waiting;
  assertEquals(clock.pending, []);
  const no = new P2PError("refused", "no");
  await rejectsWith("refused", () => offers.wait(offer("b"), () => Promise.reject(no)));
  await end();
});

Deno.test("An offer that nobody decides on is refused after 3 minutes, its question withdrawn", async () => {
  const { clock, offers, offer, end } = scene();
  const { decide, withdrawn } = unanswered();
  let over = false;
  const refused = rejectsWith("refused", () => offers.wait(offer("a"), decide)).then((error) => {
    over = true;
    return error;
  });
  clock.advance(179_999);
  await turn();
  assertEquals(over, false);
  clock.advance(1);
  assertEquals(
    (await refused).message,
    "Cannot deliver: nobody answered there in 3 minutes; send it again when somebody is there",
  );
  await withdrawn;
  await end();
});

Deno.test("The question goes with the sender, with a new try of it, and with this side", async () => {
  const { clock, gone: sender, offers, offer, end } = scene();
  const [first, second, third] = [unanswered(), unanswered(), unanswered()];
  const replaced = rejectsWith("connection-lost", () => offers.wait(offer("a"), first.decide));
  const gone = rejectsWith("connection-lost", () => offers.wait(offer("a"), second.decide));
  await Promise.all([replaced, first.withdrawn]);
  sender.abort(new P2PError("connection-lost", "gone"));
  await Promise.all([gone, second.withdrawn]);
  const [other] = sessionPair({ clock });
  const running = other.run({ onMessage: () => {}, onClosed: () => {} });
  const { signal } = new AbortController();
  const stopped = rejectsWith(
    "shutting-down",
    () => offers.wait({ ...offer("b"), session: other, signal }, third.decide),
  );
  offers.abort(new P2PError("shutting-down", "bye"));
  await Promise.all([stopped, third.withdrawn]);
  other.connection.close();
  await running;
  await end();
});

Deno.test("Nobody takes all the places of those who wait", async () => {
  const { clock, offers, offer, end } = scene();
  const waiting = Array.from({ length: 16 }, (_, i) => {
    const { decide } = unanswered();
    return rejectsWith("refused", () => offers.wait(offer(`${i}`), decide));
  });
  await rejectsWith("busy", () => offers.wait(offer("more"), () => Promise.resolve()));
  await offers.wait(offer("other", "bob"), () => Promise.resolve());
  clock.advance(180_000);
  await Promise.all(waiting);
  await offers.wait(offer("more"), () => Promise.resolve());
  await end();
});

Deno.test("Nor does an address, however many keys it has", async () => {
  const { clock, offers, offer, end } = scene();
  const waiting = Array.from({ length: 32 }, (_, i) => {
    const { decide } = unanswered();
    return rejectsWith("refused", () => offers.wait(offer(`${i}`, `key ${i}`), decide));
  });
  await rejectsWith("busy", () => offers.wait(offer("more", "key"), () => Promise.resolve()));
  const [elsewhere] = sessionPair({ clock });
  Object.assign(elsewhere.connection.remote, { host: "192.168.1.7" });
  const running = elsewhere.run({ onMessage: () => {}, onClosed: () => {} });
  await offers.wait({ ...offer("b", "bob"), session: elsewhere }, () => Promise.resolve());
  elsewhere.connection.close();
  await running;
  clock.advance(3 * 60_000);
  await Promise.all(waiting);
  await end();
});

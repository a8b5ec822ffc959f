/** A peer's side of its tracker, against trackers that are written by hand. */

import { assert, assertEquals } from "@std/assert";
import { randomToken } from "../../../lib/async/random.ts";
import { Identity } from "../../../lib/identity/keys.ts";
import { TrackerClient } from "../../../lib/directory/tracker_client.ts";
import { closeQuietly } from "../../../lib/net/closing.ts";
import { WRITES } from "../../../lib/net/write_budget.ts";
import { PROTOCOL_VERSION } from "../../../lib/wire/limits.ts";
import { EventLog } from "../../helpers/event_log.ts";
import { eventually } from "../../helpers/deadline.ts";
import { rejectsWith } from "../../helpers/errors.ts";
import { FakeClock } from "../../helpers/fake_clock.ts";
import { permitted } from "../../helpers/permissions.ts";

/** What a tracker without TLS answers to a line, by its verb; `seq` is that of the line. */
type Script = (verb: string, seq: number) => string | undefined;

const id = Identity.generate().id;
const EPOCH = randomToken(16);

/** Says HELLO, registers whoever asks, and has nobody to list. */
const honest: Script = (verb, seq) => {
  switch (verb) {
    case "HELLO": {
      const hello = { protocol: PROTOCOL_VERSION, role: "tracker", id, nonce: randomToken(32) };
      return `HELLO ${JSON.stringify(hello)}\n`;
    }
    case "REGISTER":
      return `OK ${JSON.stringify({ re: seq, name: "a", host: "h", port: 1, reachable: true })}\n`;
    case "PEERS": {
      const list = { re: seq, epoch: EPOCH, revision: 0, full: true, more: false };
      return `PEER_LIST ${JSON.stringify({ ...list, peers: [], gone: [], barred: [] })}\n`;
    }
    default:
      return undefined;
  }
};

/** The same, but for one verb. */
function except(verb: string, answer: Script): Script {
  return (asked, seq) => asked === verb ? answer(asked, seq) : honest(asked, seq);
}

/** A tracker that follows another script for each connection; the last one stays. */
class ScriptedTracker implements AsyncDisposable {
  readonly connections = new EventLog<number>();
  readonly #listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  readonly #scripts: Script[];
  readonly #conns: Deno.Conn[] = [];
  readonly #tasks: Promise<void>[] = [];

  constructor(...scripts: Script[]) {
    this.#scripts = scripts;
    this.#tasks.push(this.#accept());
  }

  get address() {
    return { host: "127.0.0.1", port: this.#listener.addr.port };
  }

  /** Ends the last connection without a word. */
  drop(): void {
    this.#conns.at(-1)?.close();
  }

  async #accept(): Promise<void> {
    for await (const conn of this.#listener) {
      const script = this.#scripts[this.#conns.length] ?? this.#scripts.at(-1);
      this.#conns.push(conn);
      this.#tasks.push(this.#serve(conn, script ?? honest).catch(() => {}));
      this.connections.add(this.#conns.length);
    }
  }

  async #serve(conn: Deno.Conn, script: Script): Promise<void> {
    const buffer = new Uint8Array(65_536);
    let text = "";
    for (let n = await conn.read(buffer); n !== null; n = await conn.read(buffer)) {
      text += new TextDecoder().decode(buffer.subarray(0, n));
      const lines = text.split("\n");
      text = lines.pop() ?? "";
      for (const line of lines) {
        const [verb = "", fields = "{}"] = line.split(/ (.*)/);
        const answer = script(verb, JSON.parse(fields).seq);
        if (answer !== undefined) await conn.write(new TextEncoder().encode(answer));
      }
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#listener.close();
    for (const conn of this.#conns) closeQuietly(conn);
    await Promise.all(this.#tasks);
  }
}

function clientOf(tracker: ScriptedTracker, clock: FakeClock) {
  const events = new EventLog<string>();
  const client = new TrackerClient({
    address: tracker.address,
    credentials: { identity: Identity.generate(), role: "peer", membership: null },
    registration: () => Promise.resolve({ name: "a", port: 1 }),
    clock,
    random: () => 0.5,
    observer: {
      onLost: ({ code }) => events.add(`lost: ${code}`),
      onRegistered: () => events.add("registered"),
      onRefused: ({ code }) => events.add(`refused: ${code}`),
    },
  });
  return { client, events };
}

const PAUSE = (ms: number) => ms < 5_000;

permitted("a tracker that goes as soon as it has answered is come back to", ["net"], async () => {
  const goodbye = except("PEERS", (verb, seq) => `${honest(verb, seq)}BYE\n`);
  await using tracker = new ScriptedTracker(goodbye, goodbye, goodbye, honest);
  const clock = new FakeClock();
  const { client, events } = clientOf(tracker, clock);
  await client.connect();
  await client.register();
  for (let n = 2; n <= 4; n++) {
    clock.advance(await clock.timer(PAUSE));
    await tracker.connections.until((count) => count === n);
    await events.until(() => events.all.filter((event) => event === "registered").length === n);
  }
  assertEquals(await client.refresh(), []);
  await client.close();
  assertEquals(events.all.filter((event) => event.startsWith("refused")), []);
  assertEquals(clock.pending, []);
});

permitted("a client comes back each time that its session breaks", ["net"], async () => {
  await using tracker = new ScriptedTracker(honest);
  const clock = new FakeClock();
  const { client, events } = clientOf(tracker, clock);
  await client.connect();
  await client.register();
  for (let n = 2; n <= 4; n++) {
    const from = events.length;
    tracker.drop();
    await events.until((event) => event === "lost: connection-lost", { from });
    clock.advance(await clock.timer(PAUSE));
    await events.until((event) => event === "registered", { from });
    await client.refresh();
  }
  await client.close();
  assertEquals(clock.pending, []);
});

permitted("a tracker that is lost is noticed within 30 s", ["net"], async () => {
  // It answers no PING.
  await using tracker = new ScriptedTracker(honest);
  const clock = new FakeClock();
  const { client, events } = clientOf(tracker, clock);
  await client.connect();
  await client.register();
  const began = clock.now();
  clock.advance(await clock.timer((ms) => ms === 15_000));
  clock.advance(await clock.timer((ms) => ms === 10_000));
  await events.until((event) => event === "lost: timeout");
  assert(clock.now() - began < 30_000);
  await client.close();
});

permitted("one that has not registered comes back when it is asked to", ["net"], async () => {
  // The first session answers no PING.
  const answering = except("PING", (_, seq) => `PONG {"re":${seq}}\n`);
  await using tracker = new ScriptedTracker(honest, answering);
  const clock = new FakeClock();
  const { client } = clientOf(tracker, clock);
  await client.connect();
  const reviving = Promise.all([client.revive(), client.revive()]);
  clock.advance(await clock.timer((ms) => ms === 2_000));
  await reviving;
  assertEquals([client.isConnected, tracker.connections.all], [true, [1, 2]]);
  // This one answers.
  await client.revive();
  assertEquals(tracker.connections.all, [1, 2]);
  tracker.drop();
  await eventually(() => !client.isConnected, "the end of the session");
  await client.revive();
  assertEquals([client.isConnected, tracker.connections.all], [true, [1, 2, 3]]);
  await client.close();
  assertEquals(clock.pending, []);
});

permitted(
  "new addresses are registered on the session, unless its own is gone",
  ["net"],
  async () => {
    await using tracker = new ScriptedTracker(except("PING", (_, seq) => `PONG {"re":${seq}}\n`));
    const clock = new FakeClock();
    const { client, events } = clientOf(tracker, clock);
    await client.connect();
    await client.register();
    await client.renew(() => false);
    assertEquals(events.all, ["registered", "registered"]);
    await client.renew((host) => host === "127.0.0.1");
    await events.until((event) => event === "lost: connection-lost");
    // What has changed again may be the way back: the pause is over at once.
    await clock.timer(PAUSE);
    await client.renew(() => true);
    await events.until(() => events.all.filter((event) => event === "registered").length === 3);
    await client.close();
    assertEquals(clock.pending, []);
  },
);

permitted(
  "new addresses end a session that does not answer, on a slow line after four times as long",
  ["net"],
  async () => {
    const queue = { queuedBytes: 1, isUnread: true, isSlow: true, dropUnread: () => {} };
    await using tracker = new ScriptedTracker(honest);
    const clock = new FakeClock();
    const { client, events } = clientOf(tracker, clock);
    await client.connect();
    await client.register();
    WRITES.grew(queue, 1);
    const renewing = client.renew(() => false);
    queue.queuedBytes = 0;
    WRITES.shrank(queue, 1);
    // What this process sends over a slow line comes before the PING.
    clock.advance(await clock.timer((ms) => ms === 20_000));
    await events.until((event) => event === "lost: timeout");
    await renewing;
    await client.close();
  },
);

permitted("closing ends a return that is under way", ["net"], async () => {
  const goodbye = except("PEERS", (verb, seq) => `${honest(verb, seq)}BYE\n`);
  const silent: Script = () => undefined;
  for (const second of [silent, except("REGISTER", silent), except("PEERS", silent)]) {
    await using tracker = new ScriptedTracker(goodbye, second);
    const clock = new FakeClock();
    const { client } = clientOf(tracker, clock);
    await client.connect();
    await client.register();
    clock.advance(await clock.timer(PAUSE));
    await tracker.connections.until((count) => count === 2);
    await client.close();
    assertEquals(clock.pending, []);
  }
});

permitted("a tracker that refuses for good is not come back to", ["net"], async () => {
  const goodbye = except("PEERS", (verb, seq) => `${honest(verb, seq)}BYE\n`);
  const barring = except(
    "REGISTER",
    (_verb, re) => `ERROR ${JSON.stringify({ re, code: "barred", message: "out" })}\n`,
  );
  await using tracker = new ScriptedTracker(goodbye, barring);
  const clock = new FakeClock();
  const { client, events } = clientOf(tracker, clock);
  await client.connect();
  await client.register();
  clock.advance(await clock.timer(PAUSE));
  await events.until((event) => event === "refused: barred");
  assertEquals(clock.pending.filter(PAUSE), []);
  await client.close();
});

permitted("a peer in the place of the tracker is told apart", ["net"], async () => {
  const peer = except(
    "HELLO",
    (verb, seq) => honest(verb, seq)?.replace('"role":"tracker"', '"role":"peer"'),
  );
  await using tracker = new ScriptedTracker(peer);
  const { client } = clientOf(tracker, new FakeClock());
  const error = await rejectsWith("usage", () => client.connect());
  assertEquals(error.message.includes("not a tracker"), true);
  await client.close();
});

permitted("answers that make no sense are errors, not crashes", ["net"], async () => {
  const cases: [Script, "unexpected-verb" | "malformed"][] = [
    [except("REGISTER", (_verb, re) => `PONG {"re":${re}}\n`), "unexpected-verb"],
    [except("REGISTER", (_verb, re) => `OK {"re":${re},"port":"x"}\n`), "malformed"],
    [except("REGISTER", () => "\x00\x01\n"), "malformed"],
    [except("REGISTER", () => 'GET {"transfer":"x"}\n'), "malformed"],
  ];
  for (const [script, code] of cases) {
    await using tracker = new ScriptedTracker(script);
    const clock = new FakeClock();
    const { client } = clientOf(tracker, clock);
    await client.connect();
    await rejectsWith(code, () => client.register());
    await client.close();
    assertEquals(clock.pending, []);
  }
});

/** An answer with these fields, in place of those that an honest tracker gives. */
function instead(verb: string, fields: Record<string, unknown>): Script {
  return except(verb, (asked, seq) => {
    const [reply = "", honestly = ""] = (honest(asked, seq) ?? "").split(/ (.*)\n/);
    return `${reply} ${JSON.stringify({ ...JSON.parse(honestly), ...fields })}\n`;
  });
}

permitted(
  "a tracker that answers another question than was asked is not believed",
  ["net"],
  async () => {
    const scripts: [string, Script][] = [
      ["another name", instead("REGISTER", { name: "bob" })],
      ["a number that is none", instead("REGISTER", { name: "a-02" })],
      ["no name", instead("REGISTER", { name: null })],
      ["another port", instead("REGISTER", { port: 2 })],
      ["changes since another revision", instead("PEERS", { full: false })],
      ["changes of another list", instead("PEERS", { full: false, epoch: randomToken(16) })],
    ];
    for (const [what, script] of scripts) {
      await using tracker = new ScriptedTracker(script);
      const { client } = clientOf(tracker, new FakeClock());
      await client.connect();
      const error = await rejectsWith("malformed", () => client.register());
      assertEquals([error.remote, client.isConnected], [false, true], what);
      await client.close();
    }
  },
);

permitted("a tracker may number the name that was asked for", ["net"], async () => {
  await using tracker = new ScriptedTracker(instead("REGISTER", { name: "a-2" }));
  const { client } = clientOf(tracker, new FakeClock());
  await client.connect();
  assertEquals((await client.register()).name, "a-2");
  await client.close();
});

permitted(
  "an OK to a broadcast says how many got it, and the same number of ids",
  ["net"],
  async () => {
    const text = { id: randomToken(16), time: "now", name: "a", signature: randomToken(64) };
    const answers: [Record<string, unknown>, boolean][] = [
      [{ delivered: 1, to: [id] }, true],
      [{ delivered: 1000 }, true],
      [{}, false],
      [{ delivered: 3, to: [id] }, false],
      [{ delivered: 2, to: [id, id] }, false],
    ];
    for (const [fields, isRight] of answers) {
      const script = except(
        "BROADCAST",
        (_verb, re) => `OK ${JSON.stringify({ re, ...fields })}\n`,
      );
      await using tracker = new ScriptedTracker(script);
      const { client } = clientOf(tracker, new FakeClock());
      await client.connect();
      const asked = client.broadcast(text, new TextEncoder().encode("x"));
      if (isRight) assertEquals((await asked).delivered, fields["delivered"]);
      else await rejectsWith("malformed", () => asked);
      await client.close();
    }
  },
);

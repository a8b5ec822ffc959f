import { assertEquals } from "@std/assert";
import type { Address } from "../../../lib/address.ts";
import { systemClock } from "../../../lib/async/clock.ts";
import { randomToken } from "../../../lib/async/random.ts";
import { Identity } from "../../../lib/identity/keys.ts";
import type { Session } from "../../../lib/net/session.ts";
import { DialBacks } from "../../../lib/tracker/dial_backs.ts";
import { diallingHandlers } from "../../../lib/tracker/handlers/dialling.ts";
import { MemoryRegistry } from "../../../lib/tracker/registry/memory_registry.ts";
import { Roster } from "../../../lib/tracker/roster.ts";
import type { MessageOf } from "../../../lib/wire/message.ts";
import { entryOf, epochs, idOf } from "../../helpers/entries.ts";
import { rejectsWith } from "../../helpers/errors.ts";
import { EventLog } from "../../helpers/event_log.ts";
import { sessionPair } from "../../helpers/pipes.ts";

const CLOCK = systemClock;
const at = (host: string, port = 6000): Address => ({ host, port });

/** A tracker with two members, the first of which asks the second to dial. */
class Scene implements AsyncDisposable {
  readonly #sessions: Session[] = [];
  readonly #runs: Promise<void>[] = [];
  readonly #roster = new Roster({ registry: new MemoryRegistry(epochs()), clock: CLOCK });
  readonly #dials = new EventLog<MessageOf<"DIAL">>();

  /** What the other is told when one from an address asks; `trackerId` may be the asking one's. */
  async dial(
    from: string,
    to: string,
    addresses: Address[],
    trackerId = idOf(9),
  ): Promise<Omit<MessageOf<"DIAL">, "verb" | "peer" | "token">> {
    const asking = await this.#member(1, from);
    await this.#member(2, to);
    const dialBacks = new DialBacks({
      credentials: () => ({ identity: Identity.generate(), role: "tracker", membership: null }),
      timeout: 1,
      clock: CLOCK,
    });
    const { CONNECT } = diallingHandlers({ roster: this.#roster, dialBacks, trackerId });
    const token = randomToken(16);
    const message = {
      verb: "CONNECT",
      seq: 1,
      peer: idOf(2),
      port: 5001,
      token,
      addresses,
    } as const;
    await CONNECT({ session: asking, message, body: new Uint8Array() });
    const dial = await this.#dials.until((dial) => dial.token === token);
    const { verb: _, peer, token: __, ...where } = dial;
    assertEquals(peer, idOf(1));
    return where;
  }

  async #member(n: number, host: string): Promise<Session> {
    const local = host.startsWith("127.") ? "127.0.0.1" : "10.0.0.9";
    const [near, far] = sessionPair({ hosts: [local, host], ids: [idOf(9), idOf(n)] });
    this.#sessions.push(near, far);
    this.#runs.push(near.run({ onMessage() {}, onClosed() {} }));
    this.#runs.push(far.run({
      onMessage: ({ message }) => void this.#dials.add(message as MessageOf<"DIAL">),
      onClosed() {},
    }));
    await this.#roster.register(entryOf(n), near);
    return near;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const { connection } of this.#sessions) connection.close();
    await Promise.all(this.#runs);
  }
}

Deno.test("who is asked to dial is told all addresses of the asking one, first the one that was seen", async () => {
  await using scene = new Scene();
  const own = [at("10.0.0.2", 5001), at("192.168.1.2", 5001), at("127.0.0.1"), at("example.org")];
  assertEquals(await scene.dial("10.0.0.2", "10.0.0.3", own), {
    ...at("10.0.0.2", 5001),
    addresses: [at("192.168.1.2", 5001)],
  });
});

Deno.test("who comes from loopback is dialled there by those who do, elsewhere by the others", async () => {
  await using scene = new Scene();
  const own = [at("10.0.0.9"), at("fd00::9")];
  assertEquals(await scene.dial("127.0.0.1", "127.0.0.1", own), {
    ...at("127.0.0.1", 5001),
    addresses: own,
  });
  assertEquals(await scene.dial("127.0.0.1", "10.0.0.3", own), {
    ...at("10.0.0.9"),
    addresses: [at("fd00::9")],
  });
  await rejectsWith("peer-unreachable", () => scene.dial("127.0.0.1", "10.0.0.3", []));
  // A share's own session comes from loopback, and its receivers know where it is.
  assertEquals(await scene.dial("127.0.0.1", "10.0.0.3", [], idOf(1)), at("127.0.0.1", 5001));
});

import { formatInvite } from "../../lib/identity/invite.ts";
import { randomToken } from "../../lib/async/random.ts";
import { Identity } from "../../lib/identity/keys.ts";
import { randomBytes } from "../../lib/async/random.ts";
import type { Membership } from "../../lib/identity/network.ts";
import type { Message, Verb } from "../../lib/wire/message.ts";
import type { Dice } from "../helpers/random.ts";
import { type Attack, type Caller, listenAs } from "./attacker.ts";
import { hostileFrame } from "./hostile_frames.ts";

/** What a tracker says, and a little of what it does not. */
const VERBS: readonly Verb[] = [
  "PEER_LIST",
  "PEER_LIST",
  "DIAL",
  "JOIN",
  "MESSAGE",
  "OK",
  "PING",
  "PONG",
  "ERROR",
  "SEND_FILE",
  "ACK",
  "BYE",
];

/** A tracker with the keys of its network that is polite until {@linkcode HostileTracker.attack}. */
export class HostileTracker implements AsyncDisposable {
  readonly membership: Membership;
  readonly invite: string;
  readonly #stop = new AbortController();
  readonly #listening: Disposable & { port: number };
  readonly #callers = new Set<Caller>();
  #attack: Attack | undefined;

  constructor(dice: Dice) {
    const [key, identity, secret] = [Identity.generate(), Identity.generate(), randomBytes(16)];
    this.membership = { id: key.id, secret };
    const { signal } = this.#stop;
    const polite = { dice, membership: this.membership, targets: [], signal, spent: nothing() };
    this.#listening = listenAs(polite, identity, "tracker", {
      issuer: key,
      onGreeted: (caller) => this.#serve(caller),
    });
    const { port } = this.#listening;
    this.invite = formatInvite({ host: "127.0.0.1", port, network: key.id, secret });
  }

  /** Sends everybody who is there, or comes, hostile frames until the round ends. */
  async attack(attack: Attack): Promise<void> {
    this.#attack = attack;
    for (const caller of this.#callers) this.#spoil(caller).catch(() => {});
    await new Promise((resolve) => attack.signal.addEventListener("abort", resolve));
    this.#attack = undefined;
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    this.#listening[Symbol.dispose]();
    return Promise.resolve();
  }

  async #serve(caller: Caller): Promise<void> {
    this.#callers.add(caller);
    const { connection } = caller;
    try {
      for (let frame = await connection.read(); frame; frame = await connection.read()) {
        if (!("message" in frame)) continue;
        // While it attacks it answers now and then: a peer that never gets in sees nothing.
        if (this.#attack && caller.dice.once(2)) await this.#spoil(caller);
        else await connection.write(replyTo(frame.message));
      }
    } finally {
      this.#callers.delete(caller);
    }
  }

  async #spoil({ conn, dice, known, identity }: Caller): Promise<void> {
    const attack = this.#attack;
    if (!attack) return;
    const ids = attack.targets.map(({ id }) => id);
    const names = attack.targets.map(({ name }) => name);
    const ports = attack.targets.map(({ port }) => port);
    for (let n = 1 + dice.below(6); n > 0; n--) {
      const frame = hostileFrame({ ...known, id: identity.id, ids, names, ports }, VERBS);
      for (let at = 0; at < frame.length;) at += await conn.write(frame.subarray(at));
      attack.spent.bytes += frame.length;
    }
    attack.spent.connections++;
  }
}

function nothing() {
  return { bytes: 0, connections: 0 };
}

/** What a tracker of good manners would say; of nobody but the one who asks. */
function replyTo(message: Message): Message {
  const re = "seq" in message && message.seq ? message.seq : 1;
  switch (message.verb) {
    case "REGISTER":
      return {
        verb: "OK",
        re,
        name: message.name,
        host: "127.0.0.1",
        port: message.port,
        reachable: true,
      };
    case "PEERS": {
      const list = { epoch: randomToken(16), revision: 1, full: true, more: false };
      return { verb: "PEER_LIST", re, ...list, peers: [], gone: [], barred: [] };
    }
    case "PING":
      return { verb: "PONG", re };
    default:
      return { verb: "OK", re };
  }
}

/**
 * Who attacks: strangers, who know no secret, and members, who follow no rule. Both in this process, over real sockets.
 *
 * @module
 */

import { decodeBase64Url } from "@std/encoding/base64url";
import type { P2PError } from "../../lib/errors.ts";
import { SCHEMES } from "../../lib/pieces/scheme.ts";
import { certificatePem } from "../../lib/identity/certificate.ts";
import { randomToken } from "../../lib/async/random.ts";
import { Identity } from "../../lib/identity/keys.ts";
import type { Membership } from "../../lib/identity/network.ts";
import { Connection } from "../../lib/net/connection.ts";
import { greetAsDialler, greetAsListener } from "../../lib/net/handshake.ts";
import { closeQuietly } from "../../lib/net/closing.ts";
import { listen, type Listener } from "../../lib/net/listen.ts";
import { dial } from "../../lib/net/transport.ts";
import { composeMessage } from "../../lib/peer/text_message.ts";
import { encodeFrame, type Frame } from "../../lib/wire/frame.ts";
import type { Message, Role, Verb } from "../../lib/wire/message.ts";
import { manifestOf } from "../helpers/raw.ts";
import type { Dice } from "../helpers/random.ts";
import { ALL_VERBS, hostileFrame, type Knowledge, MARK } from "./hostile_frames.ts";
import type { Target } from "./stage.ts";

/** How many attacks of a round are under way at once. */
const AT_ONCE = 12;
/** How many a round has. */
const ATTACKS = 60;
/** Verbs of whoever has not proven anything. */
const GREETINGS: readonly Verb[] = ["HELLO", "AUTH", "ERROR", "PING", "BYE", "PIECE", "SEND_FILE"];

/** What an attack cost the attacker, which bounds what it may cost the attacked. */
export interface Spent {
  bytes: number;
  connections: number;
}

/** Where and as whom a round attacks. */
export interface Attack {
  dice: Dice;
  targets: readonly Target[];
  membership: Membership;
  /** When it ends, whatever is under way. */
  signal: AbortSignal;
  spent: Spent;
}

/** One open connection, whose bytes are counted. */
class Link {
  readonly #conn: Deno.Conn;
  readonly #attack: Attack;

  constructor(conn: Deno.Conn, attack: Attack) {
    this.#conn = conn;
    this.#attack = attack;
    attack.spent.connections++;
  }

  /** Writes in as many parts as the dice say; stops when the round does or the other side goes. */
  async write(bytes: Uint8Array, dice = this.#attack.dice): Promise<void> {
    const cut = dice.once(4) ? dice.below(bytes.length + 1) : bytes.length;
    for (const part of [bytes.subarray(0, cut), bytes.subarray(cut)]) {
      for (let at = 0; at < part.length;) {
        this.#attack.signal.throwIfAborted();
        const n = await this.#conn.write(part.subarray(at));
        this.#attack.spent.bytes += n;
        at += n;
      }
    }
  }

  send(message: Message, body?: Uint8Array<ArrayBuffer>): Promise<void> {
    return this.write(encodeFrame(message, body).bytes);
  }
}

/** Attacks of strangers: on TCP, in TLS, and up to the proof that they can't give. */
export function strangers(attack: Attack): Promise<void> {
  return inParallel(attack, async (dice) => {
    const target = dice.pick(attack.targets);
    const kind = dice.below(4);
    if (kind === 0) return await onTcp(attack, dice, target);
    using conn = await dialled(attack, target);
    const link = new Link(conn, attack);
    if (kind === 1) return await pause(attack, dice);
    const known = knowledgeOf(attack, dice, Identity.generate());
    const proof = { mac: randomToken(32), signature: randomToken(64) };
    if (kind === 2) {
      const hello = { protocol: 1, role: "peer", nonce: randomToken(32) } as const;
      const { id: network } = attack.membership;
      await link.send({ verb: "HELLO", ...hello, id: dice.pick(known.ids), network });
      if (dice.once(2)) await link.send({ verb: "AUTH", ...proof });
      else await link.send({ verb: "ERROR", code: "busy", message: `x\n${MARK}` });
    }
    for (let n = dice.below(4); n > 0; n--) await link.write(hostileFrame(known, GREETINGS), dice);
    await pause(attack, dice);
  });
}

/** Attacks of a member: as one that dials, and as `mallory`, who is registered and dialled. */
export async function members(attack: Attack, mallory: Mallory): Promise<void> {
  const { identity, port } = mallory;
  // Registers, and takes over what it has registered itself; Mallory stays listed.
  const other = Identity.generate();
  await inParallel(attack, async (dice) => {
    const target = dice.pick(attack.targets);
    const role = dice.pick<Role>(["peer", "peer", "client", "tracker"]);
    const known = dice.once(2) ? identity : Identity.generate();
    const who = target.role === "tracker" && known === identity ? other : known;
    using conn = await dialled(attack, target);
    using _ = closedAtTheEnd(attack, conn);
    const connection = new Connection(conn);
    const credentials = { identity: who, role, membership: attack.membership };
    await greetAsDialler(connection, credentials, {
      expectedId: target.role === "peer" ? target.id : undefined,
    });
    const caller = { dice, connection, conn, identity: who };
    await misbehave(attack, { ...caller, known: knowledgeOf(attack, dice, who, port) });
  });
}

/** A member whom others dial, to their cost. */
export interface Mallory {
  identity: Identity;
  port: number;
}

/** Listens as a new member until the round ends, and is listed. */
export async function mallory(attack: Attack): Promise<Mallory> {
  const identity = Identity.generate();
  let isListed = false;
  const { port, ...listening } = listenAs(attack, identity, "peer", {
    // The dial-back is answered as it should be, so that others dial.
    onGreeted: (caller) => isListed ? misbehave(attack, caller) : pong(caller),
    isRude: () => isListed,
  });
  attack.signal.addEventListener("abort", () => listening[Symbol.dispose]());
  const tracker = attack.targets.find(({ role }) => role === "tracker") as Target;
  const conn = await dialled(attack, tracker);
  closedAtTheEnd(attack, conn);
  const connection = new Connection(conn);
  await greetAsDialler(connection, { identity, role: "peer", membership: attack.membership });
  await connection.write({ verb: "REGISTER", seq: 1, name: "mallory", port });
  for (let n = 0; n < 5 && !isListed; n++) {
    const frame = await connection.read();
    isListed = frame !== null && "message" in frame && frame.message.verb === "OK";
  }
  readAll(connection, () => {}).catch(() => {});
  return { identity, port };
}

/** A listener that answers as whom it says it is, or in any other way. */
export function listenAs(
  attack: Attack,
  identity: Identity,
  role: Role,
  { issuer = identity, onGreeted, isRude = () => false }: {
    issuer?: Identity;
    /** Goes on with a caller that has been greeted. */
    onGreeted: (caller: Caller) => Promise<void>;
    /** Whether callers may come upon silence, an end or nonsense before they are greeted. */
    isRude?: () => boolean;
  },
): Disposable & { port: number } {
  const cert = certificatePem({ subjectKey: identity.publicKey, issuer });
  const listener = listen({ host: "127.0.0.1", port: 0 }, { cert, key: identity.pkcs8Pem() });
  const { port } = listener.addr as Deno.NetAddr;
  acceptAll(attack, listener, async (conn, dice) => {
    if (isRude() && dice.once(6)) return;
    if (isRude() && dice.once(6)) return await pause(attack, dice);
    const connection = new Connection(conn);
    const known = knowledgeOf(attack, dice, identity, port);
    if (isRude() && dice.once(4)) {
      return await new Link(conn, attack).write(hostileFrame(known, GREETINGS), dice);
    }
    const credentials = { identity, role, membership: attack.membership };
    await greetAsListener(connection, credentials, () => {});
    await onGreeted({ dice, known, connection, conn, identity });
  });
  return { port, [Symbol.dispose]: () => closeQuietly(listener) };
}

/** Answers PING until the other side ends. */
async function pong({ connection }: Caller): Promise<void> {
  await readAll(connection, ({ message }) => {
    if (message.verb === "PING") {
      connection.write({ verb: "PONG", ...message.seq ? { re: message.seq } : {} }).catch(() => {});
    }
  });
}

/** A session that has been greeted, and whatever the one who attacks knows on it. */
export interface Caller {
  dice: Dice;
  known: Knowledge;
  connection: Connection;
  conn: Deno.Conn;
  identity: Identity;
}

/** Frames of any kind, in any state: some that follow the rules for a while, most that don't. */
export async function misbehave(attack: Attack, caller: Caller): Promise<void> {
  const { dice, known, connection, conn, identity } = caller;
  const link = new Link(conn, attack);
  const reading = dice.once(4) ? undefined : readAll(connection, (frame) => {
    answer(link, dice, frame, known).catch(() => {});
  });
  reading?.catch(() => {});
  for (let n = 1 + dice.below(6); n > 0; n--) {
    switch (dice.below(5)) {
      case 0: {
        const text = dice.pick([MARK, `hi\n${MARK}`, `\u2028${MARK}`, `\r${MARK}`]);
        const name = dice.pick([...known.names, MARK]);
        const signed = composeMessage(text, { identity, network: attack.membership.id, name });
        const message = dice.once(2)
          ? { verb: "BROADCAST", seq: 900 + n, ...signed.header } as const
          : { verb: "MESSAGE", seq: 900 + n, from: identity.id, ...signed.header } as const;
        await link.send(message, signed.text);
        break;
      }
      case 1:
        await offer(link, dice, known);
        break;
      case 2: {
        const register = { seq: 800 + n, name: dice.pick([...known.names, ...known.ids, MARK]) };
        await link.send({ verb: "REGISTER", ...register, port: dice.pick(known.ports) });
        const ask = { seq: 700 + n, token: randomToken(16), port: dice.pick(known.ports) };
        await link.send({ verb: "CONNECT", peer: dice.pick(known.ids), ...ask });
        break;
      }
      default:
        for (let m = dice.below(8); m > 0; m--) {
          await link.write(hostileFrame(known, ALL_VERBS), dice);
        }
    }
  }
  await pause(attack, dice);
}

/** A real content that is offered, and served as the dice say. */
async function offer(link: Link, dice: Dice, known: Knowledge): Promise<void> {
  const transfer = randomToken(16);
  known.transfers.push(transfer);
  const size = dice.pick([0, 1, 40_000, 300_000, 2_000_000]);
  const content = new Uint8Array(size).fill(dice.below(256));
  const scheme = dice.pick(SCHEMES);
  const { hashes, last } = manifestOf(content, 16_384, { scheme });
  const name = dice.pick([
    `${MARK}.bin`,
    `a\n${MARK}`,
    "../../escaped",
    "x",
    known.names[0] ?? "y",
  ]);
  const header = { transfer, name, pieceSize: 16_384, scheme };
  const seq = 100 + dice.below(100);
  const isTree = dice.once(4);
  if (isTree) {
    await link.send({ verb: "SEND_TREE", seq, ...header, size, table: dice.below(size + 1) });
  } else await link.send({ verb: "SEND_FILE", seq, ...header, size: dice.once(3) ? null : size });
  const by = dice.once(6) ? { scheme: dice.pick(SCHEMES) } : {};
  const end = dice.once(4) ? {} : { last };
  await link.send({ verb: "HASHES", transfer, start: 0, ...by, ...end }, hashes);
}

/** A piece for a GET: the right length, bytes that may be those that were promised, or none. */
async function answer(link: Link, dice: Dice, frame: Frame, known: Knowledge): Promise<void> {
  const { message } = frame;
  if (message.verb === "PING") {
    return await link.send({ verb: "PONG", ...message.seq ? { re: message.seq } : {} });
  }
  if ("transfer" in message) known.transfers.push(message.transfer);
  if (message.verb !== "GET" || dice.once(5)) return;
  const { transfer, index } = message;
  const length = dice.once(8) ? dice.below(70_000) : 16_384;
  await link.send({ verb: "PIECE", transfer, index }, new Uint8Array(length).fill(dice.below(3)));
}

async function onTcp(attack: Attack, dice: Dice, { port }: Target): Promise<void> {
  using conn = await Deno.connect({ hostname: "127.0.0.1", port });
  using _ = closedAtTheEnd(attack, conn);
  const link = new Link(conn, attack);
  const hello = Uint8Array.of(0x16, 3, 1, 1, 0, 1, 0, 0, 0xfc, 3, 3, ...dice.bytes(200));
  const starts = [
    new Uint8Array(0),
    hello.subarray(0, dice.below(hello.length)),
    new TextEncoder().encode(`GET / HTTP/1.1\r\nHost: ${MARK}\r\n\r\n`),
    new TextEncoder().encode(`ERROR {"code":"x","message":"\\n${MARK}"}\n`),
    dice.bytes(dice.below(2000)),
  ];
  await link.write(dice.pick(starts), dice);
  await pause(attack, dice);
}

/** A TLS connection that has done nothing else. */
async function dialled({ membership, signal }: Attack, { port, role, id }: Target) {
  const pin = decodeBase64Url(role === "tracker" ? membership.id : id);
  return await dial({ host: "127.0.0.1", port, pin, timeout: 10_000, signal });
}

function knowledgeOf(attack: Attack, dice: Dice, { id }: Identity, port = 1): Knowledge {
  const { targets } = attack;
  const names = targets.filter(({ role }) => role === "peer").map(({ name }) => name);
  const ports = [port, ...targets.map((target) => target.port)];
  return { dice, id, ids: targets.map((target) => target.id), names, ports, transfers: [] };
}

/** Goes on until the attacks are done or the time is up; what the other side does to one ends that one. */
async function inParallel(attack: Attack, one: (dice: Dice) => Promise<void>): Promise<void> {
  const dice = Array.from({ length: ATTACKS }, () => attack.dice.another());
  const worker = async () => {
    for (let next = dice.pop(); next && !attack.signal.aborted; next = dice.pop()) {
      await one(next).catch(() => {});
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
}

function acceptAll(
  attack: Attack,
  listener: Listener,
  serve: (conn: Deno.Conn, dice: Dice) => Promise<void>,
): void {
  const loop = async () => {
    while (true) {
      const conn = await listener.accept();
      const end = closedAtTheEnd(attack, conn);
      serve(conn, attack.dice.another()).catch(() => {}).finally(() => end[Symbol.dispose]());
    }
  };
  loop().catch(() => {});
}

async function readAll(
  connection: Connection,
  take: (frame: Frame) => void,
): Promise<P2PError | void> {
  for (let frame = await connection.read(); frame; frame = await connection.read()) {
    if ("message" in frame) take(frame);
  }
}

/** Closes with the round, or earlier. */
function closedAtTheEnd({ signal }: Attack, conn: Deno.Conn): Disposable {
  const close = () => closeQuietly(conn);
  signal.addEventListener("abort", close);
  return {
    [Symbol.dispose]: () => {
      signal.removeEventListener("abort", close);
      close();
    },
  };
}

/** Stalls: for a moment, or until the round ends. */
async function pause({ signal }: Attack, dice: Dice): Promise<void> {
  const ms = dice.pick([0, 0, 20, 200, 800]);
  const { promise, resolve } = Promise.withResolvers<void>();
  const timer = setTimeout(resolve, ms);
  signal.addEventListener("abort", () => resolve(), { once: true });
  await promise;
  clearTimeout(timer);
}

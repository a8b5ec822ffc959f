/**
 * The Port Control Protocol (RFC 6887): the one request that maps a port, or removes the mapping.
 *
 * @module
 */

import { type Address, plainHost } from "../../address.ts";
import { randomBytes } from "../../async/random.ts";
import { P2PError } from "../../errors.ts";
import { askRouter } from "./ask_router.ts";
import { LEASE, type Mapping, type MappingWish, type Router } from "./router.ts";

const VERSION = 2;
const MAP = 1;
/** Bit of an operation that makes it the answer to it. */
const ANSWER = 0x80;
const TCP = 6;
/** Bytes of a MAP request, and of its answer. */
const LENGTH = 60;
/** Where the nonce is, and its length (RFC 6887, 11.1). */
const NONCE = { at: 24, length: 12 };

/** Result codes (RFC 6887, 7.4), in words; those that a program's fault brings about have none. */
const REASONS: Readonly<Record<number, string>> = {
  2: "it is not allowed there",
  7: "it has no public address (yet)",
  8: "it has no room for another mapping, or no public address itself",
  9: "it does not map TCP",
  10: "this machine has as many mappings as it may",
  11: "that port outside is not to be had",
  12: "there is another router before it",
};

/** A router that speaks PCP. */
export class PcpRouter implements Router {
  readonly protocol = "PCP";
  readonly host: string;
  readonly #from: string;
  readonly #router: Address;
  /** Random bytes that mark the mapping as this program's: whoever knows them may change it. */
  readonly #nonce = randomBytes(NONCE.length);
  #port = 0;

  /** @param from address of this machine that is to be mapped. */
  constructor(from: string, router: Address) {
    this.#from = from;
    this.#router = router;
    this.host = router.host;
  }

  async map({ port, outside }: MappingWish, signal: AbortSignal): Promise<Mapping> {
    this.#port = port;
    return await this.#ask({ host: "0.0.0.0", port, ...outside }, LEASE, signal);
  }

  async unmap(signal: AbortSignal): Promise<void> {
    await this.#ask({ host: "0.0.0.0", port: 0 }, 0, signal);
  }

  async #ask(outside: Address, lifetime: number, signal: AbortSignal): Promise<Mapping> {
    const bytes = new Uint8Array(LENGTH);
    const view = new DataView(bytes.buffer);
    view.setUint8(0, VERSION);
    view.setUint8(1, MAP);
    view.setUint32(4, lifetime / 1000);
    bytes.set(mapped(this.#from), 8);
    bytes.set(this.#nonce, NONCE.at);
    view.setUint8(36, TCP);
    view.setUint16(40, this.#port);
    view.setUint16(42, outside.port);
    bytes.set(mapped(outside.host), 44);
    const read = (answer: DataView) => this.#read(answer);
    return await askRouter({ from: this.#from, to: this.#router, bytes, read, signal });
  }

  #read(answer: DataView): Mapping | undefined {
    if (answer.byteLength < 4) return undefined;
    const result = answer.getUint8(3);
    // A router of NAT-PMP alone answers in its own version (RFC 6886, 3.5), and without what was asked.
    if (answer.getUint8(0) !== VERSION || result === 1) {
      throw new P2PError("version", "it does not speak PCP");
    }
    if (answer.byteLength < LENGTH || answer.getUint8(1) !== (ANSWER | MAP)) return undefined;
    const isOurs = this.#nonce.every((byte, i) => answer.getUint8(NONCE.at + i) === byte) &&
      answer.getUint8(36) === TCP && answer.getUint16(40) === this.#port;
    if (!isOurs) return undefined;
    if (result !== 0) {
      throw new P2PError("refused", REASONS[result] ?? `it answers with error ${result}`);
    }
    const groups = Array.from({ length: 8 }, (_, i) => answer.getUint16(44 + 2 * i).toString(16));
    return {
      outside: { host: plainHost(groups.join(":")), port: answer.getUint16(42) },
      lifetime: answer.getUint32(4) * 1000,
    };
  }
}

/** An IPv4 address in 16 bytes (RFC 4291, 2.5.5.2). */
function mapped(host: string): Uint8Array {
  return Uint8Array.of(...new Uint8Array(10), 0xff, 0xff, ...host.split(".").map(Number));
}

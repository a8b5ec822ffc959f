/**
 * The NAT Port Mapping Protocol (RFC 6886), which PCP came after.
 *
 * @module
 */

import type { Address } from "../../address.ts";
import { P2PError } from "../../errors.ts";
import { askRouter } from "./ask_router.ts";
import { LEASE, type Mapping, type MappingWish, type Router } from "./router.ts";

const VERSION = 0;
const OUTSIDE_ADDRESS = 0;
const MAP_TCP = 2;
/** What is added to an operation in the answer to it. */
const ANSWER = 128;

/** Result codes (RFC 6886, 3.5), in words. */
const REASONS: Readonly<Record<number, string>> = {
  1: "it does not speak NAT-PMP",
  2: "it is not allowed there",
  3: "it has no public address (yet)",
  4: "it has no room for another mapping",
};

/** A router that speaks NAT-PMP. */
export class NatPmpRouter implements Router {
  readonly protocol = "NAT-PMP";
  readonly host: string;
  readonly #from: string;
  readonly #router: Address;
  #port = 0;

  /** @param from address of this machine that is to be mapped. */
  constructor(from: string, router: Address) {
    this.#from = from;
    this.#router = router;
    this.host = router.host;
  }

  async map({ port, outside }: MappingWish, signal: AbortSignal): Promise<Mapping> {
    this.#port = port;
    const host = await this.#ask(Uint8Array.of(VERSION, OUTSIDE_ADDRESS), signal, {
      length: 12,
      read: (answer) => [8, 9, 10, 11].map((at) => answer.getUint8(at)).join("."),
    });
    const mapping = await this.#mapTcp(outside?.port ?? port, LEASE, signal);
    return { outside: { host, port: mapping.port }, lifetime: mapping.lifetime };
  }

  async unmap(signal: AbortSignal): Promise<void> {
    await this.#mapTcp(0, 0, signal);
  }

  async #mapTcp(
    outsidePort: number,
    lifetime: number,
    signal: AbortSignal,
  ): Promise<{ port: number; lifetime: number }> {
    const bytes = new Uint8Array(12);
    const view = new DataView(bytes.buffer);
    view.setUint8(0, VERSION);
    view.setUint8(1, MAP_TCP);
    view.setUint16(4, this.#port);
    view.setUint16(6, outsidePort);
    view.setUint32(8, lifetime / 1000);
    return await this.#ask(bytes, signal, {
      length: 16,
      read: (answer) =>
        answer.getUint16(8) !== this.#port ? undefined : {
          port: answer.getUint16(10),
          lifetime: answer.getUint32(12) * 1000,
        },
    });
  }

  /** Asks, and reads what is in an answer of the given length when it says yes. */
  async #ask<T>(
    bytes: Uint8Array,
    signal: AbortSignal,
    { length, read }: { length: number; read: (answer: DataView) => T | undefined },
  ): Promise<T> {
    const expected = ANSWER + (bytes[1] ?? 0);
    return await askRouter({
      from: this.#from,
      to: this.#router,
      bytes,
      read(answer) {
        if (answer.byteLength < 4 || answer.getUint8(0) !== VERSION) return undefined;
        if (answer.getUint8(1) !== expected) return undefined;
        const result = answer.getUint16(2);
        if (result !== 0) {
          throw new P2PError("refused", REASONS[result] ?? `it answers with error ${result}`);
        }
        return answer.byteLength < length ? undefined : read(answer);
      },
      signal,
    });
  }
}

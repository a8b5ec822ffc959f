import { createSocket, type Socket } from "node:dgram";
import type { Address } from "../../lib/address.ts";

/** Where this machine is for routers of a test. */
export const HERE = "127.0.0.1";

/** Sends a datagram to whoever asked. */
type Reply = (bytes: Uint8Array) => void;

/** A router of a test, that answers to each datagram as the test says. */
export class ScriptedRouter implements AsyncDisposable {
  readonly address: Address;
  /** What was asked. */
  readonly asked: Uint8Array[] = [];
  readonly #socket: Socket;

  private constructor(socket: Socket, address: Address) {
    this.#socket = socket;
    this.address = address;
  }

  static async start(
    answer: (asked: Uint8Array, reply: Reply, from: Address) => void,
  ): Promise<ScriptedRouter> {
    const socket = createSocket("udp4");
    await new Promise<void>((resolve) => socket.bind(0, HERE, resolve));
    const router = new ScriptedRouter(socket, { host: HERE, port: socket.address().port });
    socket.on("message", (message, { address, port }) => {
      const asked = Uint8Array.from(message);
      router.asked.push(asked);
      const from = { host: address, port };
      answer(asked, (bytes) => router.tell(from, bytes), from);
    });
    return router;
  }

  /** Sends a datagram to anybody. */
  tell({ host, port }: Address, bytes: Uint8Array): void {
    this.#socket.send(bytes, port, host);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await new Promise<void>((resolve) => this.#socket.close(resolve));
  }
}

/** An answer of PCP to what was asked (RFC 6887, 11.1). */
export function pcpAnswer(
  asked: Uint8Array,
  { result = 0, host = "5.5.5.1", port, lifetime }: {
    result?: number;
    host?: string;
    port?: number;
    /** Seconds. */
    lifetime?: number;
  } = {},
): Uint8Array {
  const bytes = asked.slice();
  const view = new DataView(bytes.buffer);
  bytes[1] = 0x81;
  bytes[3] = result;
  if (lifetime !== undefined) view.setUint32(4, lifetime);
  // The epoch, and what is reserved.
  bytes.fill(0, 8, 24);
  if (port !== undefined) view.setUint16(42, port);
  bytes.set([...new Uint8Array(10), 0xff, 0xff, ...host.split(".").map(Number)], 44);
  return bytes;
}

/** Whether a request of PCP removes a mapping. */
export function isRemoval(asked: Uint8Array): boolean {
  return new DataView(asked.buffer).getUint32(4) === 0;
}

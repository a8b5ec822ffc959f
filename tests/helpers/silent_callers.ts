import { connect, type Socket } from "node:net";
import type { Address } from "../../lib/address.ts";

/** Callers of 127.0.0.0/8 who connect, may begin a TLS handshake, and then stay silent. */
export class SilentCallers implements Disposable {
  readonly #sockets: Socket[] = [];

  /** Connects as many more, from `hosts` addresses in turn, one after the other. */
  async call(
    { host, port }: Address,
    { count, hosts, begin = new Uint8Array(0) }: {
      count: number;
      hosts: number;
      /** What each sends. */
      begin?: Uint8Array;
    },
  ): Promise<void> {
    for (let i = 0; i < count; i++) {
      const socket = connect({ host, port, localAddress: `127.0.0.${10 + i % hosts}` });
      this.#sockets.push(socket);
      const settled = Promise.withResolvers<void>();
      socket.on("connect", settled.resolve).on("close", settled.resolve).on("error", () => {});
      await settled.promise;
      if (begin.length > 0 && !socket.destroyed) socket.write(begin);
    }
  }

  [Symbol.dispose](): void {
    for (const socket of this.#sockets) socket.destroy();
  }
}

import { createSocket } from "node:dgram";
import { onAbort } from "../../async/abort.ts";
import { systemClock } from "../../async/clock.ts";
import type { Address } from "../../address.ts";
import { P2PError, reasonOf } from "../../errors.ts";

/** Milliseconds before a request is sent again, and after the last one: UDP loses some (RFC 6886, 3.1). */
const PAUSES = [250, 500, 1_000];

/** A request by UDP. */
export interface Request<T> {
  /** Address of this machine that it is sent from: the one that is to be mapped. */
  from: string;
  to: Address;
  /** The datagram. */
  bytes: Uint8Array;
  /**
   * Reads a datagram of the router; undefined when it is not the answer.
   *
   * @throws {P2PError} `refused` or `version` when it is the answer, and says no.
   */
  read: (answer: DataView) => T | undefined;
  signal: AbortSignal;
}

/**
 * Sends a request to a router until it answers. Datagrams from elsewhere are passed over.
 *
 * @throws {P2PError} `timeout`, or what `read` throws; the signal's reason.
 */
export async function askRouter<T>({ from, to, bytes, read, signal }: Request<T>): Promise<T> {
  signal.throwIfAborted();
  const { promise, resolve, reject } = Promise.withResolvers<T>();
  using _listening = onAbort(signal, () => reject(signal.reason));
  const socket = createSocket("udp4");
  let cancel = () => {};
  let isBound = false;
  // A network that is down, for a moment, is a router that does not answer yet; a socket that there is none of is an end.
  socket.on("error", (error) => {
    if (!isBound) reject(new P2PError("timeout", reasonOf(error), { cause: error }));
  });
  socket.on("message", (message, { address, port }) => {
    if (address !== to.host || port !== to.port) return;
    try {
      const { buffer, byteOffset, byteLength } = message;
      const answer = read(new DataView(buffer, byteOffset, byteLength));
      if (answer !== undefined) resolve(answer);
    } catch (error) {
      reject(error);
    }
  });
  const send = (tries: number) => {
    const pause = PAUSES[tries];
    if (pause === undefined) return reject(new P2PError("timeout", "no answer"));
    socket.send(bytes, to.port, to.host, () => {});
    cancel = systemClock.after(pause, () => send(tries + 1));
  };
  socket.bind(0, from, () => {
    isBound = true;
    send(0);
  });
  try {
    return await promise;
  } finally {
    cancel();
    socket.close();
  }
}

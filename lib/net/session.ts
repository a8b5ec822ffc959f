import { asP2PError, P2PError, tellable } from "../errors.ts";
import { type Clock, systemClock } from "../async/clock.ts";
import type { Allocate, EncodedFrame, Frame, UnknownFrame } from "../wire/frame.ts";
import {
  type Message,
  remoteError,
  REPLIES,
  type ReplyMessage,
  type ReplyTo,
  type RequestMessage,
} from "../wire/message.ts";
import type { BareConnection, Connection } from "./connection.ts";
import type { Remote } from "./handshake.ts";
import { patientTime } from "./slow_line.ts";

/** What the protocol knows of the application. */
export interface SessionHandler {
  /**
   * A request or a notification. The session reads on when the returned promise settles, so that a slow
   * handler slows the sender. A throw answers a request with ERROR and closes otherwise.
   */
  onMessage(frame: Frame, session: Session): void | Promise<void>;
  /** Called exactly once, after everything else. `null` after a goodbye of either side. */
  onClosed(error: P2PError | null, session: Session): void;
  /**
   * Bytes that may wait to be written before nothing more is read, so that nobody asks for more than it reads; by default
   * no number. Not for sessions that carry pieces, whose other side may wait for this one in the same way.
   */
  readonly maxUnread?: number;
  /** Gives the memory for bodies, or none (see {@linkcode Allocate}); by default each body gets its own. */
  allocate?(message: Message, length: number): Uint8Array<ArrayBuffer> | null;
}

/** A reply and its body. */
export interface Answer<M extends Message = ReplyMessage> {
  message: M;
  body: Uint8Array<ArrayBuffer>;
}

interface Pending {
  /** Verb of the request. */
  asked: RequestMessage["verb"];
  resolve(answer: Answer): void;
  reject(error: P2PError): void;
  cancel(): void;
}

/** A request before the session gives it its number. */
export type WithoutSeq<M> = M extends unknown ? Omit<M, "seq"> : never;

/** Default time in milliseconds that an answer may take. */
const REQUEST_TIMEOUT = 30_000;

/** Times the slowest PONG of late that another may take, and most milliseconds for that: an end may put each one off. */
const SLOW_TIMES = 3;
const LONGEST_PONG = 60_000;

/** An authenticated connection on which both sides may ask, answer and notify. */
export class Session {
  readonly connection: Connection;
  readonly remote: Remote;
  readonly #clock: Clock;
  readonly #pending = new Map<number, Pending>();
  readonly #ended = Promise.withResolvers<void>();
  #lastSeq = 0;
  #lastHeard: number;
  /** Milliseconds that a PONG took, the longest of late. */
  #slowest = 0;
  #goodbye = false;
  #backWithin: number | undefined;
  #isDetached = false;

  constructor(connection: Connection, remote: Remote, clock: Clock = systemClock) {
    this.connection = connection;
    this.remote = remote;
    this.#clock = clock;
    this.#lastHeard = clock.now();
  }

  /** When the other side was heard last, by the session's clock, milliseconds: a frame, or a part of one. */
  get lastHeard(): number {
    return Math.max(this.#lastHeard, this.connection.lastHeard);
  }

  /**
   * Asks the other side whether it is there, with PING: whatever comes of it in time shows that. On a session whose PONGs
   * were slow, and while this process itself fills the line, it has more time.
   *
   * @param timeout milliseconds.
   */
  async isAlive(timeout: number): Promise<boolean> {
    const asked = this.#clock.now();
    const time = Math.max(
      patientTime(timeout),
      Math.min(SLOW_TIMES * this.#slowest, LONGEST_PONG),
    );
    try {
      await this.request({ verb: "PING" }, { timeout: time });
      this.#slowest = Math.max(this.#clock.now() - asked, this.#slowest / 2);
      return true;
    } catch {
      return !this.connection.closed && this.lastHeard > asked;
    }
  }

  /** Resolves when {@linkcode run} has. */
  get ended(): Promise<void> {
    return this.#ended.promise;
  }

  /** Reads until the end and gives each frame to the handler. Resolves after `onClosed`; never rejects. */
  async run(handler: SessionHandler): Promise<void> {
    let error: P2PError | null = null;
    try {
      await this.#readAll(handler);
      if (!this.#goodbye && !this.#isDetached) {
        error = new P2PError("connection-lost", "Connection lost: it ended without a goodbye");
      }
    } catch (thrown) {
      error = this.#goodbye ? null : asP2PError(thrown);
      if (error && error.code !== "connection-lost" && !error.remote) await this.refuse(error);
    }
    const reason = error ?? new P2PError("connection-lost", "Connection closed");
    if (!this.#isDetached) this.connection.close(reason);
    for (const pending of this.#pending.values()) {
      pending.cancel();
      pending.reject(reason);
    }
    this.#pending.clear();
    handler.onClosed(error, this);
    this.#ended.resolve();
  }

  /**
   * Asks, and resolves with the reply. That it is about what was asked is for the caller to check.
   *
   * @throws {P2PError} what the other side said in ERROR (`remote`), `unexpected-verb` when it answered with a verb that
   * answers something else, `timeout`, or why the connection ended.
   */
  request<M extends WithoutSeq<RequestMessage>>(
    message: M,
    { body, timeout = REQUEST_TIMEOUT }: {
      body?: Uint8Array<ArrayBuffer> | undefined;
      timeout?: number | undefined;
    } = {},
  ): Promise<Answer<ReplyTo<M["verb"]>>> {
    const seq = ++this.#lastSeq;
    return new Promise((resolve, reject) => {
      const cancel = this.#clock.after(timeout, () => {
        this.#pending.delete(seq);
        reject(
          new P2PError("timeout", `No answer to ${message.verb} in ${timeout / 1000} s`),
        );
      });
      this.#pending.set(seq, {
        asked: message.verb,
        // The verb is looked at where it is settled, which is more than its type can say here.
        resolve: resolve as Pending["resolve"],
        reject,
        cancel,
      });
      this.send({ ...message, seq } as RequestMessage, body).catch((error) => {
        if (!this.#pending.delete(seq)) return;
        cancel();
        reject(error);
      });
    });
  }

  /** Sends a notification or a reply; resolves when the socket has taken it. */
  send(message: Message, body?: Uint8Array<ArrayBuffer>): Promise<void> {
    return this.connection.write(message, body);
  }

  /** Sends without waiting; a failure shows in `onClosed`. */
  post(message: Message, body?: Uint8Array<ArrayBuffer>): void {
    this.send(message, body).catch(() => {});
  }

  /** As {@linkcode Session.post}, for a frame that has been encoded once for many. */
  postEncoded(frame: EncodedFrame): void {
    this.connection.writeEncoded(frame).catch(() => {});
  }

  /** In how many milliseconds the other side will be there again, which has said so with its goodbye. */
  get backWithin(): number | undefined {
    return this.#backWithin;
  }

  /**
   * Says goodbye, flushes and closes.
   *
   * @param within how many milliseconds the other side is to come back.
   */
  async close(within?: number): Promise<void> {
    if (this.connection.closed) return;
    this.#goodbye = true;
    this.post({ verb: "BYE", ...(within === undefined ? {} : { within }) });
    await this.connection.end();
  }

  /** Tells the other side why, flushes and closes. */
  async refuse(error: P2PError): Promise<void> {
    if (this.connection.closed) return;
    this.post({ verb: "ERROR", ...tellable(error) });
    await this.connection.end();
  }

  /**
   * Ends the session, as after a goodbye, and leaves its connection open, for bare bytes; called by a handler, which has
   * the other side wait.
   */
  detach(): BareConnection {
    this.#isDetached = true;
    return this.connection.detach();
  }

  /** Closes at once; `onClosed` gets `error`. */
  abort(error: P2PError): void {
    this.connection.close(error);
  }

  async #readAll(handler: SessionHandler): Promise<void> {
    const allocate: Allocate | undefined = handler.allocate &&
      ((message, length) => handler.allocate?.(message, length) ?? null);
    const { maxUnread = Infinity } = handler;
    while (true) {
      if (this.connection.queuedBytes > maxUnread) await this.connection.drained();
      const frame = await this.connection.read(allocate);
      if (frame === null) return;
      this.#lastHeard = this.#clock.now();
      if ("unknown" in frame) {
        this.#refuseUnknown(frame);
      } else if (this.#handleOwn(frame)) {
        if (this.#goodbye) return;
      } else {
        await this.#handle(frame, handler);
        if (this.#isDetached) return;
      }
    }
  }

  /** Deals with a frame that concerns the session itself; false, and nothing done, for one that is the handler's. */
  #handleOwn({ message, body }: Frame): boolean {
    if (message.verb === "BYE") {
      this.#goodbye = true;
      this.#backWithin = message.within;
      return true;
    }
    if (message.verb === "PING") {
      this.post({ verb: "PONG", ...(message.seq ? { re: message.seq } : {}) });
      return true;
    }
    if ("re" in message && message.re !== undefined) {
      const pending = this.#pending.get(message.re);
      // A reply that nobody waits for any more came after its time-out.
      if (pending === undefined) return true;
      this.#pending.delete(message.re);
      pending.cancel();
      if (message.verb === "ERROR") pending.reject(remoteError(message));
      else if (message.verb === REPLIES[pending.asked]) pending.resolve({ message, body });
      else pending.reject(wrongVerb(pending.asked, message.verb));
      return true;
    }
    if (message.verb === "ERROR") {
      // The other side is older and does not know a notification of ours.
      if (message.code === "unknown-verb") return true;
      throw remoteError(message);
    }
    return message.verb === "PONG";
  }

  async #handle(frame: Frame, handler: SessionHandler): Promise<void> {
    try {
      await handler.onMessage(frame, this);
    } catch (thrown) {
      const error = asP2PError(thrown);
      const seq = "seq" in frame.message ? frame.message.seq : undefined;
      if (seq === undefined) throw error;
      this.post({ verb: "ERROR", re: seq, ...tellable(error) });
    }
  }

  #refuseUnknown({ unknown, seq }: UnknownFrame): void {
    this.post({
      verb: "ERROR",
      ...(seq === undefined || seq < 1 ? {} : { re: seq }),
      code: "unknown-verb",
      message: `Cannot answer ${unknown}: unknown verb`,
    });
  }
}

function wrongVerb(asked: string, got: string): P2PError {
  return new P2PError("unexpected-verb", `The other side answered ${asked} with ${got}`);
}

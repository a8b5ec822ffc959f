import type { AppEvent, BroadcastRecipient, BroadcastSentEvent } from "../events.ts";
import { asP2PError, attributed, type ErrorCode, isRetriable, P2PError } from "../errors.ts";
import type { Credentials } from "../net/handshake.ts";
import type { Session } from "../net/session.ts";
import type { TrackerClient } from "../directory/tracker_client.ts";
import type { LinkPool } from "../transfer/link_pool.ts";
import type { IncomingText } from "../transfer/peer_link.ts";
import type { Directory } from "../directory/directory.ts";
import type { PeerEntry } from "../wire/message.ts";
import { composeMessage, SeenMessages, type SignedText } from "./text_message.ts";

/** What a {@linkcode Messenger} needs. */
export interface MessengerOptions {
  credentials: Credentials;
  /** Own name, as the tracker gave it. */
  ownName: () => string;
  tracker: TrackerClient;
  directory: Directory;
  links: LinkPool;
  emit: (event: AppEvent) => void;
}

/** Where a message that was sent to everybody has got to. */
export interface Spread {
  /** The message's id. */
  id: string;
  /** To how many. */
  delivered: number;
  /** To whom, and to whom not; undefined where the tracker passed it on to so many that it does not say. */
  results: BroadcastRecipient[] | undefined;
}

/** Sends messages to everybody, and shows those that come: through the tracker or straight from a peer. */
export class Messenger {
  readonly #options: MessengerOptions;
  readonly #incoming: SeenMessages;

  constructor(options: MessengerOptions) {
    this.#options = options;
    this.#incoming = new SeenMessages(options.credentials.membership?.id);
  }

  /**
   * Sends a text to everybody: through the tracker, or while it is down to each peer that is known.
   *
   * @returns how many got it, and how many did not.
   * @throws {P2PError} `usage` when it is empty or too long, `rate-limited`; `peer-unknown` when nobody is there, and why
   * the first did not get it when nobody did.
   */
  async broadcast(text: string): Promise<{ delivered: number; failed: number }> {
    const { delivered, results = [] } = await this.spread(text);
    const failures = results.filter(({ state }) => state === "failed");
    const [{ error } = {}] = failures;
    if (delivered === 0 && error) throw new P2PError(error.code as ErrorCode, error.message);
    if (delivered === 0) throw nobodyThere();
    return { delivered, failed: failures.length };
  }

  /**
   * As {@linkcode broadcast}, for who knows what to do for those who are not there: that nobody was is no failure.
   *
   * @throws {P2PError} `usage`, `rate-limited`, as there.
   */
  async spread(text: string): Promise<Spread> {
    const { credentials: { identity, membership }, ownName, tracker, emit } = this.#options;
    const message = composeMessage(text, { identity, network: membership?.id, name: ownName() });
    const { id } = message.header;
    const relayed = await tracker.broadcast(message.header, message.text).catch((error) => {
      if (!isRetriable(error) || (error as P2PError).code === "rate-limited") throw error;
      return null;
    });
    if (relayed) {
      const sent = broadcastSent(id, { ...relayed, nameOf: (peer) => this.#nameOf(peer) });
      emit(sent);
      return { id, delivered: relayed.delivered, results: sent.recipients };
    }
    const results = await this.#sendToEach(message);
    const delivered = results.filter(({ state }) => state === "delivered").length;
    emit({ event: "broadcast-sent", id, delivered, recipients: results });
    return { id, delivered, results };
  }

  /**
   * Sends a message, which others may have got before under the same id, straight to one peer.
   *
   * @throws {P2PError} why it did not get there.
   */
  async tell(
    entry: PeerEntry,
    { id, time, text }: { id: string; time: string; text: string },
  ): Promise<void> {
    const { credentials: { identity, membership }, ownName, links } = this.#options;
    const author = { identity, network: membership?.id, name: ownName() };
    const signed = composeMessage(text, { ...author, id, time });
    const message = { verb: "MESSAGE", from: identity.id, ...signed.header } as const;
    await links.ask(entry, (session) => session.request(message, { body: signed.text }));
  }

  /** A bad message is its author's fault, and no reason to leave the tracker that relayed it. */
  async onRelayed(incoming: IncomingText): Promise<void> {
    try {
      await this.#show(incoming);
    } catch (error) {
      this.#options.emit({ event: "notice", message: attributed(asP2PError(error)) });
    }
  }

  /**
   * A message that a peer sent straight to this one.
   *
   * @throws {P2PError} `unauthorised` when the peer is not its author, or did not sign it; `malformed`.
   */
  async onDirect(incoming: IncomingText, session: Session): Promise<void> {
    const { from, seq } = incoming.message;
    if (session.remote.id !== "" && from !== session.remote.id) {
      throw new P2PError("unauthorised", "Cannot take a message: its author is somebody else");
    }
    await this.#show(incoming);
    if (seq !== undefined) session.post({ verb: "OK", re: seq });
  }

  async #show({ message, body }: IncomingText): Promise<void> {
    const { directory, emit } = this.#options;
    const text = this.#incoming.read(message, body);
    if (text === null) return;
    await directory.readNames();
    const { id, from, time: sent } = message;
    const name = directory.nameOf(from, message.name) ?? `id:${from.slice(0, 8)}`;
    emit({ event: "message", id, from, name, text, sent });
  }

  #nameOf(id: string): string {
    return this.#options.directory.nameOf(id) ?? id;
  }

  /** Sends a message straight to every known peer. */
  async #sendToEach({ header, text }: SignedText): Promise<BroadcastRecipient[]> {
    const { credentials: { identity }, directory, links } = this.#options;
    const known = directory.knownOthers;
    if (known.length === 0) {
      throw new P2PError(
        "tracker-unreachable",
        "Cannot broadcast: there is no tracker and no peer",
      );
    }
    const message = { verb: "MESSAGE", from: identity.id, ...header } as const;
    return await Promise.all(known.map(async (entry): Promise<BroadcastRecipient> => {
      const { name: peer, id } = entry;
      try {
        await links.ask(entry, (session) => session.request(message, { body: text }));
        return { peer, id, state: "delivered" };
      } catch (thrown) {
        const { code, message } = asP2PError(thrown);
        return { peer, id, state: "failed", error: { code, message } };
      }
    }));
  }
}

/** The event of a broadcast that the tracker has passed on. */
export function broadcastSent(
  id: string,
  { delivered, to, nameOf }: {
    delivered: number;
    to: string[] | undefined;
    nameOf: (id: string) => string;
  },
): BroadcastSentEvent {
  const recipients = to?.map((peer) =>
    ({ peer: nameOf(peer), id: peer, state: "delivered" }) as const
  );
  return { event: "broadcast-sent", id, delivered, ...(recipients ? { recipients } : {}) };
}

/** What a broadcast ends with that reached nobody. */
export function nobodyThere(): P2PError {
  return new P2PError("peer-unknown", "Cannot broadcast: no other peer is there to get it");
}

import { P2PError } from "../errors.ts";
import { signMessage, verifyMessage } from "../identity/signed_text.ts";
import { randomToken } from "../async/random.ts";
import type { Identity } from "../identity/keys.ts";
import { MAX_TEXT } from "../wire/limits.ts";
import type { MessageOf } from "../wire/message.ts";

/** A text and the header that vouches for it. */
export interface SignedText {
  header: { id: string; time: string; name: string; signature: string };
  text: Uint8Array<ArrayBuffer>;
}

/** Messages that are remembered, so that each is shown once though it came on two ways. */
const REMEMBERED = 10_000;

const decoder = new TextDecoder("utf-8", { fatal: true });

/** Who signs a text, and in which network. */
export interface Author {
  identity: Identity;
  /** Undefined with `--insecure`. */
  network: string | undefined;
  /** Own name. */
  name: string;
}

/**
 * Signs a text as `name`. Its id and time are new, unless others have got it under them before.
 *
 * @throws {P2PError} `usage` when it is empty or longer than 16 KiB.
 */
export function composeMessage(
  text: string,
  { identity, network, name, id = randomToken(16), time = new Date().toISOString() }: Author & {
    id?: string;
    time?: string;
  },
): SignedText {
  const bytes = new TextEncoder().encode(text);
  if (bytes.length === 0 || bytes.length > MAX_TEXT) {
    throw new P2PError(
      "usage",
      `Cannot send a message of ${bytes.length} bytes: 1 to ${MAX_TEXT} fit; send a file instead`,
    );
  }
  const subject = { id, time, name };
  const signature = signMessage(identity, { ...subject, network }, bytes);
  return { header: { ...subject, signature }, text: bytes };
}

/** Checks incoming messages and drops those that were seen before. */
export class SeenMessages {
  readonly #network: string | undefined;
  readonly #seen = new Set<string>();

  /** @param network the id of the network; undefined with `--insecure`: nothing is verified then. */
  constructor(network: string | undefined) {
    this.#network = network;
  }

  /**
   * The text of a message, or null when it was seen before.
   *
   * @throws {P2PError} `unauthorised` when its author did not sign it, `malformed` when it is not UTF-8.
   */
  read(message: MessageOf<"MESSAGE">, body: Uint8Array): string | null {
    const { from, id, time, name, signature } = message;
    if (this.#network) {
      const subject = { network: this.#network, id, time, name };
      if (!verifyMessage(from, subject, body, signature)) {
        throw new P2PError("unauthorised", "Cannot take a message: its author did not sign it");
      }
    }
    let text: string;
    try {
      text = decoder.decode(body);
    } catch (cause) {
      throw new P2PError("malformed", "Cannot read a message: it is not UTF-8", { cause });
    }
    if (text === "") throw new P2PError("malformed", "Cannot read a message: it is empty");
    const key = `${from} ${id}`;
    if (this.#seen.has(key)) return null;
    this.#seen.add(key);
    for (const oldest of this.#seen) {
      if (this.#seen.size <= REMEMBERED) break;
      this.#seen.delete(oldest);
    }
    return text;
  }
}

import { P2PError } from "../errors.ts";
import type { PeerEntry } from "../wire/message.ts";
import type { NameBook } from "../directory/name_book.ts";
import { isMeant } from "../directory/target.ts";

/** Who may put files into an inbox: every member, the peers that are named, or whoever a person lets. */
export type AcceptRule = { who: "members" | "ask" } | { who: "peers"; peers: string[] };

/** What a person is asked about. */
export interface AcceptQuestion {
  /** Of the file. */
  name: string;
  /** Bytes; null when the sender does not know. */
  size: number | null;
  /** The sender's name, or its id when it is not listed. */
  peer: string;
}

/** Asks a person; rejects when nobody can be asked any longer, or the signal aborts. */
export type AskPerson = (question: AcceptQuestion, signal: AbortSignal) => Promise<boolean>;

/** Words of the flag that are no peers. */
const WORDS = ["ask", "members", "all"];
/** Characters of an id that have to be given: a key with a shorter start is found by trying. */
const MIN_ID = 8;

/**
 * Reads the value of `--accept`.
 *
 * @throws {P2PError} `usage`
 */
export function parseAcceptRule(text: string): AcceptRule {
  if (text === "ask" || text === "members") return { who: text };
  const peers = text.split(",").map((part) => part.trim()).filter(Boolean);
  const word = peers.find((peer) => WORDS.includes(peer));
  if (word !== undefined || peers.length === 0) {
    throw new P2PError(
      "usage",
      `Cannot use --accept ${text}: ${word ?? "it"} names no peer; write ask, members, or peers ` +
        "separated by commas",
    );
  }
  const short = peers.find((peer) => peer.startsWith("id:") && peer.length < 3 + MIN_ID);
  if (short !== undefined) {
    throw new P2PError(
      "usage",
      `Cannot use --accept ${text}: ${short} is too short; write at least ${MIN_ID} characters of the id`,
    );
  }
  return { who: "peers", peers };
}

/** What an {@linkcode OfferPolicy} needs. */
export interface OfferPolicyOptions {
  rule: AcceptRule;
  names: NameBook | undefined;
  /** The peers that are listed; `fresh` asks the tracker first. */
  entries: (options: { fresh: boolean }) => Promise<readonly PeerEntry[]>;
  /** Own name, for those who are refused. */
  ownName: () => string;
  /** Absent where there is nobody to ask. */
  askPerson?: AskPerson | undefined;
}

/** Decides who may put files into this peer's inbox. */
export class OfferPolicy {
  readonly #options: OfferPolicyOptions;

  constructor(options: OfferPolicyOptions) {
    this.#options = options;
  }

  /** Whether a person decides. */
  get asks(): boolean {
    return this.#options.rule.who === "ask";
  }

  /**
   * Checks the sender of an offer.
   *
   * @throws {P2PError} `refused`, with who refuses and why.
   */
  async check(from: string): Promise<void> {
    const { rule, askPerson } = this.#options;
    if (rule.who === "peers" && !await this.#isNamed(from, rule.peers)) {
      throw this.#refused("takes files from some peers only; ask its owner to add this one");
    }
    if (rule.who === "ask" && !askPerson) {
      throw this.#refused(
        "asks a person for each file and has no terminal to ask at; its owner can use `peer` there " +
          "or another --accept",
      );
    }
  }

  /**
   * Asks the person at the terminal.
   *
   * @throws {P2PError} `refused` when the answer is no, or cannot be given any more.
   */
  async ask(question: AcceptQuestion, signal: AbortSignal): Promise<void> {
    const { askPerson } = this.#options;
    const answer = await askPerson?.(question, signal).catch(() => null) ?? null;
    if (answer === null) throw this.#refused("has nobody left to ask");
    if (!answer) throw this.#refused("was asked, and its owner declined");
  }

  /** A peer is listed: a name that `--accept` mentions stands for its key from now on. */
  async onListed(entry: PeerEntry): Promise<void> {
    const { rule, names } = this.#options;
    if (rule.who === "peers" && rule.peers.includes(entry.name)) await names?.check(entry);
  }

  async #isNamed(from: string, peers: readonly string[]): Promise<boolean> {
    // Without a key nobody is anybody.
    if (from === "") return false;
    const open: string[] = [];
    for (const peer of peers) {
      const known = peer.startsWith("id:")
        ? from.startsWith(peer.slice(3))
        : await this.#isPinned(peer, from);
      if (known) return true;
      if (known === undefined) open.push(peer);
    }
    return open.length > 0 &&
      (await this.#isListed(from, open, false) || await this.#isListed(from, open, true));
  }

  /** Whether the name stands for this key; undefined when it has stood for none. */
  async #isPinned(name: string, from: string): Promise<boolean | undefined> {
    const id = await this.#options.names?.idOf(name);
    return id === undefined ? undefined : id === from;
  }

  /** Whether the list has the key under one of these names or addresses; a new name is pinned to it. */
  async #isListed(from: string, peers: readonly string[], fresh: boolean): Promise<boolean> {
    const entries = await this.#options.entries({ fresh }).catch(() => []);
    const entry = entries.find(({ id }) => id === from);
    if (!entry || !peers.some((peer) => isMeant(peer, entry))) return false;
    return await Promise.resolve(this.#options.names?.check(entry)).then(() => true, () => false);
  }

  #refused(why: string): P2PError {
    return new P2PError("refused", `Cannot deliver: ${this.#options.ownName()} ${why}`);
  }
}

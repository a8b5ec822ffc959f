import { P2PError } from "../errors.ts";
import type { PeerEntry } from "../wire/message.ts";
import type { NameBook } from "../directory/name_book.ts";
import { isMeant } from "../directory/target.ts";
import type { OfferPolicy, OfferQuestion } from "../transfer/downloads.ts";
import { fileBytes } from "../pieces/manifest.ts";
import type { AcceptRule } from "./accept_rule.ts";

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

/** What {@linkcode TakeOffer} decides on. All but `from` is the sender's word. */
export interface OfferedFile {
  /** The sender's id. */
  from: string;
  transfer: string;
  name: string;
  /** Bytes of files; null when the sender does not know. */
  size: number | null;
  /** Bytes of a piece. */
  pieceSize?: number;
  /** Bytes of the table of a folder; null for anything else. */
  table?: number | null;
}

/**
 * Asked before an offer is taken: throws to refuse it. What it resolves with is called when the offer came to
 * nothing all the same.
 */
export type TakeOffer = (offer: OfferedFile) => Promise<() => void>;

/** What an {@linkcode AcceptPolicy} needs. */
export interface AcceptPolicyOptions {
  rule: AcceptRule;
  names: NameBook | undefined;
  /** The peers that are listed; `fresh` asks the tracker first. */
  entries: (options: { fresh: boolean }) => Promise<readonly PeerEntry[]>;
  /** The name under which a peer is listed. */
  nameOf: (id: string) => string | undefined;
  /** Own name, for those who are refused. */
  ownName: () => string;
  /** Absent where there is nobody to ask. */
  askPerson?: AskPerson | undefined;
  /** See `PeerOptions.takeOffer`. */
  takeOffer?: TakeOffer | undefined;
}

/** Decides who may put files into this peer's inbox: by the rule, and before it by what the application says. */
export class AcceptPolicy implements OfferPolicy {
  readonly #options: AcceptPolicyOptions;

  constructor(options: AcceptPolicyOptions) {
    this.#options = options;
  }

  get asksPerson(): boolean {
    return this.#options.rule.who === "ask";
  }

  async decide({ offer, isKept, signal }: OfferQuestion): Promise<() => void> {
    const { transfer, from, name, pieceSize, table } = offer;
    const size = fileBytes(offer.size, table);
    const undo = await this.#options.takeOffer?.({ from, transfer, name, size, pieceSize, table });
    try {
      // What is there already puts nothing into the inbox.
      if (!isKept) await this.#expectAccepted({ from, name, size }, signal);
    } catch (error) {
      undo?.();
      throw error;
    }
    return undo ?? (() => {});
  }

  /** A peer is listed: a name that `--accept` mentions stands for its key from now on. */
  async onListed(entry: PeerEntry): Promise<void> {
    const { rule, names } = this.#options;
    if (rule.who === "peers" && rule.peers.includes(entry.name)) await names?.pin(entry);
  }

  async #expectAccepted(
    { from, name, size }: Pick<OfferedFile, "from" | "name" | "size">,
    signal: AbortSignal,
  ): Promise<void> {
    const { rule, askPerson, nameOf } = this.#options;
    if (rule.who === "peers" && !await this.#isNamed(from, rule.peers)) {
      throw this.#refused("takes files from some peers only; ask its owner to add this one");
    }
    if (rule.who !== "ask") return;
    if (!askPerson) {
      throw this.#refused(
        "asks a person for each file and has no terminal to ask at; its owner can use `peer` there " +
          "or another --accept",
      );
    }
    const question = { name, size, peer: nameOf(from) ?? from };
    const answer = await askPerson(question, signal).catch(() => null);
    if (answer === null) throw this.#refused("has nobody left to ask");
    if (!answer) throw this.#refused("was asked, and its owner declined");
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

  /** Whether the list has the key under one of these names; a new name is pinned to it. */
  async #isListed(from: string, peers: readonly string[], fresh: boolean): Promise<boolean> {
    const entries = await this.#options.entries({ fresh }).catch(() => []);
    const entry = entries.find(({ id }) => id === from);
    if (!entry || !peers.some((peer) => isMeant(peer, entry))) return false;
    return await Promise.resolve(this.#options.names?.pin(entry)).then(() => true, () => false);
  }

  #refused(why: string): P2PError {
    return new P2PError("refused", `Cannot deliver: ${this.#options.ownName()} ${why}`);
  }
}

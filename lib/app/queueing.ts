/**
 * `--queue` of `send` and `broadcast`: who is there gets it now, and the rest waits in the queue.
 *
 * @module
 */

import { resolve } from "node:path";
import { formatAddress } from "../address.ts";
import { isOn, millisecondsOf, type ParsedCommand, textOf } from "../cli/arguments/arguments.ts";
import { errorEvent } from "../cli/output/output.ts";
import { openContent } from "../content/open_content.ts";
import { stampOf } from "../content/stamp.ts";
import type { TreeOptions } from "../content/tree_content.ts";
import type { Absent, Known } from "../directory/absent.ts";
import { type ErrorCode, mayPass, P2PError } from "../errors.ts";
import type { RecipientResult } from "../events.ts";
import { sayWhatIsLeftOut } from "../peer/left_out.ts";
import type { Peer } from "../peer/peer.ts";
import { Queue } from "../peer/queue.ts";
import { dequeuedEvent, queuedEvent } from "../peer/queue_events.ts";
import { afterFailure, type Queued, type QueuedFile } from "../peer/queued.ts";
import { type SendOutcome, stillToGet } from "../peer/send_job.ts";
import { fileBytes } from "../pieces/manifest.ts";
import type { PeerEntry } from "../wire/message.ts";
import type { CommandContext } from "./program.ts";
import { stateFolders } from "./state_folder.ts";

/** What {@linkcode Queueing} is about. */
interface QueueingOptions {
  /** What `--to` says. */
  to: readonly string[];
  context: CommandContext;
}

/** How and why a recipient who was there did not get it. */
type Failure = Pick<RecipientResult, "id" | "error" | "via">;

/** Puts what did not get to somebody into the queue, and says so. */
export class Queueing {
  readonly #peer: Peer;
  readonly #context: CommandContext;
  readonly #queue: Queue;
  readonly #age: number;
  readonly #known: Known;
  #queued = 0;

  private constructor(peer: Peer, known: Known, context: CommandContext) {
    const { command, env } = context;
    this.#peer = peer;
    this.#context = context;
    this.#known = known;
    this.#age = ageInQueue(command);
    this.#queue = new Queue(stateFolders(textOf(command.values, "state"), env).peers);
  }

  /**
   * Finds out who is there, and who is known and away; whom nobody has ever seen is said.
   *
   * @throws {P2PError} `usage` for standard input, or without `--queue`; `peer-unknown` when nobody named is known.
   */
  static async open(peer: Peer, { to, context }: QueueingOptions): Promise<Queueing> {
    const { command, emit } = context;
    if (command.command === "send" && command.positionals.includes("-")) {
      throw new P2PError(
        "usage",
        "Cannot queue standard input: it can be read only once; write it to a file, and send that",
      );
    }
    // What is wrong with the flags is said before anybody is asked for.
    ageInQueue(command);
    const known = await peer.thereOrAway(to);
    for (const { error } of known.missing) emit(errorEvent(error));
    const queueing = new Queueing(peer, known, context);
    // What has waited for too long makes room.
    for (const entry of await queueing.#queue.expire()) emit(dequeuedEvent(entry, "expired"));
    return queueing;
  }

  /**
   * Sends a file or folder to those who are there, and queues it for the others.
   *
   * @throws {P2PError} when it cannot be read, or not be queued.
   */
  async send(path: string, { follow = false, strict = false }: TreeOptions): Promise<SendOutcome> {
    const { peers, absent, missing } = this.#known;
    const { signal } = this.#context;
    const unknown = missing.map(({ error }) => error);
    const content = await openContent(path, { follow, strict });
    await using opened = new AsyncDisposableStack();
    opened.use(content);
    const { name, size, table } = content;
    const bytes = fileBytes(size ?? 0, table);
    const what: QueuedFile = {
      ...{ kind: "file", path: resolve(path), name, size: bytes, follow, strict },
      stamp: stampOf(content),
    };
    await this.#put(what, absent);
    const recipients = [...peers, ...absent, ...missing];
    if (peers.length === 0) {
      sayWhatIsLeftOut(content, this.#context.emit);
      return { failures: unknown, leftOut: content.failed.length, recipients };
    }
    // Whoever sends it closes it.
    opened.move();
    const report = await this.#peer.deliver(content, { peers, missing: [] }, signal);
    // Who has interrupted the command does not want it to go on.
    const left = signal.aborted ? [] : stillToGet(report, peers);
    await this.#put(what, left, report.recipients);
    const isOver = ({ code }: P2PError) => signal.aborted || !mayPass(code);
    return {
      failures: [...unknown, ...report.failures.filter(isOver)],
      leftOut: report.leftOut,
      recipients,
    };
  }

  /** Sends a message to those who are there, and queues it for the others. */
  async broadcast(text: string): Promise<SendOutcome> {
    const { id: message, results } = await this.#peer.spread(text);
    const all = [...this.#known.peers, ...this.#known.absent].filter(({ id }) =>
      id !== this.#peer.id
    );
    const got = new Set(
      results?.filter(({ state }) => state === "delivered").map(({ id }) => id) ??
        this.#known.peers.map(({ id }) => id),
    );
    const refused = (results ?? []).filter(({ error }) => error && !mayPass(codeOf(error)));
    const isOver = (id: string) => got.has(id) || refused.some((result) => result.id === id);
    const left = all.filter(({ id }) => !isOver(id));
    await this.#put({ kind: "message", message, text }, left, results);
    const failures = refused.map(({ error }) =>
      new P2PError(codeOf(error), error?.message ?? "Cannot deliver the message")
    );
    return { failures, leftOut: 0, recipients: [...got, ...refused, ...left] };
  }

  /** Puts something in for those who are to get it; `failures` has how it went with those who were tried. */
  async #put(
    what: Queued["what"],
    to: readonly (Absent | PeerEntry)[],
    failures: readonly Failure[] = [],
  ): Promise<void> {
    if (to.length === 0) return;
    const { emit } = this.#context;
    const entries = await this.#queue.add({
      network: this.#peer.networkKey,
      what,
      to,
      age: this.#age,
      stateOf: (id) => {
        const failure = failures.find((failure) => failure.id === id);
        const entry = to.find((recipient) => recipient.id === id);
        return failure?.error && entry && "host" in entry
          ? this.#stateAfter(failure, entry)
          : { tries: 0, state: { is: "waiting" } };
      },
    });
    for (const entry of entries) emit(queuedEvent(entry));
    this.#queued += entries.length;
  }

  /** Where an entry stands whose recipient was there and has not got all of it. */
  #stateAfter({ error, via }: Failure, entry: PeerEntry): Pick<Queued, "tries" | "state"> {
    const tried = { tries: 1 };
    const state = afterFailure(tried, {
      error: new P2PError(codeOf(error), error?.message ?? ""),
      address: formatAddress(entry),
      own: this.#peer.id,
      wasReached: via !== undefined,
      now: Date.now(),
    });
    return { ...tried, state };
  }

  /** Says when what was queued is sent. */
  async sayWhen(): Promise<void> {
    if (this.#queued === 0) return;
    const isServed = await this.#queue.isServed(this.#peer.networkKey);
    const message = isServed
      ? "It is sent by the peer that runs here when they come back; `peer queue` lists what waits"
      : "No peer of yours is running: it is sent when `peer run` or the menu is started, and they " +
        "are there; `peer queue` lists what waits";
    this.#context.emit({ event: "notice", message });
  }
}

/**
 * How long something waits in the queue, in milliseconds.
 *
 * @throws {P2PError} `usage` when it is said how long, and not that it is to wait.
 */
function ageInQueue({ values }: ParsedCommand): number {
  if (!isOn(values, "queue")) {
    throw new P2PError("usage", "Cannot use --queue-for: nothing is to be queued; add --queue");
  }
  return millisecondsOf(values, "queue-for") ?? 0;
}

function codeOf(error: RecipientResult["error"]): ErrorCode {
  return (error?.code ?? "unexpected") as ErrorCode;
}

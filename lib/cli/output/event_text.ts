import { formatAddress, isLoopback, isWildcard } from "../../address.ts";
import { fit } from "./columns.ts";
import { escapeText } from "./escape.ts";
import type {
  AppEvent,
  BroadcastSentEvent,
  DequeuedEvent,
  ErrorEvent,
  FileReceivedEvent,
  HistoryEvent,
  InviteEvent,
  ListeningEvent,
  Path,
  QueuedEvent,
  ReceiptEvent,
  RecipientResult,
  RegisteredEvent,
  ShareDeliveredEvent,
  SharedItem,
  ShareEvent,
  ShareRecipientEvent,
  SharingEvent,
  TransferFinishedEvent,
  TransferProgressEvent,
  TransferRecipientEvent,
  TransferSpreadEvent,
  TransferStartedEvent,
  UnfinishedEvent,
} from "../../events.ts";
import {
  count,
  formatDate,
  formatDuration,
  formatLeft,
  formatRate,
  formatSize,
  nameOf,
  percentOf,
  rateOf,
  shortId,
} from "./format.ts";
import type { Palette } from "../terminal/palette.ts";

/** More recipients than this are only counted when a transfer starts; its end lists them all. */
const MAX_NAMES = 6;
/** What stands above an invite: pasted at a prompt, it is in no list of processes and in no history of a shell. */
const JOIN_THERE = "To join from another machine, run `peer --join -` there and paste:";
/** Characters of a message that waits that are shown. */
const MAX_TEXT_SHOWN = 40;
/** More things that are shared are only counted. */
const MAX_ITEMS = 3;

/** Name and direction by which a transfer is spoken of after it has started. */
export interface TransferLabel {
  name: string;
  direction: "send" | "receive";
  /** Whether it has several recipients. */
  isForSeveral: boolean;
}

/** Options of {@linkcode EventText}. */
export interface EventTextOptions {
  palette: Palette;
  /** Whether start-up shows the invite. */
  showInvite: boolean;
  isTerminal: boolean;
  /** Whether results stand alone. */
  quiet: boolean;
}

/**
 * Every event as lines of text without the last line feed. What a remote wrote begins no line, so that it can pose as
 * none of these: lines begin with our words, or with spaces; only the rows of `peer` begin with a name, which is one word.
 */
export class EventText {
  readonly #palette: Palette;
  readonly #showInvite: boolean;
  readonly #isTerminal: boolean;
  readonly #quiet: boolean;

  constructor(options: EventTextOptions) {
    this.#palette = options.palette;
    this.#showInvite = options.showInvite;
    this.#isTerminal = options.isTerminal;
    this.#quiet = options.quiet;
  }

  /** Text of any event but an error. */
  of(event: Exclude<AppEvent, ErrorEvent>): string {
    const { good, bad, warn, dim, bold } = this.#palette;
    switch (event.event) {
      case "listening":
        return this.#listening(event);
      case "http":
        return `Page at ${escapeText(event.url)}`;
      case "registered":
        return this.#registered(event);
      case "unregistered":
        return "Unregistered from the tracker";
      case "tracker-lost":
        return warn(`Lost the tracker: ${escapeText(event.reason)}; trying to come back`);
      case "peer-joined":
        return `Peer ${who(event)} joined from ${escapeText(event.address)}`;
      case "peer-left":
        return `Peer ${who(event)} left${because(event.reason)}`;
      case "peer": {
        const groups = (event.groups ?? []).map((group) => `@${escapeText(group)}`).join(" ");
        const state = (event.reachable ? "" : warn("  unreachable")) +
          (event.away ? warn("  not back yet") : "") +
          (event.via === "relay" ? dim("  via relay") : "") +
          (groups === "" ? "" : dim(`  ${groups}`));
        const name = bold(fitAtLeast(escapeText(event.name), 20));
        return `${name}  ${shortId(event.id)}  ${fitAtLeast(escapeText(event.address), 21)}${state}`
          .trimEnd();
      }
      case "pong": {
        const { peer, address, via, ms } = event;
        const at = escapeText(address);
        const where = peer === address ? "" : ` (${PONG_PATHS[via](at)})`;
        return `PONG from ${nameOf(peer)}${where} in ${formatMilliseconds(ms)}`;
      }
      case "message": {
        const text = escapeText(event.text.replaceAll("\r\n", "\n"), { multiline: true });
        const author = who({ id: event.from, name: event.name });
        return bold(`Message from ${author}:`) + hang(text);
      }
      case "broadcast-sent":
        return this.#broadcastSent(event);
      case "transfer-started":
        return started(event);
      case "transfer-progress":
        return this.progress(event);
      case "transfer-recipient":
        return this.#recipient(event);
      case "transfer-joined":
        return `Peer ${nameOf(event.peer)} has come, and gets ${escapeText(event.name)} as well`;
      case "transfer-spread":
        return spread(event);
      case "transfer-waiting":
        return dim(`Waiting for ${nameOf(event.peer)} to accept ${escapeText(event.name)}`);
      case "transfer-path": {
        const peer = nameOf(event.peer);
        return dim(
          event.via === "relay"
            ? `To ${peer} via relay ${escapeText(event.address)}: no direct path has been found yet`
            : `To ${peer} directly from now on: ${escapeText(event.address)}`,
        );
      }
      case "transfer-retry": {
        const reason = escapeText(event.reason);
        return warn(`Trying ${nameOf(event.peer)} again (retry ${event.attempt}): ${reason}`);
      }
      case "transfer-finished":
        return this.#finished(event);
      case "file-received":
        return this.#received(event);
      case "receive-failed": {
        const what = `${escapeText(event.name)} from ${nameOf(event.from)}`;
        return bad(`Not received: ${what}: ${escapeText(event.message)}`);
      }
      case "history":
        return history(event);
      case "unfinished":
        return this.#palette.warn(unfinished(event));
      case "share":
        return this.#share(event);
      case "share-recipient":
        return this.#shareRecipient(event);
      case "queued":
        return event.state === "failed" ? bad(queued(event)) : warn(queued(event));
      case "dequeued":
        return event.why === "delivered" ? good(dequeued(event)) : warn(dequeued(event));
      case "receipt":
        return receipt(event);
      case "invite":
        return this.#invite(event);
      case "sharing":
        return this.#sharing(event);
      case "share-delivered":
        return this.#shareDelivered(event);
      case "removed":
        return good(
          `Removed ${who(event)}: it can no longer join this network, ` +
            `until \`tracker restore ${escapeText(event.name ?? `id:${shortId(event.id)}`)}\``,
        );
      case "convicted":
        return bad(
          `Peer ${who(event)} has signed wrong data, which its own signature proves: ` +
            "no one takes pieces of it any more",
        );
      case "barred": {
        const name = bold(fitAtLeast(escapeText(event.name ?? "(no name)"), 20));
        return `${name}  ${shortId(event.id)}  removed`;
      }
      case "restored":
        return good(`Restored ${who(event)}: it can join this network again`);
      case "notice":
        return dim(escapeText(event.message));
      default:
        return event satisfies never;
    }
  }

  /** An error with what there is to choose from. */
  error(event: ErrorEvent, palette: Palette): string {
    const candidates = (event.candidates ?? []).map((one) => `\n  ${escapeText(one)}`);
    return `${palette.bad("error:")} ${escapeText(event.message)}${candidates.join("")}`;
  }

  /** One line of progress; `label` is what `transfer-started` said. */
  progress(event: TransferProgressEvent, label?: TransferLabel): string {
    const { peer, bytes, size, rate, files } = event;
    const [verb, side] = label?.direction === "receive" ? ["Receiving", "from"] : ["Sending", "to"];
    const what = label === undefined ? "Peer " : `${verb} ${escapeText(label.name)} ${side} `;
    const percent = percentOf(bytes, size);
    const amount = size === null
      ? formatSize(bytes)
      : `${percent} % (${formatSize(bytes)} of ${formatSize(size)})`;
    const left = formatLeft(bytes, size, rate);
    const complete = files === undefined ? "" : count(files, "file");
    const parts = [`${what}${nameOf(peer)}: ${amount}`, complete, formatRate(rate), left];
    return parts.filter(Boolean).join(", ");
  }

  #broadcastSent({ delivered, recipients = [] }: BroadcastSentEvent): string {
    const lines = recipients.filter(({ state }) => state === "failed").map(({ peer, error }) =>
      this.#palette.bad(`  ${nameOf(peer)}: failed${because(error?.message)}`)
    );
    const head = delivered === 0
      ? this.#palette.bad("Broadcast delivered to nobody")
      : `Broadcast delivered to ${count(delivered, "peer")}`;
    return [head, ...lines].join("\n");
  }

  #listening(event: ListeningEvent): string {
    const { bold, warn, dim } = this.#palette;
    const { host, port, id, name, inbox, invite, local, relay, secure } = event;
    const place = isWildcard(host)
      ? `port ${port} of all addresses of this machine`
      : escapeText(formatAddress({ host, port }));
    const own = name === undefined ? shortId(id) : who({ id, name });
    const lines = [
      `${inbox === undefined ? "Tracker" : "Peer"} ${bold(own)} listening on ${place}`,
    ];
    if (relay) lines.push("It passes bytes on between peers that have no other path");
    if (!secure) lines.push(warn("Insecure: nothing is encrypted, and anyone may join"));
    if (inbox !== undefined) lines.push(`Received files go to ${bold(escapeText(inbox))}`);
    const isLocal = inbox === undefined && (local === true || isLoopback(host));
    if (invite !== undefined && !isLocal) lines.push(...this.#howToJoin(invite));
    if (isLocal) {
      const command = secure ? "peer" : "peer --insecure";
      lines.push(`On this machine \`${command}\` finds it by itself`);
      lines.push(dim(
        isLoopback(host)
          ? "Only this machine can reach it; --host 0.0.0.0 opens it to other machines"
          : "Only this machine can reach it: the address that others would be told is of no use to them",
      ));
    }
    return lines.join("\n");
  }

  #howToJoin(invite: string): string[] {
    if (!this.#showInvite) return ["`tracker invite` shows what other machines join with"];
    return [
      JOIN_THERE,
      `  ${this.#palette.bold(escapeText(invite))}`,
    ];
  }

  #registered(event: RegisteredEvent): string {
    const { tracker, name, host, port, reachable, reason, replaced } = event;
    const { warn } = this.#palette;
    const address = escapeText(formatAddress({ host, port }));
    const lines = [
      `Registered at tracker ${escapeText(tracker)} as ${escapeText(name)} (${address})`,
    ];
    if (!reachable) lines.push(warn(`Others cannot reach this peer${because(reason)}`));
    if (replaced !== undefined) {
      lines.push(warn(
        `A peer with the same key was there, at ${escapeText(replaced)}, and has been sent away: ` +
          "this state folder is used twice; give one of the two its own with --state DIR",
      ));
    }
    return lines.join("\n");
  }

  #finished(event: TransferFinishedEvent): string {
    const { name, bytesSent, sha256, seconds, recipients } = event;
    const { good, bad, warn, dim } = this.#palette;
    const failed = recipients.filter(({ state }) => state === "failed").length;
    const delivered = recipients.length - failed;
    const what = `${escapeText(name)} (${amountOf(event)})`;
    const time = `in ${pace(bytesSent, seconds)}`;
    const copied = recipients.some(({ state }) => state === "delivered");
    const head = delivered === 0
      ? bad(`Not sent: ${what}`)
      : failed > 0
      ? warn(`Sent ${what} to ${delivered} of ${count(recipients.length, "peer")} ${time}`)
      : good(copied ? `Sent ${what} ${time}` : `Sent ${what}: already there`);
    const lines = recipients.map((recipient) => {
      const line = `  ${recipientLine(recipient)}`;
      return recipient.state === "failed" ? bad(line) : line;
    });
    const hash = sha256 === null ? [] : [dim(`  SHA-256 ${escapeText(sha256)}`)];
    return [head, ...lines, ...hash].join("\n");
  }

  #recipient({ peer, state, error }: TransferRecipientEvent): string {
    const { good, bad, dim } = this.#palette;
    const name = nameOf(peer);
    switch (state) {
      case "offered":
        return dim(`Offered to ${name}`);
      case "accepted":
        return dim(`Accepted by ${name}`);
      case "delivered":
        return good(`Delivered to ${name}`);
      case "already":
        return good(`Already with ${name}`);
      case "failed":
        return bad(`Not delivered to ${name}${error ? `: ${escapeText(error.message)}` : ""}`);
      default:
        return state satisfies never;
    }
  }

  #share(event: ShareEvent): string {
    const { id, running, at, name, sender, recipients, delivered, failed } = event;
    const { good, warn, bold } = this.#palette;
    const isOver = delivered === recipients;
    const to = event.peer === undefined ? "" : ` to ${nameOf(event.peer)}`;
    const one = `${isOver ? "" : "not "}delivered${to}`;
    const what = `${bold(escapeText(name))} (${amountOf(event)})`;
    const from = sender === undefined ? "" : ` from ${nameOf(sender)}`;
    const facts = [
      recipients === 1
        ? one
        : isOver
        ? `all ${delivered} have it`
        : `${delivered} of ${recipients} have it`,
      ...(failed > 0 ? [`${failed} failed`] : []),
      ...(running ? ["being sent"] : []),
    ];
    const line = `Share ${shortId(id)} of ${formatDate(at)}: ${what}${from}: `;
    return line +
      (isOver ? good(facts.join(", ")) : running ? facts.join(", ") : warn(facts.join(", ")));
  }

  #shareRecipient({ peer, state, bytes, size, sources, ...end }: ShareRecipientEvent): string {
    const { bad, dim } = this.#palette;
    switch (state) {
      case "offered":
        return dim(`  ${nameOf(peer)}: has not answered yet`);
      case "accepted": {
        const part = bytes === undefined ? "accepted" : `${percentOf(bytes, size)}% verified`;
        const from = sources === undefined ? "" : `, of ${count(sources, "peer")}`;
        return `  ${nameOf(peer)}: ${part}${from}`;
      }
      case "failed":
        return bad(`  ${recipientLine({ peer, state, ...end })}`);
      default:
        return `  ${recipientLine({ peer, state, ...end })}`;
    }
  }

  #received(event: FileReceivedEvent): string {
    const { good, bold, dim } = this.#palette;
    const { path, bytesReceived, sha256, from, seconds, already, via } = event;
    const sender = `${nameOf(from)}${via === "relay" ? " via relay" : ""}`;
    const head = already === true
      ? `Peer ${sender} sent again what is already here (${amountOf(event)})`
      : `Received ${amountOf(event)} from ${sender} in ${pace(bytesReceived, seconds)}`;
    const hash = sha256 === null ? [] : [dim(`  SHA-256 ${escapeText(sha256)}`)];
    return [good(head), `  ${bold(escapeText(path))}`, ...hash].join("\n");
  }

  /** Alone on its line where a program reads it: `tracker invite | ssh host peer run --join -`. */
  #invite({ invite, addresses = [] }: InviteEvent): string {
    const { bold, dim } = this.#palette;
    if (!this.#isTerminal) return escapeText(invite);
    const lines = [JOIN_THERE, `  ${bold(escapeText(invite))}`];
    if (addresses.length > 0) {
      const list = addresses.map((address) => escapeText(address)).join(", ");
      lines.push(dim(`Other addresses of this machine, for --advertise: ${list}`));
    }
    return lines.join("\n");
  }

  /** The line to paste is the result, wherever it goes: without it the share is of no use. */
  #sharing({ invite, items, wanted, addresses = [] }: SharingEvent): string {
    const { bold, dim } = this.#palette;
    const line = escapeText(invite);
    if (this.#quiet) return line;
    const whom = wanted === null
      ? "whoever joins, until you press Ctrl-C"
      : wanted === 1
      ? "the first that joins"
      : `the first ${wanted} that join`;
    const lines = [`Sharing ${itemsText(items)} with ${whom}. On another machine, run`, ""];
    lines.push(`  ${bold("peer receive")}`, "", "and paste there:", "", `  ${bold(line)}`, "");
    if (addresses.length > 0) {
      const list = addresses.map((address) => escapeText(address)).join(", ");
      lines.push(
        dim(`Other addresses of this machine, which the invite may name instead: ${list}`),
      );
    }
    return lines.join("\n").trimEnd();
  }

  #shareDelivered({ peer, delivered, wanted }: ShareDeliveredEvent): string {
    const all = wanted === null ? "" : ` of ${wanted}`;
    const which = wanted === 1 ? "" : ` (${delivered}${all})`;
    return this.#palette.good(`Peer ${nameOf(peer)} has everything${which}`);
  }
}

/** Shared items in a few words: up to three names, or how many. */
function itemsText(items: readonly SharedItem[]): string {
  if (items.length > MAX_ITEMS) {
    const sizes = items.map(({ size }) => size);
    const total = sizes.reduce<number | null>(
      (sum, size) => sum === null || size === null ? null : sum + size,
      0,
    );
    return `${items.length} items${total === null ? "" : ` (${formatSize(total)})`}`;
  }
  return items.map(({ name, size, ...files }) =>
    size === null ? escapeText(name) : `${escapeText(name)} (${amountOf({ size, ...files })})`
  ).join(", ");
}

/** `laptop (3fA9c2d1)`. */
function who({ id, name = "" }: { id: string; name?: string }): string {
  return name === "" || name === id ? shortId(id) : `${escapeText(name)} (${shortId(id)})`;
}

function because(reason: string | undefined): string {
  return reason === undefined || reason === "" ? "" : `: ${escapeText(reason)}`;
}

function formatMilliseconds(ms: number): string {
  return ms < 10 ? `${ms.toFixed(1)} ms` : `${Math.round(ms)} ms`;
}

/** Lines after the first start below the text, not at the margin: a text can't pose as an event. */
function hang(text: string): string {
  return text.includes("\n") ? `\n${text.replace(/^/gm, "  ")}` : ` ${text}`;
}

/** Pads to `width`, but cuts nothing. */
function fitAtLeast(text: string, width: number): string {
  const fitted = fit(text, width);
  return fitted.trimEnd() === text.trimEnd() ? fitted : text;
}

function started(event: TransferStartedEvent): string {
  const size = event.size === null ? "" : ` (${amountOf({ ...event, size: event.size })})`;
  const { length } = event.peers;
  const peers = length > MAX_NAMES ? count(length, "peer") : event.peers.map(nameOf).join(", ");
  const [verb, direction] = event.direction === "send" ? ["Sending", "to"] : ["Receiving", "from"];
  return `${verb} ${escapeText(event.name)}${size} ${direction} ${peers}`;
}

/** `3 files, 4.2 MiB` of a folder, `4.2 MiB` of a file. */
function amountOf({ size, files }: { size: number; files?: number }): string {
  return files === undefined ? formatSize(size) : `${count(files, "file")}, ${formatSize(size)}`;
}

/** What a line of the report says of the path. */
const RECIPIENT_PATHS: Record<Path["via"], string> = {
  "direct": "",
  "dialled-back": " (it dialled back)",
  "relay": " (via relay)",
};

/** What a PONG says of the path, given the address. */
const PONG_PATHS: Record<Path["via"], (address: string) => string> = {
  "direct": (address) => address,
  "dialled-back": (address) => `${address}, which dialled back`,
  "relay": (address) => `via relay ${address}`,
};

function recipientLine({ peer, state, savedAs, error, via }: RecipientResult): string {
  const path = state === "failed" || via === undefined ? "" : RECIPIENT_PATHS[via];
  const name = `${nameOf(peer)}${path}`;
  const kept = savedAs === undefined ? null : escapeText(savedAs);
  switch (state) {
    case "delivered":
      return `${name}: delivered${kept === null ? "" : `, saved as ${kept}`}`;
    case "already":
      return `${name}: already has it${kept === null ? "" : ` as ${kept}`}`;
    case "failed":
      return `${name}: failed${error === undefined ? "" : `: ${escapeText(error.message)}`}`;
    default:
      return state satisfies never;
  }
}

function unfinished(event: UnfinishedEvent): string {
  const { direction, at, name, size, bytes, peers, id } = event;
  const side = direction === "send" ? "to" : "from";
  const whole = size === null ? "" : formatSize(size);
  const amount = bytes === undefined ? whole : `${formatSize(bytes)} of ${whole}`;
  const what = `${escapeText(name)} (${amount}) ${side} ${peers.map(nameOf).join(", ")}`;
  return `${formatDate(at)}  unfinished  ${what}  [${escapeText(shortId(id))}]`;
}

function spread({ name, spread }: TransferSpreadEvent): string {
  const what = escapeText(name);
  return spread
    ? `Every part of ${what} is with somebody by now: the others get it without this peer, too`
    : `Parts of ${what} are with nobody else any more: the others get it from this peer alone`;
}

/** What an entry of the queue holds, in a few words. */
function waitingText({ name, size, text }: QueuedEvent | DequeuedEvent): string {
  if (name !== undefined) return `${escapeText(name)} (${formatSize(size ?? 0)})`;
  const line = (text ?? "").replace(/\s+/g, " ");
  const start = [...line].slice(0, MAX_TEXT_SHOWN).join("");
  return `message "${escapeText(start)}${start === line ? "" : "..."}"`;
}

function queued(event: QueuedEvent): string {
  const { at, until, peer, id, tries, state, reason, changed } = event;
  const how = state === "waiting" ? "" : `: ${state}`;
  const more = [
    tries === 0 ? "" : `${tries === 1 ? "tried once" : `tried ${tries} times`}`,
    reason === undefined ? "" : escapeText(reason),
    changed ? "changed since it was queued: what is there then is sent" : "",
  ].filter(Boolean).join("; ");
  const head = `${formatDate(at)}  queued    ${waitingText(event)} for ${nameOf(peer)}, until ` +
    `${formatDate(until)}  [${escapeText(id)}]${how}`;
  return more === "" ? head : `${head}\n    ${more}`;
}

/** What is said first of an entry that has left the queue. */
const LEFT_QUEUE: Record<DequeuedEvent["why"], string> = {
  delivered: "Delivered from the queue",
  expired: "Given up, it has waited too long",
  cancelled: "Taken out of the queue",
};

function dequeued(event: DequeuedEvent): string {
  const { why, peer, changed } = event;
  const how = changed ? "; it had changed since it was queued, and what is there now was sent" : "";
  return `${LEFT_QUEUE[why]}: ${waitingText(event)} for ${nameOf(peer)}${how}`;
}

/** How long it took, and how fast it was where anything had to be moved. */
function pace(bytes: number, seconds: number): string {
  return bytes === 0
    ? formatDuration(seconds)
    : `${formatDuration(seconds)}, ${rateOf(bytes, seconds)}`;
}

/** Which peer of this user it was: they share one history. */
function by(as: string | undefined): string {
  return as === undefined ? "" : ` (as ${escapeText(as)})`;
}

function receipt(event: ReceiptEvent): string {
  const { verified, peer, recipient, name, size, sha256, manifest, time } = event;
  const who = peer === undefined ? `id:${escapeText(recipient)}` : nameOf(peer);
  const what = `${escapeText(name)} (${formatSize(size)})`;
  const hash = sha256 === undefined ? `manifest ${manifest}` : `sha256 ${sha256}`;
  const verb = verified ? "signed, and the signature is right:" : "signed:";
  return `${formatDate(time)}  ${who} ${verb} ${what} verified and synced\n    ${escapeText(hash)}`;
}

function history(event: HistoryEvent): string {
  const { direction, at, name, size, peer, state, path, as } = event;
  const [verb, side] = direction === "send" ? ["sent", "to"] : ["received", "from"];
  const result = state === "delivered" || state === "received" ? "" : `: ${escapeText(state)}`;
  const where = direction === "receive" && path !== undefined ? `\n    ${escapeText(path)}` : "";
  const what = `${escapeText(name)} (${formatSize(size)}) ${side} ${nameOf(peer)}${
    by(as)
  }${result}`;
  return `${formatDate(at)}  ${verb.padEnd(8)}  ${what}${where}`;
}

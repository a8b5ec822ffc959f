/**
 * From a line typed at the menu to a command.
 *
 * @module
 */

import { P2PError } from "../../errors.ts";
import { escapeText } from "../output/escape.ts";
import { suggest } from "../../suggest.ts";

/** A command with its arguments. */
export type MenuCommand =
  /** `target` is null when the address is to be asked for. */
  | { command: "ping"; target: string | null }
  | { command: "broadcast"; text: string }
  /** `name` is null when the files to choose from are to be listed. */
  | { command: "sendfile"; name: string | null; recipients: string[] }
  | { command: "peers" }
  | { command: "history" }
  | { command: "help" }
  | { command: "exit" };

/** Every command with what it takes and does, in the order of `help`. */
export const MENU_HELP: readonly [usage: string, help: string][] = [
  ["ping", "ask for address and port, then ping"],
  ["ping <peer|host:port>", "see whether a peer answers"],
  ["broadcast <message>", "send a message to every peer"],
  ["sendfile", "list the files of the data folder"],
  ["sendfile <filename> [peer...|all]", "send a file; quote a name that has spaces"],
  ["peers", "list the peers that are there"],
  ["history", "list what was sent and received"],
  ["help", "show this list"],
  ["exit", "stop and leave the network (also Ctrl-D)"],
];

/** The words that start a line. */
export const MENU_WORDS = ["ping", "broadcast", "sendfile", "peers", "history", "help", "exit"];

/**
 * The command of `line`; null for an empty one.
 *
 * @throws {P2PError} `usage`, saying what would do
 */
export function parseMenuLine(line: string): MenuCommand | null {
  const match = /^(\S+)\s*(.*)$/s.exec(line.trim());
  if (match === null) return null;
  const [, word = "", rest = ""] = match;
  const command = word.toLowerCase();
  switch (command) {
    case "ping":
      return parsePing(splitWords(rest));
    case "broadcast":
      if (rest !== "") return { command, text: rest };
      throw usage("Cannot broadcast: the message is missing; write broadcast <message>");
    case "sendfile":
      return parseSendFile(splitWords(rest));
    case "peers":
    case "history":
    case "help":
    case "exit":
      if (rest === "") return { command };
      throw usage(`Cannot run ${command}: it takes nothing after it; write ${command} alone`);
    case "quit":
      return { command: "exit" };
    case "send":
      throw usage("Cannot run 'send' in the menu; write sendfile <filename> [peer...|all]");
    case "?":
      return { command: "help" };
    default:
      throw unknownCommand(word);
  }
}

/** `host port`, as the original asked for them, also does. */
function parsePing(words: string[]): MenuCommand {
  const [first, second, ...more] = words;
  if (first === undefined) return { command: "ping", target: null };
  if (second === undefined) return { command: "ping", target: first };
  if (more.length === 0 && /^\d+$/.test(second)) {
    return { command: "ping", target: joinAddress(first, second) };
  }
  throw usage("Cannot ping: there is more than one peer; write ping <peer|host:port>");
}

/** `host:port`, with brackets where the host has colons of its own. */
export function joinAddress(host: string, port: string): string {
  return host.includes(":") && !host.startsWith("[") ? `[${host}]:${port}` : `${host}:${port}`;
}

function parseSendFile([name, ...rest]: string[]): MenuCommand {
  const recipients = rest.flatMap((word) => word.split(",")).filter((peer) => peer !== "");
  // No name begins with a dash.
  const flag = recipients.find((peer) => peer.startsWith("-"));
  if (flag !== undefined) {
    throw usage(
      `Cannot use '${escapeText(flag)}' in the menu: it takes no flags; ` +
        "write sendfile <filename> [peer...|all]",
    );
  }
  return { command: "sendfile", name: name ?? null, recipients };
}

/**
 * Splits at spaces. Quotes at the start of a word hold it together; a backslash does so for one space.
 * Other backslashes are kept: they belong to Windows paths.
 *
 * @throws {P2PError} `usage` when a quote is not closed
 */
export function splitWords(text: string): string[] {
  const words: string[] = [];
  let rest = text.trimStart();
  while (rest !== "") {
    const match = /^"((?:\\"|[^"])*)"(?=\s|$)/.exec(rest) ?? /^'([^']*)'(?=\s|$)/.exec(rest) ??
      /^(?!["'])((?:\\\s|\S)+)/.exec(rest);
    if (match === null) {
      throw usage(`Cannot read ${escapeText(rest)}: its quote is not closed`);
    }
    const [whole, inner = ""] = match;
    words.push(rest.startsWith('"') ? inner.replaceAll('\\"', '"') : unescapeSpaces(rest, inner));
    rest = rest.slice(whole.length).trimStart();
  }
  return words;
}

function unescapeSpaces(rest: string, word: string): string {
  return rest.startsWith("'") ? word : word.replace(/\\(\s)/g, "$1");
}

/** `word` as {@linkcode splitWords} reads it back. */
export function quoteWord(word: string): string {
  if (word !== "" && !/[\s"']/.test(word)) return word;
  return word.includes('"') && !word.includes("'")
    ? `'${word}'`
    : `"${word.replaceAll('"', '\\"')}"`;
}

function unknownCommand(word: string): P2PError {
  const near = suggest(word, MENU_WORDS);
  const remedy = near === null
    ? `the commands are ${MENU_WORDS.join(", ")}`
    : `did you mean ${near}?`;
  return usage(`Cannot run '${escapeText(word)}': it is no command; ${remedy}`);
}

function usage(message: string): P2PError {
  return new P2PError("usage", message);
}

/**
 * An invite as a person gives it, and the questions of commands that have no menu.
 *
 * @module
 */

import { type Invite, parseInvite } from "../identity/invite.ts";
import { interrupted, noticeOf } from "./peer_setup.ts";
import type { CommandContext } from "./program.ts";

/**
 * Reads an invite that was given as a value; `-` reads a line of standard input, and asks for it at a terminal.
 *
 * @throws {P2PError} `usage` when it is none, `interrupted` when a signal ends the question.
 */
export async function pastedInvite(given: string, { signal }: CommandContext): Promise<Invite> {
  return parseInvite(given === "-" ? await ask("Paste the invite: ", signal) : given);
}

/** Says where an invite is safe that was given as an argument. */
export function warnOfProcessList(instead: string, context: CommandContext): void {
  noticeOf(context)(
    "Other users of this machine can see the invite, with its secret, in the list of processes; " +
      `next time paste it at \`${instead}\``,
  );
}

/**
 * One line of standard input. At a terminal the question is asked, on standard error: standard output may be for bytes.
 *
 * @throws {P2PError} `interrupted` when a signal comes instead.
 */
export async function ask(question: string, signal: AbortSignal): Promise<string> {
  if (Deno.stdin.isTerminal()) await Deno.stderr.write(new TextEncoder().encode(question));
  return await Promise.race([readLine(), interrupted(signal)]);
}

/** One line of standard input, read byte by byte so that the rest stays for the menu. */
async function readLine(): Promise<string> {
  const bytes: number[] = [];
  const byte = new Uint8Array(1);
  while (bytes.length < 4096 && await Deno.stdin.read(byte) !== null) {
    if (byte[0] === 0x0a) break;
    bytes.push(byte[0] as number);
  }
  return new TextDecoder().decode(new Uint8Array(bytes));
}

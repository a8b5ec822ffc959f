/**
 * Every failure this program knows: its wire code, its exit code, and whether trying again may help.
 * The codes travel in ERROR and CANCEL frames and are listed in lib/wire/PROTOCOL.md.
 *
 * @module
 */

/** What the process ends with (README, "Exit codes"). */
export const ExitCode = {
  done: 0,
  unexpected: 1,
  usage: 2,
  trackerUnreachable: 3,
  peerUnreachable: 4,
  integrity: 5,
  unauthorised: 6,
  partialDelivery: 7,
  local: 8,
  interrupted: 130,
} as const;

/** One of the numbers of {@linkcode ExitCode}. */
export type ExitCode = typeof ExitCode[keyof typeof ExitCode];

/** What a code means for the process and for what was under way. */
interface CodeMeaning {
  exit: ExitCode;
  /**
   * Whether the same may succeed when it is tried again: `now`, which this program does by itself after a pause;
   * `later`, when somebody has it resumed; or `never`, as long as nobody changes something.
   */
  again: "now" | "later" | "never";
  /** Whether what a receiver has of a transfer that failed with it waits for its sender to go on. */
  keepsPartial?: true;
}

/** The one table of wire codes. Who may come back to a tracker is `isFinal` in directory/tracker_client.ts. */
const CODES = {
  // This side
  "unexpected": { exit: ExitCode.unexpected, again: "never" },
  "usage": { exit: ExitCode.usage, again: "never" },
  "interrupted": { exit: ExitCode.interrupted, again: "later", keepsPartial: true },
  "partial-delivery": { exit: ExitCode.partialDelivery, again: "never" },
  // Frames
  "malformed": { exit: ExitCode.unexpected, again: "never" },
  "too-long": { exit: ExitCode.unexpected, again: "never" },
  "unknown-verb": { exit: ExitCode.unexpected, again: "never" },
  "unexpected-verb": { exit: ExitCode.unexpected, again: "never" },
  "version": { exit: ExitCode.unexpected, again: "never" },
  // Connections
  "tracker-unreachable": { exit: ExitCode.trackerUnreachable, again: "now" },
  "peer-unreachable": { exit: ExitCode.peerUnreachable, again: "now" },
  "connection-lost": { exit: ExitCode.peerUnreachable, again: "now", keepsPartial: true },
  "timeout": { exit: ExitCode.peerUnreachable, again: "now", keepsPartial: true },
  "busy": { exit: ExitCode.peerUnreachable, again: "now", keepsPartial: true },
  "shutting-down": { exit: ExitCode.peerUnreachable, again: "now", keepsPartial: true },
  "address-in-use": { exit: ExitCode.unexpected, again: "never" },
  // Names
  "peer-unknown": { exit: ExitCode.peerUnreachable, again: "never" },
  "peer-ambiguous": { exit: ExitCode.peerUnreachable, again: "never" },
  // Trust
  "unauthorised": { exit: ExitCode.unauthorised, again: "never" },
  "wrong-key": { exit: ExitCode.unauthorised, again: "never" },
  "wrong-network": { exit: ExitCode.unauthorised, again: "never" },
  "wrong-secret": { exit: ExitCode.unauthorised, again: "never" },
  "barred": { exit: ExitCode.unauthorised, again: "never" },
  "replaced": { exit: ExitCode.unauthorised, again: "never" },
  "name-changed-key": { exit: ExitCode.unauthorised, again: "never" },
  "insecure-mismatch": { exit: ExitCode.unauthorised, again: "never" },
  "no-invite": { exit: ExitCode.unauthorised, again: "never" },
  // Requests
  "invalid": { exit: ExitCode.usage, again: "never" },
  "rate-limited": { exit: ExitCode.unexpected, again: "now" },
  // Transfers
  "integrity": { exit: ExitCode.integrity, again: "never" },
  "cancelled": { exit: ExitCode.peerUnreachable, again: "never" },
  "refused": { exit: ExitCode.peerUnreachable, again: "never" },
  "source-changed": { exit: ExitCode.local, again: "never" },
  "no-space": { exit: ExitCode.local, again: "later", keepsPartial: true },
  "quota": { exit: ExitCode.local, again: "never", keepsPartial: true },
  "file-not-found": { exit: ExitCode.local, again: "never" },
  "disk": { exit: ExitCode.local, again: "later", keepsPartial: true },
} as const satisfies Record<string, CodeMeaning>;

/** A wire code that this version knows. */
export type ErrorCode = keyof typeof CODES;

/** Whether `code` is one of ours; a remote may send any string. */
export function isErrorCode(code: string): code is ErrorCode {
  return Object.hasOwn(CODES, code);
}

/** What an {@linkcode P2PError} may carry beside its text. */
export interface P2PErrorOptions {
  /** The error underneath. */
  cause?: unknown;
  /** True when the other side said it, in an ERROR or CANCEL frame. */
  remote?: boolean;
  /** What the user can choose from, for example the peers that an ambiguous prefix fits. */
  candidates?: string[];
}

/**
 * The one error class that crosses module borders. The text follows "Cannot X: Y is Z" and names the
 * value and the remedy.
 */
export class P2PError extends Error {
  override readonly name = "P2PError";
  readonly code: ErrorCode;
  readonly remote: boolean;
  readonly candidates: readonly string[];

  constructor(code: ErrorCode, message: string, options: P2PErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.remote = options.remote ?? false;
    this.candidates = options.candidates ?? [];
  }

  /** The exit code of a command that ends with this error. */
  get exitCode(): ExitCode {
    return CODES[this.code].exit;
  }
}

/** Whether the same call may succeed when tried again at once (a connection that broke; not a refusal). */
export function isRetriable(error: unknown): boolean {
  return error instanceof P2PError && CODES[error.code].again === "now";
}

/** Whether the same may be sent again with better luck, by this program or when somebody resumes it. */
export function mayPass(code: ErrorCode): boolean {
  return CODES[code].again !== "never";
}

/** Whether a transfer that failed with the code can be gone on with: its partial is kept if it is worth it. */
export function keepsPartial(code: ErrorCode): boolean {
  const meaning: CodeMeaning = CODES[code];
  return meaning.keepsPartial ?? false;
}

/** Any thrown value as a {@linkcode P2PError}; what is not one already becomes `code`. */
export function asP2PError(error: unknown, code: ErrorCode = "unexpected"): P2PError {
  if (error instanceof P2PError) return error;
  const message = error instanceof Error ? error.message : String(error);
  return new P2PError(code, message, { cause: error });
}

/** The text of any thrown value, for embedding in a longer message. */
export function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** What another machine is told in place of a text that may name files of this one. */
const TOLD: { [code in ErrorCode]?: string } = {
  "unexpected": "Something unexpected happened on the other side; its own messages say what",
  "disk": "The other side cannot use its disk; its own messages say why",
  "file-not-found": "The other side cannot find the file",
  "source-changed": "The file changed while it was read; send it again",
};

/** Longest text of an error that travels, in UTF-16 units: fits the wire's cap in any script. */
const MAX_TOLD = 500;

/** The code and text of a failure as another machine may hear them: no paths, and not too long. */
export function tellable(thrown: unknown): { code: ErrorCode; message: string } {
  const { code, message } = asP2PError(thrown);
  const text = TOLD[code] ?? message;
  const cut = text.length > MAX_TOLD ? `${text.slice(0, MAX_TOLD).toWellFormed()}...` : text;
  return { code, message: cut || code };
}

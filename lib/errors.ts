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

/** Wire code to exit code and whether the same call may succeed later. */
const CODES = {
  // This side
  "unexpected": { exit: ExitCode.unexpected, retriable: false },
  "usage": { exit: ExitCode.usage, retriable: false },
  "interrupted": { exit: ExitCode.interrupted, retriable: false },
  "partial-delivery": { exit: ExitCode.partialDelivery, retriable: false },
  // Frames
  "malformed": { exit: ExitCode.unexpected, retriable: false },
  "too-long": { exit: ExitCode.unexpected, retriable: false },
  "unknown-verb": { exit: ExitCode.unexpected, retriable: false },
  "unexpected-verb": { exit: ExitCode.unexpected, retriable: false },
  "version": { exit: ExitCode.unexpected, retriable: false },
  // Connections
  "tracker-unreachable": { exit: ExitCode.trackerUnreachable, retriable: true },
  "peer-unreachable": { exit: ExitCode.peerUnreachable, retriable: true },
  "connection-lost": { exit: ExitCode.peerUnreachable, retriable: true },
  "timeout": { exit: ExitCode.peerUnreachable, retriable: true },
  "busy": { exit: ExitCode.peerUnreachable, retriable: true },
  "shutting-down": { exit: ExitCode.peerUnreachable, retriable: true },
  "address-in-use": { exit: ExitCode.unexpected, retriable: false },
  // Names
  "peer-unknown": { exit: ExitCode.peerUnreachable, retriable: false },
  "peer-ambiguous": { exit: ExitCode.peerUnreachable, retriable: false },
  // Trust
  "unauthorised": { exit: ExitCode.unauthorised, retriable: false },
  "wrong-key": { exit: ExitCode.unauthorised, retriable: false },
  "wrong-network": { exit: ExitCode.unauthorised, retriable: false },
  "wrong-secret": { exit: ExitCode.unauthorised, retriable: false },
  "barred": { exit: ExitCode.unauthorised, retriable: false },
  "replaced": { exit: ExitCode.unauthorised, retriable: false },
  "name-changed-key": { exit: ExitCode.unauthorised, retriable: false },
  "insecure-mismatch": { exit: ExitCode.unauthorised, retriable: false },
  "no-invite": { exit: ExitCode.unauthorised, retriable: false },
  // Requests
  "invalid": { exit: ExitCode.usage, retriable: false },
  "rate-limited": { exit: ExitCode.unexpected, retriable: true },
  // Transfers
  "integrity": { exit: ExitCode.integrity, retriable: false },
  "cancelled": { exit: ExitCode.peerUnreachable, retriable: false },
  "refused": { exit: ExitCode.peerUnreachable, retriable: false },
  "source-changed": { exit: ExitCode.local, retriable: false },
  "no-space": { exit: ExitCode.local, retriable: false },
  "quota": { exit: ExitCode.local, retriable: false },
  "file-not-found": { exit: ExitCode.local, retriable: false },
  "disk": { exit: ExitCode.local, retriable: false },
} as const satisfies Record<string, { exit: ExitCode; retriable: boolean }>;

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

/** Whether the same call may succeed when tried again (a connection that broke; not a refusal). */
export function isRetriable(error: unknown): boolean {
  return error instanceof P2PError && CODES[error.code].retriable;
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

/**
 * Every failure this program knows: its wire code, its exit code, and whether trying again may help.
 * The codes travel in ERROR and CANCEL frames and are listed in lib/wire/PROTOCOL.md.
 *
 * @module
 */

/** What the process ends with (docs/commands.md, "Exit codes"). */
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
  "address-in-use": { exit: ExitCode.local, again: "later" },
  "address-unavailable": { exit: ExitCode.local, again: "later" },
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
  /** The flag of this program that says no, without its dashes. */
  flag?: string;
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
  readonly flag: string | undefined;

  constructor(code: ErrorCode, message: string, options: P2PErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.remote = options.remote ?? false;
    this.candidates = options.candidates ?? [];
    this.flag = options.flag;
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

/** What the system says where a machine does not answer, or the network on the way to it is away. */
const SILENT: ReadonlySet<string> = new Set([
  "EADDRNOTAVAIL",
  "EHOSTDOWN",
  "EHOSTUNREACH",
  "EINVAL",
  "ENETDOWN",
  "ENETUNREACH",
  "ETIMEDOUT",
]);

/** Whether a peer could not be reached because nobody answered, which a refused connection is not. */
export function isSilence(error: unknown): boolean {
  if (!(error instanceof P2PError)) {
    return SILENT.has((error as { code?: string } | null)?.code ?? "");
  }
  if (error.remote) return false;
  if (error.code !== "peer-unreachable") return error.code === "timeout";
  return error.cause === undefined || isSilence(error.cause);
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
  const message = code === "unexpected"
    ? `Cannot go on: ${reasonOf(error)}; P2P_DEBUG=1 shows more, for a report`
    : `Cannot go on: ${reasonOf(error)}`;
  return new P2PError(code, message, { cause: error });
}

/** Whether it failed because the process, or the machine, may open no more files. */
export function isOutOfDescriptors(error: unknown): boolean {
  const { code } = (error ?? {}) as { code?: string };
  return code === "EMFILE" || code === "ENFILE";
}

/** Errors of the operating system in our words, by the `code` that Deno gives them (POSIX.1-2024, errno.h). */
const SYSTEM_REASONS: Readonly<Record<string, string>> = {
  EACCES: "permission denied",
  EPERM: "this is not permitted here",
  EROFS: "the file system is read-only",
  ENOENT: "there is no such file or folder",
  EEXIST: "something of that name is there already",
  ENOTDIR: "it is no folder, or a part of its path is none",
  EISDIR: "it is a folder",
  ENOTEMPTY: "the folder is not empty",
  ENAMETOOLONG: "the name is too long for this disk",
  ELOOP: "there are too many symbolic links in its path",
  EINVAL: "this kind of file or disk does not support it",
  ENOTSUP: "this kind of file or disk does not support it",
  EOPNOTSUPP: "this kind of file or disk does not support it",
  ENOSYS: "this kind of file or disk does not support it",
  EXDEV: "it is on another disk",
  EMLINK: "there are too many links to it",
  EFBIG: "the file is too large for this disk",
  ENOSPC: "the disk is full",
  EDQUOT: "the disk quota is used up",
  EIO: "the disk or terminal reports an input/output error",
  ENXIO: "there is no such device",
  ENODEV: "there is no such device",
  ESTALE: "the network disk has lost it",
  EBUSY: "it is in use",
  ETXTBSY: "it is a program that runs",
  EBADF: "it is not open any longer",
  EMFILE: "this program has too many files and connections open (see ulimit -n)",
  ENFILE: "this machine has too many files and connections open",
  ENOMEM: "there is not enough memory",
  ENOBUFS: "there is not enough memory",
  EADDRINUSE: "the port is in use",
  EADDRNOTAVAIL: "it is no address of this machine, or not yet",
  EAFNOSUPPORT: "this machine does not speak that kind of address",
  ECONNREFUSED: "connection refused",
  ECONNRESET: "the other side broke it off",
  ECONNABORTED: "it was broken off",
  EPIPE: "the other side has gone",
  ETIMEDOUT: "no answer in time",
  EHOSTUNREACH: "there is no way to that address",
  ENETUNREACH: "there is no way to that network",
  EHOSTDOWN: "there is no way to that address",
  ENETDOWN: "the network is down",
  ENOTCONN: "it is not connected",
};

/** Errors without such a code, by the name of their class. */
const CLASS_REASONS: Readonly<Record<string, string>> = {
  NotFound: "there is no such file or folder",
  PermissionDenied: "permission denied",
  NotCapable: "this program may not open devices and what the system keeps in /dev, /proc and /sys",
  AlreadyExists: "something of that name is there already",
  IsADirectory: "it is a folder",
  NotADirectory: "it is no folder, or a part of its path is none",
  FilesystemLoop: "there are too many symbolic links in its path",
  Busy: "it is in use",
  AddrInUse: "the port is in use",
  AddrNotAvailable: "it is no address of this machine, or not yet",
  ConnectionRefused: "connection refused",
  ConnectionReset: "the other side broke it off",
  ConnectionAborted: "it was broken off",
  NetworkUnreachable: "there is no way to that network",
  NotConnected: "it is not connected",
  BrokenPipe: "the other side has gone",
  TimedOut: "no answer in time",
  TimeoutError: "no answer in time",
  UnexpectedEof: "the other side ended it without a goodbye",
  Interrupted: "this side closed it",
  AbortError: "it was called off",
  BadResource: "this side closed it",
  InvalidData: "what came is not what was expected there",
  URIError: "it is neither a name nor an address",
  SyntaxError: "it is not valid JSON",
};

/** The reason of a name that no resolver knows, or of a resolver that cannot be reached. */
export const NAME_UNKNOWN = "no address is known for that name";

/**
 * Why something failed, for embedding in a longer message: the text of an error of ours, and our words for one of
 * Deno, the operating system or a library. Their own texts name calls, pages and numbers that are of no use to people;
 * the error itself goes along as `cause`, which `P2P_DEBUG` shows.
 */
export function reasonOf(error: unknown): string {
  if (error instanceof P2PError) return error.message;
  if (error instanceof AggregateError && error.errors.length > 0) return reasonOf(error.errors[0]);
  if (!(error instanceof Error)) return "something unexpected happened";
  const { code, name, message } = error as Error & { code?: unknown };
  // Deno gives neither a code nor a class of its own to the answers of the resolver (getaddrinfo).
  if (/^failed to lookup address information/.test(message)) {
    return NAME_UNKNOWN;
  }
  // Of a working folder, or of where a link leads: such a name has no text in JavaScript.
  if (name === "InvalidData" && message.endsWith("is not valid UTF-8")) {
    return "a name in its path is not UTF-8; rename it";
  }
  const known = (typeof code === "string" ? SYSTEM_REASONS[code] : undefined) ??
    CLASS_REASONS[name];
  return known ?? `something unexpected happened (${typeof code === "string" ? code : name})`;
}

/** The text of an error that is to begin a line: what the other side said is told as its words. */
export function attributed({ remote, message }: P2PError): string {
  return remote ? `The other side said: ${message}` : message;
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

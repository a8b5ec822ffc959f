import { P2PError, reasonOf } from "../errors.ts";

/** A failure of the file system as an error that names the path; ENOSPC is `no-space`, and EDQUOT is `quota`. */
export function diskError(action: string, path: string, cause: unknown): P2PError {
  // What failed in a pool comes wrapped, and the wrapping says nothing.
  if (cause instanceof AggregateError && cause.errors.length > 0) {
    return diskError(action, path, cause.errors[0]);
  }
  if (cause instanceof P2PError) return cause;
  const code = (cause as { code?: string } | null)?.code;
  if (code === "ENOSPC") {
    const text = "Cannot save the file: the disk is full; make room and send again";
    return new P2PError("no-space", text, { cause });
  }
  if (isOverQuota(cause)) {
    const text = "Cannot save the file: the user's quota on the disk is used up, though the disk " +
      "may have room; delete some of the user's files or have the quota raised, and send again";
    return new P2PError("quota", text, { cause });
  }
  if (code === "EMFILE" || code === "ENFILE") {
    const text = `Cannot ${action} ${path}: this process may open no more files; ` +
      "raise the limit (`ulimit -n`)";
    return new P2PError("disk", text, { cause });
  }
  if (cause instanceof Deno.errors.NotFound) {
    return new P2PError("file-not-found", `Cannot ${action} ${path}: there is no such file`, {
      cause,
    });
  }
  if (cause instanceof Deno.errors.PermissionDenied) {
    return new P2PError("disk", `Cannot ${action} ${path}: permission denied`, { cause });
  }
  if (cause instanceof Deno.errors.NotCapable) {
    const why = "it is below /dev, /proc or /sys, which this program may not open";
    return new P2PError("disk", `Cannot ${action} ${path}: ${why}; take another place`, { cause });
  }
  return new P2PError("disk", `Cannot ${action} ${path}: ${reasonOf(cause)}`, { cause });
}

/** EDQUOT, for which Deno has no code: its number on Linux, macOS and the BSDs, and ERROR_DISK_QUOTA_EXCEEDED. */
const OVER_QUOTA = Deno.build.os === "windows" ? 1295 : Deno.build.os === "linux" ? 122 : 69;

function isOverQuota(cause: unknown): boolean {
  const { code, message } = (cause ?? {}) as { code?: string; message?: string };
  return code === "EDQUOT" || /\(os error (\d+)\)/.exec(message ?? "")?.[1] === `${OVER_QUOTA}`;
}

/** An error for a file that is not what it was when it was offered; `how` says what differs. */
export function sourceChanged(path: string, how: string): P2PError {
  return new P2PError(
    "source-changed",
    `Cannot send ${path}: it changed while it was read (${how}); send it again`,
  );
}

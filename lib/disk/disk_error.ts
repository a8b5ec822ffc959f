import { P2PError, reasonOf } from "../errors.ts";

/** A failure of the file system as an error that names the path; ENOSPC and EDQUOT are `no-space`. */
export function diskError(action: string, path: string, cause: unknown): P2PError {
  if (cause instanceof P2PError) return cause;
  const code = (cause as { code?: string } | null)?.code;
  if (code === "ENOSPC" || code === "EDQUOT") {
    return new P2PError(
      "no-space",
      "Cannot save the file: the disk is full; make room and send again",
      {
        cause,
      },
    );
  }
  if (cause instanceof Deno.errors.NotFound) {
    return new P2PError("file-not-found", `Cannot ${action} ${path}: there is no such file`, {
      cause,
    });
  }
  if (cause instanceof Deno.errors.PermissionDenied) {
    return new P2PError("disk", `Cannot ${action} ${path}: permission denied`, { cause });
  }
  return new P2PError("disk", `Cannot ${action} ${path}: ${reasonOf(cause)}`, { cause });
}

/** An error for a file that is not what it was when it was offered; `how` says what differs. */
export function sourceChanged(path: string, how: string): P2PError {
  return new P2PError(
    "source-changed",
    `Cannot send ${path}: it changed while it was read (${how}); send it again`,
  );
}

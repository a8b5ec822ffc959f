/**
 * How it is said that a file system cannot do something: FAT, CIFS and FUSE have the first ones, Android EACCES,
 * those without a sync of folders EINVAL, EBADF or EISDIR, and network mounts without locks ENOLCK.
 */
const UNABLE = new Set([
  "EPERM",
  "EACCES",
  "ENOTSUP",
  "EOPNOTSUPP",
  "ENOSYS",
  "EINVAL",
  "EBADF",
  "EISDIR",
  "ENOLCK",
]);

/** Whether an error means that the file system cannot do it at all, and not that it failed or is full. */
export function isUnable(error: unknown): boolean {
  const { code = "" } = (error ?? {}) as { code?: string };
  return UNABLE.has(code) || error instanceof Deno.errors.NotSupported ||
    error instanceof Deno.errors.PermissionDenied;
}

/** How it is said that nothing can be written now: a full disk, a used-up quota, a read-only file system. */
const UNWRITABLE = new Set(["ENOSPC", "EDQUOT", "EROFS"]);

/** Whether an error means that the disk takes nothing new, though what is there can be read. */
export function isUnwritable(error: unknown): boolean {
  const { code = "" } = (error ?? {}) as { code?: string };
  return UNWRITABLE.has(code);
}

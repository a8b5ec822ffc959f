/** Bits of a mode by which everybody may read. */
const READABLE = 0o444;

/** What is kept of a file beside its name and its bytes. */
export interface FileAttributes {
  /** Time of the last write, milliseconds since 1970. */
  mtime?: number | undefined;
  /** Whether its owner may execute it. */
  executable?: boolean | undefined;
  /** Permissions that it must not get more than, of its mode; absent when everybody may read it. */
  mode?: number | undefined;
}

/** Whether the owner of a file of that mode may execute it. */
export function isExecutable(mode: number | null): boolean {
  return ((mode ?? 0) & 0o100) !== 0;
}

/** The permissions of a mode as a limit for others; undefined when everybody may read anyway, or there are no modes. */
export function limitOf(mode: number | null): number | undefined {
  return mode === null || (mode & READABLE) === READABLE ? undefined : mode & 0o777;
}

/**
 * The mode of a file that arrives: what this process gives new ones, within what it had where it comes from. Its owner
 * may read and write it in any case.
 *
 * @param base 0666 without the bits of the umask.
 */
export function modeWithin(base: number, { executable, mode }: FileAttributes): number {
  const narrowed = base & (mode ?? 0o777) | 0o600;
  return executable ? enterable(narrowed) : narrowed;
}

/** The mode of a folder, or of what can be executed: whoever may read a file of `mode` may enter or execute it. */
export function enterable(mode: number): number {
  return mode | (mode & READABLE) >> 2;
}

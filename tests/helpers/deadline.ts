/** What a busy machine may take for anything that a test waits for, milliseconds. */
const GENEROUS = 30_000;

/** Settles with the promise, or fails when that takes absurdly long. `what` says what was waited for. */
export async function deadline<T>(
  promise: Promise<T>,
  what: string | (() => string),
  ms = GENEROUS,
): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      reject(new Error(`waited ${ms} ms for ${typeof what === "string" ? what : what()}`));
    }, ms);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** Lets everything run that is ready: what waits for promises only has come to its end then. */
export function turn(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve));
}

/**
 * Resolves when `holds` does. Only for what announces itself to nobody (descriptors of the process,
 * files); everything else is awaited.
 */
export async function eventually(
  holds: () => boolean | Promise<boolean>,
  what: string | (() => string),
): Promise<void> {
  const end = performance.now() + GENEROUS;
  while (!await holds()) {
    if (performance.now() > end) {
      throw new Error(`never came: ${typeof what === "string" ? what : what()}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

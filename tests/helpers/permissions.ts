let told = false;

function isGranted(name: Deno.PermissionName): boolean {
  const status = Deno.permissions.querySync({ name });
  return status.state === "granted" && !status.partial;
}

/** Why not to run a test here; undefined or false where it is to run. */
export type Reason = string | false | undefined;

/** Where files have no modes. */
export const NO_MODES: Reason = Deno.build.os === "windows" && "files have no modes on Windows";
/** Where links, FIFOs or names in other encodings are not made by everybody. */
export const NO_LINUX: Reason = Deno.build.os !== "linux" && "needs Linux";

/**
 * Registers a test that needs whole permissions. Without them it is ignored, and one line for the process
 * says how to run it. `ignore` is the reason not to run it here, which its name then ends with.
 */
export function permitted(
  name: string,
  needs: Deno.PermissionName[],
  fn: (t: Deno.TestContext) => void | Promise<void>,
  { ignore: reason }: { ignore?: Reason } = {},
): void {
  if (reason) return ignored(name, reason);
  const ignore = !needs.every(isGranted);
  if (ignore && !told) {
    told = true;
    // deno-lint-ignore no-console
    console.error(
      "Some tests need permissions and are ignored: run `deno test -P` for all of them",
    );
  }
  Deno.test({ name, fn, ignore });
}

/** Registers a test that does not run here, with the reason in its name. */
export function ignored(name: string, reason: string): void {
  Deno.test({ name: `${name} (ignored: ${reason})`, ignore: true, fn() {} });
}

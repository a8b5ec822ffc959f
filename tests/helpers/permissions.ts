let told = false;

function isGranted(name: Deno.PermissionName): boolean {
  const status = Deno.permissions.querySync({ name });
  return status.state === "granted" && !status.partial;
}

/**
 * Registers a test that needs whole permissions. Without them it is ignored, and one line for the process
 * says how to run it.
 */
export function permitted(
  name: string,
  needs: Deno.PermissionName[],
  fn: (t: Deno.TestContext) => void | Promise<void>,
): void {
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

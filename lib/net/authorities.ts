/**
 * Certificate authorities that the environment has Deno trust, beside any key that is pinned. Deno reads them when they
 * are needed first, and once.
 *
 * @module
 */

/** Variables with which Deno trusts other authorities than Mozilla's, for every connection. */
const VARIABLES = ["DENO_CERT", "DENO_TLS_CA_STORE", "NODE_EXTRA_CA_CERTS", "NODE_USE_SYSTEM_CA"];
/** Values that add none. */
const NONE = ["", "mozilla", "0"];
/** The store that Deno reads its authorities from; a name that it does not know makes it fail, but only when it reads. */
const STORE = "DENO_TLS_CA_STORE";
const UNKNOWN_STORE = "none";

let others: boolean | undefined;

/**
 * Whether Deno may trust the environment's authorities in this process. The first call has it read its own without
 * them, and the variables are as they were afterwards. That comes too late where something has been downloaded before,
 * and is not possible without the permission to set the variables.
 */
export function mayTrustOthers(): boolean {
  return others ??= !readWithoutThem();
}

/** Whether Deno trusts none of them; where nobody can say it may. */
function readWithoutThem(): boolean {
  const before = new Map<string, string | undefined>();
  try {
    for (const name of VARIABLES) before.set(name, Deno.env.get(name));
    if ([...before.values()].every((value = "") => NONE.includes(value))) return true;
    for (const name of VARIABLES) Deno.env.delete(name);
    // A compiled program is ours from its first line, which reads none before, and would keep the failure for good.
    if (!Deno.build.standalone) {
      Deno.env.set(STORE, UNKNOWN_STORE);
      if (!failsToRead()) return false;
      Deno.env.delete(STORE);
    }
    return !failsToRead();
  } catch {
    return false;
  } finally {
    for (const [name, value] of before) {
      if (value !== undefined) Deno.env.set(name, value);
      else if (name === STORE) Deno.env.delete(name);
    }
  }
}

/** Has Deno read its authorities, unless it has already. */
function failsToRead(): boolean {
  try {
    Deno.createHttpClient({}).close();
    return false;
  } catch {
    return true;
  }
}

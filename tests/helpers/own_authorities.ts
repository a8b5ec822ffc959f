import { fromFileUrl } from "@std/path";

/** Variables with which Deno trusts other authorities; see lib/net/authorities.ts. */
const VARIABLES = ["DENO_CERT", "DENO_TLS_CA_STORE", "NODE_EXTRA_CA_CERTS", "NODE_USE_SYSTEM_CA"];

/**
 * Runs one test of a file in a process whose environment names no authorities: in this one other tests may have had Deno
 * read them already, so that dials go through node:tls.
 *
 * @throws with what the process printed, when the test fails there or does not run.
 */
export async function runWithOwnAuthorities(file: string, test: string): Promise<void> {
  const env = Deno.env.toObject();
  for (const name of VARIABLES) delete env[name];
  const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["test", "-P", "--no-check", "--filter", test, fromFileUrl(file)],
    cwd: fromFileUrl(new URL("../../", import.meta.url)),
    clearEnv: true,
    env: { ...env, NO_COLOR: "1" },
  }).output();
  const printed = new TextDecoder().decode(stdout);
  if (success && /^ok \| 1 passed/m.test(printed)) return;
  throw new Error(`${printed}\n${new TextDecoder().decode(stderr)}`);
}

/** Programs that may read and write no more than an ordinary user. */

const SETPRIV = "/usr/bin/setpriv";
/** Starts a program for whom modes hold: root may read anything, unless it gives that up. */
export const WRAP = Deno.build.os === "linux" && Deno.uid() === 0
  ? [SETPRIV, "--bounding-set=-dac_override,-dac_read_search", "--"]
  : [];

/** Why no program can be started so here. */
export async function whyNotAsUser(): Promise<string | undefined> {
  if (Deno.build.os === "windows") return "files have no modes on Windows";
  if (Deno.permissions.querySync({ name: "run" }).state !== "granted" || WRAP.length === 0) return;
  try {
    const [name = "", ...args] = [...WRAP, "true"];
    const { success } = await new Deno.Command(name, { args }).output();
    return success ? undefined : "setpriv may not be used";
  } catch {
    return "needs setpriv";
  }
}

import { fstatSync } from "node:fs";

/**
 * Whether nohup keeps hang-ups from this process. Nohup has them ignored, which a listener undoes and no program can
 * ask Deno for; what can be seen is that nohup takes the terminal away as standard input and puts in its place a
 * `/dev/null` that cannot be read (GNU Coreutils manual, "nohup invocation").
 */
export function isSheltered(): boolean {
  try {
    if (Deno.stdin.isTerminal() || !fstatSync(0).isCharacterDevice()) return false;
    Deno.stdin.readSync(new Uint8Array(1));
    return false;
  } catch {
    return true;
  }
}

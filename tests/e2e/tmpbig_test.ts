import { assert, assertEquals } from "@std/assert";
import { join } from "@std/path";
import { e2e, last, procFile, sha256Of, variable } from "./helpers.ts";

const GIB = 1024 ** 3;
/** Bytes of memory that each side may take. */
const MOST = 1;

e2e("3 GiB arrive intact, in little memory", async (world) => {
  await world.tracker();
  const peer = await world.peer("in");
  const { path, sha256 } = await world.file("big.bin", 3 * GIB);
  const sender = await world.start("peer", ["send", path, "--json"]);
  let most = 0;
  let from = 0;
  const isNews = ({ event }: { event: string }) =>
    event === "transfer-progress" || event === "transfer-finished";
  while (!sender.lines.some(({ event }) => event === "transfer-finished")) {
    await sender.until(isNews, { from });
    from = sender.mark;
    most = Math.max(most, await peakOf(sender.pid));
  }
  const { code, lines } = await sender.outcome;
  assertEquals([code, last(lines).sha256, last(lines).bytesSent], [0, sha256, 3 * GIB]);
  const receiver = await peakOf(peer.program.pid);
  assertEquals(await sha256Of(join(peer.received, "big.bin")), sha256);
  console.log("sender", most);
  console.log("receiver", receiver);
}, {
  ignore: variable("P2P_BIG") === undefined
    ? "set P2P_BIG=1 to run it"
    : Deno.build.os !== "linux" && "needs /proc",
});

/** The most memory that a process has taken, in bytes; 0 when it has ended. */
async function peakOf(pid: number): Promise<number> {
  const kilobytes = /^VmHWM:\s+(\d+) kB$/m.exec(await procFile(pid, "status"))?.[1];
  return Number(kilobytes ?? 0) * 1024;
}

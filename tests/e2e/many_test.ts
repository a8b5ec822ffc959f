import { assert, assertEquals } from "@std/assert";
import { join } from "@std/path";
import { MENU_PROMPT } from "../../lib/cli/terminal/menu.ts";
import { e2e, type Line, procFile, sha256Of } from "./helpers.ts";
import { NO_TERMINAL, Terminal } from "./terminal.ts";

const MIB = 1024 * 1024;
const COUNT = 64;
/** Bytes of memory that each side may take: what an idle one has, and two pieces for each transfer. */
const MOST_MEMORY = 200e6;
/** Transfers that may be ahead of the others. */
const EARLY = 4;
/** Part of its file that each of the others has when the next one has arrived. */
const LEAST_SHARE = 1 / 3;
/** Commands, one after the other, that have to be answered while the transfers run, on any machine. */
const LEAST_ANSWERS = 4;

e2e("64 transfers at once are fair, small, and leave the menu responsive", async (world) => {
  await world.tracker();
  const { program, received } = await world.peer("in", ["--name", "other"]);
  const files = await Promise.all(
    Array.from({ length: COUNT }, (_, i) => world.file(`f${i}`, 8 * MIB)),
  );
  const menu = await Terminal.start(world, ["--name", "me"]);
  await menu.showsLast(MENU_PROMPT.trimEnd());
  const pid = Number(await procFile(menu.program.pid, `task/${menu.program.pid}/children`));
  await menu.enter("ping other");
  await menu.shows("PONG from other");
  // All are offered before the first is taken: they begin together, however long it takes to type them.
  program.signal("SIGSTOP");
  for (const { path } of files) await menu.enter(`sendfile ${path} other`);
  await menu.enter("typed");
  await menu.shows("Cannot run 'typed'");
  program.signal("SIGCONT");
  const arrived = () => program.lines.filter(({ event }) => event === "file-received");
  let answers = 1;
  while (arrived().length < COUNT) {
    await menu.enter("ping other");
    await menu.shows("PONG from other", ++answers);
  }
  assert(answers > LEAST_ANSWERS, `only ${answers} pings were answered in all that time`);
  const [fifth] = arrived().slice(EARLY);
  assert(fifth);
  const shares = sharesAt(program.lines, fifth).sort((a, b) => a - b);
  assertEquals(shares.length, COUNT, "some had not begun");
  assert((shares[0] ?? 0) >= LEAST_SHARE, `too far apart: ${shares}`);
  for (const [i, { sha256 }] of files.entries()) {
    assertEquals(await sha256Of(join(received, `f${i}`)), sha256);
  }
  for (const [side, id] of [["sender", pid], ["receiver", program.pid]] as const) {
    const peak = await peakOf(id);
    assert(peak > 0 && peak < MOST_MEMORY, `the ${side} took ${peak} bytes`);
  }
}, { ignore: NO_TERMINAL ?? (Deno.build.os !== "linux" && "needs /proc") });

/**
 * Which part of its file each transfer that had begun has when the program writes the line `until`: as time has it between
 * what was told before that, at most half a second ago, and what was told next.
 */
function sharesAt(lines: Line[], until: Line): number[] {
  const at = Date.parse(until.time);
  const told = new Map<unknown, { time: number; share: number }>();
  const shares = new Map<unknown, number>();
  for (const [i, line] of lines.entries()) {
    const share = shareOf(line);
    if (share === undefined) continue;
    const { transfer } = line;
    const before = told.get(transfer);
    const now = { time: Date.parse(line.time), share };
    told.set(transfer, now);
    if (i <= lines.indexOf(until)) shares.set(transfer, share);
    else if (before && shares.has(transfer) && before.time <= at && now.time > at) {
      const part = (at - before.time) / (now.time - before.time);
      shares.set(transfer, before.share + part * (share - before.share));
    }
  }
  return [...shares.values()];
}

/** Which part of its file a transfer has that a line is about. */
function shareOf({ event, bytes, size }: Line): number | undefined {
  if (event === "transfer-started") return 0;
  if (event === "transfer-progress") return Number(bytes) / Number(size);
  return event === "file-received" ? 1 : undefined;
}

/** The most memory that a process has taken, in bytes; 0 when it has ended. */
async function peakOf(pid: number): Promise<number> {
  const kilobytes = /^VmHWM:\s+(\d+) kB$/m.exec(await procFile(pid, "status"))?.[1];
  return Number(kilobytes ?? 0) * 1024;
}

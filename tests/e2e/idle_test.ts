/** Of what has been sent nothing stays; `deno task idle` looks for longer. */

import { assert } from "@std/assert";
import { eventually } from "../helpers/deadline.ts";
import { descriptorsOf } from "../helpers/process_stats.ts";
import { ARE_BINARIES, e2e, type Program } from "./helpers.ts";
import { PASSING, startInspected } from "./inspected.ts";

/** Sends after which everything is loaded that they need. */
const WARMING_UP = 30;
const SENDS = 100;
/** Most bytes of objects that one send may leave: a receiver remembers it, and V8 goes on compiling. */
const LEFT_BY_ONE = 8 * 1024;

e2e(
  "a hundred sends leave no descriptor open, and hardly an object",
  async (world) => {
    const { tracker, receiver, menu } = await startInspected(world);
    const watched = [tracker, receiver, menu];
    const heaps = async () => {
      if (ARE_BINARIES) return [];
      return await Promise.all(watched.map(({ inspector }) => inspector.heap()));
    };
    let sent = 0;
    const send = async (count: number) => {
      let text = "";
      for (let i = 0; i < count; i++) {
        const { path } = await world.file(`file-${sent + i}`, 1000);
        text += `sendfile ${path} bob\n`;
      }
      await menu.program.write(text);
      sent += count;
      await finished(menu.program, sent);
    };
    await send(WARMING_UP);
    const before = await heaps();
    const open = await Promise.all(watched.map(({ program }) => descriptorsOf(program.pid)));
    await send(SENDS);
    for (const [i, { program }] of watched.entries()) {
      const most = (open[i] ?? 0) + PASSING;
      const isBack = async () => await descriptorsOf(program.pid) <= most;
      await eventually(isBack, () => `no more than ${most} descriptors of ${program.report}`);
    }
    for (const [i, after] of (await heaps()).entries()) {
      const left = (after - (before[i] ?? NaN)) / SENDS;
      assert(left < LEFT_BY_ONE, `each send leaves ${left} bytes in ${watched[i]?.program.report}`);
    }
  },
  { ignore: Deno.build.os === "linux" ? undefined : "looks into /proc of Linux" },
);

/** Waits until so many sends have ended, each delivered. */
async function finished(menu: Program, count: number): Promise<void> {
  const ends = () => menu.lines.filter(({ event }) => event === "transfer-finished");
  await menu.until(() => ends().length >= count);
  const isDelivered = ends().every(({ recipients: [one] }) => one.state === "delivered");
  assert(isDelivered, menu.report);
}

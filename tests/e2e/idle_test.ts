/** Of what has been sent nothing stays; `deno task idle` looks for longer. */

import { assert } from "@std/assert";
import { eventually } from "../helpers/deadline.ts";
import { descriptorsOf, Inspector } from "../helpers/process_stats.ts";
import { ARE_BINARIES, e2e, type Program } from "./helpers.ts";

/** Sends after which everything is loaded that they need. */
const WARMING_UP = 30;
const SENDS = 100;
/** Descriptors that come and go, whatever is sent: of the inspector, and of a link that waits for the next transfer. */
const PASSING = 3;
/** Most bytes of objects that one send may leave: a receiver remembers it, and V8 goes on compiling. */
const LEFT_BY_ONE = 8 * 1024;

e2e(
  "a hundred sends leave no descriptor open, and hardly an object",
  async (world) => {
    const inspectors = [new Inspector(), new Inspector(), new Inspector()] as const;
    const inspected = ({ flag }: Inspector) => ({ deno: [flag] });
    const { program: tracker, invite } = await world.tracker([], inspected(inspectors[0]));
    const bob = ["--join", invite, "--name", "bob"];
    const { program: receiver } = await world.peer("in", bob, inspected(inspectors[1]));
    const menu = await world.start("peer", ["--json", "--join", invite, "--name", "anna"], {
      ...inspected(inspectors[2]),
      stdin: true,
    });
    await menu.until("registered");
    const programs = [tracker, receiver, menu];
    const heaps = async () => {
      if (ARE_BINARIES) return [];
      return await Promise.all(inspectors.map((inspector) => inspector.heap()));
    };
    let sent = 0;
    const send = async (count: number) => {
      let text = "";
      for (let i = 0; i < count; i++) {
        const { path } = await world.file(`file-${sent + i}`, 1000);
        text += `sendfile ${path} bob\n`;
      }
      await menu.write(text);
      sent += count;
      await finished(menu, sent);
    };
    await send(WARMING_UP);
    const before = await heaps();
    const open = await Promise.all(programs.map(({ pid }) => descriptorsOf(pid)));
    await send(SENDS);
    for (const [i, program] of programs.entries()) {
      const most = (open[i] ?? 0) + PASSING;
      const isBack = async () => await descriptorsOf(program.pid) <= most;
      await eventually(isBack, () => `no more than ${most} descriptors of ${program.report}`);
    }
    for (const [i, after] of (await heaps()).entries()) {
      const left = (after - (before[i] ?? NaN)) / SENDS;
      assert(left < LEFT_BY_ONE, `each send leaves ${left} bytes in ${programs[i]?.report}`);
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

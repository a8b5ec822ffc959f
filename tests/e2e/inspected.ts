/** Programs whose objects and descriptors are counted. */

import { Inspector } from "../helpers/process_stats.ts";
import type { Program, World } from "./helpers.ts";

/** Descriptors that come and go, whatever is sent: of the inspector, and of a link that waits for the next transfer. */
export const PASSING = 3;

/** A program that is looked into. */
export interface Inspected {
  name: string;
  program: Program;
  inspector: Inspector;
}

/** A tracker, a receiver `bob`, and a peer whose menu the test writes to; all are registered. */
export async function startInspected(
  world: World,
): Promise<{ tracker: Inspected; receiver: Inspected; menu: Inspected }> {
  const inspectors = { tracker: new Inspector(), receiver: new Inspector(), menu: new Inspector() };
  const flagOf = ({ flag }: Inspector) => ({ deno: [flag] });
  const { program: tracker, invite } = await world.tracker([], flagOf(inspectors.tracker));
  const bob = ["--join", invite, "--name", "bob"];
  const { program: receiver } = await world.peer("in", bob, flagOf(inspectors.receiver));
  const anna = ["--json", "--join", invite, "--name", "anna"];
  const menu = await world.start("peer", anna, { ...flagOf(inspectors.menu), stdin: true });
  await menu.until("registered");
  return {
    tracker: { name: "tracker", program: tracker, inspector: inspectors.tracker },
    receiver: { name: "receiver", program: receiver, inspector: inspectors.receiver },
    menu: { name: "menu", program: menu, inspector: inspectors.menu },
  };
}

/** Shares and their receivers on this machine. */

import { type Line, type Program, type World } from "./helpers.ts";
import { Proxy } from "./proxy.ts";

/** A whole invite in what is shown. */
export const INVITE = /p2p:\/\/[\w.:,[\]/-]+#[\w-]{43}\.[\w-]{22}/;

/** A share that waits for receivers on this machine. */
export async function share(
  world: World,
  args: string[],
): Promise<{ program: Program; invite: string; port: number }> {
  const program = await world.start("peer", [
    "share",
    ...args,
    "--json",
    "--host",
    "127.0.0.1",
    "--name",
    "desk",
  ]);
  const { invite, port } = await program.until("sharing");
  return { program, invite, port };
}

/** A receiver with a state and an inbox of its own. */
export async function receiver(world: World, name: string, invite: string): Promise<Program> {
  const own = ["--state", world.path(`${name}-state`), "--received", world.path(name)];
  const args = ["receive", "-", ...own, "--name", name, "--json"];
  const program = await world.start("peer", args, { stdin: true });
  await program.write(`${invite}\n`);
  return program;
}

/** The lines of an event. */
export function of(lines: Line[], event: string): Line[] {
  return lines.filter((line) => line.event === event);
}

/** Bytes of a receiver's requests after which well over 8 MiB of a file have been asked for, and not 40. */
const SOME_REQUESTS = 8_000;

/**
 * A way to the share that stops in the middle of a file of 40 to 63 MiB: larger ones have larger pieces, and may come with
 * fewer requests.
 */
export function heldLineTo(
  world: World,
  { invite, port }: { invite: string; port: number },
): { proxy: Proxy; invite: string } {
  const proxy = world.use(new Proxy());
  proxy.lead("127.0.0.1", port);
  proxy.hold(SOME_REQUESTS);
  return { proxy, invite: invite.replace(`:${port}/`, `:${proxy.port}/`) };
}

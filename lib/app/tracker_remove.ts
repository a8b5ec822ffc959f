import { resolveTarget } from "../directory/target.ts";
import { ExitCode } from "../errors.ts";
import { isBase64Url } from "../wire/fields.ts";
import type { CommandContext } from "./program.ts";
import { operate } from "./tracker_setup.ts";

/** `tracker remove`: ends the session of a peer and bars its key from the network. */
export async function remove(context: CommandContext): Promise<ExitCode> {
  await using client = await operate(context);
  const [target = ""] = context.command.positionals;
  const plain = target.replace(/^id:/, "");
  const listed = await client.refresh();
  const id = isBase64Url(plain, 32) ? plain : resolveTarget(target, listed).id;
  await client.remove(id);
  const name = listed.find((entry) => entry.id === id)?.name;
  context.emit({ event: "removed", id, ...(name === undefined ? {} : { name }) });
  return ExitCode.done;
}

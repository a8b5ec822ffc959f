import { untilAborted } from "../async/abort.ts";
import { addressOf, isOn, millisecondsOf, numberOf, textOf } from "../cli/arguments/arguments.ts";
import type { SharedItem } from "../events.ts";
import { paletteFor } from "../cli/terminal/palette.ts";
import { qrCode } from "../cli/terminal/qr.ts";
import { stdoutSink } from "../cli/output/sink.ts";
import { ExitCode, P2PError, reasonOf } from "../errors.ts";
import type { PortMap } from "../net/port_map/port_map.ts";
import { takeSlot } from "../peer/slots.ts";
import { fileBytes } from "../pieces/manifest.ts";
import { openContent } from "../content/open_content.ts";
import { addressesOf, beyondRouter, isOnlyHere, sharePlace } from "./addresses.ts";
import { checkMapPort, mapPort } from "./map_port.ts";
import { noticeOf, peerName } from "./peer_setup.ts";
import type { CommandContext } from "./program.ts";
import { Sharing } from "./sharing.ts";
import { stateFolders } from "./state_folder.ts";

/** Milliseconds that the invite waits for a router, whose address it is to name. */
const ROUTER_PATIENCE = 4_000;

/** `peer share`: hands files to whoever pastes the line that it prints. */
export async function share(context: CommandContext): Promise<ExitCode> {
  const { command: { values, positionals, explicit }, env, emit } = context;
  checkMapPort(context.command);
  const keep = isOn(values, "keep");
  if (keep && explicit.has("count")) {
    throw new P2PError("usage", "Cannot use --keep with --count: it serves whoever joins");
  }
  const name = peerName(textOf(values, "name"));
  // A path that leads nowhere is said here, not to whoever pastes the line.
  const follow = isOn(values, "follow");
  const items = await itemsAt(positionals, follow);
  const folder = stateFolders(textOf(values, "state"), env).peers;
  const given = explicit.has("advertise") ? addressOf(values, "advertise") : undefined;
  const { host, advertise, others } = sharePlace({
    host: textOf(values, "host") ?? "auto",
    ...(given ? { advertise: given } : {}),
  });
  using slot = await takeSlot(folder, noticeOf(context));
  let portMap: PortMap | undefined;
  const named = () => beyondRouter(advertise, portMap?.outside);
  const wanted = keep ? Infinity : numberOf(values, "count") ?? 1;
  await using sharing = await Sharing.start({
    identity: slot.identity,
    paths: positionals,
    name,
    host,
    port: numberOf(values, "port") ?? 0,
    get advertise() {
      return named();
    },
    wanted,
    parallel: numberOf(values, "parallel") ?? 4,
    ackTimeout: millisecondsOf(values, "ack-timeout"),
    giveUpAfter: millisecondsOf(values, "give-up-after"),
    limitRate: numberOf(values, "limit-rate"),
    follow,
    folder,
    emit,
  });
  let isShown = false;
  const show = async () => {
    isShown = true;
    const { invite } = sharing;
    const left = [...advertise?.others ?? [], ...others].filter((host) =>
      !named()?.others?.includes(host)
    );
    emit({
      event: "sharing",
      invite,
      ...sharing.address,
      id: slot.identity.id,
      items,
      wanted: keep ? null : wanted,
      ...(left.length > 0 ? { addresses: left } : {}),
      ...(isOnlyHere(advertise?.host ?? sharing.address.host) ? { local: true as const } : {}),
    });
    await showCode(invite, context);
  };
  await using _mapped = portMap = await mapPort(context, {
    place: () => ({ port: sharing.address.port, hosts: addressesOf(sharing.address.host) }),
    onChange() {
      if (isShown) show().catch((error) => noticeOf(context)(reasonOf(error)));
    },
  });
  // The line is what it is all for: worth the moment that a router takes, and no more.
  if (portMap) {
    const late = AbortSignal.any([context.signal, AbortSignal.timeout(ROUTER_PATIENCE)]);
    await Promise.race([portMap.tried, untilAborted(late)]);
  }
  await show();
  return await serve(sharing, context, keep);
}

/** Serves until the share is over, or the first signal: with --keep that is the end that was meant. */
async function serve(
  sharing: Sharing,
  { signal, again, emit }: CommandContext,
  keep: boolean,
): Promise<ExitCode> {
  const stopped = untilAborted(signal).then(() => true);
  const isInterrupted = await Promise.race([sharing.over.then(() => false), stopped]);
  if (!isInterrupted) return ExitCode.done;
  if (!keep) return ExitCode.interrupted;
  if (sharing.isBusy) {
    emit({
      event: "notice",
      message: "Waiting for transfers under way; interrupt again to stop now",
    });
  }
  await Promise.race([sharing.drained(), untilAborted(again)]);
  return ExitCode.done;
}

/**
 * Name and size that each path is to be offered with.
 *
 * @throws {P2PError} `disk` when one cannot be sent
 */
async function itemsAt(paths: readonly string[], follow: boolean): Promise<SharedItem[]> {
  const items: SharedItem[] = [];
  for (const path of paths) {
    await using content = await openContent(path, { follow });
    const { name, size, table, files } = content;
    items.push({
      name,
      size: fileBytes(size ?? 0, table),
      ...(files ? { files: files.count } : {}),
    });
  }
  return items;
}

/** Shows the invite to a camera, on a terminal that has room for the code and where text for people goes. */
async function showCode(invite: string, { command: { values } }: CommandContext): Promise<void> {
  const sink = stdoutSink();
  if (!sink.isTerminal || isOn(values, "json") || isOn(values, "quiet")) return;
  const { columns, rows = 24 } = sink;
  const code = await qrCode(invite, { columns, rows, palette: paletteFor(sink) });
  if (code !== null) sink.write(`\n${code}\n\n`);
}

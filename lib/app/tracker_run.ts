import { addressOf, isOn, millisecondsOf, numberOf } from "../cli/arguments/arguments.ts";
import { systemClock } from "../async/clock.ts";
import { formatSize } from "../cli/output/format.ts";
import { ExitCode, P2PError } from "../errors.ts";
import { formatAddress } from "../address.ts";
import { onDemand } from "../on_demand.ts";
import { tellOnce } from "../tell_once.ts";
import type { Listener } from "../net/listen.ts";
import { AddressWatch } from "../net/address_watch.ts";
import { machineAddresses } from "../net/interfaces.ts";
import type { PortMap } from "../net/port_map/port_map.ts";
import type { RelaySettings } from "../tracker/relay.ts";
import { serveTracker, type TrackerObserver } from "../tracker/serve.ts";
import { listenAsTracker } from "../tracker/tracker_network.ts";
import type { PeerEntry } from "../wire/message.ts";
import { addressesOf } from "./addresses.ts";
import { checkMapPort, mapPort } from "./map_port.ts";
import { type CommandContext } from "./program.ts";
import { advertised, listenOn } from "./tracker_setup.ts";
import { openTrackerState } from "./tracker_state.ts";
import { startWhenPossible } from "./waiting.ts";
import { Whereabouts } from "./whereabouts.ts";

/** `tracker run`: lists peers and tells them of each other, until a signal comes. */
export async function run(context: CommandContext): Promise<ExitCode> {
  const { command, emit, signal } = context;
  const { values } = command;
  checkMapPort(command);
  const { host, port } = listenOn(command);
  const insecure = isOn(values, "insecure");
  const relay = relayOf(command);
  const notice = (message: string) => emit({ event: "notice", message });
  using state = await openTrackerState(context);
  const { identity, store } = state;
  const trust = state.network && {
    network: state.network,
    rotate: async () => {
      const network = await state.rotate();
      await whereabouts.announce();
      return network;
    },
  };
  let listener: Listener;
  try {
    listener = await startWhenPossible(
      () => Promise.try(listenAsTracker, { host, port }, { identity, trust }),
      { emit, signal },
    );
  } catch (error) {
    if (signal.aborted) return ExitCode.done;
    throw error;
  }
  let portMap: PortMap | undefined;
  const shown = observer(emit);
  const http = addressOf(values, "http") === undefined
    ? undefined
    : await onDemand<typeof import("./tracker_http.ts")>("./tracker_http.ts", import.meta.url);
  const watch = http && new http.TrackerWatch();
  await using tracker = serveTracker(listener, {
    identity,
    trust,
    store,
    signal,
    // Asked for each invite: this machine's addresses may change.
    get advertise() {
      return advertised(command, portMap?.outside);
    },
    allowAdvertise: isOn(values, "allow-advertise"),
    relay,
    pingAfter: millisecondsOf(values, "ping-after"),
    pongTimeout: millisecondsOf(values, "pong-timeout"),
    observer: watch?.observe(shown) ?? shown,
  });
  // Before anybody is told where the tracker is: what cannot be shown as asked for is a mistake.
  await using page = watch && await http?.serveTrackerPage(
    context,
    watch.statusOf(tracker, { secure: !insecure, relays: relay !== undefined, store }),
    state,
  );
  const whereabouts = new Whereabouts({
    ...{ context, state, address: tracker.address, outside: () => portMap?.outside },
  });
  await whereabouts.announce();
  emit({
    event: "listening",
    ...tracker.address,
    id: tracker.id,
    secure: !insecure,
    ...(tracker.invite ? { invite: tracker.invite } : {}),
    ...(whereabouts.isOnlyHere ? { local: true as const } : {}),
    ...(relay ? { relay: true as const } : {}),
  });
  if (page) emit({ event: "http", url: page.url });
  const expected = (await tracker.peers()).filter(({ away }) => away).length;
  if (expected > 0) {
    notice(
      `${expected === 1 ? "1 peer was" : `${expected} peers were`} there before; who is not back ` +
        "within a minute leaves the list",
    );
  }
  using _watch = new AddressWatch({
    read: machineAddresses,
    onChange() {
      portMap?.refresh();
      void whereabouts.follow();
    },
    clock: systemClock,
  });
  await using _mapped = portMap = await mapPort({ command, emit }, {
    place: () => ({ port: tracker.address.port, hosts: addressesOf(tracker.address.host) }),
    onChange(outside) {
      void whereabouts.follow();
      if (!outside) return;
      notice(`Invites name ${outside.host} too from now on; \`tracker invite\` prints one`);
    },
  });
  await tracker.closed;
  return ExitCode.done;
}

/**
 * How the flags say to relay; undefined where they do not.
 *
 * @throws {P2PError} `usage`.
 */
function relayOf({ values, typed }: CommandContext["command"]): RelaySettings | undefined {
  if (isOn(values, "relay")) return { rate: numberOf(values, "relay-rate") };
  if (!typed.has("relay-rate")) return undefined;
  throw new P2PError("usage", "Cannot use --relay-rate: this tracker does not relay; add --relay");
}

function observer(emit: CommandContext["emit"]): TrackerObserver {
  const brief = (entry: PeerEntry) => ({
    id: entry.id,
    name: entry.name,
    address: formatAddress(entry),
  });
  const once = tellOnce((message) => emit({ event: "notice", message }));
  return {
    onShort: (reason) => {
      once(`Cannot take more connections: ${reason}; newcomers are told to come back later`);
    },
    onRelayed: ([a, b]) =>
      once(`Passing bytes on between ${a} and ${b}, which have no direct path`),
    onRelayEnded: ([a, b], bytes) => {
      emit({ event: "notice", message: `Passed on between ${a} and ${b}: ${formatSize(bytes)}` });
    },
    onConvicted: (id, name) => emit({ event: "convicted", id, name }),
    onJoined: (entry) => emit({ event: "peer-joined", ...brief(entry) }),
    onLeft: (entry, reason) => emit({ event: "peer-left", ...brief(entry), reason: reason.text }),
    onRefused: ({ message, code }, from) => {
      if (code === "connection-lost" || code === "timeout") return;
      emit({ event: "notice", message: `Refused ${formatAddress(from)}: ${message}` });
    },
  };
}

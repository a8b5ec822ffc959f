/**
 * A seeded discrete-event simulator of one sharer and N receivers, which judges a piece picker before it meets a
 * network.
 *
 * The model: an uplink sends segments, one connection after another; a downlink is a queue. A connection has a window
 * that grows with what is acknowledged to twice the bandwidth-delay product. A piece is passed on only when all of it
 * has arrived and was verified, which takes an exponential time. A message takes the one-way delay and an exponential
 * jitter, and waits for the end of a piece that is being written to the same connection. With a `machine`, hosts are
 * threads that share its cores. Not in it: packet loss, unfairness, kernel buffers, disks. Real swarms are slower.
 *
 * @module
 */

import type { SwarmAction, SwarmEvent } from "../../lib/transfer/swarm/swarm_picker.ts";
import { Agenda } from "./agenda.ts";
import { Random } from "./random.ts";

/** The decisions of one host; times are milliseconds. */
export interface Policy {
  handle(event: SwarmEvent<number>, now: number): readonly SwarmAction<number>[];
  readonly wakeAt: number;
}

/** A host. Host 0 is the source. Rates are bytes per second, times are seconds. */
export interface HostSpec {
  up: number;
  down: number;
  /** One way to the middle of the star: a message from a to b takes a.latency + b.latency. */
  latency: number;
  joinsAt?: number;
  leavesAt?: number;
  /** Says at once that it has everything and serves wrong bytes. */
  liar?: boolean;
}

/** One machine that runs all hosts, each as one thread. Costs are CPU seconds. */
export interface Machine {
  cores: number;
  perByteSent: number;
  perByteReceived: number;
  perMessageSent: number;
  perMessageReceived: number;
  perPieceServed: number;
  perPieceVerified: number;
}

export interface Setup {
  hosts: HostSpec[];
  pieceCount: number;
  pieceSize: number;
  seed: number;
  /** Pairs that connect as soon as both are there. */
  links: [number, number][];
  policy: (host: number, random: Random) => Policy;
  /** Mean of the exponential delay before a received piece is verified and usable. */
  verifySeconds?: number;
  /** Mean of the exponential extra delay of every control message: event loops, schedulers. */
  messageJitter?: number;
  /** How long until the neighbours of a host that died know it (a reset is quick, a power cut is not). */
  noticeSeconds?: number;
  sourceLeavesAfterOneCopy?: boolean;
  machine?: Machine;
  /** Bytes that a host sends on one connection before the next has its turn. */
  segment?: number;
  /** The run is given up after so many seconds. */
  deadline?: number;
}

export interface Result {
  /** When each host had everything, since it joined; `undefined`: never, or it is the source. */
  finishedAt: (number | undefined)[];
  /** The last finish of those that stayed and are honest; Infinity if one never finished. */
  makespan: number;
  sentBytes: number[];
  receivedBytes: number[];
  /** Pieces that came twice or wrong. */
  wastedPieces: number;
  messages: number;
  elapsed: number;
  events: number;
  /** When each piece first existed outside the source (verified). */
  oneCopyOutAt: number;
}

/** TCP and TLS need two round trips before the first frame. */
const HANDSHAKE_ROUND_TRIPS = 2;
const CONTROL_BYTES = 60;
const FIRST_WINDOW = 64 * 1024;

/** One direction of a connection: one piece at a time, messages go before pieces that have not begun. */
interface Lane {
  from: Host;
  to: Host;
  pieces: number[];
  unsent: number;
  unreceived: number[];
  receiving: number;
  inFlight: number;
  window: number;
  maxWindow: number;
  latency: number;
  held: (() => void)[];
  lastArrival: number;
  open: boolean;
}

interface Host {
  id: number;
  spec: HostSpec;
  policy: Policy;
  lanes: Map<number, Lane>;
  sendable: Lane[];
  cursor: number;
  pumping: boolean;
  upFreeAt: number;
  downFreeAt: number;
  have: Uint8Array;
  haveCount: number;
  present: boolean;
  finishedAt?: number;
  wakeAt: number;
  jobs: [number, () => void][];
  running: boolean;
}

export function simulate(setup: Setup): Result {
  return new Simulation(setup).run();
}

class Simulation {
  readonly #setup: Setup;
  readonly #random: Random;
  readonly #agenda = new Agenda();
  readonly #hosts: Host[];
  readonly #copies: Uint32Array;
  readonly #sent: number[];
  readonly #received: number[];
  readonly #segment: number;
  #now = 0;
  #outside = 0;
  #oneCopyOutAt = Infinity;
  #wasted = 0;
  #messages = 0;
  #unfinished = 0;
  #busyCores = 0;
  #waitingHosts: Host[] = [];

  constructor(setup: Setup) {
    this.#setup = setup;
    this.#random = new Random(setup.seed);
    this.#segment = setup.segment ?? Math.min(32768, Math.max(4096, setup.pieceSize >> 3));
    this.#copies = new Uint32Array(setup.pieceCount);
    this.#sent = setup.hosts.map(() => 0);
    this.#received = setup.hosts.map(() => 0);
    this.#hosts = setup.hosts.map((spec, id) => ({
      id,
      spec,
      policy: setup.policy(id, new Random(setup.seed * 7919 + id)),
      lanes: new Map(),
      sendable: [],
      cursor: 0,
      pumping: false,
      upFreeAt: 0,
      downFreeAt: 0,
      have: new Uint8Array(setup.pieceCount).fill(id === 0 ? 1 : 0),
      haveCount: id === 0 ? setup.pieceCount : 0,
      present: false,
      wakeAt: Infinity,
      jobs: [],
      running: false,
    }));
  }

  run(): Result {
    const { hosts, links, deadline = 1e5 } = this.#setup;
    for (const host of this.#hosts) {
      const { joinsAt = 0, leavesAt } = host.spec;
      if (host.id > 0 && isCounted(host.spec)) this.#unfinished++;
      this.#agenda.add(joinsAt, () => host.present = true);
      if (leavesAt !== undefined) this.#agenda.add(leavesAt, () => this.#leave(host));
    }
    for (const [a, b] of links) {
      const both = Math.max(hosts[a]?.joinsAt ?? 0, hosts[b]?.joinsAt ?? 0);
      this.#agenda.add(both, () => this.#connect(this.#hostAt(a), this.#hostAt(b)));
    }
    let events = 0;
    while (this.#unfinished > 0 && this.#agenda.size > 0 && this.#agenda.time <= deadline) {
      this.#now = this.#agenda.time;
      this.#agenda.take()();
      events++;
    }
    const finishedAt = this.#hosts.map((host) => host.finishedAt);
    const counted = finishedAt.filter((_, i) => i > 0 && isCounted(hosts[i]));
    return {
      finishedAt,
      makespan: Math.max(...counted.map((time) => time ?? Infinity)),
      sentBytes: this.#sent,
      receivedBytes: this.#received,
      wastedPieces: this.#wasted,
      messages: this.#messages,
      elapsed: this.#now,
      events,
      oneCopyOutAt: this.#oneCopyOutAt,
    };
  }

  #hostAt(id: number): Host {
    const host = this.#hosts[id];
    if (!host) throw new RangeError(`there is no host ${id}`);
    return host;
  }

  /** How many copies of the piece there are outside the sharer after the change. */
  #countCopy(piece: number, change: number): number {
    const copies = (this.#copies[piece] ?? 0) + change;
    this.#copies[piece] = copies;
    return copies;
  }

  #at(seconds: number, run: () => void): void {
    this.#agenda.add(this.#now + seconds, run);
  }

  // -- Who is there

  #connect(a: Host, b: Host): void {
    if (!a.present || !b.present || a === b || a.lanes.has(b.id)) return;
    const there = this.#lane(a, b), back = this.#lane(b, a);
    a.lanes.set(b.id, there);
    b.lanes.set(a.id, back);
    this.#at(there.latency * (2 * HANDSHAKE_ROUND_TRIPS - 1), () => {
      if (!a.present || !b.present) return;
      there.open = back.open = true;
      this.#meet(a, b);
      this.#meet(b, a);
    });
  }

  #meet(host: Host, { id: peer }: Host): void {
    this.#tell(host, { type: "joined", peer });
    // The hashes are small: the sharer has sent them by then.
    if (host.id === 0) this.#tell(host, { type: "reached", peer, count: this.#setup.pieceCount });
  }

  #lane(from: Host, to: Host): Lane {
    const latency = from.spec.latency + to.spec.latency;
    const product = 2 * latency * Math.min(from.spec.up, to.spec.down);
    return {
      from,
      to,
      pieces: [],
      unsent: 0,
      unreceived: [],
      receiving: 0,
      inFlight: 0,
      window: FIRST_WINDOW,
      maxWindow: Math.max(FIRST_WINDOW, 2 * this.#segment, Math.min(4 << 20, 2 * product)),
      latency,
      held: [],
      lastArrival: 0,
      open: false,
    };
  }

  #leave(host: Host): void {
    if (!host.present) return;
    host.present = false;
    host.sendable = [];
    for (let piece = 0; host.id > 0 && piece < host.have.length; piece++) {
      if (host.have[piece] && this.#countCopy(piece, -1) === 0) this.#outside--;
    }
    for (const peer of [...host.lanes.keys()]) {
      const other = this.#hostAt(peer);
      this.#at(this.#setup.noticeSeconds ?? 0.05, () => this.#disconnect(other, host));
    }
  }

  #disconnect(host: Host, gone: Host): void {
    const lane = host.lanes.get(gone.id);
    if (!lane) return;
    lane.open = false;
    host.lanes.delete(gone.id);
    gone.lanes.delete(host.id);
    host.sendable = host.sendable.filter((other) => other !== lane);
    this.#tell(host, { type: "left", peer: gone.id });
  }

  // -- Decisions

  #tell(host: Host, event: SwarmEvent<number>): void {
    if (!host.present) return;
    const policy = host.policy;
    for (const action of policy.handle(event, this.#now * 1000)) this.#act(host, action);
    // A nanosecond later: seconds and milliseconds are not rounded alike.
    const wakeAt = policy.wakeAt / 1000 + 1e-9;
    if (wakeAt < host.wakeAt) {
      host.wakeAt = wakeAt;
      this.#agenda.add(Math.max(wakeAt, this.#now), () => {
        host.wakeAt = Infinity;
        this.#tell(host, { type: "timer" });
      });
    }
  }

  #act(host: Host, action: SwarmAction<number>): void {
    const lane = host.lanes.get(action.peer);
    if (!lane?.open) return;
    const from = host.id;
    switch (action.type) {
      case "request":
        return this.#post(lane, { type: "requested", peer: from, index: action.index });
      case "withdraw":
        return this.#post(lane, { type: "withdrawn", peer: from, index: action.index });
      case "have":
        return this.#post(lane, { type: "have", peer: from, pieces: action.pieces });
      case "give":
        this.#post(lane, { type: "given", peer: from, index: action.index });
        return this.#send(host, lane, action.index);
      case "drop":
        this.#disconnect(lane.to, host);
        return this.#disconnect(host, lane.to);
      case "send":
        return this.#send(host, lane, action.index);
      default:
        action satisfies never;
    }
  }

  #send(host: Host, lane: Lane, index: number): void {
    if (!host.have[index] && !host.spec.liar) {
      throw new Error(`host ${host.id} sends piece ${index}, which it has not`);
    }
    lane.pieces.push(index);
    if (lane.pieces.length > 1) return;
    lane.unsent = this.#setup.pieceSize;
    host.sendable.push(lane);
    this.#pump(host);
  }

  /** A control message. Behind a piece that is being written, it waits for the end of the frame. */
  #post(lane: Lane, event: SwarmEvent<number>): void {
    const { messageJitter = 0, machine } = this.#setup;
    this.#messages++;
    const deliver = () => {
      lane.from.upFreeAt = Math.max(lane.from.upFreeAt, this.#now) +
        CONTROL_BYTES / lane.from.spec.up;
      const arrival = this.#now + lane.latency + this.#random.exponential(messageJitter);
      lane.lastArrival = Math.max(lane.lastArrival, arrival);
      this.#agenda.add(
        lane.lastArrival,
        () =>
          this.#compute(lane.to, machine?.perMessageReceived ?? 0, () => {
            if (lane.open) this.#tell(lane.to, event);
          }),
      );
    };
    this.#compute(lane.from, machine?.perMessageSent ?? 0, () => {
      if (lane.unsent > 0 && lane.unsent < this.#setup.pieceSize) lane.held.push(deliver);
      else deliver();
    });
  }

  // -- Bytes

  /** The next segment of the next connection that may send one, in turn. */
  #pump(host: Host): void {
    if (host.pumping || !host.present) return;
    const { machine } = this.#setup;
    for (let i = 0; i < host.sendable.length; i++) {
      const at = (host.cursor + i) % host.sendable.length;
      const lane = host.sendable[at] as Lane;
      const size = Math.min(this.#segment, lane.unsent);
      if (lane.inFlight + size > lane.window) continue;
      host.cursor = at + 1;
      host.pumping = true;
      const begins = lane.unsent === this.#setup.pieceSize;
      lane.inFlight += size;
      lane.unsent -= size;
      if (begins) lane.unreceived.push(lane.pieces[0] as number);
      const ends = lane.unsent === 0;
      if (ends) {
        lane.pieces.shift();
        if (lane.pieces.length > 0) lane.unsent = this.#setup.pieceSize;
        else host.sendable.splice(at, 1);
      }
      const cpu = machine ? size * machine.perByteSent + (begins ? machine.perPieceServed : 0) : 0;
      this.#compute(host, cpu, () => this.#transmit(lane, size, ends));
      return;
    }
  }

  #transmit(lane: Lane, size: number, ends: boolean): void {
    const host = lane.from, seconds = size / host.spec.up;
    const start = Math.max(this.#now, host.upFreeAt);
    host.upFreeAt = start + seconds;
    // With a CPU of its own the next segment is prepared while this one is on the wire.
    this.#agenda.add(this.#setup.machine ? start : host.upFreeAt, () => {
      host.pumping = false;
      this.#pump(host);
    });
    this.#agenda.add(host.upFreeAt, () => {
      if (!host.present) return;
      this.#sent[host.id] = (this.#sent[host.id] ?? 0) + size;
      if (ends) { for (const deliver of lane.held.splice(0)) deliver(); }
      this.#at(lane.latency, () => this.#arrive(lane, size));
    });
  }

  #arrive(lane: Lane, size: number): void {
    const { spec } = lane.to;
    if (!lane.to.present) return;
    lane.to.downFreeAt = Math.max(this.#now, lane.to.downFreeAt) + size / spec.down;
    this.#agenda.add(lane.to.downFreeAt, () => {
      if (!lane.open || !lane.to.present) return;
      this.#received[lane.to.id] = (this.#received[lane.to.id] ?? 0) + size;
      this.#compute(lane.to, size * (this.#setup.machine?.perByteReceived ?? 0), () => {
        this.#at(lane.latency, () => this.#acknowledge(lane, size));
        lane.receiving += size;
        if (lane.receiving < this.#setup.pieceSize) return;
        lane.receiving = 0;
        this.#verify(lane, lane.unreceived.shift() as number);
      });
    });
  }

  #acknowledge(lane: Lane, size: number): void {
    lane.inFlight -= size;
    lane.window = Math.min(lane.maxWindow, lane.window + size);
    if (lane.unsent > 0) this.#pump(lane.from);
  }

  #verify(lane: Lane, piece: number): void {
    const host = lane.to, peer = lane.from.id;
    const { verifySeconds = 0, machine, pieceCount } = this.#setup;
    this.#at(
      this.#random.exponential(verifySeconds),
      () =>
        this.#compute(host, machine?.perPieceVerified ?? 0, () => {
          if (!host.present) return;
          if (lane.from.spec.liar) {
            this.#wasted++;
            return this.#tell(host, { type: "corrupt", peer });
          }
          if (host.have[piece]) this.#wasted++;
          else {
            host.have[piece] = 1;
            host.haveCount++;
            if (this.#countCopy(piece, 1) === 1 && ++this.#outside === pieceCount) {
              this.#oneCopyOut();
            }
            if (host.haveCount === pieceCount) {
              host.finishedAt = this.#now - (host.spec.joinsAt ?? 0);
              if (isCounted(host.spec)) this.#unfinished--;
            }
          }
          this.#tell(host, { type: "received", peer, index: piece });
        }),
    );
  }

  #oneCopyOut(): void {
    this.#oneCopyOutAt = Math.min(this.#oneCopyOutAt, this.#now);
    if (this.#setup.sourceLeavesAfterOneCopy) this.#leave(this.#hostAt(0));
  }

  // -- CPU: each host is one thread, `cores` of them run at a time, in the order they became ready

  #compute(host: Host, seconds: number, then: () => void): void {
    if (!this.#setup.machine) return then();
    host.jobs.push([seconds, then]);
    if (host.jobs.length === 1 && !host.running) {
      this.#waitingHosts.push(host);
      this.#dispatch();
    }
  }

  #dispatch(): void {
    const { cores = Infinity } = this.#setup.machine ?? {};
    while (this.#busyCores < cores) {
      const host = this.#waitingHosts.shift();
      const job = host?.jobs.shift();
      if (!host || !job) return;
      const [seconds, then] = job;
      this.#busyCores++;
      host.running = true;
      this.#at(seconds, () => {
        this.#busyCores--;
        host.running = false;
        then();
        if (host.jobs.length > 0 && !this.#waitingHosts.includes(host)) {
          this.#waitingHosts.push(host);
        }
        this.#dispatch();
      });
    }
  }
}

/** Whether the run is over only when the host has everything. */
function isCounted(host: HostSpec | undefined): boolean {
  return host !== undefined && host.leavesAt === undefined && !host.liar;
}

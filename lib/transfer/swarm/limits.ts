/** Round trips' worth of pieces that are covered at most. */
const MAX_TRIP = 64;

/** How much of everything one member of a swarm has under way. */
export interface SwarmLimits {
  /** Pieces that are asked for and not there, in all. */
  window: number;
  /** The same of one neighbour. */
  perSource: number;
  /** Pieces on their way out whose receivers have not said that they have them. */
  slots: number;
  /** Pieces that the sharer may have given to one receiver and not seen there. */
  perReceiver: number;
  /** Requests and pieces on their way out from which on nothing new is announced: nobody asks who is busy. */
  modest: number;
  /** Milliseconds in which an announcement brings its request. */
  roundTrip: number;
}

/**
 * The limits for a line, by simulation (tests/simulation): eight pieces keep both ends busy, and what a round trip holds
 * comes on top.
 *
 * @param line.roundTrip milliseconds between two members.
 * @param line.rate bytes per second of one member.
 * @param line.pieceSize bytes.
 * @param line.receivers how many there are.
 */
export function limitsFor(
  { roundTrip, rate, pieceSize, receivers }: {
    roundTrip: number;
    rate: number;
    pieceSize: number;
    receivers: number;
  },
): SwarmLimits {
  const trip = Math.min(MAX_TRIP, Math.ceil(roundTrip / 1000 * rate / pieceSize));
  return {
    window: 8 + trip,
    perSource: 1 + Math.ceil(trip / 4),
    slots: 8 + trip,
    perReceiver: 1 + Math.ceil(trip / Math.max(4, receivers / 2)),
    modest: 10 + 3 * trip,
    roundTrip,
  };
}

import { randomFrom } from "../helpers/random.ts";

/** Longest time in milliseconds from the start of the command to a kill: a transfer is over by then. */
const LATEST = 2_000;
/** Most kills of one run. */
const MOST_KILLS = 3;

/** What is killed with SIGKILL. */
export type Victim = "sender" | "receiver" | "tracker";

/**
 * When it is killed: `passed` so many bytes of all tries have left the sender, so many milliseconds after
 * the command started, `publishing` as soon as the file has its final name, or `unacknowledged` when the
 * receiver has finished and its ACK is on the way, where it is lost.
 */
export type Moment =
  | { at: "passed"; bytes: number }
  | { at: "time"; ms: number }
  | { at: "publishing" }
  | { at: "unacknowledged" };

/** One stroke of a run. */
export interface Kill {
  victims: readonly Victim[];
  moment: Moment;
}

/** What happens in a run; it follows from the seed. */
export interface Plan {
  seed: number;
  /** In the order in which they happen. */
  kills: readonly Kill[];
  /** Whether the receiver is `peer run` or the menu. */
  receiver: "run" | "menu";
}

/** Of ten seeds in a row each is of another kind, so that ten have seen everything once. */
const KINDS: readonly ({ victims: readonly Victim[]; at: Moment["at"]; several?: boolean })[] = [
  { victims: ["sender"], at: "passed" },
  { victims: ["receiver"], at: "passed" },
  { victims: ["sender"], at: "time" },
  { victims: ["receiver"], at: "time" },
  { victims: ["sender"], at: "unacknowledged" },
  { victims: ["receiver"], at: "unacknowledged" },
  { victims: ["sender", "receiver"], at: "passed" },
  { victims: ["tracker"], at: "passed" },
  { victims: ["receiver"], at: "publishing" },
  { victims: ["sender"], at: "passed", several: true },
];

/** The plan of a seed for a file of `size` bytes. */
export function planOf(seed: number, size: number): Plan {
  const random = randomFrom(seed);
  const { victims, at, several } = KINDS[seed % KINDS.length] as typeof KINDS[number];
  const receiver = random() < 0.5 ? "menu" : "run";
  if (!several) return { seed, receiver, kills: [{ victims, moment: momentOf(at) }] };
  const count = 2 + Math.floor(random() * (MOST_KILLS - 1));
  const places = Array.from({ length: count }, () => bytes()).sort((a, b) => a - b);
  return {
    seed,
    receiver,
    kills: places.map((bytes) => ({
      victims: random() < 0.5 ? ["sender"] : ["receiver"],
      moment: { at: "passed", bytes },
    })),
  };

  function bytes(): number {
    return Math.floor(random() * size);
  }

  function momentOf(at: Moment["at"]): Moment {
    if (at === "passed") return { at, bytes: bytes() };
    if (at === "time") return { at, ms: Math.floor(random() * LATEST) };
    return { at };
  }
}

/** A plan in a few words. */
export function describe({ kills, receiver }: Plan): string {
  const strokes = kills.map(({ victims, moment }) => `${victims.join(" and ")} ${when(moment)}`);
  return `kill ${strokes.join(", ")} (${receiver})`;
}

function when(moment: Moment): string {
  switch (moment.at) {
    case "passed":
      return `after ${(moment.bytes / 1024 ** 2).toFixed(1)} MiB`;
    case "time":
      return `after ${moment.ms} ms`;
    case "publishing":
    case "unacknowledged":
      return moment.at;
  }
}

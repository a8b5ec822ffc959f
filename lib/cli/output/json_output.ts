import { type Clock, systemClock } from "../../async/clock.ts";
import { escapeText, UNSAFE } from "./escape.ts";
import { redactInvite, withoutInvite } from "./redact.ts";
import type { AppEvent } from "../../events.ts";
import type { Output } from "./output.ts";
import type { Sink } from "./sink.ts";
import { Throttle } from "../../async/throttle.ts";

/** Progress of one recipient is written at most so often, in milliseconds, and when it is complete. */
const PROGRESS_EVERY = 250;

/** Options of {@linkcode JsonOutput}. */
export interface JsonOutputOptions {
  /** Gets the JSON lines. */
  stdout: Sink;
  /** Gets errors and notices once more, for people. */
  stderr: Sink;
  clock?: Clock;
  /** The time of day for `time`. */
  now?: () => Date;
  /** Leaves out what is for people; the JSON lines stay. */
  quiet?: boolean;
}

/** One JSON object per line, `event` and `time` (ISO 8601) first. */
export class JsonOutput implements Output {
  readonly #stdout: Sink;
  readonly #stderr: Sink;
  readonly #now: () => Date;
  readonly #quiet: boolean;
  readonly #throttle: Throttle;

  constructor(options: JsonOutputOptions) {
    const { stdout, stderr, clock = systemClock, now = () => new Date(), quiet = false } = options;
    this.#stdout = stdout;
    this.#stderr = stderr;
    this.#now = now;
    this.#quiet = quiet;
    this.#throttle = new Throttle({ clock, every: PROGRESS_EVERY });
  }

  emit(event: AppEvent): void {
    if (event.event === "transfer-progress") {
      const { transfer, peer, bytes, size } = event;
      const due = this.#throttle.admit(`${transfer} ${peer}`, null);
      if (!due && bytes !== size) return;
    }
    if ("transfer" in event && ENDS.has(event.event)) this.#throttle.forget(`${event.transfer} `);
    const { event: name, ...fields } = event;
    const line = stringify({ event: name, time: this.#now().toISOString(), ...fields });
    this.#stdout.write(`${withoutInvite(event, line)}\n`);
    this.#tellPeople(event);
  }

  close(): void {}

  #tellPeople(event: AppEvent): void {
    if (event.event === "error") {
      this.#stderr.write(`error: ${escapeText(redactInvite(event.message))}\n`);
    } else if (event.event === "notice" && !this.#quiet) {
      this.#stderr.write(`${escapeText(redactInvite(event.message))}\n`);
    }
  }
}

const ENDS: ReadonlySet<AppEvent["event"]> = new Set([
  "transfer-finished",
  "file-received",
  "receive-failed",
]);

/**
 * One line of JSON that is also safe to show on a terminal: what {@linkcode UNSAFE} has is written as JSON
 * escapes, so that a program reads the very string.
 */
export function stringify(value: unknown): string {
  return JSON.stringify(value).replace(UNSAFE, (character) => {
    let escaped = "";
    for (let i = 0; i < character.length; i++) {
      escaped += `\\u${character.charCodeAt(i).toString(16).padStart(4, "0")}`;
    }
    return escaped;
  });
}

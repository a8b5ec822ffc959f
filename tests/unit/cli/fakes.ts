import type { Clock } from "../../../lib/async/clock.ts";
import type { AppEvent } from "../../../lib/events.ts";
import type { Output } from "../../../lib/cli/output/output.ts";
import type { Sink } from "../../../lib/cli/output/sink.ts";

/** Keeps what is written to it. */
export class FakeSink implements Sink {
  readonly isTerminal: boolean;
  columns = 80;
  rows = 24;
  text = "";

  constructor(isTerminal = false) {
    this.isTerminal = isTerminal;
  }

  write(text: string): void {
    this.text += text;
  }

  /** What was written since the last call. */
  take(): string {
    const { text } = this;
    this.text = "";
    return text;
  }
}

/** A clock that moves when told to. It has no timers: nothing here waits. */
export class FakeClock implements Clock {
  #now = 1000;

  now(): number {
    return this.#now;
  }

  after(): () => void {
    throw new Error("There are no timers here");
  }

  advance(ms: number): void {
    this.#now += ms;
  }
}

/** Keeps the events. */
export class FakeOutput implements Output {
  readonly events: AppEvent[] = [];

  emit(event: AppEvent): void {
    this.events.push(event);
  }

  close(): void {}
}

/** Gives the text in two chunks, cut in the middle. */
export function streamOf(text: string): ReadableStream<Uint8Array<ArrayBuffer>> {
  const bytes = new TextEncoder().encode(text);
  const middle = bytes.length >> 1;
  return ReadableStream.from([bytes.slice(0, middle), bytes.slice(middle)]);
}

/** An id whose first eight characters are `start`. */
export function idOf(start: string): string {
  return start.padEnd(8, "0").padEnd(43, "x");
}

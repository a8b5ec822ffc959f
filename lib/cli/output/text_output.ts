import { type Clock, systemClock } from "../../async/clock.ts";
import { nameOf, percentOf } from "./format.ts";
import type { AppEvent, TransferProgressEvent, TransferRecipientEvent } from "../../events.ts";
import type { Output } from "./output.ts";
import { type Palette, paletteFor } from "../terminal/palette.ts";
import type { BarState, ProgressBars } from "../terminal/progress.ts";
import type { Sink } from "./sink.ts";
import { withoutInvite } from "./redact.ts";
import { EventText, type TransferLabel } from "./event_text.ts";
import { Throttle } from "../../async/throttle.ts";
import { TransferTotal } from "./transfer_total.ts";

/** A line of progress comes after 5 s or 25 % more, but not twice within a second. */
const PLAIN_PROGRESS = { every: 5000, percent: 25, atLeast: 1000 };

/** Events that `--quiet` leaves out; results and errors stay. */
const CHATTER: ReadonlySet<AppEvent["event"]> = new Set<AppEvent["event"]>([
  "listening",
  "http",
  "registered",
  "unregistered",
  "tracker-lost",
  "peer-joined",
  "peer-left",
  "transfer-started",
  "transfer-progress",
  "transfer-waiting",
  "transfer-recipient",
  "transfer-joined",
  "transfer-spread",
  "transfer-path",
  "transfer-retry",
  "notice",
]);

/** Beside an invite, which stands alone on standard output for whoever pipes it to another machine. */
const ONLY_HERE =
  "Only this machine can reach the tracker, so the invite is of no use elsewhere; " +
  "start it with --host 0.0.0.0 to open it to other machines";

const SHARED_ONLY_HERE =
  "The line names an address that only this machine has; --host and --advertise name another";

/** Options of {@linkcode TextOutput}. */
export interface TextOutputOptions {
  /** Gets everything but errors. */
  stdout: Sink;
  stderr: Sink;
  clock?: Clock;
  /** Shows results and errors only. */
  quiet?: boolean;
  /** Shows the invite at start-up. Off where the text may end in a log; by default on a terminal only. */
  showInvite?: boolean;
  /** Bars at the bottom of `stdout`, a terminal; without them progress is a line now and then. */
  bars?: ProgressBars | null;
}

/** Text for people. Everything that a remote wrote is escaped. */
export class TextOutput implements Output {
  readonly #stdout: Sink;
  readonly #stderr: Sink;
  readonly #quiet: boolean;
  readonly #text: EventText;
  readonly #errorPalette: Palette;
  readonly #bars: ProgressBars | null;
  readonly #throttle: Throttle;
  readonly #labels = new Map<string, TransferLabel>();
  /** Those of several recipients that are being sent. */
  readonly #totals = new Map<string, TransferTotal>();
  /** Keys of the bars of each transfer. */
  readonly #barKeys = new Map<string, Set<string>>();

  constructor(options: TextOutputOptions) {
    const { stdout, stderr, clock = systemClock, quiet = false } = options;
    const { showInvite = stdout.isTerminal, bars = null } = options;
    this.#stdout = stdout;
    this.#stderr = stderr;
    this.#quiet = quiet;
    this.#text = new EventText({
      palette: paletteFor(stdout),
      showInvite,
      isTerminal: stdout.isTerminal,
      quiet,
    });
    this.#errorPalette = paletteFor(stderr);
    this.#bars = bars;
    this.#throttle = new Throttle({ clock, ...PLAIN_PROGRESS });
  }

  emit(event: AppEvent): void {
    this.#follow(event);
    if (this.#quiet && CHATTER.has(event.event)) return;
    if (event.event === "transfer-progress") return this.#progress(event);
    if (event.event === "transfer-recipient" && !this.#isNews(event)) return;
    const palette = this.#errorPalette;
    const [sink, text] = event.event === "error"
      ? [this.#stderr, this.#text.error(event, palette)]
      : [this.#stdout, this.#text.of(event)];
    this.#write(sink, withoutInvite(event, text));
    if (event.event === "invite" && event.local) this.#write(this.#stderr, ONLY_HERE);
    if (event.event === "sharing" && event.local) this.#write(this.#stderr, SHARED_ONLY_HERE);
  }

  close(): void {
    this.#bars?.close();
  }

  /** Keeps what later events of the same transfer need, and drops it at its end. */
  #follow(event: AppEvent): void {
    switch (event.event) {
      case "transfer-started": {
        const { transfer, name, direction, peers } = event;
        this.#labels.set(transfer, { name, direction, isForSeveral: peers.length > 1 });
        for (const peer of peers) this.#throttle.start(keyOf(transfer, peer));
        if (peers.length > 1) this.#totals.set(transfer, new TransferTotal(peers.length));
        break;
      }
      case "transfer-joined":
        this.#totals.get(event.transfer)?.add();
        break;
      case "transfer-recipient": {
        const { transfer, peer, state } = event;
        if (state === "offered" || state === "accepted") break;
        this.#totals.get(transfer)?.end(peer, state !== "failed");
        break;
      }
      case "transfer-finished":
      case "file-received":
      case "receive-failed":
        this.#labels.delete(event.transfer);
        this.#totals.delete(event.transfer);
        this.#throttle.forget(keyOf(event.transfer, ""));
        for (const key of this.#barKeys.get(event.transfer) ?? []) this.#bars?.finish(key);
        this.#barKeys.delete(event.transfer);
        break;
    }
  }

  /** Whether it is worth a line of its own: who of several is done, long before the report of all. */
  #isNews({ transfer, state }: TransferRecipientEvent): boolean {
    const { isForSeveral = false } = this.#labels.get(transfer) ?? {};
    return isForSeveral && state !== "offered" && state !== "accepted";
  }

  #progress(event: TransferProgressEvent): void {
    const { transfer, peer, bytes, size, rate, files } = event;
    const label = this.#labels.get(transfer);
    const key = keyOf(transfer, peer);
    if (this.#bars === null) {
      const percent = percentOf(bytes, size);
      const due = this.#throttle.admit(key, percent);
      if (due && bytes !== size) this.#write(this.#stdout, this.#text.progress(event, label));
    } else {
      this.#showTotal(event);
      if (bytes === size) this.#bars.finish(key);
      else this.#showBar(key, transfer, { label: nameOf(peer), bytes, size, rate, files });
    }
  }

  /** Shows how far all recipients are, in the row before theirs: where there are many it is the one that stays. */
  #showTotal({ transfer, peer, bytes, rate, size }: TransferProgressEvent): void {
    const total = this.#totals.get(transfer);
    if (!total) return;
    total.update(peer, bytes, rate);
    const label = `${total.done} of ${total.recipients} have it`;
    this.#showBar(keyOf(transfer, ""), transfer, { label, ...total.of(size) });
  }

  #showBar(key: string, transfer: string, state: BarState): void {
    const keys = this.#barKeys.get(transfer) ?? new Set();
    this.#barKeys.set(transfer, keys.add(key));
    this.#bars?.update(key, state);
  }

  #write(sink: Sink, text: string): void {
    const lines = `${text}\n`;
    if (this.#bars === null || !sink.isTerminal) sink.write(lines);
    else this.#bars.above(() => sink.write(lines));
  }
}

/** The key of one recipient of one transfer. Transfer ids have no spaces. */
function keyOf(transfer: string, peer: string): string {
  return `${transfer} ${peer}`;
}

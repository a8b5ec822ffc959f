import { encodeEvidence } from "../identity/evidence_frame.ts";
import type { Evidence } from "../identity/evidence.ts";
import type { Session } from "../net/session.ts";
import { type EncodedFrame, encodeFrame } from "../wire/frame.ts";
import type { Kept, TrackerStore } from "./store/tracker_store.ts";

/** Members that are remembered to have signed something wrong; the oldest are forgotten for others. */
const MAX_CONVICTED = 256;

/** Who has signed wrong data, and the frame that proves it to everybody. */
export class Convictions {
  /** By id, the oldest first. */
  readonly #proven = new Map<string, { evidence: Evidence; frame: EncodedFrame }>();
  readonly #kept: Kept<string> | undefined;

  /** @param store what is remembered from before, and has to outlive this process. */
  constructor(store?: Pick<TrackerStore, "evidence" | "keepEvidence">) {
    if (!store) return;
    for (const evidence of store.evidence()) this.#remember(evidence);
    this.#kept = store.keepEvidence((id) => this.#proven.get(id)?.evidence ?? null);
  }

  /** Whether the peer has been convicted already. */
  has(id: string): boolean {
    return this.#proven.has(id);
  }

  /** What has been proven, the oldest first. */
  all(): Evidence[] {
    return [...this.#proven.values()].map(({ evidence }) => evidence);
  }

  /** Remembers what has been proven; the frame that tells of it. */
  add(evidence: Evidence): EncodedFrame {
    const frame = this.#remember(evidence);
    this.#kept?.changed(evidence.server);
    const [oldest] = this.#proven.keys();
    if (this.#proven.size > MAX_CONVICTED && oldest !== undefined) {
      this.#proven.delete(oldest);
      this.#kept?.changed(oldest);
    }
    return frame;
  }

  /** Tells a newcomer of all. */
  tell(session: Session): void {
    for (const { frame } of this.#proven.values()) session.postEncoded(frame);
  }

  #remember(evidence: Evidence): EncodedFrame {
    const { message, body } = encodeEvidence(evidence);
    const frame = encodeFrame(message, body);
    this.#proven.set(evidence.server, { evidence, frame });
    return frame;
  }
}

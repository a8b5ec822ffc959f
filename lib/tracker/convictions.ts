import { encodeEvidence } from "../identity/evidence_frame.ts";
import type { Evidence } from "../identity/evidence.ts";
import type { Session } from "../net/session.ts";
import { type EncodedFrame, encodeFrame } from "../wire/frame.ts";

/** Members that are remembered to have signed something wrong; the oldest are forgotten for others. */
const MAX_CONVICTED = 256;

/** Who has signed wrong data, and the frame that proves it to everybody. */
export class Convictions {
  /** By id, the oldest first. */
  readonly #frames = new Map<string, EncodedFrame>();

  /** Whether the peer has been convicted already. */
  has(id: string): boolean {
    return this.#frames.has(id);
  }

  /** Remembers what has been proven; the frame that tells of it. */
  add(evidence: Evidence): EncodedFrame {
    const { message, body } = encodeEvidence(evidence);
    const frame = encodeFrame(message, body);
    this.#frames.set(evidence.server, frame);
    const [oldest] = this.#frames.keys();
    if (this.#frames.size > MAX_CONVICTED && oldest !== undefined) this.#frames.delete(oldest);
    return frame;
  }

  /** Tells a newcomer of all. */
  tell(session: Session): void {
    for (const frame of this.#frames.values()) session.postEncoded(frame);
  }
}

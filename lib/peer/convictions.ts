import { asP2PError } from "../errors.ts";
import type { AppEvent } from "../events.ts";
import { type Evidence, type SwarmSigner, whyNoProof } from "../identity/evidence.ts";
import type { SwarmJustice } from "../transfer/swarm/justice.ts";

/** Convicted peers that are remembered; the oldest are forgotten for others. */
const MAX_CONVICTED = 1024;
/** Accusations that wait for a tracker. */
const MAX_UNTOLD = 16;

/** What {@linkcode Convictions} need. */
export interface ConvictionsOptions {
  /** Signs for this peer, in its network. */
  signer: SwarmSigner;
  /** Own id: whoever would take evidence against itself serious would stop to help. */
  own: string;
  /** Gives evidence to the tracker. */
  tell(evidence: Evidence): Promise<void>;
  /** The name that an id is known by. */
  nameOf(id: string): string | undefined;
  /** Has nothing to do in swarms with the peer of the id any more. */
  onConvicted(id: string): void;
  emit: (event: AppEvent) => void;
}

/** Who is proven to have signed wrong data in a swarm of this network, and is nobody's neighbour since. */
export class Convictions implements SwarmJustice {
  readonly signer: SwarmSigner;
  readonly #options: ConvictionsOptions;
  readonly #ids = new Set<string>();
  readonly #untold: Evidence[] = [];

  constructor(options: ConvictionsOptions) {
    this.#options = options;
    this.signer = options.signer;
  }

  /** Whether the peer has been convicted. */
  isConvicted(id: string): boolean {
    return this.#ids.has(id);
  }

  /** Takes what this peer has met itself, for others to know. */
  convict(evidence: Evidence): void {
    if (!this.#believe(evidence)) return;
    this.#untold.push(evidence);
    if (this.#untold.length > MAX_UNTOLD) this.#untold.shift();
    void this.tellAll();
  }

  /** Takes what the tracker tells, which is believed no more than anybody: it has to prove it. */
  heard(evidence: Evidence): void {
    this.#believe(evidence);
  }

  /** Tells the tracker what it has not been told, when it is there. */
  async tellAll(): Promise<void> {
    for (const evidence of [...this.#untold]) {
      try {
        await this.#options.tell(evidence);
      } catch (error) {
        // What it refuses it will refuse again.
        if (asP2PError(error).code !== "invalid") return;
      }
      const at = this.#untold.indexOf(evidence);
      if (at >= 0) this.#untold.splice(at, 1);
    }
  }

  /** Whether it convicts somebody who was not convicted before. */
  #believe(evidence: Evidence): boolean {
    const { own, nameOf, onConvicted, emit } = this.#options;
    const { server: id, transfer } = evidence;
    if (id === own || this.#ids.has(id)) return false;
    if (whyNoProof(this.signer.network, evidence) !== null) return false;
    this.#ids.add(id);
    const [oldest] = this.#ids;
    if (this.#ids.size > MAX_CONVICTED && oldest !== undefined) this.#ids.delete(oldest);
    emit({ event: "convicted", id, name: nameOf(id) ?? id, transfer });
    onConvicted(id);
    return true;
  }
}

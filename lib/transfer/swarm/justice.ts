import type { Evidence, SwarmSigner } from "../../identity/evidence.ts";

/** What the members of a swarm sign, and what comes of it when that is wrong. */
export interface SwarmJustice {
  signer: SwarmSigner;
  /** Whether the peer of the id is nobody's neighbour any more. */
  isConvicted(id: string): boolean;
  /** Has everybody told. */
  convict(evidence: Evidence): void;
}

/** Who is convicted as a peer sees it: what it has met itself, and what it is told. */

import { assertEquals } from "@std/assert";
import { randomToken } from "../../../lib/async/random.ts";
import { P2PError } from "../../../lib/errors.ts";
import type { AppEvent } from "../../../lib/events.ts";
import {
  blockDigest,
  encodeServed,
  type Evidence,
  swarmSigner,
} from "../../../lib/identity/evidence.ts";
import { Identity } from "../../../lib/identity/keys.ts";
import { Convictions } from "../../../lib/peer/convictions.ts";
import { turn } from "../../helpers/deadline.ts";

const network = Identity.generate().id;
const [own, sharer] = [Identity.generate(), Identity.generate()];

/** Evidence that somebody has signed zeros where the sharer has something else. */
function against(server: Identity, hash = new Uint8Array(32)): Evidence {
  const transfer = randomToken(16);
  const hashes = new Uint8Array(32).fill(7);
  const digest = blockDigest(hashes);
  const entries = encodeServed([{ index: 0, hash, digest }]);
  return {
    ...{ transfer, sharer: sharer.id, server: server.id, block: 0, index: 0, hashes, entries },
    blockSignature: swarmSigner(sharer, network).signBlock({ transfer, block: 0, digest }),
    servedSignature: swarmSigner(server, network)
      .signServed({ transfer, sharer: sharer.id, entries }),
  };
}

function scene() {
  const events: AppEvent[] = [];
  const left: string[] = [];
  const told: string[] = [];
  const tracker: { fails?: P2PError } = {};
  const convictions = new Convictions({
    signer: swarmSigner(own, network),
    own: own.id,
    tell: ({ server }) => {
      if (tracker.fails) return Promise.reject(tracker.fails);
      told.push(server);
      return Promise.resolve();
    },
    nameOf: () => undefined,
    onConvicted: (id) => void left.push(id),
    emit: (event) => void events.push(event),
  });
  return { convictions, events, left, told, tracker };
}

Deno.test("Who is proven to lie is left, told of once, and accused at the tracker", async () => {
  const { convictions, events, left, told } = scene();
  const liar = Identity.generate();
  const evidence = against(liar);
  convictions.convict(evidence);
  convictions.convict(against(liar));
  await turn();
  assertEquals([convictions.isConvicted(liar.id), left, told], [true, [liar.id], [liar.id]]);
  assertEquals(events, [
    { event: "convicted", id: liar.id, name: liar.id, transfer: evidence.transfer },
  ]);
});

Deno.test("What the tracker says has to prove it, and nobody convicts itself", async () => {
  const { convictions, events, told } = scene();
  const honest = Identity.generate();
  convictions.heard(against(honest, new Uint8Array(32).fill(7)));
  convictions.heard({ ...against(honest), transfer: randomToken(16) });
  convictions.heard(against(own));
  await turn();
  assertEquals([convictions.isConvicted(honest.id), convictions.isConvicted(own.id), events], [
    false,
    false,
    [],
  ]);
  const liar = Identity.generate();
  convictions.heard(against(liar));
  await turn();
  assertEquals([convictions.isConvicted(liar.id), told], [true, []]);
});

Deno.test("While the tracker is away an accusation waits, and one that it refuses does not", async () => {
  const { convictions, told, tracker } = scene();
  const liars = Array.from({ length: 20 }, () => Identity.generate());
  tracker.fails = new P2PError("tracker-unreachable", "away");
  for (const liar of liars) convictions.convict(against(liar));
  await turn();
  delete tracker.fails;
  await convictions.tellAll();
  // The latest sixteen.
  assertEquals(told, liars.slice(4).map(({ id }) => id));
  tracker.fails = new P2PError("invalid", "no");
  convictions.convict(against(Identity.generate()));
  await turn();
  delete tracker.fails;
  await convictions.tellAll();
  assertEquals(told.length, 16);
});

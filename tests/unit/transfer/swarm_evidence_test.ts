/** What the members of a swarm sign, and what becomes of those who sign wrong things, or nothing. */

import { assert, assertEquals } from "@std/assert";
import { P2PError } from "../../../lib/errors.ts";
import {
  blockDigest,
  decodeServed,
  encodeServed,
  type Evidence,
  swarmSigner,
  verifyServed,
  whyNoProof,
} from "../../../lib/identity/evidence.ts";
import { Identity } from "../../../lib/identity/keys.ts";
import { concat } from "@std/bytes/concat";
import { BLOCK_PIECES } from "../../../lib/wire/limits.ts";
import { assertSameBytes } from "../../helpers/bytes.ts";
import { eventually, turn } from "../../helpers/deadline.ts";
import { PIECE, type Scene, scene, type Source, TRANSFER } from "../../helpers/download.ts";

const transfer = TRANSFER;
const network = Identity.generate().id;
const [sharer, ann, ben] = [Identity.generate(), Identity.generate(), Identity.generate()];
const ALL = [0, 1, 2, 3, 4, 5];

/** A swarm whose members have keys; `convicted` has what was proven. */
interface Trial {
  scene: Scene;
  convicted: Evidence[];
  digest: Uint8Array;
}

function trial(name: string, play: (trial: Trial) => Promise<void>): void {
  scene(`evidence: ${name}`, async (scene) => {
    const convicted: Evidence[] = [];
    scene.isSwarm = true;
    scene.offer.from = sharer.id;
    scene.justice = {
      signer: swarmSigner(ben, network),
      isConvicted: (id) => convicted.some(({ server }) => server === id),
      convict: (evidence) => void convicted.push(evidence),
    };
    await scene.begin();
    const hashes = concat(ALL.map((index) => scene.sender.proof(index, "independent").hash));
    await play({ scene, convicted, digest: blockDigest(hashes) });
  });
}

async function sendHashes({ scene, digest }: Trial): Promise<void> {
  const signature = swarmSigner(sharer, network).signBlock({ transfer, block: 0, digest });
  await scene.sender.sendHashesOf("independent", { signature });
}

async function announce(source: Source, pieces: number[]): Promise<void> {
  await source.say({ verb: "HAVE", transfer, pieces: pieces.map((index) => [index, index + 1]) });
}

/** Joins ann, who is asked for piece 0. */
async function joinAnn(trial: Trial): Promise<Source> {
  const { scene } = trial;
  await sendHashes(trial);
  const source = scene.source(scene.content, ann.id);
  scene.download.join(source.link);
  await announce(source, [0]);
  await source.asked(1);
  return source;
}

/** Has ann sign for piece 0. */
async function sign(
  source: Source,
  { hash = source.proof(0, "independent").hash, digest, by = ann }: {
    hash?: Uint8Array;
    digest: Uint8Array;
    by?: Identity;
  },
): Promise<void> {
  const entries = encodeServed([{ index: 0, hash, digest }]);
  const signature = swarmSigner(by, network).signServed({ transfer, sharer: sharer.id, entries });
  await source.signFor(entries, signature);
}

/** Whether ann may be a neighbour, also on another link. */
function admitsAnn({ scene }: Trial): boolean {
  return scene.download.admits(scene.source(scene.content, ann.id).link);
}

/** The rest comes from the sharer. */
async function finish({ scene }: Trial): Promise<void> {
  await announce(scene.sender, ALL);
  for (let served = 0; scene.outcomes.length === 0;) {
    const asked = scene.sender.all("GET")[served];
    if (asked) await scene.sender.sendPiece(asked.index);
    if (asked) served++;
    await turn();
  }
  assertSameBytes(await Deno.readFile((await scene.received()).path), scene.content);
}

trial("who signs for wrong bytes convicts itself, and the rest goes on", async (trial) => {
  const { convicted, digest } = trial;
  const source = await joinAnn(trial);
  const wrong = new Uint8Array(PIECE);
  await source.sendPiece(0, wrong);
  await eventually(() => !admitsAnn(trial), "that ann is avoided");
  await sign(source, { hash: blockDigest(wrong), digest });
  await eventually(() => convicted.length > 0, "a conviction");
  const [evidence] = convicted;
  assert(evidence);
  assertEquals([evidence.server, evidence.index], [ann.id, 0]);
  assertEquals(whyNoProof(network, evidence), null);
  await finish(trial);
});

trial(
  "who signs for the right bytes and sends others is avoided, and not convicted",
  async (trial) => {
    const { convicted, digest } = trial;
    const source = await joinAnn(trial);
    await source.sendPiece(0, new Uint8Array(PIECE));
    await sign(source, { digest });
    await eventually(() => !admitsAnn(trial), "that ann is avoided");
    await finish(trial);
    assertEquals(convicted, []);
  },
);

trial("who signs for what it has sent stays, also when that takes some seconds", async (trial) => {
  const { scene, convicted, digest } = trial;
  const source = await joinAnn(trial);
  await source.sendPiece(0);
  await eventually(() => scene.download.has(0), "piece 0");
  for (let i = 0; i < 30; i++) scene.clock.advance(500);
  await sign(source, { digest });
  // Twice, as of a piece that was asked for twice.
  await sign(source, { digest });
  await announce(source, [1]);
  await source.asked(2);
  for (let i = 0; i < 10; i++) scene.clock.advance(500);
  assertEquals([source.all("CANCEL"), convicted], [[], []]);
  await source.sendPiece(1);
  await finish(trial);
});

trial("who does not sign for what it has sent is left", async (trial) => {
  const { scene } = trial;
  const source = await joinAnn(trial);
  await source.sendPiece(0);
  await eventually(() => scene.download.has(0), "piece 0");
  for (let i = 0; i < 43; i++) scene.clock.advance(500);
  assert(!admitsAnn(trial));
  await finish(trial);
});

for (
  const [what, forge] of Object.entries({
    "by somebody else": { by: ben },
    "for another manifest": { digest: new Uint8Array(32) },
  })
) {
  trial(`a statement ${what} is of no use, and nor is whoever sends it`, async (trial) => {
    const { scene, convicted, digest } = trial;
    const source = await joinAnn(trial);
    await source.sendPiece(0);
    await eventually(() => scene.download.has(0), "piece 0");
    await sign(source, { digest, ...forge });
    await eventually(() => !admitsAnn(trial), "that ann is avoided");
    assertEquals(convicted, []);
    await finish(trial);
  });
}

trial(
  "a statement that comes before the hashes are complete is judged when they are",
  async (trial) => {
    const { scene, convicted, digest } = trial;
    await scene.sender.sendHashesOf("independent", { end: 3 });
    const source = scene.source(scene.content, ann.id);
    scene.download.join(source.link);
    await announce(source, [0]);
    await source.asked(1);
    await source.sendPiece(0);
    await eventually(() => scene.download.has(0), "piece 0");
    await sign(source, { hash: new Uint8Array(32), digest });
    assertEquals(convicted, []);
    const signature = swarmSigner(sharer, network).signBlock({ transfer, block: 0, digest });
    await scene.sender.sendHashesOf("independent", { start: 3, signature });
    await eventually(() => convicted.length > 0, "a conviction");
    await finish(trial);
  },
);

trial("who says too much too early costs no other neighbour its place", async (trial) => {
  const { scene, digest } = trial;
  await scene.sender.sendHashesOf("independent", { end: 3 });
  const carol = Identity.generate();
  const [flooder, honest] = [
    scene.source(scene.content, carol.id),
    scene.source(scene.content, ann.id),
  ];
  const statement = encodeServed([{ index: 0, hash: new Uint8Array(32), digest }]);
  const about = { transfer, sharer: sharer.id, entries: statement };
  const signature = swarmSigner(carol, network).signServed(about);
  scene.download.join(flooder.link);
  scene.download.join(honest.link);
  await announce(honest, [0]);
  await honest.asked(1);
  await honest.sendPiece(0);
  await eventually(() => scene.download.has(0), "piece 0");
  // As many as may wait of one, then those of the other.
  for (let i = 0; i < BLOCK_PIECES; i++) await flooder.signFor(statement, signature);
  for (let i = 0; i < BLOCK_PIECES; i++) await sign(honest, { digest });
  assert(admitsAnn(trial));
  await flooder.signFor(statement, signature);
  const admitsFlooder = () => scene.download.admits(scene.source(scene.content, carol.id).link);
  await eventually(() => !admitsFlooder(), "that the flooder is avoided");
  assert(admitsAnn(trial));
  await scene.sender.cancel();
  await scene.failure();
});

trial("hashes that their sharer has not signed are refused", async ({ scene, digest }) => {
  const signature = swarmSigner(ann, network).signBlock({ transfer, block: 0, digest });
  await scene.sender.sendHashesOf("independent", { signature });
  const error: P2PError = await scene.failure();
  assertEquals(error.code, "integrity");
});

trial("what is served is signed for, a moment later and all together", async (trial) => {
  const { scene, digest } = trial;
  await sendHashes(trial);
  await announce(scene.sender, [0, 1]);
  const asked = await scene.sender.asked(2);
  for (const index of asked) await scene.sender.sendPiece(index);
  await eventually(() => scene.download.has(0) && scene.download.has(1), "two pieces");
  const source = scene.source(scene.content, ann.id);
  scene.download.join(source.link);
  for (const index of [0, 1]) await source.say({ verb: "GET", transfer, index });
  await source.hears("PIECE", 2);
  assertEquals(source.all("SERVED"), []);
  scene.clock.advance(1_000);
  const [served] = await source.hears("SERVED", 1);
  const entries = source.bodies.get("SERVED") ?? new Uint8Array();
  const subject = { network, transfer, sharer: sharer.id, entries };
  assert(served && verifyServed(ben.id, subject, served.signature));
  assertEquals(
    decodeServed(entries),
    [0, 1].map((index) => {
      const { hash } = source.proof(index, "independent");
      return { index, hash: Uint8Array.from(hash), digest: Uint8Array.from(digest) };
    }),
  );
  await scene.sender.cancel();
  await scene.failure();
});

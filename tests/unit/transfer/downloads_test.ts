import { assertEquals } from "@std/assert";
import { encodeBase64Url } from "@std/encoding/base64url";
import type { P2PError } from "../../../lib/errors.ts";
import type { Session } from "../../../lib/net/session.ts";
import { Inbox } from "../../../lib/inbox/inbox.ts";
import { Downloads } from "../../../lib/transfer/downloads.ts";
import type { Frame } from "../../../lib/wire/frame.ts";
import { turn } from "../../helpers/deadline.ts";
import { rejectsWith } from "../../helpers/errors.ts";
import { FakeClock } from "../../helpers/fake_clock.ts";
import { partialsIn } from "../../helpers/invariants.ts";
import { permitted } from "../../helpers/permissions.ts";
import { sessionPair } from "../../helpers/pipes.ts";
import { bytesOf } from "../../helpers/random.ts";
import { tempDir } from "../../helpers/temp_dir.ts";

const NEEDS: Deno.PermissionName[] = ["read", "write", "sys"];
const ID = "A".repeat(43);

function offer(transfer: string): Frame {
  return {
    message: {
      verb: "SEND_FILE",
      seq: 1,
      transfer,
      name: "file",
      size: 5,
      pieceSize: 16 * 1024,
    },
    body: new Uint8Array(),
  };
}

/** A receiver, and sessions of one sender whose other ends nobody reads. */
class Scene implements AsyncDisposable {
  readonly clock = new FakeClock();
  readonly failed: P2PError[] = [];
  readonly inbox: Inbox;
  readonly receiver: Downloads;
  readonly #sessions: Session[] = [];

  constructor(inbox: Inbox) {
    this.inbox = inbox;
    this.receiver = new Downloads({
      inbox,
      clock: this.clock,
      observer: {
        onStarted: () => {},
        onProgress: () => {},
        onReceived: () => {},
        onFailed: (_offer, error) => void this.failed.push(error),
      },
    });
  }

  session(): Session {
    return this.sessions()[0];
  }

  /** The receiver's end and the sender's. */
  sessions(): [Session, Session] {
    const ends = sessionPair({ clock: this.clock });
    this.#sessions.push(...ends);
    return ends;
  }

  partials(): Promise<string[]> {
    return partialsIn(this.inbox.path);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.receiver[Symbol.asyncDispose]();
    assertEquals(await this.partials(), []);
    for (const { connection } of this.#sessions) connection.close();
    this.inbox[Symbol.dispose]();
    assertEquals(this.clock.pending, []);
  }
}

permitted("an offer that comes twice at once is accepted once", NEEDS, async () => {
  await using dir = await tempDir();
  await using scene = new Scene(await Inbox.open(dir.at("inbox"), ID));
  const { receiver } = scene;
  const transfer = encodeBase64Url(bytesOf(16));
  const [first, second] = [scene.session(), scene.session()];
  const accepting = receiver.onMessage(offer(transfer), first);
  await rejectsWith("busy", () => receiver.onMessage(offer(transfer), second));
  await accepting;
  assertEquals([receiver.activeCount, (await scene.partials()).length], [1, 1]);
  // The sender tries again, and goes on with what there is.
  await receiver.onMessage(offer(transfer), second);
  assertEquals([receiver.activeCount, (await scene.partials()).length], [1, 1]);
});

permitted("a receiver that ends while it accepts an offer keeps nothing of it", NEEDS, async () => {
  await using dir = await tempDir();
  await using scene = new Scene(await Inbox.open(dir.at("inbox"), ID));
  const accepting = scene.receiver.onMessage(offer(encodeBase64Url(bytesOf(16))), scene.session());
  const refused = rejectsWith("shutting-down", () => accepting);
  await scene.receiver[Symbol.asyncDispose]();
  await refused;
  await rejectsWith(
    "shutting-down",
    () => scene.receiver.onMessage(offer(encodeBase64Url(bytesOf(16, 2))), scene.session()),
  );
});

permitted("a transfer whose sender is gone is given up after a minute", NEEDS, async () => {
  await using dir = await tempDir();
  await using scene = new Scene(await Inbox.open(dir.at("inbox"), ID));
  const { receiver, clock } = scene;
  const session = scene.session();
  await receiver.onMessage(offer(encodeBase64Url(bytesOf(16))), session);
  receiver.onSessionClosed(session);
  clock.advance(59_999);
  assertEquals([receiver.activeCount, scene.failed.length], [1, 0]);
  clock.advance(1);
  await receiver.drained();
  assertEquals(scene.failed.map(({ code }) => code), ["connection-lost"]);
});

permitted("a sender that says nothing for two minutes loses its session", NEEDS, async () => {
  await using dir = await tempDir();
  await using scene = new Scene(await Inbox.open(dir.at("inbox"), ID));
  const session = scene.session();
  await scene.receiver.onMessage(offer(encodeBase64Url(bytesOf(16))), session);
  for (let second = 0; second < 119; second++) {
    await turn();
    scene.clock.advance(1_000);
  }
  assertEquals(session.connection.closed, undefined);
  await turn();
  scene.clock.advance(2_000);
  assertEquals(session.connection.closed?.code, "timeout");
});

permitted(
  "a sender that merely says that it lives loses its session too, later",
  NEEDS,
  async () => {
    await using dir = await tempDir();
    await using scene = new Scene(await Inbox.open(dir.at("inbox"), ID));
    const [session, far] = scene.sessions();
    const running = session.run({
      onMessage: (frame) => void scene.receiver.onMessage(frame, session),
      onClosed: () => scene.receiver.onSessionClosed(session),
    });
    await scene.receiver.onMessage(offer(encodeBase64Url(bytesOf(16))), session);
    for (let minute = 0; minute < 20; minute++) {
      await far.send({ verb: "PING" });
      await turn();
      scene.clock.advance(60_000);
      assertEquals(session.connection.closed, undefined, `closed after ${minute + 1} minutes`);
    }
    await far.send({ verb: "PING" });
    await turn();
    scene.clock.advance(1_000);
    assertEquals(session.connection.closed?.code, "timeout");
    await running;
  },
);

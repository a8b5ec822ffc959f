import { assert, assertEquals } from "@std/assert";
import { encodeBase64Url } from "@std/encoding/base64url";
import { P2PError } from "../../../lib/errors.ts";
import type { Session } from "../../../lib/net/session.ts";
import { Inbox } from "../../../lib/inbox/inbox.ts";
import { Downloads, type OfferPolicy, type OfferRequest } from "../../../lib/transfer/downloads.ts";
import { PeerLink } from "../../../lib/transfer/peer_link.ts";
import { transferSettings } from "../../../lib/transfer/settings.ts";
import type { MessageOf } from "../../../lib/wire/message.ts";
import { deadline, turn } from "../../helpers/deadline.ts";
import { idOf } from "../../helpers/entries.ts";
import { rejectsWith } from "../../helpers/errors.ts";
import { FakeClock } from "../../helpers/fake_clock.ts";
import { partialsIn } from "../../helpers/invariants.ts";
import { proofOf } from "../../helpers/partials.ts";
import { permitted } from "../../helpers/permissions.ts";
import { sessionPair } from "../../helpers/pipes.ts";
import { bytesOf } from "../../helpers/random.ts";
import { tempDir } from "../../helpers/temp_dir.ts";

const NEEDS: Deno.PermissionName[] = ["read", "write", "sys"];
const ID = "A".repeat(43);

function offer(transfer: string): MessageOf<"SEND_FILE"> {
  return {
    verb: "SEND_FILE",
    seq: 1,
    transfer,
    name: "file",
    size: 5,
    pieceSize: 16 * 1024,
    scheme: "independent",
  };
}

/** The request of an offer that is not taken back. */
function from(link: PeerLink): OfferRequest {
  return { link, seq: 1, signal: new AbortController().signal };
}

/** A receiver, and links of one sender whose other ends nobody reads. */
class Scene implements AsyncDisposable {
  readonly clock = new FakeClock();
  readonly failed: P2PError[] = [];
  readonly refused: P2PError[] = [];
  readonly inbox: Inbox;
  readonly downloads: Downloads;
  readonly #sessions: Session[] = [];

  constructor(inbox: Inbox, policy?: OfferPolicy) {
    this.inbox = inbox;
    this.downloads = new Downloads({
      destination: inbox,
      policy,
      settings: transferSettings({ clock: this.clock }),
      observer: {
        onStarted: () => ({ onProgress: () => {} }),
        onReceived: () => {},
        onFailed: (_offer, error) => void this.failed.push(error),
        onRefused: (_offer, error) => void this.refused.push(error),
      },
    });
  }

  /** A link of a sender, who may be another than usual at another address. */
  link(sender?: { from: string; host: string }): PeerLink {
    return this.linkAndFarEnd(sender)[0];
  }

  /** The receiver's end of a link, and the sender's session. */
  linkAndFarEnd(sender?: { from: string; host: string }): [PeerLink, Session] {
    const ids = sender && { ids: [ID, sender.from] as [string, string] };
    const [near, far] = sessionPair({ clock: this.clock, ...ids });
    if (sender) near.connection.remote.host = sender.host;
    this.#sessions.push(near, far);
    return [new PeerLink(near, { services: { downloads: this.downloads } }), far];
  }

  partials(): Promise<string[]> {
    return partialsIn(this.inbox.path);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.downloads[Symbol.asyncDispose]();
    assertEquals(await this.partials(), []);
    for (const { connection } of this.#sessions) connection.close();
    this.inbox[Symbol.dispose]();
    assertEquals(this.clock.pending, []);
  }
}

permitted("an offer that comes twice at once is accepted once", NEEDS, async () => {
  await using dir = await tempDir();
  await using scene = new Scene(await Inbox.open(dir.at("inbox"), ID));
  const { downloads } = scene;
  const transfer = encodeBase64Url(bytesOf(16));
  const [first, second] = [scene.link(), scene.link()];
  const accepting = downloads.onOffer(offer(transfer), from(first));
  await rejectsWith("busy", () => downloads.onOffer(offer(transfer), from(second)));
  await accepting;
  assertEquals([downloads.activeCount, (await scene.partials()).length], [1, 1]);
  // The sender tries again, and goes on with what there is.
  await downloads.onOffer(offer(transfer), from(second));
  assertEquals([downloads.activeCount, (await scene.partials()).length], [1, 1]);
});

permitted("a receiver that ends while it accepts an offer keeps nothing of it", NEEDS, async () => {
  await using dir = await tempDir();
  await using scene = new Scene(await Inbox.open(dir.at("inbox"), ID));
  const accepting = scene.downloads.onOffer(
    offer(encodeBase64Url(bytesOf(16))),
    from(scene.link()),
  );
  const refused = rejectsWith("shutting-down", () => accepting);
  await scene.downloads[Symbol.asyncDispose]();
  await refused;
  await rejectsWith(
    "shutting-down",
    () => scene.downloads.onOffer(offer(encodeBase64Url(bytesOf(16, 2))), from(scene.link())),
  );
});

permitted("a transfer whose sender is gone is given up after a minute", NEEDS, async () => {
  await using dir = await tempDir();
  await using scene = new Scene(await Inbox.open(dir.at("inbox"), ID));
  const { downloads, clock } = scene;
  const link = scene.link();
  await downloads.onOffer(offer(encodeBase64Url(bytesOf(16))), from(link));
  link.session.abort(new P2PError("connection-lost", "the sender is gone"));
  await link.ended;
  clock.advance(59_999);
  assertEquals([downloads.activeCount, scene.failed.length], [1, 0]);
  clock.advance(1);
  await downloads.drained();
  assertEquals(scene.failed.map(({ code }) => code), ["connection-lost"]);
});

permitted(
  "a receiver that ends while a sender is gone says that the sender is",
  NEEDS,
  async () => {
    await using dir = await tempDir();
    for (const end of ["drained", Symbol.asyncDispose] as const) {
      await using scene = new Scene(await Inbox.open(dir.at("inbox"), ID));
      const [there, gone] = [scene.link(), scene.link()];
      const named = (name: string) => ({ ...offer(encodeBase64Url(bytesOf(16))), name });
      await scene.downloads.onOffer(named("gone"), from(gone));
      gone.session.abort(new P2PError("connection-lost", "the sender is gone"));
      await gone.ended;
      if (end === Symbol.asyncDispose) {
        const transfer = encodeBase64Url(bytesOf(16, 2));
        await scene.downloads.onOffer({ ...named("there"), transfer }, from(there));
      }
      await scene.downloads[end]();
      assertEquals(
        scene.failed.map(({ message }) => message).sort().reverse(),
        // They end side by side.
        [
          "Cannot receive: the sender is gone",
          "Cannot receive: the receiver is shutting down",
        ].slice(0, end === "drained" ? 1 : 2),
      );
    }
  },
);

permitted("a transfer that its sender begins anew is said to go on", NEEDS, async () => {
  await using dir = await tempDir();
  await using scene = new Scene(await Inbox.open(dir.at("inbox"), ID));
  const { downloads } = scene;
  const gone = scene.link();
  await downloads.onOffer(offer(encodeBase64Url(bytesOf(16))), from(gone));
  gone.session.abort(new P2PError("connection-lost", "the sender is gone"));
  await gone.ended;
  await downloads.onOffer(offer(encodeBase64Url(bytesOf(16, 2))), from(scene.link()));
  assertEquals(downloads.activeCount, 1);
  assertEquals(scene.failed.map(({ code, message }) => [code, message]), [
    ["connection-lost", "The sender was started again, and goes on in a new transfer"],
  ]);
});

permitted("a sender that says nothing for two minutes loses its session", NEEDS, async () => {
  await using dir = await tempDir();
  await using scene = new Scene(await Inbox.open(dir.at("inbox"), ID));
  const link = scene.link();
  await scene.downloads.onOffer(offer(encodeBase64Url(bytesOf(16))), from(link));
  for (let second = 0; second < 119; second++) {
    await turn();
    scene.clock.advance(1_000);
  }
  assertEquals(link.session.connection.closed, undefined);
  await turn();
  scene.clock.advance(2_000);
  assertEquals(link.session.connection.closed?.code, "timeout");
});

permitted(
  "a sender that merely says that it lives loses its session too, later",
  NEEDS,
  async () => {
    await using dir = await tempDir();
    await using scene = new Scene(await Inbox.open(dir.at("inbox"), ID));
    const [link, far] = scene.linkAndFarEnd();
    await scene.downloads.onOffer(offer(encodeBase64Url(bytesOf(16))), from(link));
    for (let minute = 0; minute < 20; minute++) {
      await far.send({ verb: "PING" });
      await turn();
      scene.clock.advance(60_000);
      assertEquals(link.session.connection.closed, undefined, `closed after ${minute + 1} minutes`);
    }
    await far.send({ verb: "PING" });
    await turn();
    scene.clock.advance(1_000);
    assertEquals(link.session.connection.closed?.code, "timeout");
    await link.ended;
  },
);

permitted(
  "a sender that comes back again and again, and sends nothing, is given up",
  NEEDS,
  async () => {
    await using dir = await tempDir();
    await using scene = new Scene(await Inbox.open(dir.at("inbox"), ID));
    const { clock, downloads } = scene;
    const message = offer(encodeBase64Url(bytesOf(16)));
    const start = clock.now();
    for (let n = 0; scene.failed.length === 0; n++) {
      const link = scene.link();
      await downloads.onOffer(message, from(link));
      // On some sessions it is gone again before anything is looked at.
      clock.advance(n % 2 === 0 ? 400 : 30_000);
      link.session.abort(new P2PError("connection-lost", "gone again"));
      await link.ended;
      clock.advance(59_000);
      const download = downloads.find(message.transfer, link.session.remote.id);
      if (download?.isEnding) await download.ended;
      assert(clock.now() - start < 2 * 60 * 60_000 + 120_000, "it has its place still");
    }
    assert(clock.now() - start >= 2 * 60 * 60_000);
    await downloads.drained();
    assertEquals(scene.failed.map(({ code }) => code), ["timeout"]);
  },
);

permitted(
  "offers that nobody has answered are bounded, and the session goes on",
  NEEDS,
  async () => {
    await using dir = await tempDir();
    const decision = Promise.withResolvers<() => void>();
    const policy = { asksPerson: false, decide: () => decision.promise };
    await using scene = new Scene(await Inbox.open(dir.at("inbox"), ID), policy);
    const [link, far] = scene.linkAndFarEnd();
    const codes: string[] = [];
    const hearing = (async () => {
      for (let answers = 0; answers < 130;) {
        const frame = await far.connection.read();
        if (!frame || !("message" in frame)) break;
        const { message } = frame;
        if (message.verb !== "ERROR" && message.verb !== "ACK") continue;
        answers++;
        codes.push("code" in message ? message.code : message.state);
        // All others have been heard by then.
        if (answers === 2) decision.reject(new P2PError("refused", "no"));
      }
    })();
    for (let n = 0; n < 130; n++) {
      const transfer = encodeBase64Url(bytesOf(16, n));
      await far.send({ ...offer(transfer), seq: n + 1 });
    }
    await deadline(hearing, "130 answers");
    assertEquals(codes.slice(0, 3), ["busy", "busy", "refused"]);
    assertEquals(codes.filter((code) => code === "refused").length, 128);
    assertEquals(link.isOpen, true);
  },
);

permitted("nobody has more transfers than allowed, however many sessions", NEEDS, async () => {
  await using dir = await tempDir();
  await using scene = new Scene(await Inbox.open(dir.at("inbox"), ID));
  const links = [scene.link(), scene.link(), scene.link()];
  const offers = Array.from({ length: 3 * 64 }, (_, n) => {
    const message = { ...offer(encodeBase64Url(bytesOf(16, n))), name: `file ${n}` };
    return scene.downloads.onOffer(message, from(links[n % 3] ?? scene.link()));
  });
  const results = await Promise.allSettled(offers);
  assertEquals(results.filter(({ status }) => status === "fulfilled").length, 128);
  assertEquals(scene.downloads.activeCount, 128);
});

permitted(
  "keys are free: a network has so many transfers, and others have theirs",
  NEEDS,
  async () => {
    await using dir = await tempDir();
    await using scene = new Scene(await Inbox.open(dir.at("inbox"), ID));
    let n = 0;
    const offerFrom = (key: number, host: string) => {
      const message = { ...offer(encodeBase64Url(bytesOf(16, n))), name: `file ${n++}` };
      return scene.downloads.onOffer(message, from(scene.link({ from: idOf(key), host })));
    };
    // Each with a key of its own, from addresses that one owner may have.
    for (const network of ["2001:db8::", "::ffff:192.0.2."]) {
      for (let key = 0; key < 256; key++) await offerFrom(key, `${network}${key % 200 + 1}`);
      await rejectsWith("busy", () => offerFrom(1000, `${network}222`));
    }
    await rejectsWith("busy", () => offerFrom(1000, "192.0.2.7"));
    await offerFrom(1000, "192.0.3.7");
    await offerFrom(1000, "2001:db8:0:1::1");
    assertEquals(scene.downloads.activeCount, 514);
    // A place that is given back is somebody else's.
    await scene.downloads.find(encodeBase64Url(bytesOf(16, 257)), idOf(0))
      ?.fail(new P2PError("cancelled", "enough"));
    await offerFrom(1000, "192.0.2.7");
    await rejectsWith("busy", () => offerFrom(1001, "192.0.2.7"));
  },
);

permitted(
  "what an earlier try left stays when the sender goes while its offer begins",
  NEEDS,
  async () => {
    await using dir = await tempDir();
    const inbox = await Inbox.open(dir.at("inbox"), ID);
    const piece = 1024 * 1024;
    const scene = new Scene(inbox);
    const link = scene.link();
    const sender = link.session.remote.id;
    const key = {
      transfer: encodeBase64Url(bytesOf(16, 1)),
      from: sender,
      name: "big",
      size: 4 * piece,
      pieceSize: piece,
      scheme: "independent",
      table: null,
    };
    const before = await inbox.begin(key);
    for (let i = 0; i < 3; i++) {
      await before.write(i, bytesOf(piece, i), proofOf(bytesOf(piece, i)));
    }
    await inbox.release(before, true);
    const { size, pieceSize, name } = key;
    const message = { ...offer(encodeBase64Url(bytesOf(16, 2))), name, size, pieceSize };
    const beginning = rejectsWith(
      "connection-lost",
      () => scene.downloads.onOffer(message, from(link)),
    );
    link.session.abort(new P2PError("connection-lost", "gone"));
    await beginning;
    const again = await inbox.begin(key);
    assertEquals([...again.known.keys()], [0, 1, 2]);
    await inbox.release(again, false);
    await scene[Symbol.asyncDispose]();
  },
);

permitted("a person is not asked any longer about what was taken back", NEEDS, async () => {
  await using dir = await tempDir();
  const withdrawn = Promise.withResolvers<void>();
  const asked = Promise.withResolvers<void>();
  const policy: OfferPolicy = {
    asksPerson: true,
    decide: ({ signal }) => {
      asked.resolve();
      signal.addEventListener("abort", () => withdrawn.resolve());
      return new Promise(() => {});
    },
  };
  await using scene = new Scene(await Inbox.open(dir.at("inbox"), ID), policy);
  const [link, far] = scene.linkAndFarEnd();
  const transfer = encodeBase64Url(bytesOf(16));
  await far.send(offer(transfer));
  await asked.promise;
  await far.send({ verb: "CANCEL", transfer, code: "interrupted", message: "enough" });
  await deadline(withdrawn.promise, "the end of the question");
  assertEquals([link.isOpen, scene.downloads.activeCount], [true, 0]);
});

permitted(
  "an offer that does not fit together is told, and the session goes on",
  NEEDS,
  async () => {
    await using dir = await tempDir();
    await using scene = new Scene(await Inbox.open(dir.at("inbox"), ID));
    const link = scene.link();
    const tooMany = { ...offer(encodeBase64Url(bytesOf(16))), size: 2 ** 50 };
    await rejectsWith("invalid", () => scene.downloads.onOffer(tooMany, from(link)));
    assertEquals(scene.refused.map(({ code }) => code), ["invalid"]);
    const unknown = { ...offer(encodeBase64Url(bytesOf(16))), scheme: "astrology" };
    const error = await rejectsWith("invalid", () => scene.downloads.onOffer(unknown, from(link)));
    assertEquals(error.message.includes("independent"), true);
    assertEquals(link.isOpen, true);
  },
);

permitted(
  "an offer that is made anew waits for the one answer, and nobody is asked twice",
  NEEDS,
  async () => {
    await using dir = await tempDir();
    const decision = Promise.withResolvers<() => void>();
    let asked = 0;
    const policy: OfferPolicy = {
      asksPerson: true,
      decide: () => {
        asked++;
        return decision.promise;
      },
    };
    await using scene = new Scene(await Inbox.open(dir.at("inbox"), ID), policy);
    const [link, far] = scene.linkAndFarEnd();
    const transfer = encodeBase64Url(bytesOf(16));
    const answers = new Map<number, string>();
    const hearing = (async () => {
      while (answers.size < 1001) {
        const frame = await far.connection.read();
        if (!frame || !("message" in frame)) break;
        const { message } = frame;
        if (!("re" in message) || message.re === undefined) continue;
        answers.set(message.re, "code" in message ? message.code : "ready");
        if (answers.size === 1000) decision.resolve(() => {});
      }
    })();
    for (let n = 1; n <= 1000; n++) await far.send({ ...offer(transfer), seq: n });
    await far.send({ ...offer(transfer), name: "another", seq: 1001 });
    await deadline(hearing, "1001 answers");
    assertEquals([asked, link.isOpen, scene.downloads.activeCount], [1, true, 1]);
    assertEquals([answers.get(1001), answers.get(1000), answers.get(999)], [
      "invalid",
      "ready",
      "connection-lost",
    ]);
  },
);

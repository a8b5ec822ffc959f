/** A share whose receivers stop in the middle: those who wait have their places. */

import { assertEquals } from "@std/assert";
import { Sharing } from "../../lib/app/sharing.ts";
import type { AppEvent } from "../../lib/events.ts";
import { Identity } from "../../lib/identity/keys.ts";
import { parseInvite } from "../../lib/identity/invite.ts";
import { openSession } from "../../lib/net/open_session.ts";
import { deadline } from "../helpers/deadline.ts";
import { EventLog } from "../helpers/event_log.ts";
import { permitted } from "../helpers/permissions.ts";
import { bytesOf } from "../helpers/random.ts";
import { manifestOf, RawSession } from "../helpers/raw.ts";
import { tempDir } from "../helpers/temp_dir.ts";

const NEEDS: Deno.PermissionName[] = ["net", "read", "write", "sys", "env"];
const PIECE = 256 * 1024;
const CONTENT = bytesOf(2 * PIECE);
/** Milliseconds; nobody waits for more than twice as long for one who gets no further. */
const ACK_TIMEOUT = 400;

/** A share of one file, one receiver at a time. */
class Stage implements AsyncDisposable {
  readonly events = new EventLog<AppEvent>();
  readonly #stack = new AsyncDisposableStack();
  #sharing: Sharing | undefined;

  static async open(wanted: number): Promise<Stage> {
    const stage = new Stage();
    const dir = stage.#stack.use(await tempDir());
    await Deno.writeFile(dir.at("file"), CONTENT);
    stage.#sharing = stage.#stack.use(
      await Sharing.start({
        identity: Identity.generate(),
        paths: [dir.at("file")],
        name: "desk",
        host: "127.0.0.1",
        port: 0,
        wanted,
        parallel: 1,
        ackTimeout: ACK_TIMEOUT,
        follow: false,
        folder: dir.at("state"),
        emit: stage.events.add,
      }),
    );
    return stage;
  }

  get sharing(): Sharing {
    return this.#sharing as Sharing;
  }

  /** Joins; each time that the share wants to be dialled, `serve` has the session. */
  async join(
    name: string,
    serve: (link: RawSession, offers: number) => Promise<void>,
  ): Promise<RawSession> {
    const { network: id, secret } = parseInvite(this.sharing.invite);
    const { address } = this.sharing;
    const identity = Identity.generate();
    const credentials = { identity, role: "peer", membership: { id, secret } } as const;
    const open = async (token?: string) =>
      this.#stack.use(
        new RawSession(
          await openSession({ address, id: undefined, credentials, ...(token ? { token } : {}) }),
          identity,
        ),
      );
    const member = await open();
    let offers = 0;
    this.#stack.use(member.frames.listen(({ message }) => {
      if (message.verb !== "DIAL") return;
      open(message.token).then((link) => serve(link, offers++)).catch(() => {});
    }));
    await member.session.request({ verb: "REGISTER", name, port: 1 });
    return member;
  }

  delivered(): string[] {
    return this.events.all.flatMap((event) => event.event === "share-delivered" ? event.peer : []);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stack[Symbol.asyncDispose]();
  }
}

/** Takes the offer. */
async function accept(link: RawSession): Promise<string> {
  const { transfer, seq } = await link.until("SEND_FILE");
  await link.send({ verb: "ACK", re: seq, transfer, state: "ready" });
  await link.until("HASHES", ({ last }) => last !== undefined);
  return transfer;
}

/** Takes the offer, and merely says that it lives, until the link ends. */
async function getNoFurther(link: RawSession): Promise<void> {
  const transfer = await accept(link);
  const sign = setInterval(() => {
    link.session.post({ verb: "HAVE", transfer, pieces: [] });
  }, ACK_TIMEOUT / 8);
  await link.closed;
  clearInterval(sign);
}

/** Takes the offer, and all of the file. */
async function takeAll(link: RawSession): Promise<void> {
  const transfer = await accept(link);
  for (const index of [0, 1]) {
    await link.send({ verb: "GET", transfer, index });
    await link.until("PIECE", (piece) => piece.index === index);
  }
  const { id: manifest } = manifestOf(CONTENT, PIECE, { scheme: "prefix" });
  await link.send({ verb: "ACK", transfer, state: "saved", name: "file", manifest });
}

permitted(
  "a place in a share goes to the next when whoever has it gets no further",
  NEEDS,
  async () => {
    await using stage = await Stage.open(1);
    const stuck = await stage.join("stuck", getNoFurther);
    await stage.events.until(({ event }) => event === "transfer-started");
    const next = await stage.join("next", takeAll);
    await deadline(stage.sharing.over, "the end of the share");
    assertEquals(stage.delivered(), ["next"]);
    // It waits again, and was told nothing that would make it go.
    assertEquals(stuck.session.connection.closed, undefined);
    assertEquals(await next.end(), null);
  },
);

permitted("whoever has given its place away has it back in its turn", NEEDS, async () => {
  await using stage = await Stage.open(2);
  await stage.join("hesitant", (link, offers) => offers === 0 ? getNoFurther(link) : takeAll(link));
  await stage.events.until(({ event }) => event === "transfer-started");
  await stage.join("next", takeAll);
  await deadline(stage.sharing.over, "the end of the share");
  assertEquals(stage.delivered(), ["next", "hesitant"]);
});

permitted(
  "a receiver that gets no further keeps its place while nobody waits for it",
  NEEDS,
  async () => {
    await using stage = await Stage.open(1);
    await stage.join("slow", async (link) => {
      const transfer = await accept(link);
      for (let sign = 0; sign < 24; sign++) {
        await link.send({ verb: "HAVE", transfer, pieces: [] });
        await new Promise((resolve) => setTimeout(resolve, ACK_TIMEOUT / 8));
      }
      for (const index of [0, 1]) await link.send({ verb: "GET", transfer, index });
      const { id: manifest } = manifestOf(CONTENT, PIECE, { scheme: "prefix" });
      await link.until("PIECE", ({ index }) => index === 1);
      await link.send({ verb: "ACK", transfer, state: "saved", name: "file", manifest });
    });
    await deadline(stage.sharing.over, "the end of the share");
    assertEquals(stage.delivered(), ["slow"]);
    const notices = stage.events.all.flatMap((event) =>
      event.event === "notice" ? event.message : []
    );
    assertEquals(notices, []);
  },
);

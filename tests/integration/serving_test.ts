/** A download that is half done serves what it has verified to others, while its own source goes on. */

import { assert, assertEquals } from "@std/assert";
import { encodeBase64Url } from "@std/encoding/base64url";
import { FileContent } from "../../lib/content/file_content.ts";
import { SourcePieces } from "../../lib/content/source_pieces.ts";
import { Inbox } from "../../lib/inbox/inbox.ts";
import type { Session } from "../../lib/net/session.ts";
import type { BandwidthLane } from "../../lib/async/bandwidth_limiter.ts";
import { Downloads } from "../../lib/transfer/downloads.ts";
import { PeerLink } from "../../lib/transfer/peer_link.ts";
import { transferSettings } from "../../lib/transfer/settings.ts";
import { uploadWithRetries } from "../../lib/transfer/upload_retries.ts";
import type { MessageOf } from "../../lib/wire/message.ts";
import { assertSameBytes } from "../helpers/bytes.ts";
import { deadline, eventually } from "../helpers/deadline.ts";
import { permitted } from "../helpers/permissions.ts";
import { sessionPair } from "../helpers/pipes.ts";
import { bytesOf } from "../helpers/random.ts";
import { tempDir } from "../helpers/temp_dir.ts";

const NEEDS: Deno.PermissionName[] = ["read", "write", "sys"];
const PIECE = 256 * 1024;
const COUNT = 12;

/** Lets so many pieces of the sender pass, and the rest when it is opened. */
class HalfWay implements BandwidthLane {
  readonly #rest = Promise.withResolvers<void>();
  #left: number;

  constructor(pieces: number) {
    this.#left = pieces;
  }

  async take(): Promise<void> {
    if (this.#left-- <= 0) await this.#rest.promise;
  }

  open(): void {
    this.#rest.resolve();
  }
}

/** The next frame of a kind on a session that nobody else reads. */
async function next<V extends "PIECE" | "ERROR">(
  session: Session,
  verb: V,
): Promise<{ message: MessageOf<V>; body: Uint8Array }> {
  const frame = await deadline(session.connection.read(), verb);
  assert(frame && "message" in frame);
  assertEquals(frame.message.verb, verb);
  return { message: frame.message as MessageOf<V>, body: frame.body };
}

permitted(
  "a half-done download serves a third session, while its source goes on",
  NEEDS,
  async () => {
    await using dir = await tempDir();
    const content = bytesOf(COUNT * PIECE - 7);
    await Deno.writeFile(dir.at("file"), content);
    await using source = await SourcePieces.open(await FileContent.open(dir.at("file")), {
      scheme: "independent",
    });
    using inbox = await Inbox.open(dir.at("inbox"), "own");
    const settings = transferSettings();
    await using downloads = new Downloads({
      destination: inbox,
      settings,
      observer: {
        onStarted: () => ({ onProgress: () => {} }),
        onReceived: () => {},
        onFailed: () => {},
      },
    });

    // The sender sends half, and is held there.
    const half = new HalfWay(COUNT / 2);
    const [toBob, fromAnna] = sessionPair();
    const anna = new PeerLink(toBob);
    const bob = new PeerLink(fromAnna, { services: { downloads } });
    const transfer = encodeBase64Url(bytesOf(16));
    using place = source.enter();
    const sending = uploadWithRetries({
      transfer,
      source,
      place,
      settings,
      lane: half,
      observer: { onProgress: () => {} },
      connect: () => Promise.resolve(anna),
    });
    const find = () => downloads.find(transfer, fromAnna.remote.id);
    await eventually(() => find()?.has(COUNT / 2 - 1) ?? false, "half of the pieces");
    const download = find();
    assert(download);

    // A third one asks for what is there, twice, and for what is not.
    const [toCarol, carol] = sessionPair();
    const link = new PeerLink(toCarol);
    const onFailed = () => {};
    link.serve({ transfer, pieces: download, clock: settings.clock, onFailed });
    for (const index of [3, 0, 3]) {
      await carol.send({ verb: "GET", transfer, index });
      const { message, body } = await next(carol, "PIECE");
      assertEquals(message.index, index);
      assertSameBytes(body, content.slice(index * PIECE, (index + 1) * PIECE));
    }
    assertEquals(download.has(COUNT - 1), false);
    await carol.send({ verb: "GET", transfer, index: COUNT - 1 });
    assertEquals((await next(carol, "ERROR")).message.code, "malformed");
    await link.ended;

    // The sender goes on as if nothing had been.
    half.open();
    assertEquals((await sending).savedAs, "file");
    assertSameBytes(await Deno.readFile(dir.at("inbox", "file")), content);
    assertEquals(download.has(0), false, "what is published is not served from its partial");
    carol.connection.close();
    await anna.close();
    await bob.ended;
  },
);

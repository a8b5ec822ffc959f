/** Tests of one side of an upload, and a receiver for it whose words are written by hand. */

import { FileContent } from "../../lib/content/file_content.ts";
import { SourcePieces } from "../../lib/content/source_pieces.ts";
import { Connection } from "../../lib/net/connection.ts";
import { Session } from "../../lib/net/session.ts";
import type { Scheme } from "../../lib/pieces/scheme.ts";
import { PeerLink } from "../../lib/transfer/peer_link.ts";
import { type TransferChoices, transferSettings } from "../../lib/transfer/settings.ts";
import { type RetriedUploadOptions } from "../../lib/transfer/upload_retries.ts";
import { deadline } from "./deadline.ts";
import { FakeClock } from "./fake_clock.ts";
import { permitted } from "./permissions.ts";
import { socketPair } from "./pipes.ts";
import { bytesOf } from "./random.ts";
import { tempDir } from "./temp_dir.ts";

/** The id of the transfer. */
export const TRANSFER = "A".repeat(22);
/** The id of another transfer. */
export const OTHER = "B".repeat(21) + "A";
/** Bytes of a piece. */
export const PIECE = 256 * 1024;

/** Bytes of a file whose size does not matter. */
const SMALL = 10;

/** A file that is sent, and a hand-turned clock. */
export interface FileScene {
  path: string;
  source: SourcePieces;
  clock: FakeClock;
}

/** What is sent. */
interface FileOptions {
  /** Bytes. */
  size?: number;
  scheme?: Scheme;
}

/** Registers a test that sends a file. */
export function fileTest(
  name: string,
  fn: (scene: FileScene) => Promise<void>,
  { size = SMALL, scheme = "independent" }: FileOptions = {},
): void {
  permitted(name, ["read", "write"], async () => {
    await using dir = await tempDir();
    const path = dir.at("file");
    await Deno.writeFile(path, bytesOf(size));
    await using source = await SourcePieces.open(await FileContent.open(path), { scheme });
    await fn({ path, source, clock: new FakeClock() });
  });
}

/** What an upload is told, and what it says. */
export type WatchedUpload = RetriedUploadOptions & { retries: string[]; waits: () => number };

/** An upload over one link, whose other end is written by hand. */
export interface UploadScene extends FileScene, Hand {
  link: PeerLink;
  options: WatchedUpload;
}

/**
 * Registers a test that sends a file over a connection that takes `capacity` bytes before they are read.
 * The receiver's end is closed at the test's end, unless it has been.
 */
export function uploadTest(
  name: string,
  fn: (scene: UploadScene) => Promise<void>,
  { capacity = 64 * 1024, choices = {}, ...file }: FileOptions & {
    capacity?: number;
    choices?: TransferChoices;
  } = {},
): void {
  fileTest(name, async (scene) => {
    const { raw, session } = byHand(scene.clock, capacity);
    const link = new PeerLink(session);
    const options = uploadOf(scene, () => Promise.resolve(link), choices);
    await fn({ ...scene, raw, session, link, options });
    hangUp(raw);
  }, file);
}

/** An upload with a hand-turned clock. */
export function uploadOf(
  { source, clock }: Pick<FileScene, "source" | "clock">,
  connect: () => Promise<PeerLink>,
  choices: TransferChoices = {},
): WatchedUpload {
  const retries: string[] = [];
  let waits = 0;
  return {
    transfer: TRANSFER,
    source,
    place: source.enter(),
    connect,
    settings: transferSettings({ clock, random: () => 0.5, ...choices }),
    observer: {
      onProgress: () => {},
      onWaiting: () => void waits++,
      onRetry: (attempt, { code }) => void retries.push(`${attempt} ${code}`),
    },
    retries,
    waits: () => waits,
  };
}

/** A receiver that is written by hand: its end of the socket, and the sender's session. */
export interface Hand {
  raw: Deno.Conn;
  session: Session;
}

/** Connects a sender to a receiver that is written by hand. */
export function byHand(clock: FakeClock, capacity: number): Hand {
  const [near, raw] = socketPair(capacity);
  const session = new Session(
    new Connection(near, { clock }),
    { id: "B".repeat(42) + "A", role: "peer" },
    clock,
  );
  return { raw, session };
}

/** Closes the receiver's end, unless it is closed. */
export function hangUp(raw: Deno.Conn): void {
  try {
    raw.close();
  } catch (error) {
    if (!(error instanceof Deno.errors.BadResource)) throw error;
  }
}

/** Writes lines on the receiver's end. */
export async function say(raw: Deno.Conn, lines: string[]): Promise<void> {
  const bytes = new TextEncoder().encode(lines.map((line) => `${line}\n`).join(""));
  for (let at = 0; at < bytes.length;) at += await raw.write(bytes.subarray(at));
}

/** Reads frames until one has the verb. */
export async function hear(raw: Deno.Conn, verb: string): Promise<void> {
  const take = async (length: number) => {
    for (let left = length; left > 0;) left -= await raw.read(new Uint8Array(left)) ?? left;
  };
  const byte = new Uint8Array(1);
  const reading = (async () => {
    let line = "";
    while (await raw.read(byte) !== null) {
      if (byte[0] !== 0x0a) {
        line += String.fromCharCode(byte[0] as number);
        continue;
      }
      await take(Number(/"body":(\d+)/.exec(line)?.[1] ?? 0));
      if (line.startsWith(verb)) return;
      line = "";
    }
  })();
  await deadline(reading, verb);
}

/** The first offer is taken. */
export const READY = `ACK {"re":1,"transfer":"${TRANSFER}","state":"ready"}`;
/** The first piece is asked for. */
export const GET = `GET {"transfer":"${TRANSFER}","index":0}`;

/** A line about the transfer. */
export const said = (verb: string, fields: Record<string, unknown>) =>
  `${verb} ${JSON.stringify({ transfer: TRANSFER, ...fields })}`;

/** Takes the first offer on a session, and waits for its hashes. */
export async function accept(raw: Deno.Conn): Promise<void> {
  await hear(raw, "SEND_FILE");
  await say(raw, [READY]);
  await hear(raw, "HASHES");
}

/** Says that everything is on disk. */
export async function saySaved(
  raw: Deno.Conn,
  source: SourcePieces,
  transfer = TRANSFER,
): Promise<void> {
  const { id: manifest } = source.manifest;
  const saved = { transfer, state: "saved", name: "file", manifest };
  await say(raw, [`ACK ${JSON.stringify(saved)}`]);
}

/** Plays the receiver of the next offer on a session to its end; `re` is the offer's number. */
export async function take(raw: Deno.Conn, source: SourcePieces, options: {
  transfer: string;
  re: number;
  late?: string[];
  /** Whether the offer has been heard. */
  isOffered?: boolean;
}): Promise<void> {
  const { transfer, re, late = [], isOffered = false } = options;
  if (!isOffered) await hear(raw, "SEND_FILE");
  await say(raw, late);
  await say(raw, [`ACK ${JSON.stringify({ re, transfer, state: "ready" })}`]);
  await hear(raw, "HASHES");
  await say(raw, [`GET ${JSON.stringify({ transfer, index: 0 })}`]);
  await hear(raw, "PIECE");
  await saySaved(raw, source, transfer);
}

/**
 * What holds after every fault: I1 to I5 of hostile-world.md.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import { encodeHex } from "@std/encoding/hex";
import { basename, join } from "@std/path";
import { sha256 } from "../../lib/pieces/hash.ts";
import { RECEIPTS_FILE, TABLES_FOLDER } from "../../lib/inbox/receipts.ts";
import type { SendReport } from "../../lib/peer/send_job.ts";
import { eventually } from "./deadline.ts";
import type { FakeClock } from "./fake_clock.ts";
import type { TestPeer } from "./peer.ts";
import type { TempDir } from "./temp_dir.ts";

/** SHA-256 in hex, as `sha256sum` prints it. */
export function hexHash(bytes: Uint8Array): string {
  return encodeHex(sha256(bytes));
}

/** The SHA-256 of every file in a folder, by name; folders are left out. */
export async function hashesIn(folder: string): Promise<Record<string, string>> {
  const hashes: [name: string, hash: string][] = [];
  for await (const { name, isFile } of Deno.readDir(folder)) {
    if (isFile) hashes.push([name, hexHash(await Deno.readFile(join(folder, name)))]);
  }
  return Object.fromEntries(hashes);
}

/** What stays in the private folder of an inbox. */
export const KEPT_PRIVATE: readonly string[] = ["lock", RECEIPTS_FILE, TABLES_FOLDER];

/** What lies in the private folders of an inbox beside that. */
export async function partialsIn(inbox: string): Promise<string[]> {
  const found: string[] = [];
  const partial = join(inbox, ".partial");
  for await (const { name } of Deno.readDir(partial)) {
    for await (const inner of Deno.readDir(join(partial, name))) {
      if (!KEPT_PRIVATE.includes(inner.name)) found.push(join(name, inner.name));
    }
  }
  return found;
}

/**
 * Turns a peer's clock on until it has given up what nobody comes back for. Such jumps cost it its tracker, whose
 * answers come by another clock: then time goes on in small steps until `other` finds it listed again.
 */
export async function untilGivenUp(
  { inbox, peer, identity }: TestPeer,
  clock: FakeClock,
  other: TestPeer,
): Promise<void> {
  await eventually(async () => {
    clock.advance(60_000);
    return (await partialsIn(inbox)).length === 0;
  }, "the end of all partials");
  await eventually(async () => {
    if (!peer.isConnected) clock.advance(50);
    const listed = await other.peer.updatePeersList();
    return peer.isConnected && listed.some(({ id }) => id === identity.id);
  }, "the peer's return to its tracker");
}

/** A tree that nobody may touch, around and beside the peers. */
export class Canary {
  readonly #root: string;
  #before = "";

  private constructor(root: string) {
    this.#root = root;
  }

  /** Plants a few files in the folder of the test and remembers all but what the peers own. */
  static async plant(dir: TempDir): Promise<Canary> {
    for (const path of ["canary", "canary/etc", "evil"]) {
      await Deno.mkdir(dir.at(path), { recursive: true });
      await Deno.writeTextFile(dir.at(path, "passwd"), "root:x:0:0");
    }
    const canary = new Canary(dir.path);
    canary.#before = await canary.#snapshot();
    return canary;
  }

  /** I4: nothing outside `received` and `state` of a peer's folder has changed. */
  async assertUnchanged(): Promise<void> {
    assertEquals(await this.#snapshot(), this.#before);
  }

  async #snapshot(): Promise<string> {
    const lines: string[] = [];
    await list(this.#root, lines);
    return lines.sort().join("\n");
  }
}

async function list(folder: string, lines: string[]): Promise<void> {
  for await (const { name, isDirectory } of Deno.readDir(folder)) {
    const path = join(folder, name);
    // A peer's folder may be there or not; what is in it is listed, but for the two it may change.
    const isPeers = /^(peer|client)-/.test(name);
    if (/^(peer|client)-/.test(basename(folder)) && /^(received|state)$/.test(name)) continue;
    const { mode, size, mtime } = await Deno.lstat(path);
    if (!isPeers) lines.push(`${path} ${mode} ${isDirectory ? "" : `${size} ${mtime?.getTime()}`}`);
    if (isDirectory) await list(path, lines);
  }
}

/** Lists what this process has open; Deno itself may not look into /proc. */
const LIST_OPEN = `ls -l /proc/${Deno.pid}/fd; cat /proc/${Deno.pid}/net/tcp*`;

/**
 * Descriptors of this process that lead to files below a folder or to sockets with one of the ports:
 * other tests run beside this one in the same process.
 */
export async function descriptors(folder: string, ports: number[]): Promise<number> {
  if (Deno.build.os !== "linux") return 0;
  const { stdout } = await new Deno.Command("sh", { args: ["-c", LIST_OPEN] }).output();
  const lines = new TextDecoder().decode(stdout).split("\n");
  const sockets = socketsWith(new Set(ports), lines);
  return lines.filter((line) => {
    const target = line.split(" -> ")[1] ?? "";
    return target.startsWith(folder) || sockets.has(/^socket:\[(\d+)\]$/.exec(target)?.[1] ?? "");
  }).length;
}

/** The inodes of sockets in lines of /proc/net/tcp. */
function socketsWith(ports: Set<number>, lines: string[]): Set<string> {
  const inodes = new Set<string>();
  for (const line of lines) {
    const [, local = "", remote = "", , , , , , , inode = ""] = line.trim().split(/\s+/);
    const used = [local, remote].map((end) => parseInt(end.split(":")[1] ?? "", 16));
    if (used.some((port) => ports.has(port))) inodes.add(inode);
  }
  return inodes;
}

/** What was the case before the faults. */
export class Invariants {
  readonly #dir: TempDir;
  readonly #canary: Canary;
  readonly #peers: readonly TestPeer[];
  readonly #descriptors: number;
  readonly #sent = new Set<string>();

  private constructor(dir: TempDir, canary: Canary, peers: readonly TestPeer[], open: number) {
    this.#dir = dir;
    this.#canary = canary;
    this.#peers = peers;
    this.#descriptors = open;
  }

  /** Looks at the peers, which are idle, before anything happens to them. */
  static async of(dir: TempDir, peers: readonly TestPeer[]): Promise<Invariants> {
    const open = await descriptors(dir.path, peers.map(({ address }) => address.port));
    return new Invariants(dir, await Canary.plant(dir), peers, open);
  }

  /** Writes a file to be sent, which is one that may arrive. */
  async file(name: string, content: Uint8Array): Promise<string> {
    const folder = this.#dir.at("peer-outbox", "state");
    await Deno.mkdir(folder, { recursive: true });
    await Deno.writeFile(join(folder, name), content);
    this.mayArrive(content);
    return join(folder, name);
  }

  /** Says that a file with this content may arrive. */
  mayArrive(content: Uint8Array): void {
    this.#sent.add(hexHash(content));
  }

  /** Checks I1 to I5; of the reports that whatever was called delivered is there. */
  async assertAll(reports: readonly SendReport[] = []): Promise<void> {
    for (const peer of this.#peers) await this.#assertInbox(peer);
    for (const report of reports) await this.#assertDelivered(report);
    await this.#canary.assertUnchanged();
    await this.#assertAlive();
    await this.assertDescriptors();
  }

  /** Descriptors are back to where they were (I5). */
  async assertDescriptors(): Promise<void> {
    const ports = this.#peers.map(({ address }) => address.port);
    let open = 0;
    await eventually(async () => {
      open = await descriptors(this.#dir.path, ports);
      return open <= this.#descriptors;
    }, () => `${this.#descriptors} descriptors: ${open} are open`);
  }

  async #assertInbox({ inbox }: TestPeer): Promise<void> {
    for (const [name, hash] of Object.entries(await hashesIn(inbox))) {
      assert(this.#sent.has(hash), `I1: ${name} is none of the files that were sent`);
    }
    await eventually(
      async () => (await partialsIn(inbox)).length === 0,
      `an end of the partials in ${inbox} (I3)`,
    );
  }

  async #assertDelivered({ recipients, sha256 }: SendReport): Promise<void> {
    for (const { id, state, savedAs } of recipients) {
      if (state === "failed") continue;
      const peer = this.#peers.find(({ identity }) => identity.id === id);
      assert(peer && savedAs, "I2: delivered to a peer that the test does not know");
      const bytes = await Deno.readFile(join(peer.inbox, savedAs));
      assertEquals(hexHash(bytes), sha256, "I2: what was delivered is not what was sent");
    }
  }

  /** I5: the first peer sends each other one something, and it arrives. */
  async #assertAlive(): Promise<void> {
    const [sender, ...others] = this.#peers;
    if (!sender) return;
    const path = await this.file("alive.txt", crypto.getRandomValues(new Uint8Array(1000)));
    for (const { identity } of others) {
      const started = performance.now();
      const report = await sender.peer.sendFile(path, [`id:${identity.id}`]);
      assertEquals(report.failures, [], "I5: a new transfer failed");
      assert(performance.now() - started < 5000, "I5: a new transfer took over 5 s");
      await this.#assertDelivered(report);
    }
  }
}

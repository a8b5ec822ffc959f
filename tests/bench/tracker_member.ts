/**
 * Members of a tracker by the thousand: each behaves like a peer towards its tracker, and reads what it is
 * sent without parsing more than the start of each line.
 *
 * @module
 */

import { decodeBase64Url } from "@std/encoding/base64url";
import { Identity } from "../../lib/identity/keys.ts";
import type { Membership } from "../../lib/identity/network.ts";
import { Connection } from "../../lib/net/connection.ts";
import { greetAsDialler } from "../../lib/net/handshake.ts";
import { MAX_PEERS_PER_FRAME } from "../../lib/wire/limits.ts";
import { type Address } from "../../lib/address.ts";
import { dial } from "../../lib/net/transport.ts";

/** Whom members join. */
export interface MemberOptions {
  tracker: Address;
  /** Null joins without TLS. */
  membership: Membership | null;
  /** Port that members register with; nothing listens there. */
  port: number;
}

const LF = 0x0a;
/** Characters of a line that are looked at: the fields before the entries of PEER_LIST are within them. */
const HEAD = 200;
/** Bytes read at once while the list is fetched, and afterwards. */
const FETCH_BUFFER = 64 * 1024;
const IDLE_BUFFER = 4 * 1024;
const decoder = new TextDecoder();
const encoder = new TextEncoder();

/** One registered session. */
export class Member {
  /** Revision that the member's list is whole up to. */
  revision = 0;
  readonly #conn: Deno.Conn;
  #buffer = new Uint8Array(FETCH_BUFFER);
  readonly #closing = Promise.withResolvers<never>();
  #epoch = "";
  #seq = 0;
  /** Start of the line that is being read. */
  #head = "";
  #answer = Promise.withResolvers<string>();
  #isFetching = false;
  #reading: Promise<void> = Promise.resolve();

  private constructor(conn: Deno.Conn) {
    this.#conn = conn;
    this.#closing.promise.catch(() => {});
  }

  /** Connects, registers and fetches the whole list, as a peer does. */
  static async join(name: string, { tracker, membership, port }: MemberOptions): Promise<Member> {
    const pin = membership ? decodeBase64Url(membership.id) : null;
    const conn = await dial({ ...tracker, pin, timeout: 60_000 });
    const member = new Member(conn);
    try {
      const credentials = { identity: Identity.generate(), role: "peer", membership } as const;
      // The tracker says nothing after the greeting until it is asked: no byte stays in this connection's buffer.
      await greetAsDialler(new Connection(conn), credentials);
      member.#reading = member.#readAll();
      const answer = await member.#ask("REGISTER", { name, port });
      if (!answer.startsWith("OK")) throw new Error(answer);
      await member.#fetch();
      member.#buffer = new Uint8Array(IDLE_BUFFER);
      return member;
    } catch (error) {
      await member.close();
      throw error;
    }
  }

  /** Ends the session without a goodbye. */
  async close(): Promise<void> {
    try {
      this.#conn.close();
    } catch {
      // The tracker was faster.
    }
    await this.#reading;
  }

  /** Asks for changes until there are no more. */
  async #fetch(): Promise<void> {
    if (this.#isFetching) return;
    this.#isFetching = true;
    try {
      for (let more = true; more;) {
        const epoch = this.#epoch ? { epoch: this.#epoch } : {};
        more = this.#note(
          await this.#ask("PEERS", { since: this.revision, ...epoch, limit: MAX_PEERS_PER_FRAME }),
        );
      }
    } finally {
      this.#isFetching = false;
    }
  }

  async #ask(verb: string, fields: Record<string, unknown>): Promise<string> {
    this.#answer = Promise.withResolvers();
    await this.#write(`${verb} ${JSON.stringify({ seq: ++this.#seq, ...fields })}\n`);
    return await Promise.race([this.#answer.promise, this.#closing.promise]);
  }

  async #write(line: string): Promise<void> {
    const bytes = encoder.encode(line);
    for (let at = 0; at < bytes.length;) at += await this.#conn.write(bytes.subarray(at));
  }

  async #readAll(): Promise<void> {
    try {
      while (true) {
        const buffer = this.#buffer;
        const n = await this.#conn.read(buffer);
        if (n === null) break;
        this.#scan(buffer.subarray(0, n));
      }
      throw new Error("the tracker ended the session");
    } catch (error) {
      this.#closing.reject(error);
    }
  }

  #scan(bytes: Uint8Array): void {
    for (let at = 0; at < bytes.length;) {
      const lf = bytes.indexOf(LF, at);
      const end = lf < 0 ? bytes.length : lf;
      const room = HEAD - this.#head.length;
      if (room > 0) this.#head += decoder.decode(bytes.subarray(at, Math.min(end, at + room)));
      if (lf < 0) return;
      this.#onLine(this.#head);
      this.#head = "";
      at = lf + 1;
    }
  }

  #onLine(head: string): void {
    if (head.startsWith("PING")) {
      const seq = /"seq":(\d+)/.exec(head)?.[1];
      this.#write(`PONG {"re":${seq}}\n`).catch(() => {});
    } else if (/^[A-Z_]+ \{"re":/.test(head)) {
      this.#answer.resolve(head);
    } else if (head.startsWith("PEER_LIST")) {
      if (this.#note(head)) this.#fetch().catch(() => {});
    } else if (!head.startsWith("MESSAGE")) {
      this.#closing.reject(new Error(head));
    }
  }

  /** Keeps where a PEER_LIST has come to; true when more is to be fetched. */
  #note(head: string): boolean {
    const [, epoch = "", revision = "", more] =
      /"epoch":"([^"]+)","revision":(\d+),"full":\w+,"more":(\w+)/.exec(head) ?? [];
    if (epoch === "") throw new Error(head);
    this.revision = epoch === this.#epoch
      ? Math.max(this.revision, Number(revision))
      : Number(revision);
    this.#epoch = epoch;
    return more === "true";
  }
}

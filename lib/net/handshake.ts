import { P2PError, tellable } from "../errors.ts";
import { randomToken } from "../async/random.ts";
import type { Identity } from "../identity/keys.ts";
import { checkProof, prove, transcript } from "../identity/proof.ts";
import type { Membership } from "../identity/network.ts";
import { MAX_TEXT, PROTOCOL_VERSION } from "../wire/limits.ts";
import { type Message, type MessageOf, remoteError, type Role } from "../wire/message.ts";
import type { Connection } from "./connection.ts";

/** Who this side is. Without a membership (`--insecure`) nothing is proven. */
export interface Credentials {
  identity: Identity;
  role: Role;
  membership: Membership | null;
  /** Of a tracker: true when it listens on loopback. */
  local?: boolean;
  /** Of a tracker: true when it passes bytes on between members. */
  relay?: boolean;
}

/** Who the other side is: proven, unless there is no membership. */
export interface Remote {
  /** Public key, base64url; empty for an insecure connection that sent no HELLO. */
  id: string;
  role: Role;
  token?: string;
  /** Of a tracker: true when it says that it listens on loopback. */
  local?: boolean;
  /** Of a tracker: true when it says that it passes bytes on between members. */
  relay?: boolean;
}

type Hello = MessageOf<"HELLO">;

function helloOf(credentials: Credentials, token?: string): Hello {
  const { identity, role, membership, local, relay } = credentials;
  return {
    verb: "HELLO",
    protocol: PROTOCOL_VERSION,
    role,
    id: identity.id,
    nonce: randomToken(32),
    ...(membership ? { network: membership.id } : {}),
    ...(token ? { token } : {}),
    ...(local ? { local } : {}),
    ...(relay ? { relay } : {}),
  };
}

/**
 * Greets as the dialling side: HELLO, then HELLO and AUTH of the listener, then AUTH.
 *
 * @param expectedId whom the caller wants to talk to; undefined accepts any member (a tracker, whose
 * certificate the network's key has signed).
 * @throws {P2PError} `wrong-key`, `wrong-secret`, `wrong-network`, `version`, or what the listener said.
 */
export async function greetAsDialler(
  connection: Connection,
  credentials: Credentials,
  { expectedId, token }: { expectedId?: string | undefined; token?: string | undefined } = {},
): Promise<Remote> {
  const mine = helloOf(credentials, token);
  await connection.write(mine);
  const theirs = await expect(connection, "HELLO");
  checkHello(theirs, credentials);
  if (expectedId !== undefined && theirs.id !== expectedId) {
    throw new P2PError(
      "wrong-key",
      `Cannot trust ${connection.remote.host}: it is ${theirs.id.slice(0, 8)} and not ` +
        expectedId.slice(0, 8),
    );
  }
  if (credentials.membership) {
    const proof = await expect(connection, "AUTH");
    const shared = { membership: credentials.membership, dialler: mine, listener: theirs };
    checkProof(transcriptFor("listener", shared), shared.membership.secret, theirs.id, proof);
    const own = prove(
      transcriptFor("dialler", shared),
      shared.membership.secret,
      credentials.identity,
    );
    await connection.write({ verb: "AUTH", ...own });
  }
  return {
    id: theirs.id,
    role: theirs.role,
    ...(theirs.local ? { local: true } : {}),
    ...(theirs.relay ? { relay: true } : {}),
  };
}

/**
 * Greets as the listening side. `admit` may refuse whom the handshake proved, by throwing or rejecting.
 *
 * Without a membership a first frame other than HELLO is left for the session, and the other side
 * stays anonymous (`id` is empty).
 *
 * @throws {P2PError} as {@linkcode greetAsDialler}; the other side has been told by then.
 */
export async function greetAsListener(
  connection: Connection,
  credentials: Credentials,
  admit: (remote: Remote) => void | Promise<void>,
): Promise<Remote> {
  try {
    const { membership } = credentials;
    const first = await connection.read(membership ? refuseBody : onlyText);
    if (first === null) throw new P2PError("connection-lost", "Connection ended before HELLO");
    if ("unknown" in first || first.message.verb !== "HELLO") {
      if (credentials.membership) throw unexpected("HELLO", first);
      const anonymous: Remote = { id: "", role: "client" };
      await admit(anonymous);
      connection.unread(first);
      return anonymous;
    }
    const theirs = first.message;
    checkHello(theirs, credentials);
    const mine = helloOf(credentials);
    const remote: Remote = {
      id: theirs.id,
      role: theirs.role,
      ...(theirs.token ? { token: theirs.token } : {}),
    };
    if (credentials.membership) {
      const shared = { membership: credentials.membership, dialler: theirs, listener: mine };
      const { secret } = shared.membership;
      const own = prove(transcriptFor("listener", shared), secret, credentials.identity);
      // Queued together, so that both leave in one write.
      await Promise.all([connection.write(mine), connection.write({ verb: "AUTH", ...own })]);
      const proof = await expect(connection, "AUTH");
      checkProof(transcriptFor("dialler", shared), secret, theirs.id, proof);
      await admit(remote);
    } else {
      await admit(remote);
      await connection.write(mine);
    }
    return remote;
  } catch (error) {
    if (error instanceof P2PError && !error.remote && !connection.closed) {
      await connection.write({ verb: "ERROR", ...tellable(error) })
        .catch(() => {});
    }
    throw error;
  }
}

function transcriptFor(
  prover: "dialler" | "listener",
  { membership, dialler, listener }: { membership: Membership; dialler: Hello; listener: Hello },
): Uint8Array {
  return transcript({
    version: PROTOCOL_VERSION,
    prover,
    diallerRole: dialler.role,
    listenerRole: listener.role,
    network: membership.id,
    diallerNonce: dialler.nonce,
    listenerNonce: listener.nonce,
    diallerId: dialler.id,
    listenerId: listener.id,
  });
}

function checkHello(theirs: Hello, { membership }: Credentials): void {
  if (membership && theirs.network !== membership.id) {
    throw new P2PError(
      "wrong-network",
      "Cannot join: the two sides are of different networks; " +
        "paste the invite that `tracker invite` prints at `peer --join -`",
    );
  }
}

async function expect<V extends "HELLO" | "AUTH">(
  connection: Connection,
  verb: V,
): Promise<MessageOf<V>> {
  const frame = await connection.read(refuseBody);
  if (frame === null) {
    throw new P2PError("connection-lost", `Connection ended before ${verb}`);
  }
  if ("unknown" in frame || frame.message.verb !== verb) throw unexpected(verb, frame);
  return frame.message as MessageOf<V>;
}

/**
 * Refuses bodies where a HELLO or AUTH is due: neither has one, and a stranger gets no memory. Only the first frame that
 * a listener with `--insecure` reads may have a body, a small one: it may be a message of a client that says no HELLO.
 */
function refuseBody({ verb }: Message): never {
  throw new P2PError("unexpected-verb", `Cannot greet: ${verb} came with a body`);
}

/** Memory for a text and for nothing larger: of whoever has only just come nobody has asked for anything. */
function onlyText(_message: Message, length: number): Uint8Array<ArrayBuffer> | null {
  return length <= MAX_TEXT ? new Uint8Array(length) : null;
}

function unexpected(
  verb: string,
  frame: { unknown: string } | { message: Message },
): P2PError {
  if ("message" in frame && frame.message.verb === "ERROR") return remoteError(frame.message);
  const got = "unknown" in frame ? frame.unknown : frame.message.verb;
  return new P2PError("unexpected-verb", `Cannot greet: ${got} came where ${verb} was due`);
}

/**
 * A peer that serves others wrong bytes: `liar.ts bytes ARGS` signs for the right ones, `liar.ts hash ARGS` for what it
 * sends. All else is what `peer ARGS` does.
 *
 * @module
 */

import { encodeBase64Url } from "@std/encoding/base64url";
import { runPeer } from "../../lib/app/peer_app.ts";
import { Identity } from "../../lib/identity/keys.ts";
import { Session } from "../../lib/net/session.ts";
import { SERVED_ENTRY } from "../../lib/wire/limits.ts";
import type { Message } from "../../lib/wire/message.ts";

const [how, ...args] = Deno.args;
const DOMAIN = "p2p-served";

/** Who signs, and what it has signed last of what it has served. */
let signed: { by: Identity; bytes: Uint8Array } | undefined;

const { sign } = Identity.prototype;
Identity.prototype.sign = function (bytes) {
  const isServed = new TextDecoder().decode(bytes.subarray(0, DOMAIN.length)) === DOMAIN;
  if (isServed) signed = { by: this, bytes };
  return sign.call(this, bytes);
};

const { send } = Session.prototype;
Session.prototype.send = function (message: Message, body?: Uint8Array<ArrayBuffer>) {
  if (message.verb === "PIECE" && body) {
    return send.call(
      this,
      message,
      body.map((byte) => byte ^ 1),
    );
  }
  if (message.verb !== "SERVED" || how !== "hash" || !body || !signed) {
    return send.call(this, message, body);
  }
  const wrong = body.slice();
  for (let at = 4; at < wrong.length; at += SERVED_ENTRY) wrong[at] = (wrong[at] ?? 0) ^ 1;
  const { by, bytes } = signed;
  const statement = bytes.slice();
  statement.set(wrong, bytes.length - wrong.length);
  const signature = encodeBase64Url(sign.call(by, statement));
  return send.call(this, { ...message, signature }, wrong);
};

Deno.exit(await runPeer(args));

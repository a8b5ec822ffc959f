import { encodeBase64Url } from "@std/encoding/base64url";
import { P2PError } from "../errors.ts";
import { isBase64Url } from "../wire/fields.ts";
import { decodeExactly } from "./bytes.ts";
import { KEY_BYTES } from "./keys.ts";

/** Bytes of a network's secret. */
export const SECRET_BYTES = 16;

/** Where a tracker is that an invite leads to. */
export interface InvitePlace {
  /** A name or an address, IPv6 without brackets. */
  host: string;
  /** Others of the same machine, the likeliest first: whoever joins takes the first that leads there. */
  others?: readonly string[];
  /** 1 to 65535, at all of them. */
  port: number;
}

/** All that a machine needs to join a network. */
export interface Invite extends InvitePlace {
  /** The network's public key, base64url, 43 characters. */
  network: string;
  /** The network's secret, 16 bytes. */
  secret: Uint8Array;
}

const SHAPE = "p2p://host:port/#<network id>.<secret>";
const NO_ADDRESS = "between // and # there is no host:port/";
const QUOTES = [`""`, "''", "``", "<>", "\u201c\u201d", "\u2018\u2019"];
const MAX_HOST = 253;
const MAX_HOSTS = 8;
const NAME_OR_IPV4 = /^[a-z0-9_](?:[a-z0-9._-]*[a-z0-9_.])?$/i;
const IPV6 = /^[0-9a-f:.]*:[0-9a-f:.]*(?:%[a-z0-9._-]+)?$/i;

/** The one line that is pasted on another machine. It contains the secret: never log it. */
export function formatInvite({ host, others = [], port, network, secret }: Invite): string {
  const hosts = [host, ...others].map((host) => host.includes(":") ? `[${host}]` : host);
  return `p2p://${hosts.join(",")}:${port}/#${network}.${encodeBase64Url(secret)}`;
}

/**
 * Reads an invite as it was pasted: space and quotes around it are dropped.
 *
 * @throws {P2PError} `usage`, saying which part is wrong but quoting none: any of it may be the secret.
 */
export function parseInvite(text: string): Invite {
  const line = unquote(text.trim());
  const scheme = /^p2p:\/\//i.exec(line);
  if (scheme === null) throw unreadable("it does not start with p2p://");
  const hash = line.indexOf("#");
  if (hash < 0) throw unreadable("the part from # on is missing");
  const place = parsePlace(line.slice(scheme[0].length, hash));
  const [network, secret, ...rest] = line.slice(hash + 1).split(".");
  if (secret === undefined || rest.length > 0) {
    throw unreadable("after # there is not one network id, a dot and one secret");
  }
  if (!isBase64Url(network, KEY_BYTES)) {
    throw unreadable("its network id is not the base64url of 32 bytes (43 characters)");
  }
  if (!isBase64Url(secret, SECRET_BYTES)) {
    throw unreadable("its secret is not the base64url of 16 bytes (22 characters)");
  }
  return { ...place, network, secret: decodeExactly("the secret", secret, SECRET_BYTES) };
}

function parsePlace(text: string): InvitePlace {
  const match = /^(.*):([0-9]{1,5})\/?$/.exec(text);
  if (match === null) throw unreadable(NO_ADDRESS);
  const [, hosts = "", digits] = match;
  const [host = "", ...others] = hosts.split(",").map(parseHost);
  const port = Number(digits);
  if (port < 1 || port > 65535) throw unreadable("its port is not from 1 to 65535");
  if (others.length >= MAX_HOSTS) throw unreadable(`it names more than ${MAX_HOSTS} hosts`);
  return { host, port, ...(others.length > 0 ? { others } : {}) };
}

function parseHost(text: string): string {
  const match = /^(?:\[([^\]]*)\]|([^:[\]]*))$/.exec(text);
  if (match === null) throw unreadable(NO_ADDRESS);
  const [, ipv6, name] = match;
  const host = ipv6 ?? name ?? "";
  const valid = ipv6 === undefined ? NAME_OR_IPV4.test(host) : IPV6.test(host);
  if (!valid || host.length > MAX_HOST) throw unreadable("its host is no name or address");
  return host;
}

function unquote(text: string): string {
  const pair = QUOTES.find(([open, close]) =>
    text.length > 1 && text[0] === open && text.at(-1) === close
  );
  return pair === undefined ? text : text.slice(1, -1).trim();
}

function unreadable(reason: string): P2PError {
  return new P2PError(
    "usage",
    `Cannot read the invite: ${reason}; paste the whole line that \`tracker invite\` or \`peer share\` prints, ${SHAPE}`,
  );
}

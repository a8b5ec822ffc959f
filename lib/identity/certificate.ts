/**
 * The two certificates of a connection, X.509 v3 (RFC 5280) with Ed25519 (RFC 8410), in one fixed shape:
 * same name for subject and issuer, CA:FALSE, SAN `peer.invalid`, valid from 1970 to 9999.
 *
 * All certificates carry the same name, so the key alone decides: a trust anchor for key K accepts the
 * certificates that K has signed. These are K's own, and those that K signed for other keys. The second kind
 * is wanted for a network's key, which certifies trackers. For a peer's key it means that the peer may
 * hand its name in TLS to another key (and nobody else may, since it takes K's signature). TLS alone thus
 * proves "K, or someone K certified": whoever dials a peer must also insist that HELLO names K and that
 * AUTH is signed by K (net/handshake.ts). No other signature of ours can pass for a certificate's: those are
 * over bytes that start with "p2p-", a certificate starts with 0x30.
 *
 * @module
 */

import { concat } from "@std/bytes/concat";
import { encodeBase64Url } from "@std/encoding/base64url";
import {
  type Identity,
  KEY_BYTES,
  publicKeyInfo,
  SIGNATURE_BYTES,
  verifySignature,
} from "./keys.ts";
import { pem } from "./pem.ts";

/** The name in every certificate, for `hostname` of `Deno.startTls`. No public CA may certify it (RFC 6761). */
export const SERVER_NAME = "peer.invalid";

const Tag = {
  boolean: 0x01,
  integer: 0x02,
  bitString: 0x03,
  octetString: 0x04,
  oid: 0x06,
  utf8String: 0x0c,
  utcTime: 0x17,
  generalizedTime: 0x18,
  sequence: 0x30,
  set: 0x31,
  dnsName: 0x82,
  version: 0xa0,
  extensions: 0xa3,
} as const;

/** One DER element: tag, length (below 64 KiB), contents. */
function der(tag: number, ...contents: Uint8Array[]): Uint8Array<ArrayBuffer> {
  const length = contents.reduce((sum, part) => sum + part.length, 0);
  const head = length < 0x80
    ? [tag, length]
    : length < 0x100
    ? [tag, 0x81, length]
    : [tag, 0x82, length >>> 8, length & 0xff];
  return concat([Uint8Array.from(head), ...contents]);
}

const ascii = (text: string) => new TextEncoder().encode(text);
const bits = (bytes: Uint8Array) => der(Tag.bitString, Uint8Array.of(0), bytes);
const sequence = (...parts: Uint8Array[]) => der(Tag.sequence, ...parts);
const oid = (...bytes: number[]) => der(Tag.oid, Uint8Array.from(bytes));

const VERSION_3 = der(Tag.version, der(Tag.integer, Uint8Array.of(2)));
const ED25519 = sequence(oid(0x2b, 0x65, 0x70)); // 1.3.101.112
const COMMON_NAME = sequence(oid(0x55, 4, 3), der(Tag.utf8String, ascii("p2p")));
const NAME = sequence(der(Tag.set, COMMON_NAME));
const VALIDITY = sequence(
  der(Tag.utcTime, ascii("700101000000Z")), // 1970: years from 50 on are of the last century
  der(Tag.generalizedTime, ascii("99991231235959Z")),
);
const BASIC_CONSTRAINTS = sequence(
  oid(0x55, 0x1d, 0x13),
  der(Tag.boolean, Uint8Array.of(0xff)), // critical
  der(Tag.octetString, sequence()), // CA:FALSE is the default and therefore left out
);
const ALTERNATIVE_NAME = sequence(
  oid(0x55, 0x1d, 0x11),
  der(Tag.octetString, sequence(der(Tag.dnsName, ascii(SERVER_NAME)))),
);
const EXTENSIONS = der(Tag.extensions, sequence(BASIC_CONSTRAINTS, ALTERNATIVE_NAME));
const NO_SIGNATURE = new Uint8Array(SIGNATURE_BYTES);

/** What is signed. The serial number is made of the key: positive, of a fixed length, one for each key. */
function tbsCertificate(subjectKey: Uint8Array): Uint8Array<ArrayBuffer> {
  if (subjectKey.length !== KEY_BYTES) {
    throw new RangeError(`Cannot make a certificate: its key is not ${KEY_BYTES} bytes`);
  }
  const serial = subjectKey.slice(0, 16);
  serial[0] = (serial[0] as number) & 0x3f | 0x40;
  return sequence(
    VERSION_3,
    der(Tag.integer, serial),
    ED25519,
    NAME,
    VALIDITY,
    NAME,
    publicKeyInfo(subjectKey),
    EXTENSIONS,
  );
}

function certificate(tbs: Uint8Array, signature: Uint8Array): string {
  return pem("CERTIFICATE", sequence(tbs, ED25519, bits(signature)));
}

/** What {@linkcode certificatePem} certifies, and who does. */
export interface CertificateOptions {
  /** The public key of whoever will present it, 32 bytes. */
  subjectKey: Uint8Array;
  /** Who signs: the same key for a peer, the network's key for a tracker. */
  issuer: Identity;
}

/** The certificate that a listener presents, in PEM. */
export function certificatePem({ subjectKey, issuer }: CertificateOptions): string {
  const tbs = tbsCertificate(subjectKey);
  return certificate(tbs, issuer.sign(tbs));
}

/**
 * A throwaway trust anchor for `caCerts` of `Deno.startTls`, in PEM. It has the shape of the certificates
 * but no valid signature: rustls takes an anchor's name and key and looks at nothing else of it.
 */
export function trustAnchorPem(publicKey: Uint8Array): string {
  return certificate(tbsCertificate(publicKey), NO_SIGNATURE);
}

/** Whether a certificate of this shape, in DER, has a valid signature of the key (32 bytes). */
export function isCertifiedBy(cert: Uint8Array, key: Uint8Array): boolean {
  const end = sequence(ED25519, bits(NO_SIGNATURE)).subarray(2);
  // The outermost sequence has a length of two bytes: it takes more than 255.
  const tbs = cert.subarray(4, -end.length);
  const isOurs = cert.length === der(Tag.sequence, tbs, end).length && cert.length > 0xff;
  return isOurs && verifySignature(encodeBase64Url(key), tbs, cert.subarray(-SIGNATURE_BYTES));
}

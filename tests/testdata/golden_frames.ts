/**
 * Frames as they stand on the wire, byte for byte, each with the message it means, and ways to feed them
 * to a reader. They are the format's fixed points: a change that needs one of them changed is a change of
 * the protocol. The order of the fields in a header means nothing; here it is the one we write.
 *
 * @module
 */

import { decodeHex } from "@std/encoding/hex";
import type { ByteSource } from "../../lib/wire/byte_reader.ts";
import type { Message } from "../../lib/wire/message.ts";

/** One frame. */
export interface GoldenFrame {
  name: string;
  /** Pairs of hexadecimal digits; `#` starts a comment that ends with the line. */
  hex: string;
  message: Message;
  /** The body alone, in hexadecimal. */
  body: string;
}

/** Identity, bytes 00 01 02 to 1f. */
const ANNA = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8";
/** Identity, bytes 20 to 3f. */
const BEN = "ICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj8";
/** Identity, bytes 40 to 5f. */
const CLEO = "QEFCQ0RFRkdISUpLTE1OT1BRUlNUVVZXWFlaW1xdXl8";
/** Network id, bytes 60 to 7f. */
const NETWORK = "YGFiY2RlZmdoaWprbG1ub3BxcnN0dXZ3eHl6e3x9fn8";
/** Nonce, bytes 80 to 9f. */
const NONCE = "gIGCg4SFhoeIiYqLjI2Oj5CRkpOUlZaXmJmam5ydnp8";
/** Token of a CONNECT, bytes a0 to af. */
const TOKEN = "oKGio6SlpqeoqaqrrK2urw";
/** Transfer id, bytes b0 to bf. */
const TRANSFER = "sLGys7S1tre4ubq7vL2-vw";
/** Epoch of a registry, bytes c0 to cf. */
const EPOCH = "wMHCw8TFxsfIycrLzM3Ozw";
/** Id of a text message, bytes d0 to df. */
const MESSAGE_ID = "0NHS09TV1tfY2drb3N3e3w";
/** HMAC, bytes e0 to ff. */
const MAC = "4OHi4-Tl5ufo6err7O3u7_Dx8vP09fb3-Pn6-_z9_v8";
/** Signature, bytes 10 to 4f. */
const SIGNATURE = "EBESExQVFhcYGRobHB0eHyAhIiMkJSYnKCkqKywtLi8wMTIzNDU2Nzg5Ojs8PT4_QEFCQ0RFRkdISUpLTE1OTw";
/** Manifest id, bytes a0 to bf. */
const MANIFEST = "oKGio6SlpqeoqaqrrK2ur7CxsrO0tba3uLm6u7y9vr8";
/** Digest, bytes f0 to ff and 00 to 0f. */
const SHA256 = "8PHy8_T19vf4-fr7_P3-_wABAgMEBQYHCAkKCwwNDg8";

/** At least one frame of every verb. */
export const GOLDEN_FRAMES: readonly GoldenFrame[] = [
  {
    name: "the shortest frame there is",
    hex: `
      50 49 4e 47                                                             # PING
      0a                                                                      # LF
    `,
    message: { verb: "PING" },
    body: "",
  },
  {
    name: "a ping that asks for its answer by number",
    hex: `
      50 49 4e 47                                                             # PING
      20                                                                      # SP
      7b 22 73 65 71 22 3a 37 7d                                              # {"seq":7}
      0a                                                                      # LF
    `,
    message: { verb: "PING", seq: 7 },
    body: "",
  },
  {
    name: "the answer that netcat gets",
    hex: `
      50 4f 4e 47                                                             # PONG
      0a                                                                      # LF
    `,
    message: { verb: "PONG" },
    body: "",
  },
  {
    name: "the answer to ping 7",
    hex: `
      50 4f 4e 47                                                             # PONG
      20                                                                      # SP
      7b 22 72 65 22 3a 37 7d                                                 # {"re":7}
      0a                                                                      # LF
    `,
    message: { verb: "PONG", re: 7 },
    body: "",
  },
  {
    name: "a peer introduces itself",
    hex: `
      48 45 4c 4c 4f                                                          # HELLO
      20                                                                      # SP
      7b 22 70 72 6f 74 6f 63 6f 6c 22 3a 31 2c                               # {"protocol":1,
      22 72 6f 6c 65 22 3a 22 70 65 65 72 22 2c                               # "role":"peer",
      22 69 64 22 3a 22 41 41 45 43 41 77 51 46 42 67 63 49 43 51 6f 4c 44 41 # "id":"AAECAwQFBgcICQoLDA
      30 4f 44 78 41 52 45 68 4d 55 46 52 59 58 47 42 6b 61 47 78 77 64 48 68 # 0ODxAREhMUFRYXGBkaGxwdHh
      38 22 2c                                                                # 8",
      22 6e 6f 6e 63 65 22 3a 22 67 49 47 43 67 34 53 46 68 6f 65 49 69 59 71 # "nonce":"gIGCg4SFhoeIiYq
      4c 6a 49 32 4f 6a 35 43 52 6b 70 4f 55 6c 5a 61 58 6d 4a 6d 61 6d 35 79 # LjI2Oj5CRkpOUlZaXmJmam5y
      64 6e 70 38 22 2c                                                       # dnp8",
      22 6e 65 74 77 6f 72 6b 22 3a 22 59 47 46 69 59 32 52 6c 5a 6d 64 6f 61 # "network":"YGFiY2RlZmdoa
      57 70 72 62 47 31 75 62 33 42 78 63 6e 4e 30 64 58 5a 33 65 48 6c 36 65 # WprbG1ub3BxcnN0dXZ3eHl6e
      33 78 39 66 6e 38 22 7d                                                 # 3x9fn8"}
      0a                                                                      # LF
    `,
    message: {
      verb: "HELLO",
      protocol: 1,
      role: "peer",
      id: ANNA,
      nonce: NONCE,
      network: NETWORK,
    },
    body: "",
  },
  {
    name: "a peer dials back because a CONNECT asked for it",
    hex: `
      48 45 4c 4c 4f                                                          # HELLO
      20                                                                      # SP
      7b 22 70 72 6f 74 6f 63 6f 6c 22 3a 31 2c                               # {"protocol":1,
      22 72 6f 6c 65 22 3a 22 70 65 65 72 22 2c                               # "role":"peer",
      22 69 64 22 3a 22 49 43 45 69 49 79 51 6c 4a 69 63 6f 4b 53 6f 72 4c 43 # "id":"ICEiIyQlJicoKSorLC
      30 75 4c 7a 41 78 4d 6a 4d 30 4e 54 59 33 4f 44 6b 36 4f 7a 77 39 50 6a # 0uLzAxMjM0NTY3ODk6Ozw9Pj
      38 22 2c                                                                # 8",
      22 6e 6f 6e 63 65 22 3a 22 67 49 47 43 67 34 53 46 68 6f 65 49 69 59 71 # "nonce":"gIGCg4SFhoeIiYq
      4c 6a 49 32 4f 6a 35 43 52 6b 70 4f 55 6c 5a 61 58 6d 4a 6d 61 6d 35 79 # LjI2Oj5CRkpOUlZaXmJmam5y
      64 6e 70 38 22 2c                                                       # dnp8",
      22 6e 65 74 77 6f 72 6b 22 3a 22 59 47 46 69 59 32 52 6c 5a 6d 64 6f 61 # "network":"YGFiY2RlZmdoa
      57 70 72 62 47 31 75 62 33 42 78 63 6e 4e 30 64 58 5a 33 65 48 6c 36 65 # WprbG1ub3BxcnN0dXZ3eHl6e
      33 78 39 66 6e 38 22 2c                                                 # 3x9fn8",
      22 74 6f 6b 65 6e 22 3a 22 6f 4b 47 69 6f 36 53 6c 70 71 65 6f 71 61 71 # "token":"oKGio6Slpqeoqaq
      72 72 4b 32 75 72 77 22 7d                                              # rrK2urw"}
      0a                                                                      # LF
    `,
    message: {
      verb: "HELLO",
      protocol: 1,
      role: "peer",
      id: BEN,
      nonce: NONCE,
      network: NETWORK,
      token: TOKEN,
    },
    body: "",
  },
  {
    name: "without TLS there is no network",
    hex: `
      48 45 4c 4c 4f                                                          # HELLO
      20                                                                      # SP
      7b 22 70 72 6f 74 6f 63 6f 6c 22 3a 31 2c                               # {"protocol":1,
      22 72 6f 6c 65 22 3a 22 63 6c 69 65 6e 74 22 2c                         # "role":"client",
      22 69 64 22 3a 22 41 41 45 43 41 77 51 46 42 67 63 49 43 51 6f 4c 44 41 # "id":"AAECAwQFBgcICQoLDA
      30 4f 44 78 41 52 45 68 4d 55 46 52 59 58 47 42 6b 61 47 78 77 64 48 68 # 0ODxAREhMUFRYXGBkaGxwdHh
      38 22 2c                                                                # 8",
      22 6e 6f 6e 63 65 22 3a 22 67 49 47 43 67 34 53 46 68 6f 65 49 69 59 71 # "nonce":"gIGCg4SFhoeIiYq
      4c 6a 49 32 4f 6a 35 43 52 6b 70 4f 55 6c 5a 61 58 6d 4a 6d 61 6d 35 79 # LjI2Oj5CRkpOUlZaXmJmam5y
      64 6e 70 38 22 7d                                                       # dnp8"}
      0a                                                                      # LF
    `,
    message: { verb: "HELLO", protocol: 1, role: "client", id: ANNA, nonce: NONCE },
    body: "",
  },
  {
    name: "a tracker says that it is there for its own machine alone",
    hex: `
      48 45 4c 4c 4f                                                          # HELLO
      20                                                                      # SP
      7b 22 70 72 6f 74 6f 63 6f 6c 22 3a 31 2c                               # {"protocol":1,
      22 72 6f 6c 65 22 3a 22 74 72 61 63 6b 65 72 22 2c                      # "role":"tracker",
      22 69 64 22 3a 22 49 43 45 69 49 79 51 6c 4a 69 63 6f 4b 53 6f 72 4c 43 # "id":"ICEiIyQlJicoKSorLC
      30 75 4c 7a 41 78 4d 6a 4d 30 4e 54 59 33 4f 44 6b 36 4f 7a 77 39 50 6a # 0uLzAxMjM0NTY3ODk6Ozw9Pj
      38 22 2c                                                                # 8",
      22 6e 6f 6e 63 65 22 3a 22 67 49 47 43 67 34 53 46 68 6f 65 49 69 59 71 # "nonce":"gIGCg4SFhoeIiYq
      4c 6a 49 32 4f 6a 35 43 52 6b 70 4f 55 6c 5a 61 58 6d 4a 6d 61 6d 35 79 # LjI2Oj5CRkpOUlZaXmJmam5y
      64 6e 70 38 22 2c                                                       # dnp8",
      22 6e 65 74 77 6f 72 6b 22 3a 22 59 47 46 69 59 32 52 6c 5a 6d 64 6f 61 # "network":"YGFiY2RlZmdoa
      57 70 72 62 47 31 75 62 33 42 78 63 6e 4e 30 64 58 5a 33 65 48 6c 36 65 # WprbG1ub3BxcnN0dXZ3eHl6e
      33 78 39 66 6e 38 22 2c                                                 # 3x9fn8",
      22 6c 6f 63 61 6c 22 3a 74 72 75 65 7d                                  # "local":true}
      0a                                                                      # LF
    `,
    message: {
      verb: "HELLO",
      protocol: 1,
      role: "tracker",
      id: BEN,
      nonce: NONCE,
      network: NETWORK,
      local: true,
    },
    body: "",
  },
  {
    name: "the proof of membership",
    hex: `
      41 55 54 48                                                             # AUTH
      20                                                                      # SP
      7b 22 6d 61 63 22 3a 22 34 4f 48 69 34 2d 54 6c 35 75 66 6f 36 65 72 72 # {"mac":"4OHi4-Tl5ufo6err
      37 4f 33 75 37 5f 44 78 38 76 50 30 39 66 62 33 2d 50 6e 36 2d 5f 7a 39 # 7O3u7_Dx8vP09fb3-Pn6-_z9
      5f 76 38 22 2c                                                          # _v8",
      22 73 69 67 6e 61 74 75 72 65 22 3a 22 45 42 45 53 45 78 51 56 46 68 63 # "signature":"EBESExQVFhc
      59 47 52 6f 62 48 42 30 65 48 79 41 68 49 69 4d 6b 4a 53 59 6e 4b 43 6b # YGRobHB0eHyAhIiMkJSYnKCk
      71 4b 79 77 74 4c 69 38 77 4d 54 49 7a 4e 44 55 32 4e 7a 67 35 4f 6a 73 # qKywtLi8wMTIzNDU2Nzg5Ojs
      38 50 54 34 5f 51 45 46 43 51 30 52 46 52 6b 64 49 53 55 70 4c 54 45 31 # 8PT4_QEFCQ0RFRkdISUpLTE1
      4f 54 77 22 7d                                                          # OTw"}
      0a                                                                      # LF
    `,
    message: { verb: "AUTH", mac: MAC, signature: SIGNATURE },
    body: "",
  },
  {
    name: "a plain yes",
    hex: `
      4f 4b                                                                   # OK
      20                                                                      # SP
      7b 22 72 65 22 3a 31 7d                                                 # {"re":1}
      0a                                                                      # LF
    `,
    message: { verb: "OK", re: 1 },
    body: "",
  },
  {
    name: "a registration is confirmed under another name",
    hex: `
      4f 4b                                                                   # OK
      20                                                                      # SP
      7b 22 72 65 22 3a 31 2c                                                 # {"re":1,
      22 6e 61 6d 65 22 3a 22 61 6e 6e 61 2d 32 22 2c                         # "name":"anna-2",
      22 68 6f 73 74 22 3a 22 31 39 32 2e 30 2e 32 2e 37 22 2c                # "host":"192.0.2.7",
      22 70 6f 72 74 22 3a 36 30 30 31 2c                                     # "port":6001,
      22 72 65 61 63 68 61 62 6c 65 22 3a 66 61 6c 73 65 2c                   # "reachable":false,
      22 72 65 61 73 6f 6e 22 3a 22 43 61 6e 6e 6f 74 20 72 65 61 63 68 20 31 # "reason":"Cannot reach 1
      39 32 2e 30 2e 32 2e 37 3a 36 30 30 31 22 7d                            # 92.0.2.7:6001"}
      0a                                                                      # LF
    `,
    message: {
      verb: "OK",
      re: 1,
      name: "anna-2",
      host: "192.0.2.7",
      port: 6001,
      reachable: false,
      reason: "Cannot reach 192.0.2.7:6001",
    },
    body: "",
  },
  {
    name: "a registration is confirmed with all addresses that it is listed under",
    hex: `
      4f 4b                                                                   # OK
      20                                                                      # SP
      7b 22 72 65 22 3a 33 2c                                                 # {"re":3,
      22 6e 61 6d 65 22 3a 22 61 6e 6e 61 22 2c                               # "name":"anna",
      22 68 6f 73 74 22 3a 22 32 30 33 2e 30 2e 31 31 33 2e 39 22 2c          # "host":"203.0.113.9",
      22 70 6f 72 74 22 3a 36 30 30 31 2c                                     # "port":6001,
      22 61 64 64 72 65 73 73 65 73 22 3a 5b 7b 22 68 6f 73 74 22 3a 22 31 39 # "addresses":[{"host":"19
      32 2e 31 36 38 2e 31 2e 39 22 2c 22 70 6f 72 74 22 3a 36 30 30 31 7d 5d # 2.168.1.9","port":6001}]
      2c                                                                      # ,
      22 72 65 61 63 68 61 62 6c 65 22 3a 66 61 6c 73 65 2c                   # "reachable":false,
      22 72 65 61 73 6f 6e 22 3a 22 6e 6f 20 61 6e 73 77 65 72 20 69 6e 20 74 # "reason":"no answer in t
      69 6d 65 22 7d                                                          # ime"}
      0a                                                                      # LF
    `,
    message: {
      verb: "OK",
      re: 3,
      name: "anna",
      host: "203.0.113.9",
      port: 6001,
      addresses: [{ host: "192.168.1.9", port: 6001 }],
      reachable: false,
      reason: "no answer in time",
    },
    body: "",
  },
  {
    name: "an operator asked for the invite",
    hex: `
      4f 4b                                                                   # OK
      20                                                                      # SP
      7b 22 72 65 22 3a 39 30 30 37 31 39 39 32 35 34 37 34 30 39 39 31 2c    # {"re":9007199254740991,
      22 64 65 6c 69 76 65 72 65 64 22 3a 30 2c                               # "delivered":0,
      22 69 6e 76 69 74 65 22 3a 22 70 32 70 3a 2f 2f 31 39 32 2e 30 2e 32 2e # "invite":"p2p://192.0.2.
      31 3a 35 30 30 30 2f 23 78 2e 79 22 7d                                  # 1:5000/#x.y"}
      0a                                                                      # LF
    `,
    message: {
      verb: "OK",
      re: 9007199254740991,
      delivered: 0,
      invite: "p2p://192.0.2.1:5000/#x.y",
    },
    body: "",
  },
  {
    name: "a request is refused",
    hex: `
      45 52 52 4f 52                                                          # ERROR
      20                                                                      # SP
      7b 22 72 65 22 3a 33 2c                                                 # {"re":3,
      22 63 6f 64 65 22 3a 22 75 6e 6b 6e 6f 77 6e 2d 76 65 72 62 22 2c       # "code":"unknown-verb",
      22 6d 65 73 73 61 67 65 22 3a 22 43 61 6e 6e 6f 74 20 61 6e 73 77 65 72 # "message":"Cannot answer
      20 46 52 4f 42 3a 20 69 74 20 69 73 20 6e 6f 74 20 6b 6e 6f 77 6e 22 7d #  FROB: it is not known"}
      0a                                                                      # LF
    `,
    message: {
      verb: "ERROR",
      re: 3,
      code: "unknown-verb",
      message: "Cannot answer FROB: it is not known",
    },
    body: "",
  },
  {
    name: "the connection is refused; the text is not ASCII",
    hex: `
      45 52 52 4f 52                                                          # ERROR
      20                                                                      # SP
      7b 22 63 6f 64 65 22 3a 22 62 75 73 79 22 2c                            # {"code":"busy",
      22 6d 65 73 73 61 67 65 22 3a 22 5a 75 20 76 69 65 6c 65 20 56 65 72 62 # "message":"Zu viele Verb
      69 6e 64 75 6e 67 65 6e 20 e2 80 93 20 73 70 c3 a4 74 65 72 22 7d       # indungen ... sp..ter"}
      0a                                                                      # LF
    `,
    message: { verb: "ERROR", code: "busy", message: "Zu viele Verbindungen \u2013 sp\u00e4ter" },
    body: "",
  },
  {
    name: "goodbye",
    hex: `
      42 59 45                                                                # BYE
      0a                                                                      # LF
    `,
    message: { verb: "BYE" },
    body: "",
  },
  {
    name: "a peer registers",
    hex: `
      52 45 47 49 53 54 45 52                                                 # REGISTER
      20                                                                      # SP
      7b 22 73 65 71 22 3a 31 2c                                              # {"seq":1,
      22 6e 61 6d 65 22 3a 22 61 6e 6e 61 22 2c                               # "name":"anna",
      22 70 6f 72 74 22 3a 36 30 30 31 7d                                     # "port":6001}
      0a                                                                      # LF
    `,
    message: { verb: "REGISTER", seq: 1, name: "anna", port: 6001 },
    body: "",
  },
  {
    name: "a peer behind a port mapping registers",
    hex: `
      52 45 47 49 53 54 45 52                                                 # REGISTER
      20                                                                      # SP
      7b 22 73 65 71 22 3a 32 2c                                              # {"seq":2,
      22 6e 61 6d 65 22 3a 22 e5 90 8d e5 89 8d 22 2c                         # "name":"......",
      22 70 6f 72 74 22 3a 36 35 35 33 35 2c                                  # "port":65535,
      22 68 6f 73 74 22 3a 22 32 30 33 2e 30 2e 31 31 33 2e 39 22 7d          # "host":"203.0.113.9"}
      0a                                                                      # LF
    `,
    message: { verb: "REGISTER", seq: 2, name: "\u540d\u524d", port: 65535, host: "203.0.113.9" },
    body: "",
  },
  {
    name: "a peer registers with all its addresses",
    hex: `
      52 45 47 49 53 54 45 52                                                 # REGISTER
      20                                                                      # SP
      7b 22 73 65 71 22 3a 33 2c                                              # {"seq":3,
      22 6e 61 6d 65 22 3a 22 61 6e 6e 61 22 2c                               # "name":"anna",
      22 70 6f 72 74 22 3a 36 30 30 31 2c                                     # "port":6001,
      22 61 64 64 72 65 73 73 65 73 22 3a 5b 7b 22 68 6f 73 74 22 3a 22 31 39 # "addresses":[{"host":"19
      32 2e 31 36 38 2e 31 2e 39 22 2c 22 70 6f 72 74 22 3a 36 30 30 31 7d 2c # 2.168.1.9","port":6001},
      7b 22 68 6f 73 74 22 3a 22 32 30 30 31 3a 64 62 38 3a 3a 39 22 2c 22 70 # {"host":"2001:db8::9","p
      6f 72 74 22 3a 36 30 30 31 7d 5d 7d                                     # ort":6001}]}
      0a                                                                      # LF
    `,
    message: {
      verb: "REGISTER",
      seq: 3,
      name: "anna",
      port: 6001,
      addresses: [{ host: "192.168.1.9", port: 6001 }, { host: "2001:db8::9", port: 6001 }],
    },
    body: "",
  },
  {
    name: "a peer leaves",
    hex: `
      55 4e 52 45 47 49 53 54 45 52                                           # UNREGISTER
      20                                                                      # SP
      7b 22 73 65 71 22 3a 33 7d                                              # {"seq":3}
      0a                                                                      # LF
    `,
    message: { verb: "UNREGISTER", seq: 3 },
    body: "",
  },
  {
    name: "the first question for the list",
    hex: `
      50 45 45 52 53                                                          # PEERS
      20                                                                      # SP
      7b 22 73 65 71 22 3a 34 2c                                              # {"seq":4,
      22 73 69 6e 63 65 22 3a 30 7d                                           # "since":0}
      0a                                                                      # LF
    `,
    message: { verb: "PEERS", seq: 4, since: 0 },
    body: "",
  },
  {
    name: "what changed since revision 12",
    hex: `
      50 45 45 52 53                                                          # PEERS
      20                                                                      # SP
      7b 22 73 65 71 22 3a 35 2c                                              # {"seq":5,
      22 65 70 6f 63 68 22 3a 22 77 4d 48 43 77 38 54 46 78 73 66 49 79 63 72 # "epoch":"wMHCw8TFxsfIycr
      4c 7a 4d 33 4f 7a 77 22 2c                                              # LzM3Ozw",
      22 73 69 6e 63 65 22 3a 31 32 7d                                        # "since":12}
      0a                                                                      # LF
    `,
    message: { verb: "PEERS", seq: 5, epoch: EPOCH, since: 12 },
    body: "",
  },
  {
    name: "the whole list",
    hex: `
      50 45 45 52 5f 4c 49 53 54                                              # PEER_LIST
      20                                                                      # SP
      7b 22 72 65 22 3a 34 2c                                                 # {"re":4,
      22 65 70 6f 63 68 22 3a 22 77 4d 48 43 77 38 54 46 78 73 66 49 79 63 72 # "epoch":"wMHCw8TFxsfIycr
      4c 7a 4d 33 4f 7a 77 22 2c                                              # LzM3Ozw",
      22 72 65 76 69 73 69 6f 6e 22 3a 31 32 2c                               # "revision":12,
      22 66 75 6c 6c 22 3a 74 72 75 65 2c                                     # "full":true,
      22 6d 6f 72 65 22 3a 66 61 6c 73 65 2c                                  # "more":false,
      22 70 65 65 72 73 22 3a 5b 7b 22 69 64 22 3a 22 41 41 45 43 41 77 51 46 # "peers":[{"id":"AAECAwQF
      42 67 63 49 43 51 6f 4c 44 41 30 4f 44 78 41 52 45 68 4d 55 46 52 59 58 # BgcICQoLDA0ODxAREhMUFRYX
      47 42 6b 61 47 78 77 64 48 68 38 22 2c 22 6e 61 6d 65 22 3a 22 61 6e 6e # GBkaGxwdHh8","name":"ann
      61 22 2c 22 68 6f 73 74 22 3a 22 31 39 32 2e 30 2e 32 2e 37 22 2c 22 70 # a","host":"192.0.2.7","p
      6f 72 74 22 3a 36 30 30 31 2c 22 72 65 61 63 68 61 62 6c 65 22 3a 74 72 # ort":6001,"reachable":tr
      75 65 7d 2c 7b 22 69 64 22 3a 22 49 43 45 69 49 79 51 6c 4a 69 63 6f 4b # ue},{"id":"ICEiIyQlJicoK
      53 6f 72 4c 43 30 75 4c 7a 41 78 4d 6a 4d 30 4e 54 59 33 4f 44 6b 36 4f # SorLC0uLzAxMjM0NTY3ODk6O
      7a 77 39 50 6a 38 22 2c 22 6e 61 6d 65 22 3a 22 62 65 6e 22 2c 22 68 6f # zw9Pj8","name":"ben","ho
      73 74 22 3a 22 32 30 30 31 3a 64 62 38 3a 3a 32 22 2c 22 70 6f 72 74 22 # st":"2001:db8::2","port"
      3a 36 30 30 32 2c 22 72 65 61 63 68 61 62 6c 65 22 3a 66 61 6c 73 65 7d # :6002,"reachable":false}
      5d 2c                                                                   # ],
      22 67 6f 6e 65 22 3a 5b 5d 2c                                           # "gone":[],
      22 62 61 72 72 65 64 22 3a 5b 5d 7d                                     # "barred":[]}
      0a                                                                      # LF
    `,
    message: {
      verb: "PEER_LIST",
      re: 4,
      epoch: EPOCH,
      revision: 12,
      full: true,
      more: false,
      peers: [{ id: ANNA, name: "anna", host: "192.0.2.7", port: 6001, reachable: true }, { id: BEN, name: "ben", host: "2001:db8::2", port: 6002, reachable: false }],
      gone: [],
      barred: [],
    },
    body: "",
  },
  {
    name: "changes, unasked",
    hex: `
      50 45 45 52 5f 4c 49 53 54                                              # PEER_LIST
      20                                                                      # SP
      7b 22 65 70 6f 63 68 22 3a 22 77 4d 48 43 77 38 54 46 78 73 66 49 79 63 # {"epoch":"wMHCw8TFxsfIyc
      72 4c 7a 4d 33 4f 7a 77 22 2c                                           # rLzM3Ozw",
      22 72 65 76 69 73 69 6f 6e 22 3a 31 33 2c                               # "revision":13,
      22 66 75 6c 6c 22 3a 66 61 6c 73 65 2c                                  # "full":false,
      22 6d 6f 72 65 22 3a 74 72 75 65 2c                                     # "more":true,
      22 70 65 65 72 73 22 3a 5b 5d 2c                                        # "peers":[],
      22 67 6f 6e 65 22 3a 5b 22 49 43 45 69 49 79 51 6c 4a 69 63 6f 4b 53 6f # "gone":["ICEiIyQlJicoKSo
      72 4c 43 30 75 4c 7a 41 78 4d 6a 4d 30 4e 54 59 33 4f 44 6b 36 4f 7a 77 # rLC0uLzAxMjM0NTY3ODk6Ozw
      39 50 6a 38 22 5d 2c                                                    # 9Pj8"],
      22 62 61 72 72 65 64 22 3a 5b 22 51 45 46 43 51 30 52 46 52 6b 64 49 53 # "barred":["QEFCQ0RFRkdIS
      55 70 4c 54 45 31 4f 54 31 42 52 55 6c 4e 55 56 56 5a 58 57 46 6c 61 57 # UpLTE1OT1BRUlNUVVZXWFlaW
      31 78 64 58 6c 38 22 5d 7d                                              # 1xdXl8"]}
      0a                                                                      # LF
    `,
    message: {
      verb: "PEER_LIST",
      epoch: EPOCH,
      revision: 13,
      full: false,
      more: true,
      peers: [],
      gone: [BEN],
      barred: [CLEO],
    },
    body: "",
  },
  {
    name: "a peer that can be had at several addresses",
    hex: `
      50 45 45 52 5f 4c 49 53 54                                              # PEER_LIST
      20                                                                      # SP
      7b 22 65 70 6f 63 68 22 3a 22 77 4d 48 43 77 38 54 46 78 73 66 49 79 63 # {"epoch":"wMHCw8TFxsfIyc
      72 4c 7a 4d 33 4f 7a 77 22 2c                                           # rLzM3Ozw",
      22 72 65 76 69 73 69 6f 6e 22 3a 31 34 2c                               # "revision":14,
      22 66 75 6c 6c 22 3a 66 61 6c 73 65 2c                                  # "full":false,
      22 6d 6f 72 65 22 3a 66 61 6c 73 65 2c                                  # "more":false,
      22 70 65 65 72 73 22 3a 5b 7b 22 69 64 22 3a 22 41 41 45 43 41 77 51 46 # "peers":[{"id":"AAECAwQF
      42 67 63 49 43 51 6f 4c 44 41 30 4f 44 78 41 52 45 68 4d 55 46 52 59 58 # BgcICQoLDA0ODxAREhMUFRYX
      47 42 6b 61 47 78 77 64 48 68 38 22 2c 22 6e 61 6d 65 22 3a 22 61 6e 6e # GBkaGxwdHh8","name":"ann
      61 22 2c 22 68 6f 73 74 22 3a 22 32 30 33 2e 30 2e 31 31 33 2e 39 22 2c # a","host":"203.0.113.9",
      22 70 6f 72 74 22 3a 37 30 30 31 2c 22 72 65 61 63 68 61 62 6c 65 22 3a # "port":7001,"reachable":
      66 61 6c 73 65 2c 22 61 64 64 72 65 73 73 65 73 22 3a 5b 7b 22 68 6f 73 # false,"addresses":[{"hos
      74 22 3a 22 31 39 32 2e 31 36 38 2e 31 2e 39 22 2c 22 70 6f 72 74 22 3a # t":"192.168.1.9","port":
      36 30 30 31 7d 2c 7b 22 68 6f 73 74 22 3a 22 32 30 30 31 3a 64 62 38 3a # 6001},{"host":"2001:db8:
      3a 39 22 2c 22 70 6f 72 74 22 3a 36 30 30 31 7d 5d 7d 5d 2c             # :9","port":6001}]}],
      22 67 6f 6e 65 22 3a 5b 5d 2c                                           # "gone":[],
      22 62 61 72 72 65 64 22 3a 5b 5d 7d                                     # "barred":[]}
      0a                                                                      # LF
    `,
    message: {
      verb: "PEER_LIST",
      epoch: EPOCH,
      revision: 14,
      full: false,
      more: false,
      peers: [{ id: ANNA, name: "anna", host: "203.0.113.9", port: 7001, reachable: false, addresses: [{ host: "192.168.1.9", port: 6001 }, { host: "2001:db8::9", port: 6001 }] }],
      gone: [],
      barred: [],
    },
    body: "",
  },
  {
    name: "a broadcast with its text",
    hex: `
      42 52 4f 41 44 43 41 53 54                                              # BROADCAST
      20                                                                      # SP
      7b 22 73 65 71 22 3a 36 2c                                              # {"seq":6,
      22 69 64 22 3a 22 30 4e 48 53 30 39 54 56 31 74 66 59 32 64 72 62 33 4e # "id":"0NHS09TV1tfY2drb3N
      33 65 33 77 22 2c                                                       # 3e3w",
      22 74 69 6d 65 22 3a 22 32 30 32 35 2d 30 31 2d 33 31 54 31 32 3a 30 30 # "time":"2025-01-31T12:00
      3a 30 30 2e 30 30 30 5a 22 2c                                           # :00.000Z",
      22 6e 61 6d 65 22 3a 22 61 6e 6e 61 22 2c                               # "name":"anna",
      22 73 69 67 6e 61 74 75 72 65 22 3a 22 45 42 45 53 45 78 51 56 46 68 63 # "signature":"EBESExQVFhc
      59 47 52 6f 62 48 42 30 65 48 79 41 68 49 69 4d 6b 4a 53 59 6e 4b 43 6b # YGRobHB0eHyAhIiMkJSYnKCk
      71 4b 79 77 74 4c 69 38 77 4d 54 49 7a 4e 44 55 32 4e 7a 67 35 4f 6a 73 # qKywtLi8wMTIzNDU2Nzg5Ojs
      38 50 54 34 5f 51 45 46 43 51 30 52 46 52 6b 64 49 53 55 70 4c 54 45 31 # 8PT4_QEFCQ0RFRkdISUpLTE1
      4f 54 77 22 2c                                                          # OTw",
      22 62 6f 64 79 22 3a 31 35 7d                                           # "body":15}
      0a                                                                      # LF
      47 72 c3 bc c3 9f 65 20 61 6e 20 61 6c 6c 65                            # the text
    `,
    message: {
      verb: "BROADCAST",
      seq: 6,
      id: MESSAGE_ID,
      time: "2025-01-31T12:00:00.000Z",
      name: "anna",
      signature: SIGNATURE,
    },
    body: "4772c3bcc39f6520616e20616c6c65",
  },
  {
    name: "the same text, relayed",
    hex: `
      4d 45 53 53 41 47 45                                                    # MESSAGE
      20                                                                      # SP
      7b 22 69 64 22 3a 22 30 4e 48 53 30 39 54 56 31 74 66 59 32 64 72 62 33 # {"id":"0NHS09TV1tfY2drb3
      4e 33 65 33 77 22 2c                                                    # N3e3w",
      22 66 72 6f 6d 22 3a 22 41 41 45 43 41 77 51 46 42 67 63 49 43 51 6f 4c # "from":"AAECAwQFBgcICQoL
      44 41 30 4f 44 78 41 52 45 68 4d 55 46 52 59 58 47 42 6b 61 47 78 77 64 # DA0ODxAREhMUFRYXGBkaGxwd
      48 68 38 22 2c                                                          # Hh8",
      22 6e 61 6d 65 22 3a 22 61 6e 6e 61 22 2c                               # "name":"anna",
      22 74 69 6d 65 22 3a 22 32 30 32 35 2d 30 31 2d 33 31 54 31 32 3a 30 30 # "time":"2025-01-31T12:00
      3a 30 30 2e 30 30 30 5a 22 2c                                           # :00.000Z",
      22 73 69 67 6e 61 74 75 72 65 22 3a 22 45 42 45 53 45 78 51 56 46 68 63 # "signature":"EBESExQVFhc
      59 47 52 6f 62 48 42 30 65 48 79 41 68 49 69 4d 6b 4a 53 59 6e 4b 43 6b # YGRobHB0eHyAhIiMkJSYnKCk
      71 4b 79 77 74 4c 69 38 77 4d 54 49 7a 4e 44 55 32 4e 7a 67 35 4f 6a 73 # qKywtLi8wMTIzNDU2Nzg5Ojs
      38 50 54 34 5f 51 45 46 43 51 30 52 46 52 6b 64 49 53 55 70 4c 54 45 31 # 8PT4_QEFCQ0RFRkdISUpLTE1
      4f 54 77 22 2c                                                          # OTw",
      22 62 6f 64 79 22 3a 31 35 7d                                           # "body":15}
      0a                                                                      # LF
      47 72 c3 bc c3 9f 65 20 61 6e 20 61 6c 6c 65                            # the text
    `,
    message: {
      verb: "MESSAGE",
      id: MESSAGE_ID,
      from: ANNA,
      name: "anna",
      time: "2025-01-31T12:00:00.000Z",
      signature: SIGNATURE,
    },
    body: "4772c3bcc39f6520616e20616c6c65",
  },
  {
    name: "an empty message, sent directly",
    hex: `
      4d 45 53 53 41 47 45                                                    # MESSAGE
      20                                                                      # SP
      7b 22 73 65 71 22 3a 32 2c                                              # {"seq":2,
      22 69 64 22 3a 22 30 4e 48 53 30 39 54 56 31 74 66 59 32 64 72 62 33 4e # "id":"0NHS09TV1tfY2drb3N
      33 65 33 77 22 2c                                                       # 3e3w",
      22 66 72 6f 6d 22 3a 22 41 41 45 43 41 77 51 46 42 67 63 49 43 51 6f 4c # "from":"AAECAwQFBgcICQoL
      44 41 30 4f 44 78 41 52 45 68 4d 55 46 52 59 58 47 42 6b 61 47 78 77 64 # DA0ODxAREhMUFRYXGBkaGxwd
      48 68 38 22 2c                                                          # Hh8",
      22 6e 61 6d 65 22 3a 22 61 6e 6e 61 22 2c                               # "name":"anna",
      22 74 69 6d 65 22 3a 22 32 30 32 35 2d 30 31 2d 33 31 54 31 32 3a 30 30 # "time":"2025-01-31T12:00
      3a 30 30 2e 30 30 30 5a 22 2c                                           # :00.000Z",
      22 73 69 67 6e 61 74 75 72 65 22 3a 22 45 42 45 53 45 78 51 56 46 68 63 # "signature":"EBESExQVFhc
      59 47 52 6f 62 48 42 30 65 48 79 41 68 49 69 4d 6b 4a 53 59 6e 4b 43 6b # YGRobHB0eHyAhIiMkJSYnKCk
      71 4b 79 77 74 4c 69 38 77 4d 54 49 7a 4e 44 55 32 4e 7a 67 35 4f 6a 73 # qKywtLi8wMTIzNDU2Nzg5Ojs
      38 50 54 34 5f 51 45 46 43 51 30 52 46 52 6b 64 49 53 55 70 4c 54 45 31 # 8PT4_QEFCQ0RFRkdISUpLTE1
      4f 54 77 22 7d                                                          # OTw"}
      0a                                                                      # LF
    `,
    message: {
      verb: "MESSAGE",
      seq: 2,
      id: MESSAGE_ID,
      from: ANNA,
      name: "anna",
      time: "2025-01-31T12:00:00.000Z",
      signature: SIGNATURE,
    },
    body: "",
  },
  {
    name: "a peer asks to be dialled by another",
    hex: `
      43 4f 4e 4e 45 43 54                                                    # CONNECT
      20                                                                      # SP
      7b 22 73 65 71 22 3a 38 2c                                              # {"seq":8,
      22 70 65 65 72 22 3a 22 49 43 45 69 49 79 51 6c 4a 69 63 6f 4b 53 6f 72 # "peer":"ICEiIyQlJicoKSor
      4c 43 30 75 4c 7a 41 78 4d 6a 4d 30 4e 54 59 33 4f 44 6b 36 4f 7a 77 39 # LC0uLzAxMjM0NTY3ODk6Ozw9
      50 6a 38 22 2c                                                          # Pj8",
      22 70 6f 72 74 22 3a 36 30 30 31 2c                                     # "port":6001,
      22 74 6f 6b 65 6e 22 3a 22 6f 4b 47 69 6f 36 53 6c 70 71 65 6f 71 61 71 # "token":"oKGio6Slpqeoqaq
      72 72 4b 32 75 72 77 22 7d                                              # rrK2urw"}
      0a                                                                      # LF
    `,
    message: { verb: "CONNECT", seq: 8, peer: BEN, port: 6001, token: TOKEN },
    body: "",
  },
  {
    name: "a peer asks to be dialled at one of several addresses",
    hex: `
      43 4f 4e 4e 45 43 54                                                    # CONNECT
      20                                                                      # SP
      7b 22 73 65 71 22 3a 39 2c                                              # {"seq":9,
      22 70 65 65 72 22 3a 22 49 43 45 69 49 79 51 6c 4a 69 63 6f 4b 53 6f 72 # "peer":"ICEiIyQlJicoKSor
      4c 43 30 75 4c 7a 41 78 4d 6a 4d 30 4e 54 59 33 4f 44 6b 36 4f 7a 77 39 # LC0uLzAxMjM0NTY3ODk6Ozw9
      50 6a 38 22 2c                                                          # Pj8",
      22 70 6f 72 74 22 3a 36 30 30 31 2c                                     # "port":6001,
      22 74 6f 6b 65 6e 22 3a 22 6f 4b 47 69 6f 36 53 6c 70 71 65 6f 71 61 71 # "token":"oKGio6Slpqeoqaq
      72 72 4b 32 75 72 77 22 2c                                              # rrK2urw",
      22 61 64 64 72 65 73 73 65 73 22 3a 5b 7b 22 68 6f 73 74 22 3a 22 31 39 # "addresses":[{"host":"19
      32 2e 31 36 38 2e 31 2e 39 22 2c 22 70 6f 72 74 22 3a 36 30 30 31 7d 2c # 2.168.1.9","port":6001},
      7b 22 68 6f 73 74 22 3a 22 32 30 30 31 3a 64 62 38 3a 3a 39 22 2c 22 70 # {"host":"2001:db8::9","p
      6f 72 74 22 3a 36 30 30 31 7d 5d 7d                                     # ort":6001}]}
      0a                                                                      # LF
    `,
    message: {
      verb: "CONNECT",
      seq: 9,
      peer: BEN,
      port: 6001,
      token: TOKEN,
      addresses: [{ host: "192.168.1.9", port: 6001 }, { host: "2001:db8::9", port: 6001 }],
    },
    body: "",
  },
  {
    name: "the tracker passes that on",
    hex: `
      44 49 41 4c                                                             # DIAL
      20                                                                      # SP
      7b 22 70 65 65 72 22 3a 22 41 41 45 43 41 77 51 46 42 67 63 49 43 51 6f # {"peer":"AAECAwQFBgcICQo
      4c 44 41 30 4f 44 78 41 52 45 68 4d 55 46 52 59 58 47 42 6b 61 47 78 77 # LDA0ODxAREhMUFRYXGBkaGxw
      64 48 68 38 22 2c                                                       # dHh8",
      22 68 6f 73 74 22 3a 22 31 39 32 2e 30 2e 32 2e 37 22 2c                # "host":"192.0.2.7",
      22 70 6f 72 74 22 3a 36 30 30 31 2c                                     # "port":6001,
      22 74 6f 6b 65 6e 22 3a 22 6f 4b 47 69 6f 36 53 6c 70 71 65 6f 71 61 71 # "token":"oKGio6Slpqeoqaq
      72 72 4b 32 75 72 77 22 7d                                              # rrK2urw"}
      0a                                                                      # LF
    `,
    message: { verb: "DIAL", peer: ANNA, host: "192.0.2.7", port: 6001, token: TOKEN },
    body: "",
  },
  {
    name: "the tracker passes the addresses on",
    hex: `
      44 49 41 4c                                                             # DIAL
      20                                                                      # SP
      7b 22 70 65 65 72 22 3a 22 41 41 45 43 41 77 51 46 42 67 63 49 43 51 6f # {"peer":"AAECAwQFBgcICQo
      4c 44 41 30 4f 44 78 41 52 45 68 4d 55 46 52 59 58 47 42 6b 61 47 78 77 # LDA0ODxAREhMUFRYXGBkaGxw
      64 48 68 38 22 2c                                                       # dHh8",
      22 68 6f 73 74 22 3a 22 32 30 33 2e 30 2e 31 31 33 2e 39 22 2c          # "host":"203.0.113.9",
      22 70 6f 72 74 22 3a 36 30 30 31 2c                                     # "port":6001,
      22 74 6f 6b 65 6e 22 3a 22 6f 4b 47 69 6f 36 53 6c 70 71 65 6f 71 61 71 # "token":"oKGio6Slpqeoqaq
      72 72 4b 32 75 72 77 22 2c                                              # rrK2urw",
      22 61 64 64 72 65 73 73 65 73 22 3a 5b 7b 22 68 6f 73 74 22 3a 22 31 39 # "addresses":[{"host":"19
      32 2e 31 36 38 2e 31 2e 39 22 2c 22 70 6f 72 74 22 3a 36 30 30 31 7d 2c # 2.168.1.9","port":6001},
      7b 22 68 6f 73 74 22 3a 22 32 30 30 31 3a 64 62 38 3a 3a 39 22 2c 22 70 # {"host":"2001:db8::9","p
      6f 72 74 22 3a 36 30 30 31 7d 5d 7d                                     # ort":6001}]}
      0a                                                                      # LF
    `,
    message: {
      verb: "DIAL",
      peer: ANNA,
      host: "203.0.113.9",
      port: 6001,
      token: TOKEN,
      addresses: [{ host: "192.168.1.9", port: 6001 }, { host: "2001:db8::9", port: 6001 }],
    },
    body: "",
  },
  {
    name: "a peer asks for another through the tracker",
    hex: `
      52 45 4c 41 59                                                          # RELAY
      20                                                                      # SP
      7b 22 73 65 71 22 3a 31 2c                                              # {"seq":1,
      22 70 65 65 72 22 3a 22 49 43 45 69 49 79 51 6c 4a 69 63 6f 4b 53 6f 72 # "peer":"ICEiIyQlJicoKSor
      4c 43 30 75 4c 7a 41 78 4d 6a 4d 30 4e 54 59 33 4f 44 6b 36 4f 7a 77 39 # LC0uLzAxMjM0NTY3ODk6Ozw9
      50 6a 38 22 2c                                                          # Pj8",
      22 74 6f 6b 65 6e 22 3a 22 6f 4b 47 69 6f 36 53 6c 70 71 65 6f 71 61 71 # "token":"oKGio6Slpqeoqaq
      72 72 4b 32 75 72 77 22 7d                                              # rrK2urw"}
      0a                                                                      # LF
    `,
    message: { verb: "RELAY", seq: 1, peer: BEN, token: TOKEN },
    body: "",
  },
  {
    name: "the tracker asks that one to come",
    hex: `
      4a 4f 49 4e                                                             # JOIN
      20                                                                      # SP
      7b 22 70 65 65 72 22 3a 22 41 41 45 43 41 77 51 46 42 67 63 49 43 51 6f # {"peer":"AAECAwQFBgcICQo
      4c 44 41 30 4f 44 78 41 52 45 68 4d 55 46 52 59 58 47 42 6b 61 47 78 77 # LDA0ODxAREhMUFRYXGBkaGxw
      64 48 68 38 22 2c                                                       # dHh8",
      22 74 6f 6b 65 6e 22 3a 22 6f 4b 47 69 6f 36 53 6c 70 71 65 6f 71 61 71 # "token":"oKGio6Slpqeoqaq
      72 72 4b 32 75 72 77 22 7d                                              # rrK2urw"}
      0a                                                                      # LF
    `,
    message: { verb: "JOIN", peer: ANNA, token: TOKEN },
    body: "",
  },
  {
    name: "it comes",
    hex: `
      4a 4f 49 4e                                                             # JOIN
      20                                                                      # SP
      7b 22 73 65 71 22 3a 31 2c                                              # {"seq":1,
      22 70 65 65 72 22 3a 22 41 41 45 43 41 77 51 46 42 67 63 49 43 51 6f 4c # "peer":"AAECAwQFBgcICQoL
      44 41 30 4f 44 78 41 52 45 68 4d 55 46 52 59 58 47 42 6b 61 47 78 77 64 # DA0ODxAREhMUFRYXGBkaGxwd
      48 68 38 22 2c                                                          # Hh8",
      22 74 6f 6b 65 6e 22 3a 22 6f 4b 47 69 6f 36 53 6c 70 71 65 6f 71 61 71 # "token":"oKGio6Slpqeoqaq
      72 72 4b 32 75 72 77 22 7d                                              # rrK2urw"}
      0a                                                                      # LF
    `,
    message: { verb: "JOIN", seq: 1, peer: ANNA, token: TOKEN },
    body: "",
  },
  {
    name: "an operator bars an id",
    hex: `
      52 45 4d 4f 56 45                                                       # REMOVE
      20                                                                      # SP
      7b 22 73 65 71 22 3a 32 2c                                              # {"seq":2,
      22 69 64 22 3a 22 51 45 46 43 51 30 52 46 52 6b 64 49 53 55 70 4c 54 45 # "id":"QEFCQ0RFRkdISUpLTE
      31 4f 54 31 42 52 55 6c 4e 55 56 56 5a 58 57 46 6c 61 57 31 78 64 58 6c # 1OT1BRUlNUVVZXWFlaW1xdXl
      38 22 7d                                                                # 8"}
      0a                                                                      # LF
    `,
    message: { verb: "REMOVE", seq: 2, id: CLEO },
    body: "",
  },
  {
    name: "an operator lets an id join again",
    hex: `
      52 45 53 54 4f 52 45                                                    # RESTORE
      20                                                                      # SP
      7b 22 73 65 71 22 3a 33 2c                                              # {"seq":3,
      22 69 64 22 3a 22 51 45 46 43 51 30 52 46 52 6b 64 49 53 55 70 4c 54 45 # "id":"QEFCQ0RFRkdISUpLTE
      31 4f 54 31 42 52 55 6c 4e 55 56 56 5a 58 57 46 6c 61 57 31 78 64 58 6c # 1OT1BRUlNUVVZXWFlaW1xdXl
      38 22 7d                                                                # 8"}
      0a                                                                      # LF
    `,
    message: { verb: "RESTORE", seq: 3, id: CLEO },
    body: "",
  },
  {
    name: "an operator asks for a new secret",
    hex: `
      52 4f 54 41 54 45                                                       # ROTATE
      20                                                                      # SP
      7b 22 73 65 71 22 3a 33 7d                                              # {"seq":3}
      0a                                                                      # LF
    `,
    message: { verb: "ROTATE", seq: 3 },
    body: "",
  },
  {
    name: "a file is offered",
    hex: `
      53 45 4e 44 5f 46 49 4c 45                                              # SEND_FILE
      20                                                                      # SP
      7b 22 73 65 71 22 3a 31 2c                                              # {"seq":1,
      22 74 72 61 6e 73 66 65 72 22 3a 22 73 4c 47 79 73 37 53 31 74 72 65 34 # "transfer":"sLGys7S1tre4
      75 62 71 37 76 4c 32 2d 76 77 22 2c                                     # ubq7vL2-vw",
      22 6e 61 6d 65 22 3a 22 6e 65 74 77 6f 72 6b 2e 70 6e 67 22 2c          # "name":"network.png",
      22 73 69 7a 65 22 3a 34 38 32 31 33 2c                                  # "size":48213,
      22 70 69 65 63 65 53 69 7a 65 22 3a 32 36 32 31 34 34 2c                # "pieceSize":262144,
      22 73 63 68 65 6d 65 22 3a 22 69 6e 64 65 70 65 6e 64 65 6e 74 22 7d    # "scheme":"independent"}
      0a                                                                      # LF
    `,
    message: {
      verb: "SEND_FILE",
      seq: 1,
      transfer: TRANSFER,
      name: "network.png",
      size: 48213,
      pieceSize: 262144,
      scheme: "independent",
    },
    body: "",
  },
  {
    name: "a file is offered whose hashes the sender has from another day",
    hex: `
      53 45 4e 44 5f 46 49 4c 45                                              # SEND_FILE
      20                                                                      # SP
      7b 22 73 65 71 22 3a 31 2c                                              # {"seq":1,
      22 74 72 61 6e 73 66 65 72 22 3a 22 73 4c 47 79 73 37 53 31 74 72 65 34 # "transfer":"sLGys7S1tre4
      75 62 71 37 76 4c 32 2d 76 77 22 2c                                     # ubq7vL2-vw",
      22 6e 61 6d 65 22 3a 22 6e 65 74 77 6f 72 6b 2e 70 6e 67 22 2c          # "name":"network.png",
      22 73 69 7a 65 22 3a 34 38 32 31 33 2c                                  # "size":48213,
      22 70 69 65 63 65 53 69 7a 65 22 3a 32 36 32 31 34 34 2c                # "pieceSize":262144,
      22 73 63 68 65 6d 65 22 3a 22 69 6e 64 65 70 65 6e 64 65 6e 74 22 2c    # "scheme":"independent",
      22 6d 61 6e 69 66 65 73 74 22 3a 22 6f 4b 47 69 6f 36 53 6c 70 71 65 6f # "manifest":"oKGio6Slpqeo
      71 61 71 72 72 4b 32 75 72 37 43 78 73 72 4f 30 74 62 61 33 75 4c 6d 36 # qaqrrK2ur7CxsrO0tba3uLm6
      75 37 79 39 76 72 38 22 7d                                              # u7y9vr8"}
      0a                                                                      # LF
    `,
    message: {
      verb: "SEND_FILE",
      seq: 1,
      transfer: TRANSFER,
      name: "network.png",
      size: 48213,
      pieceSize: 262144,
      scheme: "independent",
      manifest: MANIFEST,
    },
    body: "",
  },
  {
    name: "a file is offered to one, by its running hash and the SHA-256 that is known",
    hex: `
      53 45 4e 44 5f 46 49 4c 45                                              # SEND_FILE
      20                                                                      # SP
      7b 22 73 65 71 22 3a 31 2c                                              # {"seq":1,
      22 74 72 61 6e 73 66 65 72 22 3a 22 73 4c 47 79 73 37 53 31 74 72 65 34 # "transfer":"sLGys7S1tre4
      75 62 71 37 76 4c 32 2d 76 77 22 2c                                     # ubq7vL2-vw",
      22 6e 61 6d 65 22 3a 22 6e 65 74 77 6f 72 6b 2e 70 6e 67 22 2c          # "name":"network.png",
      22 73 69 7a 65 22 3a 34 38 32 31 33 2c                                  # "size":48213,
      22 70 69 65 63 65 53 69 7a 65 22 3a 32 36 32 31 34 34 2c                # "pieceSize":262144,
      22 73 63 68 65 6d 65 22 3a 22 70 72 65 66 69 78 22 2c                   # "scheme":"prefix",
      22 73 68 61 32 35 36 22 3a 22 38 50 48 79 38 5f 54 31 39 76 66 34 2d 66 # "sha256":"8PHy8_T19vf4-f
      72 37 5f 50 33 2d 5f 77 41 42 41 67 4d 45 42 51 59 48 43 41 6b 4b 43 77 # r7_P3-_wABAgMEBQYHCAkKCw
      77 4e 44 67 38 22 7d                                                    # wNDg8"}
      0a                                                                      # LF
    `,
    message: { verb: "SEND_FILE", seq: 1, transfer: TRANSFER, name: "network.png", size: 48213, pieceSize: 262144, scheme: "prefix", sha256: SHA256 },
    body: "",
  },
  {
    name: "a receiver whose running hash is gone goes on",
    hex: `
      41 43 4b                                                                # ACK
      20                                                                      # SP
      7b 22 72 65 22 3a 31 2c                                                 # {"re":1,
      22 74 72 61 6e 73 66 65 72 22 3a 22 73 4c 47 79 73 37 53 31 74 72 65 34 # "transfer":"sLGys7S1tre4
      75 62 71 37 76 4c 32 2d 76 77 22 2c                                     # ubq7vL2-vw",
      22 73 74 61 74 65 22 3a 22 72 65 61 64 79 22 2c                         # "state":"ready",
      22 68 61 76 65 22 3a 5b 5b 30 2c 33 5d 5d 2c                            # "have":[[0,3]],
      22 69 6e 64 65 70 65 6e 64 65 6e 74 46 72 6f 6d 22 3a 33 7d             # "independentFrom":3}
      0a                                                                      # LF
    `,
    message: { verb: "ACK", re: 1, transfer: TRANSFER, state: "ready", have: [[0, 3]], independentFrom: 3 },
    body: "",
  },
  {
    name: "a receiver that finds an older version in what it has needs other hashes",
    hex: `
      41 43 4b                                                                # ACK
      20                                                                      # SP
      7b 22 74 72 61 6e 73 66 65 72 22 3a 22 73 4c 47 79 73 37 53 31 74 72 65 # {"transfer":"sLGys7S1tre
      34 75 62 71 37 76 4c 32 2d 76 77 22 2c                                  # 4ubq7vL2-vw",
      22 73 74 61 74 65 22 3a 22 72 65 61 64 79 22 2c                         # "state":"ready",
      22 68 61 76 65 22 3a 5b 5b 30 2c 33 5d 5d 2c                            # "have":[[0,3]],
      22 69 6e 64 65 70 65 6e 64 65 6e 74 46 72 6f 6d 22 3a 31 7d             # "independentFrom":1}
      0a                                                                      # LF
    `,
    message: { verb: "ACK", transfer: TRANSFER, state: "ready", have: [[0, 3]], independentFrom: 1 },
    body: "",
  },
  {
    name: "the receiver knows the file by its SHA-256",
    hex: `
      41 43 4b                                                                # ACK
      20                                                                      # SP
      7b 22 72 65 22 3a 31 2c                                                 # {"re":1,
      22 74 72 61 6e 73 66 65 72 22 3a 22 73 4c 47 79 73 37 53 31 74 72 65 34 # "transfer":"sLGys7S1tre4
      75 62 71 37 76 4c 32 2d 76 77 22 2c                                     # ubq7vL2-vw",
      22 73 74 61 74 65 22 3a 22 61 6c 72 65 61 64 79 22 2c                   # "state":"already",
      22 6e 61 6d 65 22 3a 22 6e 65 74 77 6f 72 6b 2e 70 6e 67 22 2c          # "name":"network.png",
      22 73 68 61 32 35 36 22 3a 22 38 50 48 79 38 5f 54 31 39 76 66 34 2d 66 # "sha256":"8PHy8_T19vf4-f
      72 37 5f 50 33 2d 5f 77 41 42 41 67 4d 45 42 51 59 48 43 41 6b 4b 43 77 # r7_P3-_wABAgMEBQYHCAkKCw
      77 4e 44 67 38 22 7d                                                    # wNDg8"}
      0a                                                                      # LF
    `,
    message: { verb: "ACK", re: 1, transfer: TRANSFER, state: "already", name: "network.png", sha256: SHA256 },
    body: "",
  },
  {
    name: "what has arrived, with a receipt",
    hex: `
      41 43 4b                                                                # ACK
      20                                                                      # SP
      7b 22 74 72 61 6e 73 66 65 72 22 3a 22 73 4c 47 79 73 37 53 31 74 72 65 # {"transfer":"sLGys7S1tre
      34 75 62 71 37 76 4c 32 2d 76 77 22 2c                                  # 4ubq7vL2-vw",
      22 73 74 61 74 65 22 3a 22 73 61 76 65 64 22 2c                         # "state":"saved",
      22 6e 61 6d 65 22 3a 22 6e 65 74 77 6f 72 6b 2e 70 6e 67 22 2c          # "name":"network.png",
      22 73 68 61 32 35 36 22 3a 22 38 50 48 79 38 5f 54 31 39 76 66 34 2d 66 # "sha256":"8PHy8_T19vf4-f
      72 37 5f 50 33 2d 5f 77 41 42 41 67 4d 45 42 51 59 48 43 41 6b 4b 43 77 # r7_P3-_wABAgMEBQYHCAkKCw
      77 4e 44 67 38 22 2c                                                    # wNDg8",
      22 74 69 6d 65 22 3a 22 32 30 32 35 2d 30 31 2d 30 32 54 30 33 3a 30 34 # "time":"2025-01-02T03:04
      3a 30 35 2e 36 37 38 5a 22 2c                                           # :05.678Z",
      22 73 69 67 6e 61 74 75 72 65 22 3a 22 62 55 34 4c 39 37 6b 2d 67 62 35 # "signature":"bU4L97k-gb5
      30 56 48 45 68 63 65 63 73 48 63 55 55 58 6c 6d 69 78 33 75 76 36 73 79 # 0VHEhcecsHcUUXlmix3uv6sy
      67 31 5a 76 5a 6f 4a 2d 41 76 6f 70 39 62 70 71 5a 73 54 55 4d 47 4f 55 # g1ZvZoJ-Avop9bpqZsTUMGOU
      69 50 71 4e 4a 79 6d 47 6e 74 6f 77 79 58 30 67 79 43 47 49 31 4b 6a 33 # iPqNJymGntowyX0gyCGI1Kj3
      74 44 67 22 7d                                                          # tDg"}
      0a                                                                      # LF
    `,
    message: {
      verb: "ACK",
      transfer: TRANSFER,
      state: "saved",
      name: "network.png",
      sha256: SHA256,
      time: "2025-01-02T03:04:05.678Z",
      signature: "bU4L97k-gb50VHEhcecsHcUUXlmix3uv6syg1ZvZoJ-Avop9bpqZsTUMGOUiPqNJymGntowyX0gyCGI1Kj3tDg",
    },
    body: "",
  },
  {
    name: "hashes of another scheme than was offered",
    hex: `
      48 41 53 48 45 53                                                       # HASHES
      20                                                                      # SP
      7b 22 74 72 61 6e 73 66 65 72 22 3a 22 73 4c 47 79 73 37 53 31 74 72 65 # {"transfer":"sLGys7S1tre
      34 75 62 71 37 76 4c 32 2d 76 77 22 2c                                  # 4ubq7vL2-vw",
      22 73 74 61 72 74 22 3a 33 2c                                           # "start":3,
      22 73 63 68 65 6d 65 22 3a 22 69 6e 64 65 70 65 6e 64 65 6e 74 22 2c    # "scheme":"independent",
      22 62 6f 64 79 22 3a 33 32 7d                                           # "body":32}
      0a                                                                      # LF
      00 01 02 03 04 05 06 07 08 09 0a 0b 0c 0d 0e 0f 10 11 12 13 14 15 16 17
      18 19 1a 1b 1c 1d 1e 1f
    `,
    message: { verb: "HASHES", transfer: TRANSFER, start: 3, scheme: "independent" },
    body: "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",
  },
  {
    name: "a file is offered to a swarm",
    hex: `
      53 45 4e 44 5f 46 49 4c 45                                              # SEND_FILE
      20                                                                      # SP
      7b 22 73 65 71 22 3a 31 2c                                              # {"seq":1,
      22 74 72 61 6e 73 66 65 72 22 3a 22 73 4c 47 79 73 37 53 31 74 72 65 34 # "transfer":"sLGys7S1tre4
      75 62 71 37 76 4c 32 2d 76 77 22 2c                                     # ubq7vL2-vw",
      22 6e 61 6d 65 22 3a 22 62 61 63 6b 75 70 2e 74 61 72 2e 67 7a 22 2c    # "name":"backup.tar.gz",
      22 73 69 7a 65 22 3a 31 30 34 38 35 37 36 30 30 2c                      # "size":104857600,
      22 70 69 65 63 65 53 69 7a 65 22 3a 32 36 32 31 34 34 2c                # "pieceSize":262144,
      22 73 63 68 65 6d 65 22 3a 22 69 6e 64 65 70 65 6e 64 65 6e 74 22 2c    # "scheme":"independent",
      22 73 77 61 72 6d 22 3a 74 72 75 65 7d                                  # "swarm":true}
      0a                                                                      # LF
    `,
    message: {
      verb: "SEND_FILE",
      seq: 1,
      transfer: TRANSFER,
      name: "backup.tar.gz",
      size: 104857600,
      pieceSize: 262144,
      scheme: "independent",
      swarm: true,
    },
    body: "",
  },
  {
    name: "a stream of unknown size is offered",
    hex: `
      53 45 4e 44 5f 46 49 4c 45                                              # SEND_FILE
      20                                                                      # SP
      7b 22 73 65 71 22 3a 31 2c                                              # {"seq":1,
      22 74 72 61 6e 73 66 65 72 22 3a 22 73 4c 47 79 73 37 53 31 74 72 65 34 # "transfer":"sLGys7S1tre4
      75 62 71 37 76 4c 32 2d 76 77 22 2c                                     # ubq7vL2-vw",
      22 6e 61 6d 65 22 3a 22 62 61 63 6b 75 70 2e 74 61 72 2e 67 7a 22 2c    # "name":"backup.tar.gz",
      22 73 69 7a 65 22 3a 6e 75 6c 6c 2c                                     # "size":null,
      22 70 69 65 63 65 53 69 7a 65 22 3a 34 31 39 34 33 30 34 2c             # "pieceSize":4194304,
      22 73 63 68 65 6d 65 22 3a 22 69 6e 64 65 70 65 6e 64 65 6e 74 22 7d    # "scheme":"independent"}
      0a                                                                      # LF
    `,
    message: {
      verb: "SEND_FILE",
      seq: 1,
      transfer: TRANSFER,
      name: "backup.tar.gz",
      size: null,
      pieceSize: 4194304,
      scheme: "independent",
    },
    body: "",
  },
  {
    name: "a folder is offered",
    hex: `
      53 45 4e 44 5f 54 52 45 45                                              # SEND_TREE
      20                                                                      # SP
      7b 22 73 65 71 22 3a 32 2c                                              # {"seq":2,
      22 74 72 61 6e 73 66 65 72 22 3a 22 73 4c 47 79 73 37 53 31 74 72 65 34 # "transfer":"sLGys7S1tre4
      75 62 71 37 76 4c 32 2d 76 77 22 2c                                     # ubq7vL2-vw",
      22 6e 61 6d 65 22 3a 22 70 68 6f 74 6f 73 22 2c                         # "name":"photos",
      22 73 69 7a 65 22 3a 34 38 33 31 33 2c                                  # "size":48313,
      22 70 69 65 63 65 53 69 7a 65 22 3a 32 36 32 31 34 34 2c                # "pieceSize":262144,
      22 73 63 68 65 6d 65 22 3a 22 69 6e 64 65 70 65 6e 64 65 6e 74 22 2c    # "scheme":"independent",
      22 74 61 62 6c 65 22 3a 31 30 30 7d                                     # "table":100}
      0a                                                                      # LF
    `,
    message: {
      verb: "SEND_TREE",
      seq: 2,
      transfer: TRANSFER,
      name: "photos",
      size: 48313,
      pieceSize: 262144,
      scheme: "independent",
      table: 100,
    },
    body: "",
  },
  {
    name: "an empty folder is offered again, to a swarm",
    hex: `
      53 45 4e 44 5f 54 52 45 45                                              # SEND_TREE
      20                                                                      # SP
      7b 22 73 65 71 22 3a 33 2c                                              # {"seq":3,
      22 74 72 61 6e 73 66 65 72 22 3a 22 73 4c 47 79 73 37 53 31 74 72 65 34 # "transfer":"sLGys7S1tre4
      75 62 71 37 76 4c 32 2d 76 77 22 2c                                     # ubq7vL2-vw",
      22 6e 61 6d 65 22 3a 22 65 6d 70 74 79 22 2c                            # "name":"empty",
      22 73 69 7a 65 22 3a 30 2c                                              # "size":0,
      22 70 69 65 63 65 53 69 7a 65 22 3a 31 36 33 38 34 2c                   # "pieceSize":16384,
      22 73 63 68 65 6d 65 22 3a 22 69 6e 64 65 70 65 6e 64 65 6e 74 22 2c    # "scheme":"independent",
      22 74 61 62 6c 65 22 3a 30 2c                                           # "table":0,
      22 6d 61 6e 69 66 65 73 74 22 3a 22 6f 4b 47 69 6f 36 53 6c 70 71 65 6f # "manifest":"oKGio6Slpqeo
      71 61 71 72 72 4b 32 75 72 37 43 78 73 72 4f 30 74 62 61 33 75 4c 6d 36 # qaqrrK2ur7CxsrO0tba3uLm6
      75 37 79 39 76 72 38 22 2c                                              # u7y9vr8",
      22 73 77 61 72 6d 22 3a 74 72 75 65 7d                                  # "swarm":true}
      0a                                                                      # LF
    `,
    message: {
      verb: "SEND_TREE",
      seq: 3,
      transfer: TRANSFER,
      name: "empty",
      size: 0,
      pieceSize: 16384,
      scheme: "independent",
      table: 0,
      manifest: MANIFEST,
      swarm: true,
    },
    body: "",
  },
  {
    name: "ready, and takes part in the swarm",
    hex: `
      41 43 4b                                                                # ACK
      20                                                                      # SP
      7b 22 72 65 22 3a 31 2c                                                 # {"re":1,
      22 74 72 61 6e 73 66 65 72 22 3a 22 73 4c 47 79 73 37 53 31 74 72 65 34 # "transfer":"sLGys7S1tre4
      75 62 71 37 76 4c 32 2d 76 77 22 2c                                     # ubq7vL2-vw",
      22 73 74 61 74 65 22 3a 22 72 65 61 64 79 22 2c                         # "state":"ready",
      22 73 77 61 72 6d 22 3a 74 72 75 65 7d                                  # "swarm":true}
      0a                                                                      # LF
    `,
    message: { verb: "ACK", re: 1, transfer: TRANSFER, state: "ready", swarm: true },
    body: "",
  },
  {
    name: "ready, with two ranges of pieces there already",
    hex: `
      41 43 4b                                                                # ACK
      20                                                                      # SP
      7b 22 72 65 22 3a 31 2c                                                 # {"re":1,
      22 74 72 61 6e 73 66 65 72 22 3a 22 73 4c 47 79 73 37 53 31 74 72 65 34 # "transfer":"sLGys7S1tre4
      75 62 71 37 76 4c 32 2d 76 77 22 2c                                     # ubq7vL2-vw",
      22 73 74 61 74 65 22 3a 22 72 65 61 64 79 22 2c                         # "state":"ready",
      22 68 61 76 65 22 3a 5b 5b 30 2c 33 5d 2c 5b 35 2c 36 5d 5d 7d          # "have":[[0,3],[5,6]]}
      0a                                                                      # LF
    `,
    message: { verb: "ACK", re: 1, transfer: TRANSFER, state: "ready", have: [[0, 3], [5, 6]] },
    body: "",
  },
  {
    name: "still writing to the disk",
    hex: `
      41 43 4b                                                                # ACK
      20                                                                      # SP
      7b 22 74 72 61 6e 73 66 65 72 22 3a 22 73 4c 47 79 73 37 53 31 74 72 65 # {"transfer":"sLGys7S1tre
      34 75 62 71 37 76 4c 32 2d 76 77 22 2c                                  # 4ubq7vL2-vw",
      22 73 74 61 74 65 22 3a 22 73 79 6e 63 69 6e 67 22 7d                   # "state":"syncing"}
      0a                                                                      # LF
    `,
    message: { verb: "ACK", transfer: TRANSFER, state: "syncing" },
    body: "",
  },
  {
    name: "durable, under another name",
    hex: `
      41 43 4b                                                                # ACK
      20                                                                      # SP
      7b 22 74 72 61 6e 73 66 65 72 22 3a 22 73 4c 47 79 73 37 53 31 74 72 65 # {"transfer":"sLGys7S1tre
      34 75 62 71 37 76 4c 32 2d 76 77 22 2c                                  # 4ubq7vL2-vw",
      22 73 74 61 74 65 22 3a 22 73 61 76 65 64 22 2c                         # "state":"saved",
      22 6e 61 6d 65 22 3a 22 6e 65 74 77 6f 72 6b 20 28 31 29 2e 70 6e 67 22 # "name":"network (1).png"
      2c                                                                      # ,
      22 6d 61 6e 69 66 65 73 74 22 3a 22 6f 4b 47 69 6f 36 53 6c 70 71 65 6f # "manifest":"oKGio6Slpqeo
      71 61 71 72 72 4b 32 75 72 37 43 78 73 72 4f 30 74 62 61 33 75 4c 6d 36 # qaqrrK2ur7CxsrO0tba3uLm6
      75 37 79 39 76 72 38 22 7d                                              # u7y9vr8"}
      0a                                                                      # LF
    `,
    message: {
      verb: "ACK",
      transfer: TRANSFER,
      state: "saved",
      name: "network (1).png",
      manifest: MANIFEST,
    },
    body: "",
  },
  {
    name: "there already",
    hex: `
      41 43 4b                                                                # ACK
      20                                                                      # SP
      7b 22 72 65 22 3a 31 2c                                                 # {"re":1,
      22 74 72 61 6e 73 66 65 72 22 3a 22 73 4c 47 79 73 37 53 31 74 72 65 34 # "transfer":"sLGys7S1tre4
      75 62 71 37 76 4c 32 2d 76 77 22 2c                                     # ubq7vL2-vw",
      22 73 74 61 74 65 22 3a 22 61 6c 72 65 61 64 79 22 2c                   # "state":"already",
      22 6e 61 6d 65 22 3a 22 6e 65 74 77 6f 72 6b 2e 70 6e 67 22 2c          # "name":"network.png",
      22 6d 61 6e 69 66 65 73 74 22 3a 22 6f 4b 47 69 6f 36 53 6c 70 71 65 6f # "manifest":"oKGio6Slpqeo
      71 61 71 72 72 4b 32 75 72 37 43 78 73 72 4f 30 74 62 61 33 75 4c 6d 36 # qaqrrK2ur7CxsrO0tba3uLm6
      75 37 79 39 76 72 38 22 7d                                              # u7y9vr8"}
      0a                                                                      # LF
    `,
    message: {
      verb: "ACK",
      re: 1,
      transfer: TRANSFER,
      state: "already",
      name: "network.png",
      manifest: MANIFEST,
    },
    body: "",
  },
  {
    name: "the hashes of two pieces",
    hex: `
      48 41 53 48 45 53                                                       # HASHES
      20                                                                      # SP
      7b 22 74 72 61 6e 73 66 65 72 22 3a 22 73 4c 47 79 73 37 53 31 74 72 65 # {"transfer":"sLGys7S1tre
      34 75 62 71 37 76 4c 32 2d 76 77 22 2c                                  # 4ubq7vL2-vw",
      22 73 74 61 72 74 22 3a 34 2c                                           # "start":4,
      22 62 6f 64 79 22 3a 36 34 7d                                           # "body":64}
      0a                                                                      # LF
      00 01 02 03 04 05 06 07 08 09 0a 0b 0c 0d 0e 0f 10 11 12 13 14 15 16 17 # two SHA-256
      18 19 1a 1b 1c 1d 1e 1f 20 21 22 23 24 25 26 27 28 29 2a 2b 2c 2d 2e 2f # two SHA-256
      30 31 32 33 34 35 36 37 38 39 3a 3b 3c 3d 3e 3f                         # two SHA-256
    `,
    message: { verb: "HASHES", transfer: TRANSFER, start: 4 },
    body: "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f202122232425262728292a2b2c2d2e2f303132333435363738393a3b3c3d3e3f",
  },
  {
    name: "the end of the list, with the last hash",
    hex: `
      48 41 53 48 45 53                                                       # HASHES
      20                                                                      # SP
      7b 22 74 72 61 6e 73 66 65 72 22 3a 22 73 4c 47 79 73 37 53 31 74 72 65 # {"transfer":"sLGys7S1tre
      34 75 62 71 37 76 4c 32 2d 76 77 22 2c                                  # 4ubq7vL2-vw",
      22 73 74 61 72 74 22 3a 36 2c                                           # "start":6,
      22 6c 61 73 74 22 3a 74 72 75 65 2c                                     # "last":true,
      22 73 69 7a 65 22 3a 31 37 30 30 30 30 30 2c                            # "size":1700000,
      22 73 68 61 32 35 36 22 3a 22 38 50 48 79 38 5f 54 31 39 76 66 34 2d 66 # "sha256":"8PHy8_T19vf4-f
      72 37 5f 50 33 2d 5f 77 41 42 41 67 4d 45 42 51 59 48 43 41 6b 4b 43 77 # r7_P3-_wABAgMEBQYHCAkKCw
      77 4e 44 67 38 22 2c                                                    # wNDg8",
      22 62 6f 64 79 22 3a 33 32 7d                                           # "body":32}
      0a                                                                      # LF
      40 41 42 43 44 45 46 47 48 49 4a 4b 4c 4d 4e 4f 50 51 52 53 54 55 56 57 # one SHA-256
      58 59 5a 5b 5c 5d 5e 5f                                                 # one SHA-256
    `,
    message: {
      verb: "HASHES",
      transfer: TRANSFER,
      start: 6,
      last: { size: 1700000, sha256: SHA256 },
    },
    body: "404142434445464748494a4b4c4d4e4f505152535455565758595a5b5c5d5e5f",
  },
  {
    name: "the end of the list, of a sender that has not read all",
    hex: `
      48 41 53 48 45 53                                                       # HASHES
      20                                                                      # SP
      7b 22 74 72 61 6e 73 66 65 72 22 3a 22 73 4c 47 79 73 37 53 31 74 72 65 # {"transfer":"sLGys7S1tre
      34 75 62 71 37 76 4c 32 2d 76 77 22 2c                                  # 4ubq7vL2-vw",
      22 73 74 61 72 74 22 3a 36 2c                                           # "start":6,
      22 6c 61 73 74 22 3a 74 72 75 65 2c                                     # "last":true,
      22 73 69 7a 65 22 3a 31 37 30 30 30 30 30 2c                            # "size":1700000,
      22 73 68 61 32 35 36 22 3a 6e 75 6c 6c 2c                               # "sha256":null,
      22 62 6f 64 79 22 3a 33 32 7d                                           # "body":32}
      0a                                                                      # LF
      40 41 42 43 44 45 46 47 48 49 4a 4b 4c 4d 4e 4f 50 51 52 53 54 55 56 57 # one SHA-256
      58 59 5a 5b 5c 5d 5e 5f                                                 # one SHA-256
    `,
    message: {
      verb: "HASHES",
      transfer: TRANSFER,
      start: 6,
      last: { size: 1700000, sha256: null },
    },
    body: "404142434445464748494a4b4c4d4e4f505152535455565758595a5b5c5d5e5f",
  },
  {
    name: "the end of the list alone",
    hex: `
      48 41 53 48 45 53                                                       # HASHES
      20                                                                      # SP
      7b 22 74 72 61 6e 73 66 65 72 22 3a 22 73 4c 47 79 73 37 53 31 74 72 65 # {"transfer":"sLGys7S1tre
      34 75 62 71 37 76 4c 32 2d 76 77 22 2c                                  # 4ubq7vL2-vw",
      22 73 74 61 72 74 22 3a 30 2c                                           # "start":0,
      22 6c 61 73 74 22 3a 74 72 75 65 2c                                     # "last":true,
      22 73 69 7a 65 22 3a 30 2c                                              # "size":0,
      22 73 68 61 32 35 36 22 3a 22 38 50 48 79 38 5f 54 31 39 76 66 34 2d 66 # "sha256":"8PHy8_T19vf4-f
      72 37 5f 50 33 2d 5f 77 41 42 41 67 4d 45 42 51 59 48 43 41 6b 4b 43 77 # r7_P3-_wABAgMEBQYHCAkKCw
      77 4e 44 67 38 22 7d                                                    # wNDg8"}
      0a                                                                      # LF
    `,
    message: { verb: "HASHES", transfer: TRANSFER, start: 0, last: { size: 0, sha256: SHA256 } },
    body: "",
  },
  {
    name: "a piece is asked for",
    hex: `
      47 45 54                                                                # GET
      20                                                                      # SP
      7b 22 74 72 61 6e 73 66 65 72 22 3a 22 73 4c 47 79 73 37 53 31 74 72 65 # {"transfer":"sLGys7S1tre
      34 75 62 71 37 76 4c 32 2d 76 77 22 2c                                  # 4ubq7vL2-vw",
      22 69 6e 64 65 78 22 3a 33 7d                                           # "index":3}
      0a                                                                      # LF
    `,
    message: { verb: "GET", transfer: TRANSFER, index: 3 },
    body: "",
  },
  {
    name: "a piece whose bytes look like frames",
    hex: `
      50 49 45 43 45                                                          # PIECE
      20                                                                      # SP
      7b 22 74 72 61 6e 73 66 65 72 22 3a 22 73 4c 47 79 73 37 53 31 74 72 65 # {"transfer":"sLGys7S1tre
      34 75 62 71 37 76 4c 32 2d 76 77 22 2c                                  # 4ubq7vL2-vw",
      22 69 6e 64 65 78 22 3a 33 2c                                           # "index":3,
      22 62 6f 64 79 22 3a 31 32 7d                                           # "body":12}
      0a                                                                      # LF
      50 49 4e 47 0a 42 59 45 0a 00 ff 0a                                     # not looked into
    `,
    message: { verb: "PIECE", transfer: TRANSFER, index: 3 },
    body: "50494e470a4259450a00ff0a",
  },
  {
    name: "pieces that were served are signed for",
    hex: `
      53 45 52 56 45 44                                                       # SERVED
      20                                                                      # SP
      7b 22 74 72 61 6e 73 66 65 72 22 3a 22 73 4c 47 79 73 37 53 31 74 72 65 # {"transfer":"sLGys7S1tre
      34 75 62 71 37 76 4c 32 2d 76 77 22 2c                                  # 4ubq7vL2-vw",
      22 73 69 67 6e 61 74 75 72 65 22 3a 22 45 42 45 53 45 78 51 56 46 68 63 # "signature":"EBESExQVFhc
      59 47 52 6f 62 48 42 30 65 48 79 41 68 49 69 4d 6b 4a 53 59 6e 4b 43 6b # YGRobHB0eHyAhIiMkJSYnKCk
      71 4b 79 77 74 4c 69 38 77 4d 54 49 7a 4e 44 55 32 4e 7a 67 35 4f 6a 73 # qKywtLi8wMTIzNDU2Nzg5Ojs
      38 50 54 34 5f 51 45 46 43 51 30 52 46 52 6b 64 49 53 55 70 4c 54 45 31 # 8PT4_QEFCQ0RFRkdISUpLTE1
      4f 54 77 22 2c                                                          # OTw",
      22 62 6f 64 79 22 3a 35 7d                                              # "body":5}
      0a                                                                      # LF
      01 02 03 04 05                                                          # body
    `,
    message: { verb: "SERVED", transfer: TRANSFER, signature: SIGNATURE },
    body: "0102030405",
  },
  {
    name: "somebody is accused",
    hex: `
      45 56 49 44 45 4e 43 45                                                 # EVIDENCE
      20                                                                      # SP
      7b 22 74 72 61 6e 73 66 65 72 22 3a 22 73 4c 47 79 73 37 53 31 74 72 65 # {"transfer":"sLGys7S1tre
      34 75 62 71 37 76 4c 32 2d 76 77 22 2c                                  # 4ubq7vL2-vw",
      22 73 68 61 72 65 72 22 3a 22 51 45 46 43 51 30 52 46 52 6b 64 49 53 55 # "sharer":"QEFCQ0RFRkdISU
      70 4c 54 45 31 4f 54 31 42 52 55 6c 4e 55 56 56 5a 58 57 46 6c 61 57 31 # pLTE1OT1BRUlNUVVZXWFlaW1
      78 64 58 6c 38 22 2c                                                    # xdXl8",
      22 73 65 72 76 65 72 22 3a 22 51 45 46 43 51 30 52 46 52 6b 64 49 53 55 # "server":"QEFCQ0RFRkdISU
      70 4c 54 45 31 4f 54 31 42 52 55 6c 4e 55 56 56 5a 58 57 46 6c 61 57 31 # pLTE1OT1BRUlNUVVZXWFlaW1
      78 64 58 6c 38 22 2c                                                    # xdXl8",
      22 62 6c 6f 63 6b 22 3a 31 2c 22 69 6e 64 65 78 22 3a 33 30 30 2c 22 70 # "block":1,"index":300,"p
      69 65 63 65 73 22 3a 32 35 36 2c                                        # ieces":256,
      22 62 6c 6f 63 6b 53 69 67 6e 61 74 75 72 65 22 3a 22 45 42 45 53 45 78 # "blockSignature":"EBESEx
      51 56 46 68 63 59 47 52 6f 62 48 42 30 65 48 79 41 68 49 69 4d 6b 4a 53 # QVFhcYGRobHB0eHyAhIiMkJS
      59 6e 4b 43 6b 71 4b 79 77 74 4c 69 38 77 4d 54 49 7a 4e 44 55 32 4e 7a # YnKCkqKywtLi8wMTIzNDU2Nz
      67 35 4f 6a 73 38 50 54 34 5f 51 45 46 43 51 30 52 46 52 6b 64 49 53 55 # g5Ojs8PT4_QEFCQ0RFRkdISU
      70 4c 54 45 31 4f 54 77 22 2c                                           # pLTE1OTw",
      22 73 65 72 76 65 64 53 69 67 6e 61 74 75 72 65 22 3a 22 45 42 45 53 45 # "servedSignature":"EBESE
      78 51 56 46 68 63 59 47 52 6f 62 48 42 30 65 48 79 41 68 49 69 4d 6b 4a # xQVFhcYGRobHB0eHyAhIiMkJ
      53 59 6e 4b 43 6b 71 4b 79 77 74 4c 69 38 77 4d 54 49 7a 4e 44 55 32 4e # SYnKCkqKywtLi8wMTIzNDU2N
      7a 67 35 4f 6a 73 38 50 54 34 5f 51 45 46 43 51 30 52 46 52 6b 64 49 53 # zg5Ojs8PT4_QEFCQ0RFRkdIS
      55 70 4c 54 45 31 4f 54 77 22 2c                                        # UpLTE1OTw",
      22 62 6f 64 79 22 3a 33 7d                                              # "body":3}
      0a                                                                      # LF
      01 02 03                                                                # body
    `,
    message: {
      verb: "EVIDENCE",
      transfer: TRANSFER,
      sharer: CLEO,
      server: CLEO,
      block: 1,
      index: 300,
      pieces: 256,
      blockSignature: SIGNATURE,
      servedSignature: SIGNATURE,
    },
    body: "010203",
  },
  {
    name: "pieces are announced",
    hex: `
      48 41 56 45                                                             # HAVE
      20                                                                      # SP
      7b 22 74 72 61 6e 73 66 65 72 22 3a 22 73 4c 47 79 73 37 53 31 74 72 65 # {"transfer":"sLGys7S1tre
      34 75 62 71 37 76 4c 32 2d 76 77 22 2c                                  # 4ubq7vL2-vw",
      22 70 69 65 63 65 73 22 3a 5b 5b 30 2c 31 30 34 38 35 37 36 5d 5d 7d    # "pieces":[[0,1048576]]}
      0a                                                                      # LF
    `,
    message: { verb: "HAVE", transfer: TRANSFER, pieces: [[0, 1048576]] },
    body: "",
  },
  {
    name: "a piece is given to its first receiver",
    hex: `
      47 49 56 45                                                             # GIVE
      20                                                                      # SP
      7b 22 74 72 61 6e 73 66 65 72 22 3a 22 73 4c 47 79 73 37 53 31 74 72 65 # {"transfer":"sLGys7S1tre
      34 75 62 71 37 76 4c 32 2d 76 77 22 2c                                  # 4ubq7vL2-vw",
      22 69 6e 64 65 78 22 3a 37 7d                                           # "index":7}
      0a                                                                      # LF
    `,
    message: { verb: "GIVE", transfer: TRANSFER, index: 7 },
    body: "",
  },
  {
    name: "a request is taken back",
    hex: `
      57 49 54 48 44 52 41 57                                                 # WITHDRAW
      20                                                                      # SP
      7b 22 74 72 61 6e 73 66 65 72 22 3a 22 73 4c 47 79 73 37 53 31 74 72 65 # {"transfer":"sLGys7S1tre
      34 75 62 71 37 76 4c 32 2d 76 77 22 2c                                  # 4ubq7vL2-vw",
      22 69 6e 64 65 78 22 3a 37 7d                                           # "index":7}
      0a                                                                      # LF
    `,
    message: { verb: "WITHDRAW", transfer: TRANSFER, index: 7 },
    body: "",
  },
  {
    name: "two neighbours are named",
    hex: `
      4e 45 49 47 48 42 4f 55 52 53                                           # NEIGHBOURS
      20                                                                      # SP
      7b 22 74 72 61 6e 73 66 65 72 22 3a 22 73 4c 47 79 73 37 53 31 74 72 65 # {"transfer":"sLGys7S1tre
      34 75 62 71 37 76 4c 32 2d 76 77 22 2c                                  # 4ubq7vL2-vw",
      22 70 65 65 72 73 22 3a 5b 22 49 43 45 69 49 79 51 6c 4a 69 63 6f 4b 53 # "peers":["ICEiIyQlJicoKS
      6f 72 4c 43 30 75 4c 7a 41 78 4d 6a 4d 30 4e 54 59 33 4f 44 6b 36 4f 7a # orLC0uLzAxMjM0NTY3ODk6Oz
      77 39 50 6a 38 22 2c 22 51 45 46 43 51 30 52 46 52 6b 64 49 53 55 70 4c # w9Pj8","QEFCQ0RFRkdISUpL
      54 45 31 4f 54 31 42 52 55 6c 4e 55 56 56 5a 58 57 46 6c 61 57 31 78 64 # TE1OT1BRUlNUVVZXWFlaW1xd
      58 6c 38 22 5d 7d                                                       # Xl8"]}
      0a                                                                      # LF
    `,
    message: { verb: "NEIGHBOURS", transfer: TRANSFER, peers: [BEN, CLEO] },
    body: "",
  },
  {
    name: "a receiver comes to another one",
    hex: `
      53 57 41 52 4d                                                          # SWARM
      20                                                                      # SP
      7b 22 74 72 61 6e 73 66 65 72 22 3a 22 73 4c 47 79 73 37 53 31 74 72 65 # {"transfer":"sLGys7S1tre
      34 75 62 71 37 76 4c 32 2d 76 77 22 2c                                  # 4ubq7vL2-vw",
      22 73 68 61 72 65 72 22 3a 22 49 43 45 69 49 79 51 6c 4a 69 63 6f 4b 53 # "sharer":"ICEiIyQlJicoKS
      6f 72 4c 43 30 75 4c 7a 41 78 4d 6a 4d 30 4e 54 59 33 4f 44 6b 36 4f 7a # orLC0uLzAxMjM0NTY3ODk6Oz
      77 39 50 6a 38 22 7d                                                    # w9Pj8"}
      0a                                                                      # LF
    `,
    message: { verb: "SWARM", transfer: TRANSFER, sharer: BEN },
    body: "",
  },
  {
    name: "the same without identities",
    hex: `
      53 57 41 52 4d                                                          # SWARM
      20                                                                      # SP
      7b 22 74 72 61 6e 73 66 65 72 22 3a 22 73 4c 47 79 73 37 53 31 74 72 65 # {"transfer":"sLGys7S1tre
      34 75 62 71 37 76 4c 32 2d 76 77 22 7d                                  # 4ubq7vL2-vw"}
      0a                                                                      # LF
    `,
    message: { verb: "SWARM", transfer: TRANSFER },
    body: "",
  },
  {
    name: "a transfer is given up",
    hex: `
      43 41 4e 43 45 4c                                                       # CANCEL
      20                                                                      # SP
      7b 22 74 72 61 6e 73 66 65 72 22 3a 22 73 4c 47 79 73 37 53 31 74 72 65 # {"transfer":"sLGys7S1tre
      34 75 62 71 37 76 4c 32 2d 76 77 22 2c                                  # 4ubq7vL2-vw",
      22 63 6f 64 65 22 3a 22 73 6f 75 72 63 65 2d 63 68 61 6e 67 65 64 22 2c # "code":"source-changed",
      22 6d 65 73 73 61 67 65 22 3a 22 43 61 6e 6e 6f 74 20 73 65 6e 64 20 6c # "message":"Cannot send l
      6f 67 2e 74 78 74 3a 20 69 74 20 63 68 61 6e 67 65 64 22 7d             # og.txt: it changed"}
      0a                                                                      # LF
    `,
    message: {
      verb: "CANCEL",
      transfer: TRANSFER,
      code: "source-changed",
      message: "Cannot send log.txt: it changed",
    },
    body: "",
  },
  {
    name: "a share is reported",
    hex: `
      52 45 50 4f 52 54                                                       # REPORT
      20                                                                      # SP
      7b 22 73 65 71 22 3a 37 2c                                              # {"seq":7,
      22 73 68 61 72 65 22 3a 22 30 66 38 66 34 62 30 65 22 2c                # "share":"0f8f4b0e",
      22 6e 61 6d 65 22 3a 22 64 69 73 6b 2e 69 6d 67 22 2c                   # "name":"disk.img",
      22 73 69 7a 65 22 3a 31 30 30 30 2c                                     # "size":1000,
      22 61 74 22 3a 22 32 30 32 35 2d 30 31 2d 30 32 54 30 33 3a 30 34 3a 30 # "at":"2025-01-02T03:04:0
      35 2e 36 37 38 5a 22 2c                                                 # 5.678Z",
      22 74 6f 74 61 6c 22 3a 32 2c                                           # "total":2,
      22 72 65 63 69 70 69 65 6e 74 73 22 3a 5b 7b 22 69 64 22 3a 22 51 45 46 # "recipients":[{"id":"QEF
      43 51 30 52 46 52 6b 64 49 53 55 70 4c 54 45 31 4f 54 31 42 52 55 6c 4e # CQ0RFRkdISUpLTE1OT1BRUlN
      55 56 56 5a 58 57 46 6c 61 57 31 78 64 58 6c 38 22 2c                   # UVVZXWFlaW1xdXl8",
      22 6e 61 6d 65 22 3a 22 63 6c 65 6f 22 2c 22 73 74 61 74 65 22 3a 22 61 # "name":"cleo","state":"a
      63 63 65 70 74 65 64 22 2c                                              # ccepted",
      22 62 79 74 65 73 22 3a 31 30 2c 22 73 6f 75 72 63 65 73 22 3a 32 7d 5d # "bytes":10,"sources":2}]
      2c                                                                      # ,
      22 6f 76 65 72 22 3a 66 61 6c 73 65 7d                                  # "over":false}
      0a                                                                      # LF
    `,
    message: {
      verb: "REPORT",
      seq: 7,
      share: "0f8f4b0e",
      name: "disk.img",
      size: 1000,
      at: "2025-01-02T03:04:05.678Z",
      total: 2,
      recipients: [{ id: CLEO, name: "cleo", state: "accepted", bytes: 10, sources: 2 }],
      over: false,
    },
    body: "",
  },
  {
    name: "the shares that are known are asked for",
    hex: `
      53 48 41 52 45 53                                                       # SHARES
      20                                                                      # SP
      7b 22 73 65 71 22 3a 38 2c                                              # {"seq":8,
      22 73 74 61 72 74 22 3a 30 2c                                           # "start":0,
      22 66 72 6f 6d 22 3a 22 51 45 46 43 51 30 52 46 52 6b 64 49 53 55 70 4c # "from":"QEFCQ0RFRkdISUpL
      54 45 31 4f 54 31 42 52 55 6c 4e 55 56 56 5a 58 57 46 6c 61 57 31 78 64 # TE1OT1BRUlNUVVZXWFlaW1xd
      58 6c 38 22 2c                                                          # Xl8",
      22 73 68 61 72 65 22 3a 22 30 66 38 66 34 62 30 65 22 7d                # "share":"0f8f4b0e"}
      0a                                                                      # LF
    `,
    message: { verb: "SHARES", seq: 8, start: 0, from: CLEO, share: "0f8f4b0e" },
    body: "",
  },
  {
    name: "a share and who has it",
    hex: `
      53 48 41 52 45 5f 4c 49 53 54                                           # SHARE_LIST
      20                                                                      # SP
      7b 22 72 65 22 3a 38 2c                                                 # {"re":8,
      22 73 68 61 72 65 73 22 3a 5b 7b 22 66 72 6f 6d 22 3a 22 51 45 46 43 51 # "shares":[{"from":"QEFCQ
      30 52 46 52 6b 64 49 53 55 70 4c 54 45 31 4f 54 31 42 52 55 6c 4e 55 56 # 0RFRkdISUpLTE1OT1BRUlNUV
      56 5a 58 57 46 6c 61 57 31 78 64 58 6c 38 22 2c                         # VZXWFlaW1xdXl8",
      22 73 65 6e 64 65 72 22 3a 22 63 6c 65 6f 22 2c 22 73 68 61 72 65 22 3a # "sender":"cleo","share":
      22 30 66 38 66 34 62 30 65 22 2c                                        # "0f8f4b0e",
      22 6e 61 6d 65 22 3a 22 64 69 73 6b 2e 69 6d 67 22 2c 22 73 69 7a 65 22 # "name":"disk.img","size"
      3a 31 30 30 30 2c                                                       # :1000,
      22 61 74 22 3a 22 32 30 32 35 2d 30 31 2d 30 32 54 30 33 3a 30 34 3a 30 # "at":"2025-01-02T03:04:0
      35 2e 36 37 38 5a 22 2c                                                 # 5.678Z",
      22 74 6f 74 61 6c 22 3a 31 2c 22 64 65 6c 69 76 65 72 65 64 22 3a 30 2c # "total":1,"delivered":0,
      22 66 61 69 6c 65 64 22 3a 31 2c                                        # "failed":1,
      22 73 74 61 74 65 22 3a 22 6f 76 65 72 22 7d 5d 2c                      # "state":"over"}],
      22 72 65 63 69 70 69 65 6e 74 73 22 3a 5b 7b 22 6e 61 6d 65 22 3a 22 62 # "recipients":[{"name":"b
      6f 62 22 2c                                                             # ob",
      22 73 74 61 74 65 22 3a 22 66 61 69 6c 65 64 22 2c 22 63 6f 64 65 22 3a # "state":"failed","code":
      22 64 69 73 6b 22 7d 5d 2c                                              # "disk"}],
      22 6d 6f 72 65 22 3a 66 61 6c 73 65 7d                                  # "more":false}
      0a                                                                      # LF
    `,
    message: {
      verb: "SHARE_LIST",
      re: 8,
      shares: [{
        from: CLEO,
        sender: "cleo",
        share: "0f8f4b0e",
        name: "disk.img",
        size: 1000,
        at: "2025-01-02T03:04:05.678Z",
        total: 1,
        delivered: 0,
        failed: 1,
        state: "over",
      }],
      recipients: [{ name: "bob", state: "failed", code: "disk" }],
      more: false,
    },
    body: "",
  },
];

/** The bytes of commented hexadecimal text. */
export function bytesOf(hex: string): Uint8Array<ArrayBuffer> {
  return decodeHex(hex.replace(/#.*$/gm, "").replace(/\s+/g, ""));
}

/** The bytes of a golden frame. */
export function frameBytes(frame: GoldenFrame): Uint8Array<ArrayBuffer> {
  return bytesOf(frame.hex);
}

/** A source and what it has seen. */
export interface PlayedSource extends ByteSource {
  /** Calls of `read` so far. */
  reads: number;
  /** The largest buffer that a call brought, in bytes. */
  largest: number;
}

/**
 * A source that gives `bytes` in chunks of at most the given sizes, over and over, and then ends. After
 * many more reads than a reader needs it throws, so that a reader that spins fails its test.
 */
export function play(bytes: Uint8Array, sizes: readonly number[] = [65536]): PlayedSource {
  let at = 0;
  return {
    reads: 0,
    largest: 0,
    read(into) {
      if (into.length === 0) return Promise.reject(new Error("read into an empty buffer"));
      if (this.reads > bytes.length + 16) return Promise.reject(new Error("the reader spins"));
      const size = sizes[this.reads % sizes.length] ?? 1;
      this.reads++;
      this.largest = Math.max(this.largest, into.length);
      if (at === bytes.length) return Promise.resolve(null);
      const chunk = bytes.subarray(at, at + Math.min(size, into.length));
      into.set(chunk);
      at += chunk.length;
      return Promise.resolve(chunk.length);
    },
  };
}

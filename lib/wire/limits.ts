/**
 * The caps of the wire format, one place for all of them. PROTOCOL.md, "Limits", lists the same numbers.
 *
 * @module
 */

/** The protocol version in HELLO. Two sides with different versions part at once. */
export const PROTOCOL_VERSION = 1;

/** Longest header line in bytes, without its LF. */
export const MAX_HEADER = 64 * 1024;

/** Longest verb in characters. */
export const MAX_VERB = 16;

/** Longest text of a message or broadcast in bytes of UTF-8. */
export const MAX_TEXT = 16 * 1024;

/** Largest piece in bytes: a piece is held in memory by everybody who has to do with it. */
export const MAX_PIECE = 4 * 1024 * 1024;

/** Smallest piece in bytes that a receiver accepts; bounds the number of hashes a size implies. */
export const MIN_PIECE = 16 * 1024;

/** Bytes of one SHA-256. */
export const HASH_BYTES = 32;

/** Most piece hashes in one HASHES frame. */
export const MAX_HASHES = 2048;

/** Most pieces in one transfer, which bounds what a receiver keeps in memory for hashes (32 MiB). */
export const MAX_PIECES = 1024 * 1024;

/** Entries in one PEER_LIST frame unless PEERS asks for more, so that the longest ones fit its header. */
export const PEERS_PER_FRAME = 48;

/** Most entries in one PEER_LIST frame that PEERS may ask for; longer ones than usual come in fewer. */
export const MAX_PEERS_PER_FRAME = 256;

/** Most addresses of a peer beside the one that the tracker has seen. */
export const MAX_ADDRESSES = 8;

/** Most barred ids in one PEER_LIST frame. */
export const MAX_BARRED = 512;

/** Ids in the answer to one BROADCAST; of more recipients only the number is told. */
export const MAX_TOLD = 1000;

/** Most recipients in one REPORT or SHARE_LIST, so that the longest ones fit its header. */
export const REPORTED_RECIPIENTS = 64;

/** Longest name in a REPORT in bytes of UTF-8. */
export const MAX_REPORTED_NAME = 255;

/** Shares in one SHARE_LIST. */
export const SHARES_PER_FRAME = 24;

/** Most ranges of pieces in one ACK or HAVE, so that the longest ones fit its header. */
export const MAX_RANGES = 2048;

/** Most recipients that a sharer names as neighbours in one frame, and that one has as neighbours because of it. */
export const MAX_NEIGHBOURS = 16;

/** Pieces whose hashes a sharer signs together; the last of a transfer may be fewer. */
export const BLOCK_PIECES = 256;

/** Most pieces that a member of a swarm signs for at a time. */
export const MAX_SERVED = 64;

/** Bytes of one of them in SERVED: index, hash, digest of the block. */
export const SERVED_ENTRY = 68;

/** Most pieces of what a swarm shares: each member remembers of all its neighbours which they have. */
export const MAX_SWARM_PIECES = 64 * 1024;

/** Longest file name on the wire in bytes of UTF-8; what is kept may be shorter. */
export const MAX_NAME = 4096;

/** Largest body of a verb that this version does not know; it is read and dropped. */
export const MAX_UNKNOWN_BODY = 64 * 1024;

/** Largest table of a tree in bytes: about half a million entries. */
export const MAX_TABLE = 64 * 1024 * 1024;

/** Longest line of such a table in bytes, with its LF: the longest path takes 24 KiB when all of it is escaped. */
export const MAX_TABLE_LINE = 32 * 1024;

/**
 * The catalogue of what the two programs report. Each event is one JSON line with `--json` and some
 * text without it; the fields are a stable interface, so they are added to, not changed.
 *
 * Strings that a remote chose (names, texts, reasons) are raw here: the outputs make them safe.
 *
 * @module
 */

import type { ErrorCode } from "./errors.ts";

/** This process accepts connections. */
export interface ListeningEvent {
  event: "listening";
  host: string;
  port: number;
  /** Own peer id, or the tracker's id. */
  id: string;
  /** A peer's own name. */
  name?: string;
  /** A peer's absolute path of `received_files/`; a tracker has none. */
  inbox?: string;
  /** What another machine joins with. */
  invite?: string;
  /** Of a tracker: only this machine can reach it, and the invite is of no use on others. */
  local?: true;
  /** Of a tracker: it passes bytes on between peers that have no other path. */
  relay?: true;
  /** False with `--insecure`. */
  secure: boolean;
}

/** A page, an API and metrics are served. */
export interface HttpEvent {
  event: "http";
  /** Of the page; with a token, where one is needed. */
  url: string;
}

/** The tracker lists this peer. */
export interface RegisteredEvent {
  event: "registered";
  /** The tracker's address, `host:port`. */
  tracker: string;
  /** The name that the tracker gave; it may have a suffix (`laptop-2`). */
  name: string;
  host: string;
  port: number;
  /** Where else it is listed, as `host:port`. */
  addresses?: string[];
  /** Whether the tracker could dial back. */
  reachable: boolean;
  /** Why it could not, and which port to open. */
  reason?: string;
  /** Address of a peer with the same key that was there, and has been sent away: a state folder is used twice. */
  replaced?: string;
}

/** The tracker does not list this peer any longer, as it asked. */
export interface UnregisteredEvent {
  event: "unregistered";
}

/** The session to the tracker broke; the peer goes on and tries to come back. */
export interface TrackerLostEvent {
  event: "tracker-lost";
  reason: string;
}

/** Another peer appeared. */
export interface PeerJoinedEvent {
  event: "peer-joined";
  id: string;
  name: string;
  address: string;
}

/** Another peer is gone. */
export interface PeerLeftEvent {
  event: "peer-left";
  id: string;
  name: string;
  address: string;
  reason?: string;
}

/** One line of `peers`. */
export interface PeerEvent {
  event: "peer";
  id: string;
  name: string;
  address: string;
  /** Where else it can be had. */
  addresses?: string[];
  reachable: boolean;
  /** Groups that it says it is in. */
  groups?: string[];
  /** This user reached it through the tracker last, since there was no direct path. */
  via?: "relay";
  /** Of `tracker peers`: the tracker was restarted and remembers it, and it has not come back yet. */
  away?: true;
}

/** How a peer was reached. */
export interface Path {
  /**
   * `dialled-back`: it opened the connection, having been asked to, or to send something itself. `relay`: the tracker
   * passes the bytes on, which it can't read.
   */
  via: "direct" | "dialled-back" | "relay";
  /** Its end of the connection: what was dialled, or where it dialled from; with `relay` the tracker's address. */
  address: string;
}

/** A peer answered a ping. */
export interface PongEvent extends Path {
  event: "pong";
  peer: string;
  /** Round trip in milliseconds. */
  ms: number;
}

/** A message or broadcast arrived. */
export interface MessageEvent {
  event: "message";
  /** The message's id. */
  id: string;
  /** The author's peer id. */
  from: string;
  /** The author's name. */
  name: string;
  text: string;
  /** When the author sent it by its own clock, ISO 8601. */
  sent: string;
}

/** A broadcast of ours went out. */
export interface BroadcastSentEvent {
  event: "broadcast-sent";
  id: string;
  /** How many peers got it. */
  delivered: number;
  /** Who got it, and who did not; absent when they are too many for the tracker to name. */
  recipients?: BroadcastRecipient[];
}

/** What became of a broadcast for one peer. */
export interface BroadcastRecipient {
  /** Its name. */
  peer: string;
  id: string;
  state: "delivered" | "failed";
  error?: { code: string; message: string };
}

/** A transfer began. */
export interface TransferStartedEvent {
  event: "transfer-started";
  transfer: string;
  name: string;
  /** In bytes; null for a stream whose end is not known. */
  size: number | null;
  direction: "send" | "receive";
  /** Of a folder that is sent: how many files are in it. */
  files?: number;
  /** Names of the recipients, or of the one sender. */
  peers: string[];
}

/** How far one recipient is. Output is thinned out: not every one of these is shown. */
export interface TransferProgressEvent {
  event: "transfer-progress";
  transfer: string;
  peer: string;
  /** Verified so far. */
  bytes: number;
  size: number | null;
  /** Bytes per second. */
  rate: number;
  /** Of a folder: files that are complete. */
  files?: number;
  /** Of how many peers the recipient has it, where it says so. */
  sources?: number;
}

/** What has become of a transfer for one recipient, as it happens. */
export interface TransferRecipientEvent {
  event: "transfer-recipient";
  transfer: string;
  /** Name of the recipient, or what `--to` called somebody who is not there. */
  peer: string;
  /** Id of the recipient; empty when there is none. */
  id: string;
  /** `delivered` and `already`: verified and synced there. */
  state: "offered" | "accepted" | "delivered" | "already" | "failed";
  savedAs?: string;
  error?: { code: string; message: string };
}

/** A recipient asks a person before it takes what is offered. */
export interface TransferWaitingEvent {
  event: "transfer-waiting";
  transfer: string;
  name: string;
  peer: string;
}

/** Somebody has come meanwhile, and gets it as well. */
export interface TransferJoinedEvent {
  event: "transfer-joined";
  transfer: string;
  name: string;
  peer: string;
}

/** Whether the recipients of a swarm can have all that they lack of each other, so that the sender may leave. */
export interface TransferSpreadEvent {
  event: "transfer-spread";
  transfer: string;
  name: string;
  /** False when somebody has gone who alone had a part of it. */
  spread: boolean;
}

/** Pieces for a recipient go through the tracker from now on, or no longer. */
export interface TransferPathEvent extends Path {
  event: "transfer-path";
  transfer: string;
  peer: string;
}

/** A recipient is tried again. */
export interface TransferRetryEvent {
  event: "transfer-retry";
  transfer: string;
  peer: string;
  /** 1 for the first retry. */
  attempt: number;
  reason: string;
}

/** How a transfer ended for one recipient, and on which path; without one that has failed before there was any. */
export interface RecipientResult extends Partial<Path> {
  /** Name of the recipient, or what `--to` called somebody who is not there. */
  peer: string;
  /** Id of the recipient; empty when there is none. */
  id: string;
  /** `already`: it had this very file from us before and made no second copy. */
  state: "delivered" | "already" | "failed";
  /** The name the recipient keeps it under. */
  savedAs?: string;
  error?: { code: string; message: string };
}

/** A transfer that we sent ended for all its recipients. */
export interface TransferFinishedEvent {
  event: "transfer-finished";
  transfer: string;
  name: string;
  size: number;
  /** In hex; null when the file was not read from beginning to end. */
  sha256: string | null;
  /** Of a folder: how many files are in it. */
  files?: number;
  /** Bytes of pieces on the wire. */
  bytesSent: number;
  seconds: number;
  recipients: RecipientResult[];
}

/** One line of `shares`: something that was sent, and who has it. */
export interface ShareEvent {
  event: "share";
  id: string;
  /** Whether it is being sent now. */
  running: boolean;
  /** When it was begun, ISO 8601. */
  at: string;
  name: string;
  size: number;
  /** Of a folder: how many files are in it. */
  files?: number;
  /** Where it is read: of one of this user's. */
  path?: string;
  /** Name or id of the sender: of one that was reported to the tracker. */
  sender?: string;
  /** Name of the recipient, of an own one that has one alone. */
  peer?: string;
  /** How many recipients there are, how many of them have it, and how many have failed. */
  recipients: number;
  delivered: number;
  failed: number;
}

/** One line of `shares ID`: where a recipient stands. */
export interface ShareRecipientEvent extends Omit<TransferRecipientEvent, "event" | "transfer"> {
  event: "share-recipient";
  /** Verified so far, as it was reported to the tracker. */
  bytes?: number;
  /** Of how many peers the recipient has it. */
  sources?: number;
  /** Id of the share. */
  share: string;
  /** Bytes of all of it. */
  size: number;
}

/** A file arrived, was verified and is on disk. */
export interface FileReceivedEvent {
  event: "file-received";
  transfer: string;
  /** Absolute. */
  path: string;
  size: number;
  /** In hex; null of a folder, and where this end has not seen all pieces in order in one run. */
  sha256: string | null;
  /** Of a folder: how many files are in it. */
  files?: number;
  /** The sender's name, or its id when it has none. */
  from: string;
  seconds: number;
  /** Bytes of pieces that came for it in this run. */
  bytesReceived: number;
  /** The sender sent it before; no second copy was made. */
  already?: boolean;
  /** It came through the tracker, at least the last of it. */
  via?: "relay";
}

/** A file did not arrive. What is missing may still be resumed. */
export interface ReceiveFailedEvent {
  event: "receive-failed";
  transfer: string;
  name: string;
  /** The sender's name, or its id when it has none. */
  from: string;
  code: string;
  message: string;
  /** The flag of this peer that it was turned down by, without its dashes. */
  flag?: string;
}

/** One line of `history`. */
export interface HistoryEvent {
  event: "history";
  direction: "send" | "receive";
  /** When it ended, ISO 8601. */
  at: string;
  name: string;
  size: number;
  peer: string;
  /** `delivered`, `already`, `received`, `failed`. */
  state: string;
  /** Where a received file was saved, or a sent one was read. */
  path?: string;
  sha256?: string;
  /** Name of the peer of this user that it was: all of them share the history. */
  as?: string;
}

/** A transfer that has not come to its end, in `history`. */
export interface UnfinishedEvent {
  event: "unfinished";
  /** For `resume` and `forget`. */
  id: string;
  direction: "send" | "receive";
  /** When it was begun, or went on last, ISO 8601. */
  at: string;
  name: string;
  size: number | null;
  /** Received so far; what a recipient has only that one knows. */
  bytes?: number;
  /** Names of those who do not have it, or the sender's name or id. */
  peers: string[];
  /** Where it is read. */
  path?: string;
}

/** What an entry of the queue holds: a file or folder, or a message. */
export interface QueuedContent {
  /** Of a file or folder. */
  name?: string;
  /** Bytes when it was queued. */
  size?: number;
  /** Absolute. */
  path?: string;
  /** Id of a message, the same for all who get it. */
  message?: string;
  text?: string;
}

/** Something waits for a recipient who is not there: it has been queued, or is listed by `queue`. */
export interface QueuedEvent extends QueuedContent {
  event: "queued";
  /** For `queue cancel`; what was queued at once has the part before the dash in common. */
  id: string;
  /** When it was queued, and when it is given up, ISO 8601. */
  at: string;
  until: string;
  /** The recipient's name, or its id when it has none. */
  peer: string;
  recipient: string;
  tries: number;
  /** `failed` is tried again when the recipient comes back anew, or it is queued again. */
  state: "waiting" | "trying" | "failed";
  /** Why the last try failed, or the file cannot be read now. */
  reason?: string;
  /** It has changed since it was queued: what is there then is sent. */
  changed?: boolean;
}

/** What was in the queue is no longer. */
export interface DequeuedEvent extends QueuedContent {
  event: "dequeued";
  id: string;
  why: "delivered" | "expired" | "cancelled";
  peer: string;
  recipient: string;
  tries: number;
  /** It had changed since it was queued: what was there now was sent. */
  changed?: boolean;
}

/** One line of `receipts`: what a recipient has signed. */
export interface ReceiptEvent {
  event: "receipt";
  /** The name that the recipient is known by here. */
  peer?: string;
  /** Id of the peer that has verified it and has it on disk. */
  recipient: string;
  network: string;
  transfer: string;
  /** Id of the peer that sent it. */
  sender: string;
  /** The name it is kept under. */
  name: string;
  /** Bytes of the transfer; those of a folder with its table. */
  size: number;
  /** Hex, of a file. */
  sha256?: string;
  /** Id of the manifest in hex, where the SHA-256 is not what was signed. */
  manifest?: string;
  /** When, ISO 8601, by the recipient's clock. */
  time: string;
  /** Base64url. */
  signature: string;
  /** With `receipts verify`: its signature is right. */
  verified?: boolean;
}

/** The answer to `tracker invite`. */
export interface InviteEvent {
  event: "invite";
  invite: string;
  /** Other addresses of this machine, which the invite does not name and may. */
  addresses?: string[];
  /** The tracker is on loopback: the invite is of no use on other machines. */
  local?: true;
}

/** One thing that is shared. */
export interface SharedItem {
  name: string;
  /** In bytes; null when it is not known before. */
  size: number | null;
  /** Of a folder: how many files are in it. */
  files?: number;
}

/** A share waits for peers. */
export interface SharingEvent {
  event: "sharing";
  /** What is pasted at `peer receive` on another machine. */
  invite: string;
  host: string;
  port: number;
  /** The sharer's id. */
  id: string;
  items: SharedItem[];
  /** To how many peers; null until it is interrupted. */
  wanted: number | null;
  /** Other addresses of this machine, which the invite does not name and may. */
  addresses?: string[];
  /** The invite is of no use on other machines. */
  local?: true;
}

/** A peer has got all that is shared. */
export interface ShareDeliveredEvent {
  event: "share-delivered";
  id: string;
  /** The peer's name. */
  peer: string;
  /** How many peers have got everything by now. */
  delivered: number;
  /** To how many peers; null until it is interrupted. */
  wanted: number | null;
}

/** A peer was barred from the network. */
export interface RemovedEvent {
  event: "removed";
  id: string;
  /** The name that it had; absent when it was not there. */
  name?: string;
}

/** A peer is proven to have signed wrong data in a swarm: no one takes pieces of it any more. */
export interface ConvictedEvent {
  event: "convicted";
  id: string;
  /** Its name, or its id where there is none. */
  name: string;
  /** The transfer in which it did; absent at a tracker. */
  transfer?: string;
}

/** One line of `tracker removed`: somebody who is barred from the network. */
export interface BarredEvent {
  event: "barred";
  id: string;
  /** The name that it had; absent when it was not there. */
  name?: string;
}

/** Somebody who was barred may join again. */
export interface RestoredEvent {
  event: "restored";
  id: string;
  /** The name that it had. */
  name?: string;
}

/** Something a person may want to know. */
export interface NoticeEvent {
  event: "notice";
  message: string;
}

/** A command failed, or cannot send a part of what it was to send. */
export interface ErrorEvent {
  event: "error";
  code: ErrorCode;
  message: string;
  /** What to choose from, for example peers that a prefix fits. */
  candidates?: readonly string[];
}

/** Everything that the programs report, told apart by `event`. */
export type AppEvent =
  | ListeningEvent
  | HttpEvent
  | RegisteredEvent
  | UnregisteredEvent
  | TrackerLostEvent
  | PeerJoinedEvent
  | PeerLeftEvent
  | PeerEvent
  | PongEvent
  | MessageEvent
  | BroadcastSentEvent
  | TransferStartedEvent
  | TransferProgressEvent
  | TransferRecipientEvent
  | TransferWaitingEvent
  | TransferJoinedEvent
  | TransferSpreadEvent
  | TransferPathEvent
  | TransferRetryEvent
  | TransferFinishedEvent
  | FileReceivedEvent
  | ReceiveFailedEvent
  | HistoryEvent
  | UnfinishedEvent
  | ShareEvent
  | ShareRecipientEvent
  | QueuedEvent
  | DequeuedEvent
  | ReceiptEvent
  | InviteEvent
  | SharingEvent
  | ShareDeliveredEvent
  | RemovedEvent
  | BarredEvent
  | RestoredEvent
  | ConvictedEvent
  | NoticeEvent
  | ErrorEvent;

/**
 * The command lines of the two programs, as tables.
 *
 * @module
 */

import { ExitCode } from "../../errors.ts";
import { type CommandSpec, type FlagSpec, MAX_PORT, type ProgramSpec } from "./spec.ts";

/** Meanings of the exit codes, at the end of every help. */
const EXIT_CODES: [string, string][] = [
  [`${ExitCode.done}`, "done"],
  [`${ExitCode.unexpected}`, "something unexpected"],
  [`${ExitCode.usage}`, "wrong usage"],
  [`${ExitCode.trackerUnreachable}`, "the tracker is unreachable"],
  [`${ExitCode.peerUnreachable}`, "a peer is unknown or unreachable"],
  [`${ExitCode.integrity}`, "a file failed its check"],
  [`${ExitCode.unauthorised}`, "not authorised"],
  [`${ExitCode.partialDelivery}`, "delivered to some or in part, but not all"],
  [`${ExitCode.local}`, "a file, disk, address or port of this machine"],
  [`${ExitCode.interrupted}`, "interrupted"],
];

/** Flags that both programs have. */
const SHARED_FLAGS: FlagSpec[] = [
  {
    name: "state",
    kind: "string",
    env: "P2P_STATE",
    placeholder: "DIR",
    help:
      "Where keys, the network and history are kept; by default the state folder of this user. " +
      "A tracker keeps nothing with :memory:",
  },
  {
    name: "json",
    kind: "boolean",
    env: "P2P_JSON",
    help: "One JSON object per line on standard output; text for people goes to standard error",
  },
  {
    name: "quiet",
    kind: "boolean",
    env: "P2P_QUIET",
    help: "Show results and errors only",
  },
  {
    name: "insecure",
    kind: "boolean",
    env: "P2P_INSECURE",
    help: "No encryption and no identities, on both sides; for benchmarks and packet captures",
  },
];

/** Common flags of every command. */
const ALWAYS = ["state", "json", "quiet"];
/** Common flags of the commands that talk to the running tracker. */
const OPERATOR = ["host", "port", "insecure", ...ALWAYS];
/** The same where keys are what it is about: with `--insecure` nobody is invited or barred. */
const OPERATOR_WITH_KEYS = ["host", "port", ...ALWAYS];

/** Flag of what runs until it is interrupted: a tracker and a peer beside it have their own variables. */
const HTTP: FlagSpec = {
  name: "http",
  kind: "address",
  env: "P2P_HTTP",
  min: 0,
  placeholder: "HOST[:PORT]",
  help: "Serve a page, an API and metrics there, for example at 127.0.0.1:8080; who is not on " +
    "this machine needs the token that is shown",
};

const PEER_HTTP: FlagSpec = { ...HTTP, env: "P2P_PEER_HTTP" };

const TRACKER_RUN: CommandSpec = {
  name: "run",
  summary: "run the tracker until it is interrupted",
  usage: "[run] [flags]",
  positionals: { min: 0, max: 0, names: [] },
  flags: [
    {
      name: "advertise",
      kind: "address",
      env: "P2P_ADVERTISE",
      placeholder: "HOST[:PORT]",
      help: "The address that the invite names, where it differs from the one listened on",
    },
    {
      name: "map-port",
      kind: "boolean",
      env: "P2P_MAP_PORT",
      help: "Have the router lead its port to this machine (by PCP, NAT-PMP or UPnP); the invite " +
        "names its address too",
    },
    HTTP,
    {
      name: "ping-after",
      kind: "seconds",
      env: "P2P_PING_AFTER",
      placeholder: "SECONDS",
      help: "Ping a peer that has been silent for so long",
      default: "20",
    },
    {
      name: "pong-timeout",
      kind: "seconds",
      env: "P2P_PONG_TIMEOUT",
      placeholder: "SECONDS",
      help: "Drop a peer that does not answer the ping in time",
      default: "5",
    },
    {
      name: "allow-advertise",
      kind: "boolean",
      env: "P2P_ALLOW_ADVERTISE",
      help:
        "List peers behind a port mapping under the address they ask for, once dialled back there",
    },
    {
      name: "relay",
      kind: "boolean",
      env: "P2P_RELAY",
      help: "Pass bytes on between peers that have no other path; it can't read them",
    },
    {
      name: "relay-rate",
      kind: "size",
      env: "P2P_RELAY_RATE",
      placeholder: "SIZE",
      help:
        "With --relay: pass on at most so many bytes per second, of all together; 10M is 10 MiB/s",
      min: 1024,
    },
  ],
  common: OPERATOR,
  examples: ["tracker", "tracker --host 0.0.0.0", "tracker run --port 6000 --json"],
};

/** The command line of `tracker`. */
export const TRACKER_PROGRAM: ProgramSpec = {
  name: "tracker",
  summary: "knows which peers are there, so that they find each other",
  defaultCommand: "run",
  commands: [
    TRACKER_RUN,
    {
      name: "invite",
      summary: "print the invite that lets other machines join",
      usage: "invite [--rotate] [flags]",
      positionals: { min: 0, max: 0, names: [] },
      flags: [
        {
          name: "rotate",
          kind: "boolean",
          help: "Make a new secret first: earlier invites stop working",
        },
      ],
      common: OPERATOR_WITH_KEYS,
      examples: ["tracker invite", "tracker invite --rotate"],
    },
    {
      name: "peers",
      summary: "list the peers that are there",
      usage: "peers [flags]",
      positionals: { min: 0, max: 0, names: [] },
      flags: [],
      common: OPERATOR,
      examples: ["tracker peers", "tracker peers --json"],
    },
    {
      name: "shares",
      summary: "list what members send, and who has it; of one share, each recipient",
      usage: "shares [<id>] [flags]",
      positionals: { min: 0, max: 1, names: ["id"] },
      flags: [],
      common: OPERATOR,
      examples: ["tracker shares", "tracker shares 3fA9c2d1"],
    },
    {
      name: "broadcast",
      summary: "send a message to every peer",
      usage: "broadcast <message> [flags]",
      positionals: { min: 1, max: Infinity, names: ["message"] },
      flags: [],
      common: OPERATOR,
      examples: ["tracker broadcast 'Back in five minutes'"],
    },
    {
      name: "remove",
      summary: "bar a peer from the network, until it is restored",
      usage: "remove <peer> [flags]",
      positionals: { min: 1, max: 1, names: ["peer"] },
      flags: [],
      common: OPERATOR_WITH_KEYS,
      examples: ["tracker remove laptop", "tracker remove id:3fA9c2d1"],
    },
    {
      name: "removed",
      summary: "list who was removed",
      usage: "removed [flags]",
      positionals: { min: 0, max: 0, names: [] },
      flags: [],
      common: ALWAYS,
      examples: ["tracker removed"],
    },
    {
      name: "restore",
      summary: "let a peer that was removed join again",
      usage: "restore <peer> [flags]",
      positionals: { min: 1, max: 1, names: ["peer"] },
      flags: [],
      common: OPERATOR_WITH_KEYS,
      examples: ["tracker restore laptop", "tracker restore id:3fA9c2d1"],
    },
  ],
  commonFlags: [
    {
      name: "host",
      kind: "string",
      env: "P2P_HOST",
      placeholder: "HOST",
      help: "Where the tracker listens; 0.0.0.0 opens it to other machines, :: by IPv6 too",
      default: "localhost",
    },
    {
      name: "port",
      kind: "integer",
      env: "P2P_PORT",
      placeholder: "PORT",
      help: "The port that the tracker listens on; 0 takes a free one",
      default: "5000",
      max: MAX_PORT,
    },
    ...SHARED_FLAGS,
  ],
  sections: [{ title: "Exit codes", rows: EXIT_CODES }],
};

const PEER_FLAGS: FlagSpec[] = [
  {
    name: "join",
    kind: "string",
    env: "P2P_JOIN",
    placeholder: "INVITE",
    help:
      "Join the network of this invite, which is then remembered; - asks for it, or reads it from " +
      "standard input: an argument is in the list of processes, its secret too",
  },
  {
    name: "tracker",
    kind: "address",
    env: "P2P_TRACKER",
    placeholder: "HOST:PORT",
    help: "The tracker, where it is not the one of the invite or of the last time",
    default: "localhost:5000",
  },
  {
    name: "name",
    kind: "string",
    env: "P2P_NAME",
    placeholder: "NAME",
    help: "What others see this peer as; by default the name of this machine",
  },
  {
    name: "host",
    kind: "string",
    env: "P2P_PEER_HOST",
    placeholder: "HOST",
    help:
      "Listen on this address; auto takes all of this machine, or loopback when the tracker is there alone",
    default: "auto",
  },
  {
    name: "port",
    kind: "integer",
    env: "P2P_PEER_PORT",
    placeholder: "PORT",
    help: "Listen on this port; 0 takes a free one",
    default: "0",
    max: MAX_PORT,
  },
  {
    name: "advertise",
    kind: "address",
    env: "P2P_PEER_ADVERTISE",
    placeholder: "HOST[:PORT]",
    help: "The IP address that others dial, where it differs from the one listened on",
  },
  {
    name: "map-port",
    kind: "boolean",
    env: "P2P_PEER_MAP_PORT",
    help: "Have the router lead a port to this machine (by PCP, NAT-PMP or UPnP), so that others " +
      "beyond it dial in",
  },
  {
    name: "received",
    kind: "string",
    env: "P2P_RECEIVED",
    placeholder: "DIR",
    help: "Where files that arrive are kept",
    default: "received_files",
  },
  {
    name: "group",
    kind: "string",
    env: "P2P_GROUP",
    placeholder: "NAME,NAME",
    help: "Groups that this peer is in: --to @NAME sends to all who are in one",
  },
  {
    name: "accept",
    kind: "string",
    env: "P2P_ACCEPT",
    placeholder: "ask|members|PEER,PEER",
    help:
      "Who may put files into the inbox: whoever the menu's person lets, every member, or these " +
      "peers (names, or id: and 8 or more characters of an id)",
    default: "members",
  },
  {
    name: "max-size",
    kind: "size",
    env: "P2P_MAX_SIZE",
    placeholder: "SIZE",
    help: "Refuse files larger than this, in bytes or for example 10G (10 GiB)",
  },
  {
    name: "keep-partials",
    kind: "seconds",
    env: "P2P_KEEP_PARTIALS",
    placeholder: "SECONDS",
    help: "How long what was received in part waits for its sender, checked at start",
    default: "168h",
  },
  {
    name: "quota",
    kind: "size",
    env: "P2P_QUOTA",
    placeholder: "SIZE",
    help: "Refuse files with which the inbox would hold more than this in all, " +
      "unfinished ones, folders and blocks included",
  },
];

/** Common flags that say which network. */
const NETWORK = ["join", "tracker", "insecure"];
/** Common flags of the commands that open sessions: a peer that cannot be dialled dials back, to this port. */
const DIALLING = [...NETWORK, "port"];
/** Common flags of the commands that are listed and receive. */
const RECEIVING = [
  ...NETWORK,
  "name",
  "advertise",
  "host",
  "port",
  "map-port",
  "received",
  "group",
  "accept",
  "max-size",
  "keep-partials",
  "quota",
  ...ALWAYS,
];

/** Flag of the commands that go on when something has arrived. */
const SEED_FOR: FlagSpec = {
  name: "seed-for",
  kind: "seconds",
  env: "P2P_SEED_FOR",
  placeholder: "SECONDS",
  help: "Serve what has arrived for at most so long to those who still receive it; by default " +
    "until its sender says that all have it; 0: not at all",
  min: 0,
};

/** Flags of the commands that move files, either way. */
const LIMIT_RATE: FlagSpec = {
  name: "limit-rate",
  kind: "size",
  env: "P2P_LIMIT_RATE",
  placeholder: "SIZE",
  help: "Send at most so many bytes of files per second, and receive as many; " +
    "K, M and G are powers of 1024: 10M is 10 MiB/s",
  min: 1024,
};

/** Flags of the commands that send. */
const SENDING_FLAGS: FlagSpec[] = [
  {
    name: "ack-timeout",
    kind: "seconds",
    env: "P2P_ACK_TIMEOUT",
    placeholder: "SECONDS",
    help: "Try a recipient again after so long without a sign of life",
    default: "30",
  },
  {
    name: "parallel",
    kind: "integer",
    env: "P2P_PARALLEL",
    placeholder: "N",
    help: "How many recipients of a file are served at a time",
    default: "4",
    min: 1,
    max: 1024,
  },
  {
    name: "give-up-after",
    kind: "seconds",
    env: "P2P_GIVE_UP_AFTER",
    placeholder: "SECONDS",
    help: "Keep trying for so long since the last progress, for example 1h; else five times",
  },
  LIMIT_RATE,
];

const FOLLOW: FlagSpec = {
  name: "follow",
  kind: "boolean",
  env: "P2P_FOLLOW",
  help: "Send what symbolic links in a folder point to; without it they are left out",
};

/** Flags of the commands that may leave something in the queue. */
const QUEUE_FLAGS: FlagSpec[] = [
  {
    name: "queue",
    kind: "boolean",
    env: "P2P_QUEUE",
    help:
      "Leave what is for those who are away with `peer run` or the menu of this machine, which " +
      "sends it when they come back",
  },
  {
    name: "queue-for",
    kind: "seconds",
    env: "P2P_QUEUE_FOR",
    placeholder: "SECONDS",
    help: "With --queue: give it up after so long, up to 596h",
    default: "168h",
  },
];

/** The command line of `peer`. */
export const PEER_PROGRAM: ProgramSpec = {
  name: "peer",
  summary: "sends files and messages to other machines, and receives them",
  defaultCommand: "menu",
  commands: [
    {
      name: "menu",
      summary: "receive, and take commands from the keyboard or line by line from a script",
      usage: "[flags]",
      positionals: { min: 0, max: 0, names: [] },
      flags: [
        {
          name: "data",
          kind: "string",
          env: "P2P_DATA",
          placeholder: "DIR",
          help: "Where sendfile looks file names up first",
          default: "data",
        },
        ...SENDING_FLAGS,
        FOLLOW,
        SEED_FOR,
        PEER_HTTP,
      ],
      common: RECEIVING,
      examples: ["peer", "peer --join -", "peer < commands.txt"],
    },
    {
      name: "run",
      summary: "receive until interrupted, without a menu (as a service)",
      usage: "run [flags]",
      positionals: { min: 0, max: 0, names: [] },
      flags: [SEED_FOR, LIMIT_RATE, PEER_HTTP],
      common: RECEIVING,
      examples: ["peer run --received /srv/inbox", "peer run --json --max-size 10G"],
    },
    {
      name: "peers",
      summary: "list the peers that are there",
      usage: "peers [flags]",
      positionals: { min: 0, max: 0, names: [] },
      flags: [],
      common: [...NETWORK, ...ALWAYS],
      examples: ["peer peers", "peer peers --json"],
    },
    {
      name: "ping",
      summary: "see whether a peer answers, and how fast",
      usage: "ping <peer|host:port> [flags]",
      positionals: { min: 1, max: 1, names: ["peer or host:port"] },
      flags: [],
      common: [...DIALLING, ...ALWAYS],
      examples: ["peer ping laptop", "peer ping 192.168.1.9:40123"],
    },
    {
      name: "broadcast",
      summary: "send a message to every peer",
      usage: "broadcast <message> [flags]",
      positionals: { min: 1, max: Infinity, names: ["message"] },
      flags: QUEUE_FLAGS,
      common: [...NETWORK, "name", ...ALWAYS],
      examples: [
        "peer broadcast 'The build is done'",
        "peer broadcast 'The build is done' --queue",
      ],
    },
    {
      name: "send",
      summary: "send files and folders, and wait until they are verified and on the other disk",
      usage: "send <path>... [--to <peer,peer|@group|all>] [flags]",
      positionals: { min: 1, max: Infinity, names: ["path"], unless: "retry" },
      flags: [
        {
          name: "to",
          kind: "string",
          env: "P2P_TO",
          placeholder: "PEER,PEER|@GROUP|all",
          help: "Who gets it: names, id: and the start of an id, host:port, or all in a group; " +
            "not needed when there is only one other peer",
        },
        {
          name: "retry",
          kind: "string",
          placeholder: "SHARE",
          help:
            "Send a share of `peer shares` again, to those alone who do not have it: the start " +
            "of its id, or all",
        },
        {
          name: "name",
          kind: "string",
          placeholder: "NAME",
          help: "Of `-`, standard input: the name of the file",
        },
        {
          name: "strict",
          kind: "boolean",
          env: "P2P_STRICT",
          help: "Send nothing when anything cannot be sent; without it the rest is, and the exit " +
            "code is 7",
        },
        ...QUEUE_FLAGS,
        ...SENDING_FLAGS,
        FOLLOW,
      ],
      common: [...DIALLING, ...ALWAYS],
      examples: [
        "peer send report.pdf --to laptop",
        "peer send notes.txt photo.jpg --to laptop,id:3fA9c2d1",
        "peer send photos/ --to laptop",
        "peer send image.iso --to all --json",
        "peer send report.pdf --to laptop --queue",
        "peer send --retry 3fA9c2d1",
        "tar c . | peer send - --name backup.tar --to laptop",
      ],
    },
    {
      name: "share",
      summary: "hand over files with one line to paste elsewhere; needs no tracker",
      usage: "share <path>... [--count N | --keep] [flags]",
      positionals: { min: 1, max: Infinity, names: ["path"] },
      flags: [
        {
          name: "count",
          kind: "integer",
          env: "P2P_COUNT",
          placeholder: "N",
          help: "End when so many peers have got everything",
          default: "1",
          min: 1,
        },
        {
          name: "keep",
          kind: "boolean",
          env: "P2P_KEEP",
          help: "Serve whoever joins until interrupted",
        },
        {
          name: "host",
          kind: "string",
          env: "P2P_PEER_HOST",
          placeholder: "HOST",
          help: "Listen on this address; auto takes all of this machine, 127.0.0.1 stays on it",
          default: "auto",
        },
        ...SENDING_FLAGS,
        FOLLOW,
      ],
      common: ["name", "port", "advertise", "map-port", ...ALWAYS],
      examples: [
        "peer share report.pdf",
        "peer share photo.jpg notes.txt --count 3",
        "peer share image.iso --keep --port 5005",
      ],
    },
    {
      name: "receive",
      summary: "take what `peer share` hands over, whose invite is asked for, or one transfer of " +
        "the usual network, and end",
      usage: "receive [-|<invite>] [flags]",
      positionals: { min: 0, max: 1, names: ["invite"] },
      flags: [
        {
          name: "stdout",
          kind: "boolean",
          env: "P2P_STDOUT",
          help: "Write the one file to standard output and not into the inbox; text for people " +
            "goes to standard error",
        },
        LIMIT_RATE,
      ],
      common: RECEIVING,
      examples: [
        "peer receive",
        "peer receive - --received ~/Downloads < invite.txt",
        "peer receive --stdout",
      ],
    },
    {
      name: "history",
      summary: "list what was sent and received, and what is unfinished",
      usage: "history [flags]",
      positionals: { min: 0, max: 0, names: [] },
      flags: [],
      common: ["received", ...ALWAYS],
      examples: ["peer history", "peer history --json"],
    },
    {
      name: "receipts",
      summary: "list what recipients have signed, export it, or check what was exported",
      usage: "receipts [export FILE | verify FILE [ID ...]] [flags]",
      positionals: { min: 0, max: Infinity, names: ["action"] },
      flags: [],
      common: ALWAYS,
      examples: [
        "peer receipts",
        "peer receipts export receipts.jsonl",
        "peer receipts verify receipts.jsonl",
      ],
    },
    {
      name: "queue",
      summary: "list what waits for those who are away, or take it out",
      usage: "queue [cancel <id|all>] [flags]",
      positionals: { min: 0, max: 2, names: ["action", "id"] },
      flags: [],
      common: ALWAYS,
      examples: ["peer queue", "peer queue cancel 3fa9c2d1", "peer queue cancel all"],
    },
    {
      name: "shares",
      summary: "list what was sent, also by others, and who has it; of one, each recipient",
      usage: "shares [<id>] [flags]",
      positionals: { min: 0, max: 1, names: ["id"] },
      flags: [],
      common: [...NETWORK, ...ALWAYS],
      examples: ["peer shares", "peer shares 3fA9c2d1"],
    },
    {
      name: "resume",
      summary: "go on sending what is unfinished",
      usage: "resume <id|all> [flags]",
      positionals: { min: 1, max: 1, names: ["id"] },
      flags: SENDING_FLAGS,
      common: [...DIALLING, ...ALWAYS],
      examples: ["peer resume all", "peer resume 3fA9c2d1"],
    },
    {
      name: "forget",
      summary: "give up what is unfinished, and delete what was received of it",
      usage: "forget <id|all> [flags]",
      positionals: { min: 1, max: 1, names: ["id"] },
      flags: [],
      common: ["received", ...ALWAYS],
      examples: ["peer forget 3fA9c2d1", "peer forget all"],
    },
    {
      name: "trust",
      summary: "accept that a name now belongs to another key",
      usage: "trust <name> [flags]",
      positionals: { min: 1, max: 1, names: ["name"] },
      flags: [],
      common: [...NETWORK, ...ALWAYS],
      examples: ["peer trust laptop"],
    },
  ],
  commonFlags: [...PEER_FLAGS, ...SHARED_FLAGS],
  sections: [{ title: "Exit codes", rows: EXIT_CODES }],
};

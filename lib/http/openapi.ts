/**
 * The API of a tracker as OpenAPI 3.1 describes it.
 *
 * @module
 */

type Schema = Record<string, unknown>;

const string: Schema = { type: "string" };
const integer: Schema = { type: "integer", minimum: 0 };
const boolean: Schema = { type: "boolean" };
const time: Schema = { type: "string", format: "date-time" };
const id: Schema = {
  type: "string",
  description: "Public key, base64url",
  pattern: "^[A-Za-z0-9_-]{43}$",
};

function orNull(schema: Schema): Schema {
  return { anyOf: [schema, { type: "null" }] };
}

function listOf(items: Schema): Schema {
  return { type: "array", items };
}

/** An object all of whose fields are there, but for those that end with a question mark. */
function object(fields: Record<string, Schema>): Schema {
  const properties = Object.fromEntries(
    Object.entries(fields).map(([name, schema]) => [name.replace(/\?$/, ""), schema]),
  );
  const required = Object.keys(fields).filter((name) => !name.endsWith("?"));
  return { type: "object", properties, required };
}

const SCHEMAS: Record<string, Schema> = {
  Tracker: object({
    id,
    version: string,
    address: string,
    secure: boolean,
    relays: boolean,
    started: time,
    peers: object({ here: integer, unreachable: integer, away: integer }),
    sessions: integer,
    memory: { ...integer, description: "Resident memory in bytes" },
    cpu: { type: "number", description: "Seconds of user and system time" },
    remembers: { ...boolean, description: "False while its state cannot be written" },
  }),
  Peer: object({
    id,
    name: string,
    address: string,
    addresses: listOf(string),
    groups: listOf(string),
    state: { enum: ["here", "unreachable", "away"] },
    since: orNull(time),
    seen: orNull(time),
  }),
  Share: object({
    share: string,
    from: id,
    "sender?": string,
    name: string,
    size: integer,
    "files?": integer,
    at: time,
    state: { enum: ["running", "over", "lost"] },
    total: integer,
    delivered: integer,
    failed: integer,
  }),
  Recipient: object({
    "id?": id,
    name: string,
    state: { enum: ["offered", "accepted", "delivered", "already", "failed"] },
    "bytes?": integer,
    "sources?": integer,
    "code?": { ...string, description: "Why it has failed: a code of lib/wire/PROTOCOL.md" },
  }),
  Message: object({ time, from: id, name: orNull(string), text: string, delivered: integer }),
  Evidence: object({ id, name: orNull(string), transfer: string, sharer: id }),
  Error: object({ error: string }),
};

function ref(name: string): Schema {
  return { $ref: `#/components/schemas/${name}` };
}

const ERRORS = {
  "400": answer("A parameter is wrong", ref("Error")),
  "401": answer("The token is missing or wrong", ref("Error")),
};

function answer(description: string, schema: Schema, type = "application/json") {
  return { description, content: { [type]: { schema } } };
}

const PAGING = [
  {
    name: "start",
    in: "query",
    description: "Entries to leave out",
    schema: { ...integer, default: 0 },
  },
  {
    name: "limit",
    in: "query",
    description: "Entries at most",
    schema: { type: "integer", minimum: 1, maximum: 500, default: 500 },
  },
];

function list(summary: string, name: string, item: string, more: Record<string, Schema> = {}) {
  const schema = object({ ...more, total: integer, [name]: listOf(ref(item)) });
  return {
    get: { summary, parameters: PAGING, responses: { "200": answer(summary, schema), ...ERRORS } },
  };
}

/** The description, as a JSON value. */
export function openApi(): Record<string, unknown> {
  const share = list("A share and its recipients", "recipients", "Recipient", {
    share: ref("Share"),
  });
  const peers = list("Who is there, by name", "peers", "Peer");
  return {
    openapi: "3.1.0",
    info: {
      title: "Tracker",
      version: "1",
      description: "What a tracker shows of its network. Nothing can be changed.",
    },
    security: [{ token: [] }, {}],
    paths: {
      "/api/v1/tracker": {
        get: {
          summary: "The tracker",
          responses: { "200": answer("The tracker", ref("Tracker")), "401": ERRORS["401"] },
        },
      },
      "/api/v1/peers": {
        ...peers,
        parameters: [{
          ...{ name: "find", in: "query", schema: string },
          description: "Only those with this text in their name, id, address or groups",
        }],
      },
      "/api/v1/shares": list("Shares, those reported last first", "shares", "Share"),
      "/api/v1/shares/{from}/{share}": {
        ...share,
        parameters: ["from", "share"].map((name) => ({
          name,
          in: "path",
          required: true,
          schema: string,
        })),
      },
      "/api/v1/messages": list("The latest broadcasts, the last one first", "messages", "Message"),
      "/api/v1/evidence": list("Who has signed wrong data", "evidence", "Evidence"),
      "/api/v1/events": {
        get: {
          summary: "Server-sent events: `changed`, with the names of the lists that have changed",
          responses: {
            "200": answer("Events, until the client leaves", string, "text/event-stream"),
            "401": ERRORS["401"],
          },
        },
      },
    },
    components: {
      schemas: SCHEMAS,
      securitySchemes: { token: { type: "http", scheme: "bearer" } },
    },
  };
}

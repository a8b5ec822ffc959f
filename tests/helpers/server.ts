import { certificatePem } from "../../lib/identity/certificate.ts";
import type { P2PError } from "../../lib/errors.ts";
import { Identity } from "../../lib/identity/keys.ts";
import type { Membership } from "../../lib/identity/network.ts";
import { randomBytes } from "../../lib/async/random.ts";
import type { Credentials } from "../../lib/net/handshake.ts";
import { ASKING_ONLY } from "../../lib/net/open_session.ts";
import { Server, type ServerOptions } from "../../lib/net/server.ts";
import { type Address } from "../../lib/address.ts";
import { listen } from "../../lib/net/listen.ts";
import { EventLog } from "./event_log.ts";

/** A server whose sessions answer PING and refuse everything else. */
export interface TestServer extends AsyncDisposable {
  server: Server;
  identity: Identity;
  membership: Membership | null;
  address: Address;
  refused: EventLog<P2PError>;
}

/** A new network's id and secret. */
export function newMembership(): Membership {
  return { id: Identity.generate().id, secret: randomBytes(16) };
}

/** Starts a server on a free port of 127.0.0.1; without a membership it runs `--insecure`. */
export function startServer(
  membership: Membership | null,
  options: Partial<ServerOptions> = {},
): TestServer {
  const identity = Identity.generate();
  const credentials: Credentials = { identity, role: "peer", membership };
  const tls = membership && {
    cert: certificatePem({ subjectKey: identity.publicKey, issuer: identity }),
    key: identity.pkcs8Pem(),
  };
  const refused = new EventLog<P2PError>();
  const server = new Server(listen({ host: "127.0.0.1", port: 0 }, tls), {
    credentials: () => credentials,
    onSession: (session) => session.run(ASKING_ONLY),
    onRefused: refused.add,
    ...options,
  });
  return {
    server,
    identity,
    membership,
    address: server.address,
    refused,
    [Symbol.asyncDispose]: () => server.close(),
  };
}

/** A process that dials as a member, for tests of what its environment changes: prints `pong`, or the code of its error. */

import { asP2PError } from "../../lib/errors.ts";
import { Identity } from "../../lib/identity/keys.ts";
import { parseInvite } from "../../lib/identity/invite.ts";
import { probe } from "../../lib/net/open_session.ts";

const [invite = "", id = "", first = ""] = Deno.args;
// As a download before the program starts: Deno knows whom it trusts from then on.
if (first === "read") Deno.createHttpClient({}).close();
const { host, port, network, secret } = parseInvite(invite);
const membership = { id: network, secret };
let answer: string;
try {
  await probe({
    address: { host, port },
    credentials: { identity: Identity.generate(), role: "peer", membership },
    id: id === "" ? undefined : id,
  });
  answer = "pong";
} catch (error) {
  answer = asP2PError(error).code;
}
await Deno.stdout.write(new TextEncoder().encode(answer));
Deno.exit();

import { assertEquals } from "@std/assert";
import { Identity } from "../../../lib/identity/keys.ts";
import { openSession } from "../../../lib/net/open_session.ts";
import { rejectsWith } from "../../helpers/errors.ts";
import { permitted } from "../../helpers/permissions.ts";

/** What other programs say to a caller. */
const ANSWERS: Record<string, string> = {
  "an HTTP server": "HTTP/1.0 400 Bad Request\r\n\r\n",
  "an SSH server": "SSH-2.0-OpenSSH_9.2\r\n",
  "a mail server": "220 mail.example ESMTP\r\n",
  "a database": `J\0\0\0\n${"8.0.36\0".repeat(20_000)}`,
  "one that says nothing with a line end": "x".repeat(200_000),
};

for (const [what, answer] of Object.entries(ANSWERS)) {
  permitted(`${what} is told as another program`, ["net"], async () => {
    using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const answered = (async () => {
      using conn = await listener.accept();
      let left = new TextEncoder().encode(answer);
      try {
        while (left.length > 0) left = left.subarray(await conn.write(left));
        // Until the caller has gone: a reset would take what it has not read yet.
        while (await conn.read(new Uint8Array(1024)) !== null);
      } catch {
        // It has.
      }
    })();
    const { port } = listener.addr;
    const { message } = await rejectsWith("peer-unreachable", () =>
      openSession({
        address: { host: "127.0.0.1", port },
        id: undefined,
        credentials: { identity: Identity.generate(), role: "client", membership: null },
      }));
    assertEquals(message, `Cannot connect to 127.0.0.1:${port}: another program answers there`);
    await answered;
  });
}

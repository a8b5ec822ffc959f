import { assertEquals, assertStringIncludes } from "@std/assert";
import { chooseNetwork, type NetworkSources } from "../../../lib/app/network_choice.ts";
import { Identity } from "../../../lib/identity/keys.ts";
import type { Invite } from "../../../lib/identity/invite.ts";
import { throwsWith } from "../../helpers/errors.ts";

function invite(host: string, port = 5000): Invite {
  return { host, port, network: Identity.generate().id, secret: new Uint8Array(16).fill(port) };
}

const pasted = invite("pasted");
const remembered = invite("remembered");
const own = invite("127.0.0.1");
const none: NetworkSources = {
  insecure: false,
  join: null,
  tracker: { host: "localhost", port: 5000 },
  isTrackerExplicit: false,
  remembered: null,
  local: null,
};
const local = { host: own.host, port: own.port, invite: own };

function memberOf({ network, secret }: Invite) {
  return { id: network, secret };
}

Deno.test("--join wins over everything, and is to be remembered", () => {
  const tracker = { host: "flag", port: 1 };
  const choice = chooseNetwork({
    ...none,
    join: pasted,
    tracker,
    isTrackerExplicit: true,
    remembered,
    local,
  });
  assertEquals(choice, {
    tracker: { host: "pasted", port: 5000 },
    membership: memberOf(pasted),
    joined: pasted,
  });
});

Deno.test("--tracker is next, with the invite that names it", () => {
  const ask = (host: string, port = 5000) =>
    chooseNetwork({ ...none, tracker: { host, port }, isTrackerExplicit: true, remembered, local });
  assertEquals(ask("remembered").membership, memberOf(remembered));
  for (const host of ["localhost", "127.0.0.1", "::1"]) {
    assertEquals(ask(host).membership, memberOf(own));
  }
  // Another address of a network that is known: the network that was joined.
  assertEquals(ask("elsewhere"), {
    tracker: { host: "elsewhere", port: 5000 },
    membership: memberOf(remembered),
    joined: null,
  });
});

Deno.test("--tracker without any invite is told how to get one", () => {
  const tracker = { host: "far", port: 5001 };
  const error = throwsWith(
    "no-invite",
    () => chooseNetwork({ ...none, tracker, isTrackerExplicit: true }),
  );
  assertStringIncludes(error.message, "far:5001");
  assertStringIncludes(error.message, "--join");
});

Deno.test("then the network joined before, then this user's tracker", () => {
  assertEquals(chooseNetwork({ ...none, remembered, local }).membership, memberOf(remembered));
  assertEquals(chooseNetwork({ ...none, local }), {
    tracker: { host: "127.0.0.1", port: 5000 },
    membership: memberOf(own),
    joined: null,
  });
});

Deno.test("with nothing to go by it says what to do", () => {
  assertStringIncludes(
    throwsWith("tracker-unreachable", () => chooseNetwork(none)).message,
    "--join",
  );
  const insecure = { ...local, invite: null };
  const error = throwsWith(
    "tracker-unreachable",
    () => chooseNetwork({ ...none, local: insecure }),
  );
  assertStringIncludes(error.message, "--insecure");
});

Deno.test("--insecure needs no invite and takes the tracker as given", () => {
  const tracker = { host: "flag", port: 1 };
  const choice = chooseNetwork({ ...none, insecure: true, join: pasted, tracker, remembered });
  assertEquals(choice, { tracker, membership: null, joined: null });
});

Deno.test("--insecure finds this user's own insecure tracker, unless another is named", () => {
  const { host, port } = { host: "127.0.0.1", port: 5999 };
  const local = { host, port, invite: null };
  const { tracker } = none;
  const found = (sources: Partial<NetworkSources>) =>
    chooseNetwork({ ...none, insecure: true, ...sources }).tracker;
  assertEquals(found({ local }), { host, port });
  assertEquals(found({ local, isTrackerExplicit: true }), tracker);
  assertEquals(found({ local: { ...local, invite: own } }), tracker);
});

Deno.test("the tracker of this machine is found where it listens, whatever its invite names", () => {
  const named = invite("192.168.1.7");
  const local = { host: "127.0.0.1", port: 5000, invite: named };
  const expected = {
    tracker: { host: "127.0.0.1", port: 5000 },
    membership: memberOf(named),
    joined: null,
  };
  assertEquals(chooseNetwork({ ...none, local }), expected);
  // Its network is its own, by either address, though another one was joined before.
  for (const host of ["localhost", "127.0.0.1", "192.168.1.7"]) {
    const tracker = { host, port: 5000 };
    const choice = chooseNetwork({ ...none, tracker, isTrackerExplicit: true, remembered, local });
    assertEquals(choice, { ...expected, tracker });
  }
});

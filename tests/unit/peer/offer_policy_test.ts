import { assertEquals, assertStringIncludes } from "@std/assert";
import { type AcceptRule, OfferPolicy, parseAcceptRule } from "../../../lib/peer/offer_policy.ts";
import { NameBook } from "../../../lib/directory/name_book.ts";
import type { PeerEntry } from "../../../lib/wire/message.ts";
import { entryOf } from "../../helpers/entries.ts";
import { rejectsWith, throwsWith } from "../../helpers/errors.ts";
import { permitted } from "../../helpers/permissions.ts";
import { tempDir } from "../../helpers/temp_dir.ts";

Deno.test("--accept takes a word or names of peers", () => {
  assertEquals(parseAcceptRule("ask"), { who: "ask" });
  assertEquals(parseAcceptRule("members"), { who: "members" });
  assertEquals(parseAcceptRule("anna, id:3fA9c2d1"), {
    who: "peers",
    peers: ["anna", "id:3fA9c2d1"],
  });
});

for (const text of ["anna,ask", "all", ",", "members,anna", "id:", "id:3fA9c2d"]) {
  Deno.test(`--accept ${text} is refused`, () => {
    throwsWith("usage", () => parseAcceptRule(text));
  });
}

/** A decision in a folder of its own; `listed` is what the tracker would say. */
async function scene(rule: AcceptRule, listed: PeerEntry[] = []) {
  const dir = await tempDir();
  await Deno.mkdir(dir.at("peers"));
  const names = new NameBook(dir.at("peers"));
  const asked: boolean[] = [];
  const policy = new OfferPolicy({
    rule,
    names,
    entries: ({ fresh }) => {
      asked.push(fresh);
      return Promise.resolve(listed);
    },
    ownName: () => "bob",
  });
  return { policy, names, asked, [Symbol.asyncDispose]: () => dir[Symbol.asyncDispose]() };
}

const ANNA = entryOf(1, { name: "anna" });
const EVE = entryOf(2, { name: "eve", port: 5001 });
const NEEDS: Deno.PermissionName[] = ["read", "write"];

permitted("members are all let in, and nobody is looked up", NEEDS, async () => {
  await using members = await scene({ who: "members" });
  await members.policy.check(EVE.id);
  assertEquals(members.asked, []);
});

permitted("only the peers that are named are let in", NEEDS, async () => {
  await using named = await scene({ who: "peers", peers: ["anna"] }, [ANNA, EVE]);
  await named.policy.check(ANNA.id);
  const error = await rejectsWith("refused", () => named.policy.check(EVE.id));
  assertStringIncludes(error.message, "bob takes files from some peers only");
  await rejectsWith("refused", () => named.policy.check(""));
});

permitted("an id or its start needs no list", NEEDS, async () => {
  await using named = await scene({ who: "peers", peers: [`id:${ANNA.id.slice(0, 12)}`] });
  await named.policy.check(ANNA.id);
  await rejectsWith("refused", () => named.policy.check(EVE.id));
  assertEquals(named.asked, []);
});

permitted("an address means whoever is listed there", NEEDS, async () => {
  const peers = [`${ANNA.host}:${ANNA.port}`];
  await using named = await scene({ who: "peers", peers }, [ANNA, EVE]);
  await named.policy.check(ANNA.id);
  await rejectsWith("refused", () => named.policy.check(EVE.id));
});

permitted("a name stays with the key that had it first", NEEDS, async () => {
  const listed = [ANNA];
  await using named = await scene({ who: "peers", peers: ["anna"] }, listed);
  await named.policy.onListed(ANNA);
  // Another key goes by the name while anna is away.
  const impostor = { ...EVE, name: "anna" };
  listed.splice(0, 1, impostor);
  await rejectsWith("name-changed-key", () => named.policy.onListed(impostor));
  await rejectsWith("refused", () => named.policy.check(EVE.id));
  // Anna needs not be listed to be known.
  await named.policy.check(ANNA.id);
  await named.names.trust(impostor);
  await named.policy.check(EVE.id);
});

permitted("who should be asked about has to be there", NEEDS, async () => {
  await using asking = await scene({ who: "ask" });
  const error = await rejectsWith("refused", () => asking.policy.check(ANNA.id));
  assertStringIncludes(error.message, "no terminal");
});

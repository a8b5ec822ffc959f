import { assertEquals, assertStringIncludes } from "@std/assert";
import { type AcceptRule, parseAcceptRule } from "../../../lib/peer/accept_rule.ts";
import { AcceptPolicy } from "../../../lib/peer/offer_policy.ts";
import { NameBook } from "../../../lib/directory/name_book.ts";
import type { OfferQuestion } from "../../../lib/transfer/downloads.ts";
import type { Offer } from "../../../lib/transfer/offer.ts";
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

for (const text of ["anna,ask", "all", ",", "members,anna", "id:", "id:3fA9c2d", "10.0.0.1:5000"]) {
  Deno.test(`--accept ${text} is refused`, () => {
    throwsWith("usage", () => parseAcceptRule(text));
  });
}

const offer: Offer = {
  transfer: "A".repeat(22),
  from: "",
  name: "file.bin",
  size: 5,
  pieceSize: 16 * 1024,
  scheme: "independent",
  swarm: false,
  table: null,
};

function question(): OfferQuestion {
  return { offer, isKept: false, signal: new AbortController().signal };
}

/** A decision in a folder of its own; `listed` is what the tracker would say. */
async function scene(rule: AcceptRule, listed: PeerEntry[] = []) {
  const dir = await tempDir();
  await Deno.mkdir(dir.at("peers"));
  const names = new NameBook(dir.at("peers"), "net");
  const asked: boolean[] = [];
  const policy = new AcceptPolicy({
    rule,
    names,
    entries: ({ fresh }) => {
      asked.push(fresh);
      return Promise.resolve(listed);
    },
    nameOf: (id) => listed.find((entry) => entry.id === id)?.name,
    ownName: () => "bob",
  });
  const check = (from: string) => policy.decide({ ...question(), offer: { ...offer, from } });
  return { policy, check, names, asked, [Symbol.asyncDispose]: () => dir[Symbol.asyncDispose]() };
}

const ANNA = entryOf(1, { name: "anna" });
const EVE = entryOf(2, { name: "eve", port: 5001 });
const NEEDS: Deno.PermissionName[] = ["read", "write"];

permitted("members are all let in, and nobody is looked up", NEEDS, async () => {
  await using members = await scene({ who: "members" });
  await members.check(EVE.id);
  assertEquals(members.asked, []);
});

permitted("only the peers that are named are let in", NEEDS, async () => {
  await using named = await scene({ who: "peers", peers: ["anna"] }, [ANNA, EVE]);
  await named.check(ANNA.id);
  const error = await rejectsWith("refused", () => named.check(EVE.id));
  assertStringIncludes(error.message, "bob takes files from some peers only");
  await rejectsWith("refused", () => named.check(""));
});

permitted("an id or its start needs no list", NEEDS, async () => {
  await using named = await scene({ who: "peers", peers: [`id:${ANNA.id.slice(0, 12)}`] });
  await named.check(ANNA.id);
  await rejectsWith("refused", () => named.check(EVE.id));
  assertEquals(named.asked, []);
});

permitted("an address means whoever is listed there", NEEDS, async () => {
  const peers = [`${ANNA.host}:${ANNA.port}`];
  await using named = await scene({ who: "peers", peers }, [ANNA, EVE]);
  await named.check(ANNA.id);
  await rejectsWith("refused", () => named.check(EVE.id));
});

permitted("a name stays with the key that had it first", NEEDS, async () => {
  const listed = [ANNA];
  await using named = await scene({ who: "peers", peers: ["anna"] }, listed);
  await named.policy.onListed(ANNA);
  // Another key goes by the name while anna is away.
  const impostor = { ...EVE, name: "anna" };
  listed.splice(0, 1, impostor);
  await rejectsWith("name-changed-key", () => named.policy.onListed(impostor));
  await rejectsWith("refused", () => named.check(EVE.id));
  // Anna needs not be listed to be known.
  await named.check(ANNA.id);
  await named.names.trust(impostor);
  await named.check(EVE.id);
});

permitted("who should be asked about has to be there", NEEDS, async () => {
  await using asking = await scene({ who: "ask" });
  const error = await rejectsWith("refused", () => asking.check(ANNA.id));
  assertStringIncludes(error.message, "no terminal");
});

/** What the application decides, and how often that was taken back. */
function taker() {
  const seen = { taken: 0, undone: 0 };
  const takeOffer = () => {
    seen.taken++;
    return Promise.resolve(() => void seen.undone++);
  };
  return { seen, takeOffer };
}

const ASKED = {
  names: undefined,
  entries: () => Promise.resolve([]),
  nameOf: () => "anna",
  ownName: () => "bob",
};

for (const answer of [true, false, null]) {
  const name = answer === null
    ? "nobody answers"
    : answer
    ? "a person agrees"
    : "a person declines";
  Deno.test(`the application's consent is taken back unless ${name}`, async () => {
    const { seen, takeOffer } = taker();
    const questions: string[] = [];
    const policy = new AcceptPolicy({
      ...ASKED,
      rule: { who: "ask" },
      takeOffer,
      askPerson: ({ name, peer }) => {
        questions.push(`${name} of ${peer}`);
        return answer === null ? Promise.reject(new Error("gone")) : Promise.resolve(answer);
      },
    });
    const deciding = () => policy.decide(question());
    if (answer) {
      const undo = await deciding();
      assertEquals(seen, { taken: 1, undone: 0 });
      undo();
    } else {
      const error = await rejectsWith("refused", deciding);
      assertStringIncludes(error.message, answer === null ? "nobody left" : "declined");
    }
    assertEquals(seen, { taken: 1, undone: 1 });
    assertEquals(questions, ["file.bin of anna"]);
  });
}

Deno.test("nobody is asked about what is there already", async () => {
  const { seen, takeOffer } = taker();
  const askPerson = () => Promise.reject(new Error("asked"));
  const policy = new AcceptPolicy({ ...ASKED, rule: { who: "ask" }, takeOffer, askPerson });
  await policy.decide({ ...question(), isKept: true });
  assertEquals(seen, { taken: 1, undone: 0 });
});

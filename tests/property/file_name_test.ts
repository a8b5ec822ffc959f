import { assert, assertEquals, assertStrictEquals } from "@std/assert";
import { dirname, join } from "@std/path";
import fc from "../helpers/fast_check.ts";
import { escapeText } from "../../lib/cli/output/escape.ts";
import {
  MAX_NAME_BYTES,
  nameKey,
  numberedName,
  safeName,
  sameName,
} from "../../lib/disk/file_name.ts";
import {
  defaultPeerName,
  isPeerName,
  MAX_PEER_NAME,
  numberedPeerName,
} from "../../lib/wire/peer_name.ts";
import hostileNames from "../testdata/hostile_names.json" with { type: "json" };

/** Set it to the number of a failed run to see it again. */
const SEED: number | undefined = undefined;

const seed = SEED ?? Math.floor(Math.random() * 2 ** 31);
// deno-lint-ignore no-console
console.log(`tests/property/file_name_test.ts: seed ${seed}`);
const RUN = { seed, numRuns: 2000 };

const units = (max: number) =>
  fc.array(fc.integer({ min: 0, max: 0xffff }), { maxLength: max })
    .map((codes) => String.fromCharCode(...codes));

/** What hostile names are made of. */
const part = fc.constantFrom(
  ..."/ \\ . .. ... : \0 \n \x1b \x9b \u202e \u200b \u200d \ufeff \u0301 \ufe0f \ud83d \ude00 CON nul COM1 lpt\u00b9"
    .split(" "),
  ..." |\u00a0|\u3000|.partial|.txt|.tar.gz|a|B|\u00df|\u20ac|\u{1f600}|e\u0301|\u212a|<|>|*|_|-|$|C:"
    .split("|"),
  " ".repeat(100),
  ".".repeat(100),
  "x".repeat(230),
  "\u0301".repeat(120),
);

const anyName = fc.oneof(
  fc.array(part, { maxLength: 12 }).map((parts) => parts.join("")),
  units(400),
  fc.string({ unit: "binary", maxLength: 300 }),
  fc.string({ unit: "grapheme", maxLength: 300 }),
  fc.constantFrom(...hostileNames.map(({ name }) => name)),
);

function bytes(text: string): number {
  return new TextEncoder().encode(text).length;
}

function assertSafe(name: string): void {
  const shown = JSON.stringify(name);
  assert(name !== "" && bytes(name) <= MAX_NAME_BYTES, `length of ${shown}`);
  assert(
    !/[/\\\p{Cc}\p{Cs}\p{Zl}\p{Zp}\p{Bidi_Control}<>:"|?*]/u.test(name),
    `character in ${shown}`,
  );
  assert(!/^[.\s]|[.\s]$/.test(name), `dot or space at an end of ${shown}`);
  const device = /^(CON|PRN|AUX|NUL|CONIN\$|CONOUT\$|(COM|LPT)[0-9\u00b9\u00b2\u00b3])$/;
  assert(!device.test((name.split(".")[0] ?? "").trim().toUpperCase()), `device ${shown}`);
  assertEquals(name, name.normalize("NFC"));
  // It stays in the folder that it is joined to, directly.
  assertEquals(dirname(join("/inbox", name)), "/inbox");
  assertEquals(join("/inbox", name), `/inbox/${name}`);
}

Deno.test("safeName: safe whatever comes, and idempotent", () => {
  fc.assert(
    fc.property(anyName, (untrusted) => {
      const safe = safeName(untrusted);
      assertSafe(safe);
      assertStrictEquals(safeName(safe), safe);
    }),
    RUN,
  );
});

Deno.test("safeName: a path in front changes nothing", () => {
  const path = fc.constantFrom("../", "/", "..\\", "a/b\\", "C:\\", "\\\\server\\share\\");
  fc.assert(
    fc.property(path, anyName, (folder, untrusted) => {
      const safe = safeName(untrusted);
      fc.pre(safe !== "unnamed");
      assertStrictEquals(safeName(folder + untrusted), safe);
    }),
    RUN,
  );
});

Deno.test("safeName: ordinary names stay as they are", () => {
  const word = fc.stringMatching(/^[A-Za-z0-9_-]{4,20}$/);
  fc.assert(
    fc.property(word, word, fc.stringMatching(/^[a-z0-9]{1,5}$/), (a, b, extension) => {
      const name = `${a}x ${b}.${extension}`;
      assertStrictEquals(safeName(name), name);
    }),
    RUN,
  );
});

Deno.test("numberedName: safe, and each number another name", () => {
  fc.assert(
    fc.property(anyName, fc.integer({ min: 1, max: 1_000_000 }), (untrusted, n) => {
      const safe = safeName(untrusted);
      const numbered = numberedName(safe, n);
      assertSafe(numbered);
      assertStrictEquals(safeName(numbered), numbered);
      assert(!sameName(numbered, safe) && !sameName(numbered, numberedName(safe, n + 1)));
      assertStrictEquals(numberedName(safe, 0), safe);
    }),
    RUN,
  );
});

Deno.test("nameKey: the same for every case and normalisation of a name", () => {
  fc.assert(
    fc.property(anyName, (untrusted) => {
      const name = safeName(untrusted);
      const key = nameKey(name);
      assertStrictEquals(nameKey(name.normalize("NFD")), key);
      assertStrictEquals(nameKey(name.toUpperCase()), key);
      assertStrictEquals(nameKey(name.toLowerCase()), key);
      assertStrictEquals(nameKey(key), key);
    }),
    RUN,
  );
});

Deno.test("peer names: made from any text they are allowed, also numbered", () => {
  fc.assert(
    fc.property(anyName, fc.integer({ min: 2, max: 1_000_000 }), (hostName, n) => {
      const name = defaultPeerName(hostName);
      assert(isPeerName(name));
      assert([...name].length <= MAX_PEER_NAME);
      const numbered = numberedPeerName(name, n);
      assert(isPeerName(numbered) && numbered !== name);
      if (isPeerName(hostName)) assertStrictEquals(name, hostName);
    }),
    RUN,
  );
});

Deno.test("escapeText: nothing is left to escape, and names keep their safety", () => {
  fc.assert(
    fc.property(anyName, fc.boolean(), (text, multiline) => {
      const escaped = escapeText(text, { multiline });
      assertStrictEquals(escapeText(escaped, { multiline }), escaped);
      const controls = multiline ? /[^\P{Cc}\n\t]/u : /\p{Cc}/u;
      assert(escaped.isWellFormed() && !controls.test(escaped));
      const safe = safeName(text).normalize("NFC");
      assertStrictEquals(escapeText(safe), safe);
    }),
    RUN,
  );
});

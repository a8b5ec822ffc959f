/** `peer receipts`: from the sender of a file to somebody who has never been in its network. */

import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { e2e } from "./helpers.ts";

e2e("receipts are listed, exported, and verified on a machine without a network", async (world) => {
  await world.tracker();
  const bob = await world.peer("in-bob", ["--name", "bob"]);
  const carol = await world.peer("in-carol", ["--name", "carol"]);
  const receipts = (...args: string[]) => world.run("peer", ["receipts", ...args]);
  const none = await receipts();
  assertEquals(none.code, 0);
  assertStringIncludes(none.stdout + none.stderr, "Nobody has signed a receipt yet");
  const out = world.path("receipts.jsonl");
  const early = await receipts("export", out);
  assertEquals([early.code, /nobody has signed/.test(early.stderr)], [2, true]);

  const { path, sha256 } = await world.file("a.bin", 100_000);
  assertEquals((await world.run("peer", ["send", path, "--to", "bob"])).code, 0);
  assertEquals((await world.run("peer", ["send", path, "--to", "carol"])).code, 0);
  const listed = await receipts();
  assertMatch(listed.stdout, /bob signed: a\.bin \(97\.7 KiB\) verified and synced\n/);
  assertStringIncludes(listed.stdout, sha256);
  const { lines } = await receipts("--json");
  assertEquals(
    lines.map(({ event, peer, recipient, sha256 }) => [event, peer, recipient, sha256]),
    [["receipt", "bob", bob.id, sha256], ["receipt", "carol", carol.id, sha256]],
  );

  assertEquals((await receipts("export", out)).code, 0);
  const text = await Deno.readTextFile(out);
  const again = await receipts("export", out);
  assertEquals([again.code, await Deno.readTextFile(out)], [8, text]);
  assertStringIncludes(again.stderr, out);

  const elsewhere = ["--state", world.path("elsewhere")];
  const verify = (file: string, ...ids: string[]) => receipts("verify", file, ...ids, ...elsewhere);
  for (const ids of [[], [bob.id, `id:${carol.id}`]]) {
    const right = await verify(out, ...ids);
    assertEquals(right.code, 0, right.stderr);
    assertStringIncludes(right.stdout, `id:${bob.id} signed, and the signature is right: a.bin`);
    assertStringIncludes(right.stdout, sha256);
  }
  const changed = world.path("changed.jsonl");
  const cases: [content: string | Uint8Array<ArrayBuffer>, ids: string[], said: string][] = [
    [text.replace('"size":100000', '"size":100001'), [], "line 1 is not what its recipient signed"],
    [text.slice(0, -1), [], "line 2 is cut short"],
    [`\ufeff${text}`, [], "line 1 is no receipt"],
    [Uint8Array.of(0xff, 0x0a), [], "line 1 is not UTF-8"],
    [text, [bob.id], `line 2 is signed by id:${carol.id}`],
    [text.slice(0, text.indexOf("\n") + 1), [bob.id, carol.id], `no receipt of id:${carol.id}`],
  ];
  for (const [content, ids, said] of cases) {
    await Deno.writeFile(
      changed,
      typeof content === "string" ? new TextEncoder().encode(content) : content,
    );
    const wrong = await verify(changed, ...ids);
    assertEquals(wrong.code, 5, wrong.stderr);
    assertStringIncludes(wrong.stderr, said);
    assertStringIncludes(wrong.stderr, changed);
    assertEquals(wrong.stdout, "");
  }
  for (
    const [args, code, said] of [
      [["export", world.path("missing", "a")], 8, "its folder is not there"],
      [["verify", world.path("missing")], 8, "there is no such file"],
      [["verify", out, "bob"], 2, "the id 'bob'"],
      [["verify"], 2, "receipts verify FILE"],
      [["print"], 2, "`receipts print`"],
    ] as const
  ) {
    const wrong = await receipts(...args);
    assertEquals(wrong.code, code, wrong.stderr);
    assertStringIncludes(wrong.stderr, said);
  }
});

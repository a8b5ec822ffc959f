/** The pages of a tracker and of a peer, in a browser; what they serve, to programs. */

import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import axeCore from "axe-core";
import type { Page } from "playwright-core";
import { join } from "@std/path";
import { NO_BROWSER, TestBrowser } from "../helpers/browser.ts";
import { openRaw } from "../helpers/raw.ts";
import { parseInvite } from "../../lib/identity/invite.ts";
import { e2e, variable } from "./helpers.ts";

/** Where screenshots go for people to look at; none are made without it. */
const SHOTS = variable("P2P_SHOTS");
const SIZES = { desktop: { width: 1280, height: 900 }, phone: { width: 390, height: 844 } };
const NO_PROMTOOL = await hasPromtool()
  ? undefined
  : "needs promtool of Debian's package prometheus";

async function hasPromtool(): Promise<boolean> {
  if (Deno.permissions.querySync({ name: "run" }).state !== "granted") return false;
  return await new Deno.Command("promtool", { args: ["--version"], stdout: "null", stderr: "null" })
    .output().then(({ success }) => success, () => false);
}

/** What a peer that wants to take over the page would say. */
const HOSTILE =
  `<img src=x onerror="document.title='taken'"><script>document.title='taken'</script>`;

/** The same as the name of a file, which is kept as it is. */
const HOSTILE_FILE = "&lt;img src=x onerror='alert(1)'&gt;.bin";

/** A bar on its way, and at its end. */
const MOVING = 'progress:not([value="0"]):not([value="1"])';
const DONE = 'progress[value="1"]';

e2e(
  "the page shows who is there, what is shared and what was said, and runs nothing of it",
  async (world) => {
    await using browser = await TestBrowser.open();
    const { page } = browser;
    const tracker = await world.tracker(["--http", "127.0.0.1:0"]);
    const { url } = await tracker.program.until("http");
    await page.goto(url);
    await page.locator("#connection.live").waitFor();
    await page.getByText("No peer is there.").waitFor();

    const anna = await world.peer("anna", ["--name", "anna", "--group", "lab"]);
    await page.getByRole("cell", { name: "anna", exact: true }).waitFor();
    const row = page.getByRole("row").filter({ hasText: "anna" });
    assertStringIncludes(await row.innerText(), "lab");

    // A share, from its first report to its end.
    const { path } = await world.file("film.bin", 12_000_000);
    const sending = world.run("peer", ["send", path, "--to", "anna", "--limit-rate", "3M"]);
    const share = page.getByRole("listitem").filter({ hasText: "film.bin" });
    await share.getByText("0 of 1 delivered, under way").waitFor();
    const summary = share.locator("summary");
    await summary.focus();
    await page.keyboard.press("Enter");
    await share.locator(`.ledger ${MOVING}`).waitFor();
    await share.locator(`.ledger ${DONE}`).waitFor();
    await share.getByText("1 of 1 delivered, over").waitFor();
    // The keyboard is where it was, however often the list was shown anew.
    assertEquals(await share.locator("summary:focus").count(), 1);
    assertEquals((await sending).code, 0);

    // What is hostile is text.
    assertEquals((await world.run("peer", ["broadcast", HOSTILE])).code, 0);
    await page.getByText(HOSTILE, { exact: true }).waitFor();
    const { host, port, network, secret } = parseInvite(tracker.invite);
    const membership = { id: network, secret };
    await using raw = await openRaw({ address: { host, port }, membership, role: "peer" });
    const name = "<img-src=x-onerror=alert(1)>";
    await raw.session.request({ verb: "REGISTER", name, port: 1 });
    await page.getByRole("cell", { name, exact: true }).waitFor();
    await page.getByLabel("Find").fill("onerror");
    await page.getByRole("cell", { name: "anna", exact: true }).waitFor({ state: "detached" });
    await page.getByLabel("Find").fill("");
    assertEquals(await page.locator("main img, main script").count(), 0);
    assertEquals(await page.title(), "Tracker");

    await expectFit(page, "tracker");
    await expectDescribed(url);

    // A peer that dies leaves the list.
    await page.setViewportSize(SIZES.desktop);
    await anna.program.kill();
    await page.getByRole("cell", { name: "anna", exact: true }).waitFor({ state: "detached" });
    assertEquals(browser.complaints, []);
    const { origin } = new URL(url);
    assertEquals(browser.requested.filter((address) => !address.startsWith(`${origin}/`)), []);

    // A tracker that is started again is found again, by the same page.
    await tracker.program.kill();
    await page.getByText("Trying again").waitFor();
    await world.tracker(["--http", new URL(url).host, "--port", `${tracker.port}`]);
    await page.locator("#connection.live").waitFor();
  },
  { ignore: NO_BROWSER },
);

e2e(
  "the page of a peer shows what it sends, receives and has for those who are away",
  async (world) => {
    await using browser = await TestBrowser.open();
    const { page } = browser;
    const { invite } = await world.tracker();
    const join = { env: { P2P_JOIN: invite } };
    const b = ["--state", world.path("b"), "--name", "bob"];
    const away = await world.peer("bob", b, join);
    const anna = await world.peer("anna", ["--name", "anna", "--http", "127.0.0.1:0"]);
    const { url } = await anna.program.until("http");
    await page.goto(url);
    await page.locator("#connection.live").waitFor();
    assertEquals(await page.locator("h1").innerText(), "anna");
    const inList = (list: string, text: string) =>
      page.locator(`#${list} > li`).filter({ hasText: text });

    // What somebody else sends it.
    const { path } = await world.file(HOSTILE_FILE, 6_000_000);
    const given = ["send", path, "--to", "anna", "--limit-rate", "2M", "--state", world.path("b")];
    const sending = world.run("peer", given, join);
    await inList("transfers", HOSTILE_FILE).locator(MOVING).waitFor();
    await inList("transfers", HOSTILE_FILE).locator(DONE).waitFor();
    await inList("transfers", HOSTILE_FILE).getByText("delivered").waitFor();
    assertEquals((await sending).code, 0);

    // What waits for one who is away, and is signed for when it has come.
    await away.program.stop();
    const small = await world.file("small.bin", 1000);
    const queued = await world.run("peer", ["send", small.path, "--to", "bob", "--queue"]);
    assertEquals(queued.code, 0, queued.stderr);
    await inList("queue", "small.bin").waitFor();
    await world.peer("bob", b);
    await inList("receipts", "small.bin").waitFor();
    await page.getByText("Nothing waits for anybody.").waitFor();
    await inList("transfers", "small.bin").getByText("delivered").waitFor();

    await expectFit(page, "peer");
    assertEquals(await page.title(), "Peer");
    assertEquals(await page.locator("main img, main script").count(), 0);
    assertEquals(browser.complaints, []);
    const { origin } = new URL(url);
    assertEquals(browser.requested.filter((address) => !address.startsWith(`${origin}/`)), []);
    assertEquals(await fetch(new URL("/readyz", url)).then((ready) => ready.text()), "ready\n");
    await expectMetrics(url, ["p2p_peer_received_total 1", "p2p_peer_sent_total 1"]);
  },
  { ignore: NO_BROWSER },
);

/** Checks a page in all its shapes: nothing is wider than the window, and nothing keeps anybody out. */
async function expectFit(page: Page, name: string): Promise<void> {
  for (const scheme of ["light", "dark"] as const) {
    await page.emulateMedia({ colorScheme: scheme });
    for (const [size, viewport] of Object.entries(SIZES)) {
      await page.setViewportSize(viewport);
      const width = await page.evaluate("document.documentElement.scrollWidth") as number;
      assert(width <= viewport.width, `${size}: ${width} px are wider than the window`);
      if (SHOTS) {
        await page.screenshot({
          path: join(SHOTS, `${name}-${scheme}-${size}.png`),
          fullPage: true,
        });
      }
      // The policy of the page lets no script in: this one comes from outside of it.
      const { violations } = await page.evaluate(`${axeCore.source}; axe.run()`) as Axe;
      assertEquals(
        violations.filter(({ impact }) => ["serious", "critical"].includes(impact))
          .map(({ id, nodes }) => [id, nodes.map(({ html }) => html)]),
        [],
        `${scheme} ${size}`,
      );
    }
  }
}

/** Checks metrics as Prometheus does, and that they have some lines. */
async function expectMetrics(url: string, lines: readonly string[]): Promise<void> {
  const metrics = await (await fetch(new URL("/metrics", url))).text();
  for (const line of lines) assertStringIncludes(metrics, `${line}\n`);
  if (NO_PROMTOOL) return;
  const promtool = new Deno.Command("promtool", {
    ...{ args: ["check", "metrics"], stdin: "piped", stdout: "piped", stderr: "piped" },
  }).spawn();
  const writer = promtool.stdin.getWriter();
  await writer.write(new TextEncoder().encode(metrics));
  await writer.close();
  const { success, stdout, stderr } = await promtool.output();
  const said = new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr);
  assertEquals([success, said], [true, ""]);
}

/** Checks what the API answers against its own description: every field that is there is described, and every one that has to be there is. */
async function expectDescribed(url: string): Promise<void> {
  const get = async (path: string) => await (await fetch(new URL(path, url))).json();
  const { paths, components: { schemas } } = await get("/api/v1/openapi.json");
  for (const list of ["tracker", "peers", "shares", "messages"]) {
    const { schema } = paths[`/api/v1/${list}`].get.responses["200"].content["application/json"];
    const answer = await get(`/api/v1/${list}`);
    const one = list === "tracker" ? answer : answer[list][0];
    const ref: string = (list === "tracker" ? schema : schema.properties[list].items).$ref;
    const described = schemas[ref.split("/").at(-1) ?? ""];
    const fields = Object.keys(one);
    assertEquals(fields.filter((name) => !(name in described.properties)), [], list);
    assertEquals(described.required.filter((name: string) => !fields.includes(name)), [], list);
  }
  const [share] = (await get("/api/v1/shares")).shares;
  const { recipients } = await get(`/api/v1/shares/${share.from}/${share.share}`);
  const fields = Object.keys(schemas.Recipient.properties);
  assertEquals(Object.keys(recipients[0]).filter((name) => !fields.includes(name)), []);
}

/** What axe-core found. */
interface Axe {
  violations: { id: string; impact: string; nodes: { html: string }[] }[];
}

e2e(
  "elsewhere than on loopback a token opens what is served, and it stays the same",
  async (world) => {
    const first = await world.tracker(["--http", "0.0.0.0:0"]);
    const { url } = await first.program.until("http");
    const { origin, hash } = new URL(url);
    const { port } = new URL(url);
    const token = new URLSearchParams(hash.slice(1)).get("token") ?? "";
    const here = `http://127.0.0.1:${port}`;
    const status = async (path: string, init: RequestInit = {}) => {
      const response = await fetch(`${here}${path}`, init);
      await response.body?.cancel();
      return response.status;
    };
    const bearer = { headers: { authorization: `Bearer ${token}` } };
    assertEquals([token.length, origin.startsWith("http://")], [22, true]);
    for (
      const path of ["/", "/page.js", "/page.css", "/healthz", "/readyz", "/api/v1/openapi.json"]
    ) {
      assertEquals(await status(path), 200, path);
    }
    for (const path of ["/metrics", "/api/v1/peers", "/api/v1/events", "/api/v1/tracker"]) {
      assertEquals(await status(path), 401, path);
      assertEquals(
        await status(path, { headers: { authorization: `Bearer ${token}x` } }),
        401,
        path,
      );
      assertEquals(await status(path, bearer), 200, path);
    }
    assertEquals(await status("/api/v1/peers?token=" + token), 401);
    await first.program.stop();
    const again = await world.tracker(["--http", "0.0.0.0:0"]);
    assertEquals(new URL((await again.program.until("http")).url).hash, hash);
  },
);

e2e("what --http cannot use is said", async (world) => {
  const { program } = await world.tracker(["--http", "127.0.0.1:0"]);
  const { url } = await program.until("http");
  const taken = ["--http", new URL(url).host, "--port", "0", "--state", world.path("other")];
  const { code, stderr } = await world.run("tracker", ["run", ...taken]);
  assertEquals(code, 8, stderr);
  assertStringIncludes(stderr, new URL(url).host);
  assertStringIncludes(stderr, "--http");
});

e2e("the metrics are as Prometheus wants them", async (world) => {
  const { program } = await world.tracker(["--http", "127.0.0.1:0"]);
  const { url } = await program.until("http");
  await world.peer("anna", ["--name", "anna"]);
  assertEquals((await world.run("peer", ["broadcast", "hello"])).code, 0);
  await expectMetrics(url, [
    'p2p_tracker_peers{state="here"} 1',
    "p2p_tracker_broadcasts_total 1",
  ]);
}, { ignore: NO_PROMTOOL });

import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { fromFileUrl, join } from "@std/path";
import { MENU_PROMPT } from "../../lib/cli/terminal/menu.ts";
import { e2e, sha256Of, type World } from "./helpers.ts";
import { NO_TERMINAL, Terminal } from "./terminal.ts";

const SAMPLES = fromFileUrl(new URL("../../data", import.meta.url));
const PROMPT = MENU_PROMPT.trimEnd();

/** Puts the samples where the menu looks for them. */
async function samples(world: World): Promise<string> {
  await Deno.mkdir(world.path("data"));
  for (const name of ["network.png", "data.json", "wr_sensor_data.csv"]) {
    await Deno.copyFile(join(SAMPLES, name), world.path("data", name));
  }
  return await sha256Of(world.path("data", "network.png"));
}

e2e(
  "menu on a terminal: every command, completion, and a message while a line is typed",
  async (world) => {
    const sha256 = await samples(world);
    const tracker = await world.tracker();
    const other = await world.peer("in", ["--name", "other"]);
    const menu = await Terminal.start(world, ["--name", "me"]);
    await menu.showsLast(PROMPT);
    assert(menu.screen.some((line) => line.includes(world.path("received_files"))));
    const { id } = await tracker.program.until(({ event, name }) =>
      event === "peer-joined" && name === "me"
    );

    await menu.enter("ping other");
    await menu.shows("PONG from other");
    await menu.enter("ping");
    await menu.showsLast("Enter the address of the peer:");
    await menu.enter("127.0.0.1");
    await menu.showsLast("Enter the port of the peer:");
    await menu.enter(`${other.port}`);
    await menu.shows("PONG from other", 2);
    await menu.showsLast(PROMPT);

    await menu.enter("broadcast hello there");
    assertEquals((await other.program.until("message")).text, "hello there");
    await menu.shows("delivered to 1 peer");

    await menu.enter("sendfile");
    for (const name of ["network.png", "data.json", "wr_sensor_data.csv"]) await menu.shows(name);

    await menu.type("sendf\t");
    await menu.showsLast(`${PROMPT} sendfile`);
    await menu.type("net\t");
    await menu.showsLast(`${PROMPT} sendfile network.png`);
    await menu.type("oth\t");
    await menu.showsLast(`${PROMPT} sendfile network.png other`);
    await menu.enter("");
    const received = await other.program.until("file-received");
    assertEquals([received.sha256, received.from], [sha256, "me"]);
    await menu.shows("other: delivered");
    await menu.showsLast(PROMPT);

    await menu.type("broadcast half typ");
    await menu.showsLast(`${PROMPT} broadcast half typ`);
    await world.run("tracker", ["broadcast", "from the outside"]);
    await menu.shows("from the outside");
    await menu.showsLast(`${PROMPT} broadcast half typ`);
    const { path } = await world.file("incoming.bin", 1000);
    await world.run("peer", ["send", path, "--to", "me"]);
    await menu.shows(world.path("received_files", "incoming.bin"));
    await menu.showsLast(`${PROMPT} broadcast half typ`);
    const { mark } = other.program;
    await menu.enter("ed");
    const said = await other.program.until(
      ({ event, text }) => event === "message" && text.startsWith("half"),
      { from: mark },
    );
    assertEquals([said.text, said.name], ["half typed", "me"]);

    await menu.enter("peers");
    await menu.shows(`127.0.0.1:${other.port}`, 3);
    await menu.enter("history");
    await menu.shows("sent");
    await menu.enter("help");
    await menu.shows("sendfile <filename> [peer...|all]");
    await menu.enter("pong");
    await menu.shows("did you mean ping");
    await menu.enter("sendfile missing.txt");
    await menu.shows("error: Cannot read missing.txt");
    await menu.showsLast(PROMPT);
    await menu.enter("exit");
    assertEquals((await menu.program.status).code, 0);
    const left = await other.program.until(({ event, id: who }) =>
      event === "peer-left" && who === id
    );
    assertEquals(left.name, "me");
    await tracker.program.until(({ event, reason }) =>
      event === "peer-left" && reason === "unregistered"
    );
  },
  { ignore: NO_TERMINAL },
);

e2e(
  "menu on a terminal: with several peers it asks, and a progress bar breaks nothing",
  async (world) => {
    const sha256 = await samples(world);
    await world.tracker();
    const [a, b] = [
      await world.peer("in1", ["--name", "a"]),
      await world.peer("in2", ["--name", "b"]),
    ];
    const menu = await Terminal.start(world, ["--name", "me"]);
    await menu.showsLast(PROMPT);
    await menu.enter("sendfile network.png");
    await menu.until((screen) => /^To whom \([ab], [ab] or all\)\?$/.test(screen.at(-1) ?? ""));
    await menu.enter("b");
    assertEquals((await b.program.until("file-received")).sha256, sha256);
    await menu.shows("b: delivered");
    await menu.enter("sendfile network.png all");
    assertEquals((await a.program.until("file-received")).sha256, sha256);
    await menu.shows("a: delivered");
    const { path, sha256: large } = await world.file("large.bin", 64 * 1024 * 1024);
    await menu.enter(`sendfile ${path} a`);
    const { sha256: arrived } = await a.program.until(({ event, path }) =>
      event === "file-received" && path.endsWith("large.bin")
    );
    assertEquals(arrived, large);
    await menu.shows("a: delivered", 2);
    await menu.showsLast(PROMPT);
  },
  { ignore: NO_TERMINAL },
);

for (
  const [name, end] of [
    ["Ctrl-D", (menu: Terminal) => menu.type("\x04")],
    ["Ctrl-C", (menu: Terminal) => menu.type("\x03")],
    ["SIGTERM", (menu: Terminal) => Promise.resolve(menu.program.signal("SIGTERM"))],
  ] as const
) {
  e2e(`menu on a terminal: ${name} unregisters and ends well`, async (world) => {
    const tracker = await world.tracker();
    const menu = await Terminal.start(world);
    await menu.showsLast(PROMPT);
    await end(menu);
    assertEquals((await menu.program.outcome).code, 0);
    assertEquals((await tracker.program.until("peer-left")).reason, "unregistered");
  }, { ignore: NO_TERMINAL });
}

e2e("menu from a pipe: line by line, until exit", async (world) => {
  const sha256 = await samples(world);
  await world.tracker();
  const other = await world.peer("in", ["--name", "other"]);
  const menu = await world.start("peer", ["--name", "me"], { stdin: true });
  await menu.write([
    "ping other",
    "ping",
    "127.0.0.1",
    `${other.port}`,
    "broadcast by script",
    "sendfile",
    "sendfile network.png other",
    "peers",
    "history",
    "",
    "exit",
    "broadcast never",
    "",
  ].join("\n"));
  const { code, stdout, stderr } = await menu.outcome;
  assertEquals([code, stderr], [0, ""]);
  assertEquals(stdout.match(/PONG from other/g)?.length, 2);
  for (const part of ["  network.png", "other: delivered, saved as network.png", sha256]) {
    assertStringIncludes(stdout, part);
  }
  assert(!stdout.includes(PROMPT) && !stdout.includes("\x1b"), stdout);
  assertEquals((await other.program.until("file-received")).sha256, sha256);
  await other.program.until("peer-left");
  const texts = other.program.lines.filter(({ event }) => event === "message");
  assertEquals(texts.map(({ text }) => text), ["by script"]);
});

e2e(
  "menu from a pipe: a command that fails does not end it, but is its exit code",
  async (world) => {
    await world.tracker();
    const other = await world.peer("in", ["--name", "other"]);
    const menu = await world.start("peer", ["--json"], { stdin: true });
    await menu.write("ping nobody\nfrobnicate\nbroadcast after\n");
    await menu.closeInput();
    const { code, lines } = await menu.outcome;
    assertEquals(code, 4);
    const events = lines.map(({ event, code }) => code ?? event);
    assertEquals(events, [
      "listening",
      "registered",
      "peer-joined",
      "peer-unknown",
      "usage",
      "broadcast-sent",
      "unregistered",
    ]);
    assertEquals((await other.program.until("message")).text, "after");
  },
);

e2e("menu from a pipe: the invite comes first with --join -", async (world) => {
  const { invite } = await world.tracker();
  await Deno.mkdir(world.path("there"));
  const menu = await world.start("peer", ["--join", "-", "--json"], {
    stdin: true,
    home: world.path("there"),
  });
  await menu.write(`${invite}\nbroadcast joined\nexit\n`);
  const { code, lines } = await menu.outcome;
  // It works in the network of the invite, where nobody else is.
  assertEquals([code, lines.find(({ event }) => event === "broadcast-sent")?.delivered], [4, 0]);
});

e2e(
  "menu on a terminal: --accept ask asks, one after the other, and a line goes on",
  async (world) => {
    await world.tracker();
    const menu = await Terminal.start(world, ["--name", "me", "--accept", "ask"]);
    await menu.showsLast(PROMPT);
    const [wanted, other] = [
      await world.file("wanted.txt", 2000),
      await world.file("other.txt", 3000),
    ];
    await menu.type("broadcast half typ");
    const send = (path: string) => world.start("peer", ["send", path, "--to", "me", "--json"]);
    const first = await send(wanted.path);
    await menu.showsLast("Accept wanted.txt (1.95 KiB) from me? [y/N]");
    // Neither yes nor no.
    await menu.enter("hm");
    await menu.shows("Accept wanted.txt (1.95 KiB) from me? [y/N]", 2);
    const second = await send(other.path);
    await second.until("transfer-waiting");
    await menu.enter("n");
    const refused = await first.outcome;
    assertEquals(refused.code, 4);
    const { error } = refused.lines.at(-1)?.recipients[0];
    assertEquals(error.code, "refused");
    assertStringIncludes(error.message, "me was asked, and its owner declined");
    await menu.showsLast("Accept other.txt (2.93 KiB) from me? [y/N]");
    await menu.enter("y");
    assertEquals((await second.outcome).code, 0);
    await menu.shows(world.path("received_files", "other.txt"));
    await menu.showsLast(`${PROMPT} broadcast half typ`);
    // A sender that goes takes its question with it.
    const third = await send(wanted.path);
    await menu.showsLast("Accept wanted.txt (1.95 KiB) from me? [y/N]");
    await third.stop("SIGINT");
    await menu.showsLast(`${PROMPT} broadcast half typ`);
  },
  { ignore: NO_TERMINAL },
);

e2e("--accept ask without a terminal refuses, and says why", async (world) => {
  await world.tracker();
  await world.peer("in", ["--accept", "ask"]);
  const { path } = await world.file("f", 10);
  const { code, stdout } = await world.run("peer", ["send", path]);
  assertEquals(code, 4);
  assertStringIncludes(stdout, "asks a person for each file and has no terminal to ask at");
});

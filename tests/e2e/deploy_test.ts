/** What docs/deploy has for those who run a tracker or peers. */

import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { join } from "@std/path";
import { parseInvite } from "../../lib/identity/invite.ts";
import { openRaw } from "../helpers/raw.ts";
import { e2e, ROOT, variable } from "./helpers.ts";

const DEPLOY = join(ROOT, "docs", "deploy");

async function run(command: string, ...args: string[]): Promise<[success: boolean, said: string]> {
  const { success, stdout, stderr } = await new Deno.Command(command, { args }).output();
  return [success, new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr)];
}

async function lacks(...programs: string[]): Promise<string | undefined> {
  if (Deno.permissions.querySync({ name: "run" }).state !== "granted") return undefined;
  for (const program of programs) {
    const [found] = await run("sh", "-c", `command -v ${program}`);
    if (!found) return `needs ${program}`;
  }
  return undefined;
}

const NO_SYSTEMD = await lacks("systemd-analyze");

for (const program of ["tracker", "peer"]) {
  e2e(`the unit of the ${program} is right, and hardened`, async (world) => {
    const unit = join(DEPLOY, `p2p-${program}.service`);
    // Verified with a program that is there.
    const text = await Deno.readTextFile(unit);
    const path = world.path(`p2p-${program}.service`);
    await Deno.writeTextFile(path, text.replace(`/usr/local/bin/${program}`, "/bin/true"));
    assertEquals(await run("systemd-analyze", "verify", path), [true, ""]);
    const [, said] = await run("systemd-analyze", "security", "--offline=true", unit);
    const exposure = Number(/Overall exposure level for \S+ ([\d.]+)/.exec(said)?.[1]);
    assert(exposure < 3, said);
    // What it sets exists.
    const help = await world.run(program as "tracker" | "peer", ["run", "--help"]);
    for (const [, name = ""] of text.matchAll(/\b(P2P_\w+)=/g)) {
      assertStringIncludes(help.stdout, name);
    }
  }, { ignore: NO_SYSTEMD });
}

const BINARY = variable("P2P_TRACKER_BIN");
const NO_ROOT = BINARY === undefined
  ? "is for compiled binaries"
  : Deno.uid() !== 0
  ? "needs root"
  : await lacks("unshare", "chroot", "ldd");

e2e("what the image holds is all that a tracker needs", async (world) => {
  const root = world.path("root");
  assertEquals(
    await run("sh", join(DEPLOY, "make_root.sh"), BINARY ?? "", root),
    [true, ""],
  );
  await Deno.chown(join(root, "state"), 65534, 65534);
  const flags = "run --json --port 0 --host 127.0.0.1 --http 127.0.0.1:0";
  // As a container has it: a root of its own, /proc, another user, and nothing of this environment.
  const tracker = world.startCommand(
    [
      ...["unshare", "--mount", "sh", "-c"],
      `mount -t proc proc "$0/proc" && ` +
      `exec chroot --userspec=65534:65534 "$0" /program ${flags} --state /state`,
      root,
    ],
    { env: { PATH: variable("PATH") ?? "", HOME: "/state" } },
    ["tracker", "run", "--json"],
  );
  const { invite } = await tracker.until("listening");
  const { url } = await tracker.until("http");
  assertEquals(await (await fetch(new URL("/readyz", url))).text(), "ready\n");
  const { host, port, network, secret } = parseInvite(invite);
  const membership = { id: network, secret };
  await using raw = await openRaw({ address: { host, port }, membership, role: "peer" });
  await raw.session.request({ verb: "REGISTER", name: "anna", port: 1 });
  const peers = await (await fetch(new URL("/api/v1/peers", url))).json();
  assertEquals(peers.peers.map(({ name }: { name: string }) => name), ["anna"]);
  const kept = await Array.fromAsync(Deno.readDir(join(root, "state", "tracker")), (e) => e.name);
  assert(kept.includes("registry.db"), kept.join());
}, { ignore: NO_ROOT });

e2e("the dashboard asks for metrics that there are", async (world) => {
  const { program } = await world.tracker(["--http", "127.0.0.1:0"]);
  const { url } = await program.until("http");
  const metrics = await (await fetch(new URL("/metrics", url))).text();
  const dashboard = await Deno.readTextFile(join(DEPLOY, "grafana.json"));
  const asked = new Set(dashboard.match(/\b(p2p|process)_[a-z_]+(?=[{,])/g));
  assert(asked.size > 8);
  for (const name of asked) assertStringIncludes(metrics, `# TYPE ${name} `);
});

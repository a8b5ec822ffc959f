import { assertEquals } from "@std/assert";
import { announceTracker, findTracker } from "../../../lib/app/local_tracker.ts";
import { keepPrivate, stateFolders } from "../../../lib/app/state_folder.ts";
import { Identity } from "../../../lib/identity/keys.ts";
import { throwsWith } from "../../helpers/errors.ts";
import { Mount, whyNoMount } from "../../helpers/mount.ts";
import { NO_MODES, permitted } from "../../helpers/permissions.ts";
import { tempDir } from "../../helpers/temp_dir.ts";

const unix = Deno.build.os !== "windows";
const IGNORE = await whyNoMount((folder) => Mount.odd(`${folder}/odd`));
const NO_UNIX_PATHS = unix ? undefined : "paths have another separator there";

function root(os: typeof Deno.build.os, variables: Record<string, string>): string {
  const { tracker, peers } = stateFolders(undefined, (name) => variables[name], os);
  assertEquals(peers.replace(/peers$/, "tracker"), tracker);
  return tracker.replace(/[/\\]tracker$/, "").replaceAll("\\", "/");
}

Deno.test("state is kept where each system keeps it", () => {
  assertEquals(root("linux", { HOME: "/home/a" }), "/home/a/.local/state/p2p");
  assertEquals(root("linux", { HOME: "/home/a", XDG_STATE_HOME: "/s" }), "/s/p2p");
  assertEquals(
    root("darwin", { HOME: "/U/a", XDG_STATE_HOME: "/s" }),
    "/U/a/Library/Application Support/p2p",
  );
  assertEquals(root("windows", { LOCALAPPDATA: "C:/L", HOME: "/x" }), "C:/L/p2p");
  assertEquals(root("windows", { USERPROFILE: "C:/U" }), "C:/U/.local/state/p2p");
});

Deno.test("an empty variable is none, and without any the flag is asked for", () => {
  assertEquals(root("linux", { HOME: "/home/a", XDG_STATE_HOME: "" }), "/home/a/.local/state/p2p");
  const { message } = throwsWith("usage", () => stateFolders(undefined, () => undefined, "linux"));
  assertEquals(message.includes("--state"), true);
});

permitted("--state wins", ["read"], () => {
  const env = () => "/other";
  assertEquals(stateFolders("/x", env, "linux"), { tracker: "/x/tracker", peers: "/x/peers" });
}, { ignore: NO_UNIX_PATHS });

permitted(
  "the tracker of this user is found where it announced itself",
  ["read", "write"],
  async () => {
    await using dir = await tempDir();
    assertEquals(await findTracker(dir.path), null);
    const invite = {
      host: "::1",
      port: 5000,
      network: Identity.generate().id,
      secret: new Uint8Array(16),
    };
    await announceTracker(dir.path, { host: "::1", port: 5000, invite });
    assertEquals(await findTracker(dir.path), { host: "::1", port: 5000, invite });
    await announceTracker(dir.path, { host: "h", port: 1, invite: null });
    assertEquals(await findTracker(dir.path), { host: "h", port: 1, invite: null });
    if (unix) assertEquals(((await Deno.stat(dir.at("address.json"))).mode ?? 0) & 0o777, 0o600);
    for (
      const broken of ["{", "null", '{"host":1,"port":2}', '{"host":"h","port":1,"invite":"x"}']
    ) {
      await Deno.writeTextFile(dir.at("address.json"), broken);
      assertEquals(await findTracker(dir.path), null);
    }
  },
);

/** State folders with a key and an invite in them. */
async function stateIn(root: string) {
  const folders = { tracker: `${root}/tracker`, peers: `${root}/peers` };
  for (const folder of [folders.tracker, folders.peers, `${folders.peers}/1`]) {
    await Deno.mkdir(folder, { recursive: true, mode: 0o700 });
    await Deno.writeTextFile(`${folder}/identity.key`, "key", { mode: 0o600 });
  }
  await Deno.writeTextFile(`${folders.peers}/network.json`, "{}", { mode: 0o600 });
  return folders;
}

async function modesOf(...paths: string[]): Promise<string[]> {
  return await Promise.all(
    paths.map(async (path) => (((await Deno.stat(path)).mode ?? 0) & 0o777).toString(8)),
  );
}

permitted(
  "keys and secrets that others can read are mended and named",
  ["read", "write"],
  async () => {
    await using dir = await tempDir();
    const folders = await stateIn(dir.path);
    const { tracker, peers } = folders;
    const notices: string[] = [];
    const check = () => keepPrivate(folders, (text) => notices.push(text));
    check();
    assertEquals(notices, []);
    const open: [path: string, mode: number][] = [
      [peers, 0o755],
      [`${peers}/1`, 0o750],
      [`${peers}/1/identity.key`, 0o644],
      [`${peers}/network.json`, 0o640],
      [`${tracker}/identity.key`, 0o602],
    ];
    for (const [path, mode] of open) await Deno.chmod(path, mode);
    check();
    assertEquals(notices.length, open.length, notices.join("\n"));
    for (const [path, mode] of open) {
      const said = notices.find((text) =>
        text.includes(`could read ${path}: its mode was ${mode.toString(8)}`)
      );
      assertEquals(typeof said, "string", path);
      if (path.endsWith(".key")) assertEquals(said?.includes("move it away"), true, said);
      if (path.endsWith(".json")) assertEquals(said?.includes("--rotate"), true, said);
    }
    const paths = open.map(([path]) => path);
    assertEquals(await modesOf(...paths), ["700", "700", "600", "600", "600"]);
    check();
    assertEquals(notices.length, open.length);
  },
  { ignore: NO_MODES },
);

permitted("a disk that keeps no modes is told of once", ["read", "write", "run"], async () => {
  await using dir = await tempDir();
  await using disk = await Mount.odd(dir.at("disk"), "modes");
  const folders = await stateIn(dir.at("disk.real"));
  for (const path of [folders.peers, `${folders.peers}/1/identity.key`]) {
    await Deno.chmod(path, 0o755);
  }
  const notices: string[] = [];
  const there = { tracker: `${disk.path}/tracker`, peers: `${disk.path}/peers` };
  keepPrivate(there, (text) => notices.push(text));
  assertEquals(notices.length, 1, notices.join("\n"));
  assertEquals(notices[0]?.includes("choose --state on another disk"), true, notices[0]);
}, { ignore: IGNORE });

import { assert, assertEquals, assertNotEquals, assertRejects } from "@std/assert";
import { join } from "@std/path";
import { P2PError } from "../../../lib/errors.ts";
import { Identity, loadOrCreateIdentity } from "../../../lib/identity/keys.ts";
import {
  loadOrCreateNetwork,
  recallNetwork,
  rememberNetwork,
  rotateSecret,
} from "../../../lib/identity/network.ts";
import { NO_MODES, permitted, type Reason } from "../../helpers/permissions.ts";

/** A test with a folder that is gone afterwards. */
function inFolder(
  name: string,
  fn: (folder: string) => Promise<void>,
  options: { ignore?: Reason } = {},
): void {
  permitted(name, ["read", "write"], async () => {
    const folder = await Deno.makeTempDir();
    try {
      await fn(folder);
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  }, options);
}

function mode(path: string): number {
  return (Deno.statSync(path).mode ?? 0) & 0o777;
}

function names(folder: string): string[] {
  return [...Deno.readDirSync(folder)].map(({ name }) => name);
}

inFolder("an identity is made once", async (folder) => {
  const path = join(folder, "state", "peers", "identity.pem");
  const { id } = await loadOrCreateIdentity(path);
  assertEquals((await loadOrCreateIdentity(path)).id, id);
  assertEquals(names(join(folder, "state", "peers")), ["identity.pem"]);
});

inFolder("an identity is private, and so are its folders", async (folder) => {
  const path = join(folder, "state", "peers", "identity.pem");
  await loadOrCreateIdentity(path);
  assertEquals(mode(path), 0o600);
  assertEquals(mode(join(folder, "state")), 0o700);
  assertEquals(mode(join(folder, "state", "peers")), 0o700);
}, { ignore: NO_MODES });

inFolder("of many starts at once one makes the identity", async (folder) => {
  const path = join(folder, "identity.pem");
  const all = await Promise.all(Array.from({ length: 20 }, () => loadOrCreateIdentity(path)));
  assertEquals(new Set(all.map(({ id }) => id)).size, 1);
  assertEquals(names(folder), ["identity.pem"]);
});

permitted("of many processes one makes the identity", ["read", "write", "run"], async () => {
  const folder = await Deno.makeTempDir();
  try {
    const module = new URL("../../../lib/identity/keys.ts", import.meta.url).href;
    const script = join(Deno.cwd(), "deno.json");
    const code = `import { loadOrCreateIdentity } from ${JSON.stringify(module)};
      console.log((await loadOrCreateIdentity(${JSON.stringify(join(folder, "k.pem"))})).id);`;
    const ids = await Promise.all(Array.from({ length: 4 }, async () => {
      const { stdout } = await new Deno.Command(Deno.execPath(), {
        args: ["eval", "--quiet", "--config", script, code],
      }).output();
      return new TextDecoder().decode(stdout).trim();
    }));
    assertEquals(new Set(ids).size, 1);
    assertEquals(ids[0], (await loadOrCreateIdentity(join(folder, "k.pem"))).id);
    assertEquals(names(folder), ["k.pem"]);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

inFolder("where hard links are not supported, one start makes the identity too", async (folder) => {
  const path = join(folder, "identity.pem");
  const { link } = Deno;
  Deno.link = () => Promise.reject(new Deno.errors.NotSupported("no links here"));
  try {
    const all = await Promise.all(Array.from({ length: 20 }, () => loadOrCreateIdentity(path)));
    assertEquals(new Set(all.map(({ id }) => id)).size, 1);
  } finally {
    Deno.link = link;
  }
  assertEquals(names(folder), ["identity.pem"]);
  if (!NO_MODES) assertEquals(mode(path), 0o600);
});

inFolder("an identity that is no key stops the start and stays as it is", async (folder) => {
  const path = join(folder, "identity.pem");
  const pem = Identity.generate().pkcs8Pem();
  for (const text of ["hunter2", pem.slice(0, 70), ""]) {
    await Deno.writeTextFile(path, text);
    const error = await assertRejects(() => loadOrCreateIdentity(path), P2PError, path);
    assertEquals(error.code, "disk");
    assert(error.message.includes("backup"));
    assert(text === "" || !Deno.inspect(error).includes(text));
    assertEquals(await Deno.readTextFile(path), text);
  }
});

inFolder("a name that another process has reserved is waited for", async (folder) => {
  const path = join(folder, "identity.pem");
  const identity = Identity.generate();
  await Deno.writeTextFile(path, "");
  const loaded = loadOrCreateIdentity(path);
  await Deno.writeTextFile(`${path}.tmp`, identity.pkcs8Pem());
  await Deno.rename(`${path}.tmp`, path);
  assertEquals((await loaded).id, identity.id);
});

inFolder("a place that cannot be written is named", async (folder) => {
  const file = join(folder, "file");
  await Deno.writeTextFile(file, "");
  const path = join(file, "identity.pem");
  const error = await assertRejects(() => loadOrCreateIdentity(path), P2PError, path);
  assertEquals(error.code, "disk");
});

inFolder("a network is made once, and rotating changes its secret only", async (folder) => {
  const dir = join(folder, "tracker");
  const all = await Promise.all(Array.from({ length: 8 }, () => loadOrCreateNetwork(dir)));
  const [first] = all;
  assert(first);
  assertEquals(first.secret.length, 16);
  for (const { key, secret } of all) assertEquals([key.id, secret], [first.key.id, first.secret]);
  const rotated = await rotateSecret(dir);
  assertEquals(rotated.key.id, first.key.id);
  assertNotEquals(rotated.secret, first.secret);
  assertEquals((await loadOrCreateNetwork(dir)).secret, rotated.secret);
  assertEquals(names(dir), ["network.json"]);
  if (!NO_MODES) assertEquals(mode(join(dir, "network.json")), 0o600);
});

inFolder("a peer remembers its network, and a new one in its place", async (folder) => {
  const dir = join(folder, "peers", "1");
  assertEquals(await recallNetwork(dir), null);
  for (const host of ["tracker.example", "fd00::1"]) {
    const invite = {
      host,
      port: 5000,
      network: Identity.generate().id,
      secret: crypto.getRandomValues(new Uint8Array(16)),
    };
    await rememberNetwork(dir, invite);
    assertEquals(await recallNetwork(dir), invite);
  }
  assertEquals(names(dir), ["network.json"]);
  if (!NO_MODES) assertEquals(mode(join(dir, "network.json")), 0o600);
});

inFolder("a damaged network file is named and not quoted", async (folder) => {
  const path = join(folder, "network.json");
  const damaged = ["x", "null", "[]", "{}", `{"seed":"hunter2","secret":"hunter2"}`, "hunter2"];
  for (const text of [...damaged, `{"invite":"p2p://a:1/#hunter2"}`]) {
    await Deno.writeTextFile(path, text);
    for (const load of [loadOrCreateNetwork, rotateSecret, recallNetwork]) {
      const error = await assertRejects(async () => await load(folder), P2PError, path);
      assertEquals(error.code, "disk");
      assert(!Deno.inspect(error).includes("hunter2"));
    }
    assertEquals(await Deno.readTextFile(path), text);
  }
});

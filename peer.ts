import "./lib/net/seed.ts";

if (import.meta.main) {
  const { runPeer } = await import("./lib/app/peer_app.ts");
  Deno.exit(await runPeer(Deno.args));
}

import { runTracker } from "./lib/app/tracker_app.ts";

if (import.meta.main) Deno.exit(await runTracker(Deno.args));

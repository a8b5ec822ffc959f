/**
 * `deno run -A tests/simulation/run.ts [seeds] [text]`: prints what the real picker makes of each scenario whose name
 * has the text: makespan in copies (median, worst), bytes that the sharer sent in files, and what was expected.
 *
 * @module
 */
// deno-lint-ignore-file no-console

import { judge, SCENARIOS } from "./scenarios.ts";

const [seeds = "5", text = ""] = Deno.args;
for (const scenario of SCENARIOS.filter(({ name }) => name.includes(text))) {
  const { copies, worst, sent } = judge(scenario, Number(seeds));
  const figures = [copies, worst, sent, scenario.expected].map((value) =>
    value.toFixed(2).padStart(6)
  );
  console.log([scenario.name.padEnd(34), ...figures].join(" "));
}

/**
 * The lines that a terminal shows after this output, with those that have scrolled off it, without spaces at
 * their ends. All characters are taken to be one column wide.
 */
export function screenOf(output: string, columns: number): string[] {
  const lines: string[][] = [[]];
  let [row, column] = [0, 0];
  const line = () => (lines[row] ??= []);
  const down = () => {
    row++;
    while (lines.length <= row) lines.push([]);
  };
  // deno-lint-ignore no-control-regex
  for (const [token] of output.matchAll(/\x1b\[[?\d;]*[ -/]*[@-~]|\x1b.|[^]/gu)) {
    // deno-lint-ignore no-control-regex
    const control = /^\x1b\[(\d*)[\d;]*([A-Z])$/.exec(token);
    const count = Number(control?.[1] || "1");
    if (token === "\r") column = 0;
    else if (token === "\n") down();
    else if (token === "\b") column = Math.max(0, column - 1);
    else if (control?.[2] === "A") row = Math.max(0, row - count);
    else if (control?.[2] === "B") row += count;
    else if (control?.[2] === "C") column = Math.min(columns - 1, column + count);
    else if (control?.[2] === "D") column = Math.max(0, column - count);
    else if (control?.[2] === "G") column = count - 1;
    else if (control?.[2] === "J") {
      line().splice(column);
      lines.splice(row + 1);
    } else if (control?.[2] === "K") line().splice(column);
    else if (token >= " " && token !== "\x7f") {
      if (column === columns) {
        down();
        column = 0;
      }
      while (line().length < column) line().push(" ");
      line()[column++] = token;
    }
  }
  return lines.map((cells) => cells.join("").trimEnd());
}

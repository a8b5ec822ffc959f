import { assert, assertEquals, assertLess } from "@std/assert";
import { type TypedLine, viewOf } from "../../../../lib/cli/terminal/line_view.ts";

const SIZE = { columns: 10, rows: 5 };

function typed(line: string, cursor = line.length): TypedLine {
  return { prompt: "> ", line, cursor };
}

Deno.test("A line that fits is shown whole, with the cell of the cursor", () => {
  assertEquals(viewOf(typed(""), SIZE), {
    text: "> ",
    cursor: { row: 0, column: 2 },
    end: { row: 0, column: 2 },
  });
  assertEquals(viewOf(typed("abcdefghijk", 3), SIZE), {
    text: "> abcdefghijk",
    cursor: { row: 0, column: 5 },
    end: { row: 1, column: 3 },
  });
  // The terminal goes to the next row with the next character; the cursor is shown there.
  assertEquals(viewOf(typed("abcdefgh"), SIZE).end, { row: 1, column: 0 });
});

Deno.test("Wide characters, marks and tabs take the columns that a terminal gives them", () => {
  const cases: [line: string, row: number, column: number][] = [
    ["\u684c\u684c", 0, 6],
    ["e\u0301", 0, 3],
    ["\u2764\ufe0f", 0, 3],
    ["a\tb", 0, 9],
    // The last column of the first row has no room for it.
    ["abcdefg\u684c", 1, 2],
    ["\u{1f600}".repeat(4), 1, 0],
  ];
  for (const [line, row, column] of cases) {
    assertEquals(viewOf(typed(line), SIZE).end, { row, column }, JSON.stringify(line));
  }
});

Deno.test("Of a longer line a part around the cursor is shown, which fits", () => {
  for (const character of ["x", "\u684c", "\u{1f600}", "e\u0301", "\t"]) {
    const line = character.repeat(300);
    for (let cursor = 0; cursor <= line.length; cursor += character.length) {
      const { text, cursor: at, end } = viewOf(typed(line, cursor), SIZE);
      const where = `${JSON.stringify(character)} ${cursor}`;
      assertLess(end.row, SIZE.rows - 1, where);
      assert(at.row < end.row || at.row === end.row && at.column <= end.column, where);
      assert(text.length > 0 && text.length <= 40, where);
      assert(text.isWellFormed() && `> ${line}`.includes(text), where);
    }
  }
});

Deno.test("The part that is shown stays while the cursor moves within it", () => {
  const line = Array.from({ length: 500 }, (_, n) => String.fromCharCode(65 + n % 58)).join("");
  let changes = 0;
  let before = "";
  for (let cursor = 0; cursor <= line.length; cursor++) {
    const { text } = viewOf(typed(line, cursor), SIZE);
    if (text !== before) changes++;
    before = text;
  }
  assertEquals(changes, 26);
});

Deno.test("A terminal of no size to speak of is no trouble", () => {
  for (const size of [{ columns: 1, rows: 1 }, { columns: 2, rows: 1 }, { columns: 1, rows: 3 }]) {
    for (const line of ["", "abc", "\u684c\u684c\u684c", "\t\t"]) {
      const { cursor } = viewOf(typed(line), size);
      assert(cursor.row >= 0 && cursor.column < size.columns);
    }
  }
});

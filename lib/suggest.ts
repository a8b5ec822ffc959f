import { levenshteinDistance } from "@std/text/levenshtein-distance";

/**
 * The word of `words` that was probably meant by `given`; `null` when none is near. A letter that is wrong,
 * missing or too many costs 1, two that changed places 2. A word of up to three letters may cost 1, one of
 * up to eight 2, a longer one 3: more would offer a word that has little to do with the one given.
 */
export function suggest(given: string, words: Iterable<string>): string | null {
  let nearest: string | null = null;
  let best = given.length < 4 ? 2 : given.length < 9 ? 3 : 4;
  for (const word of words) {
    // Length alone rules most words out, and keeps what was pasted by mistake from being compared.
    if (Math.abs(given.length - word.length) >= best) continue;
    const distance = levenshteinDistance(given.toLowerCase(), word.toLowerCase());
    if (distance < best) [nearest, best] = [word, distance];
  }
  return nearest;
}

/**
 * A character that people can't see (Unicode 16, section 5.21): one that is ignored where it can't be
 * displayed, one that turns the direction of text, or one of the interlinear annotations, which most fonts
 * lack. Names that differ by one look the same, and a name of nothing else looks like none. Variation
 * selectors are left out: they only choose between glyphs, as U+FE0F does in the emoji of a heart.
 */
export const INVISIBLE =
  /(?!\p{Variation_Selector})[\p{Default_Ignorable_Code_Point}\p{Bidi_Control}\u{FFF9}-\u{FFFB}]/u;

/** Colours of code, each with a contrast of at least 4.5 to its background. */

import type { PrismTheme } from "prism-react-renderer";

type Colours = Record<"text" | "back" | "comment" | "keyword" | "string" | "name" | "number", string>;

function theme({ text, back, comment, keyword, string, name, number }: Colours): PrismTheme {
  return {
    plain: { color: text, backgroundColor: back },
    styles: [
      { types: ["comment", "prolog", "cdata"], style: { color: comment, fontStyle: "italic" } },
      { types: ["keyword", "operator", "builtin", "tag", "decorator"], style: { color: keyword } },
      { types: ["string", "char", "attr-value", "triple-quoted-string"], style: { color: string } },
      { types: ["function", "class-name", "property", "attr-name", "header-name"], style: { color: name } },
      { types: ["number", "boolean", "constant", "variable"], style: { color: number } },
    ],
  };
}

export const light = theme({
  text: "#1d2b2a",
  back: "#f3f6f4",
  comment: "#566664",
  keyword: "#8a2f6b",
  string: "#2c5f9e",
  name: "#0b6558",
  number: "#8f4a05",
});

export const dark = theme({
  text: "#dfe8e5",
  back: "#1b2426",
  comment: "#9aaba8",
  keyword: "#e79bc8",
  string: "#94bdf2",
  name: "#72d6c2",
  number: "#efb57c",
});

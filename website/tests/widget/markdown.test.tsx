// @vitest-environment jsdom
import { cleanup, render, screen } from "@testing-library/react";
import { afterEach, expect, test } from "vitest";
import { AnswerPart } from "../../src/widget/messages/AnswerPart";
import { numberSources } from "../../src/widget/messages/sources";
import { Announcer } from "../../src/widget/parts/Announcer";

afterEach(cleanup);

function draw(text: string, sources: Parameters<typeof numberSources>[0][number]["sources"] = []) {
  const [part] = numberSources([{ text, sources }]);
  if (part === undefined) throw new Error("no part");
  return render(
    <Announcer>
      <AnswerPart part={part} />
    </Announcer>,
  ).container;
}

test("HTML in an answer is not drawn as HTML", () => {
  const page = draw('before <img src=x onerror="boom()"> <script>boom()</script> <b>after</b>');
  expect(page.querySelector("script, img, b")).toBeNull();
});

test("a script address leads nowhere, its text stays", () => {
  const page = draw("[one](javascript:alert(1)) [two](data:text/html,boom) ![three](javascript:alert(1))");
  expect(page.querySelector("a")).toBeNull();
  expect(page.textContent).toContain("one two three");
});

test("an image of an answer is fetched from nowhere until it is clicked", () => {
  const page = draw("![a chart](https://elsewhere.example/?q=secret)");
  expect(page.querySelector("img")).toBeNull();
  expect(screen.getByRole("link", { name: "a chart" }).getAttribute("rel")).toBe("noopener noreferrer");
});

test("code keeps every character, and names its language", () => {
  const page = draw("```html\n<b>&amp;</b>\n  *x*\n```");
  expect(page.querySelector("pre code")?.textContent).toBe("<b>&amp;</b>\n  *x*\n");
  expect(page.textContent).toContain("html");
  expect(screen.getByRole("button", { name: "Copy code" })).toBeTruthy();
});

test("a source stands in its sentence and in the list, by one number", () => {
  const text = "Neon sleeps. That is **only** a delay.";
  const page = draw(text, [
    { title: "Sleep", url: "/docs/sleep", index: 11 },
    { title: "Delay", url: null, index: text.length },
    { title: "Sleep", url: "/docs/sleep", index: text.length },
  ]);
  expect(page.querySelector("p")?.textContent).toBe("Neon sleeps1. That is only a delay.12");
  expect(screen.getByRole("list", { name: "Sources" }).textContent).toBe("1Sleep2Delay");
  expect(screen.getAllByRole("link", { name: "Source 1: Sleep" })).toHaveLength(2);
});

test("a source inside code stands behind the code", () => {
  const text = "Run:\n\n```sh\nmake demo\n```\n\nDone.";
  const page = draw(text, [{ title: "Demo", url: "/docs/demo", index: text.indexOf("demo") }]);
  expect(page.querySelector("pre code")?.textContent).toBe("make demo\n");
  expect(screen.getByRole("link", { name: "Source 1: Demo" })).toBeTruthy();
});

test.each([
  ["quotes in quotes", ">".repeat(2_500)],
  ["quotes in quotes, apart", "> ".repeat(2_500)],
  ["lists in lists", "- ".repeat(5_000)],
  ["stress in stress", `${"*".repeat(2_500)}a${"*".repeat(2_500)}`],
  ["images in images", `${"![".repeat(5_000)}a${"](b)".repeat(5_000)}`],
])(
  "%s, too deep to be drawn, are shown as they were written",
  (_name, text) => {
    const page = draw(`Before\n\n${text}\n\nafter`);
    expect(page.textContent).toContain("Before");
    expect(page.textContent).toContain(text.slice(0, 1_000));
  },
  2_000,
);

test("what cannot be drawn takes nothing else away, and is drawn when it can be", () => {
  const fine = `A ruler in code:\n\n\`\`\`\n/${"*".repeat(120)}/\n\`\`\``;
  expect(draw(fine).querySelector("pre")).not.toBeNull();
});

// @vitest-environment jsdom
import { act, cleanup, fireEvent, screen, waitFor, within } from "@testing-library/react";
import { afterEach, expect, test } from "vitest";
import { drawPanel } from "./drawPanel";
import { answered, fakeChat, NEW_THREAD, said } from "./fakeChat";

afterEach(() => {
  cleanup();
  sessionStorage.clear();
});

const message = () => screen.getByRole<HTMLTextAreaElement>("textbox", { name: "Message" });
const WAITING = { state: "waiting", nextTryAt: null, problem: null, mayHaveArrived: false } as const;
const buttonsOf = (row: HTMLElement | undefined) =>
  within(row as HTMLElement)
    .getAllByRole("button")
    .map((button) => button.textContent)
    .filter(Boolean);
const open = (...entries: (typeof NEW_THREAD.entries)[number][]) => ({ open: { ...NEW_THREAD, entries } });

test("each message of the person says how far it got", () => {
  drawPanel(
    fakeChat(
      open(
        said("1", "there"),
        said("2", "going", { delivery: { state: "sending" } }),
        said("3", "later", { delivery: { ...WAITING, nextTryAt: Date.now() + 9500 } }),
        said("4", "after it", { delivery: WAITING }),
      ),
    ),
  );
  const states = screen.getAllByRole("article", { name: "You" }).map((row) => row.textContent);
  expect(states[0]).toContain("Sent");
  expect(states[1]).toContain("Sending");
  expect(states[2]).toMatch(/Waiting, next try in \d+ s/);
  expect(states[3]).toContain("Waiting for its turn");
});

test("a waiting message can be sent now", () => {
  const chat = fakeChat(open(said("1", "later", { delivery: WAITING })));
  drawPanel(chat);
  fireEvent.click(screen.getByRole("button", { name: "Retry" }));
  expect(chat.asked).toContainEqual(["retry"]);
});

test("a waiting message can be taken back only while it cannot have arrived", () => {
  drawPanel(
    fakeChat(
      open(
        said("1", "may be there", { delivery: { ...WAITING, mayHaveArrived: true } }),
        said("2", "not sent", { delivery: WAITING }),
      ),
    ),
  );
  const [tried, behind] = screen.getAllByRole("article", { name: "You" });
  expect(buttonsOf(tried)).toEqual(["Retry"]);
  expect(buttonsOf(behind)).toEqual(["Retry", "Edit", "Discard"]);
});

test("a refused message says why, and comes back to where it was typed, in front of what is there", async () => {
  const problem = { message: "The message is too long.", canRetry: false };
  const chat = fakeChat(open(said("1", "long", { delivery: { state: "refused", problem } })));
  drawPanel(chat);
  expect(screen.getByText(/The message is too long/).getAttribute("role")).toBe("alert");
  fireEvent.change(message(), { target: { value: "next" } });
  fireEvent.click(screen.getByRole("button", { name: "Edit" }));
  await waitFor(() => expect(message().value).toBe("what was typed\n\nnext"));
  expect(chat.asked).toContainEqual(["takeBack", "1"]);
  expect(document.activeElement).toBe(message());
});

test("Enter sends, also while an answer is written; Shift+Enter does not", async () => {
  const chat = fakeChat({ open: { ...NEW_THREAD, entries: [said("1", "one")], answering: true } });
  drawPanel(chat);
  fireEvent.change(message(), { target: { value: "  two\n" } });
  fireEvent.keyDown(message(), { key: "Enter", shiftKey: true });
  expect(chat.asked).toEqual([]);
  fireEvent.keyDown(message(), { key: "Enter" });
  await waitFor(() => expect(chat.asked).toContainEqual(["send", "  two\n"]));
  expect(message().value).toBe("");
});

test("the focus stays where one types when a message is sent by its button", () => {
  drawPanel(fakeChat());
  fireEvent.change(message(), { target: { value: "one" } });
  const send = screen.getByRole("button", { name: "Send message" });
  send.focus();
  fireEvent.click(send);
  expect(document.activeElement).toBe(message());
});

test("a message that cannot be written down is not lost: it is back in the field", async () => {
  const chat = fakeChat();
  chat.failNext("send", "The disk is full.");
  drawPanel(chat);
  fireEvent.change(message(), { target: { value: "precious" } });
  fireEvent.click(screen.getByRole("button", { name: "Send message" }));
  await waitFor(() => expect(message().value).toBe("precious"));
  expect(screen.getByText("The disk is full.")).toBeTruthy();
});

test("an answer that was cut off can be fetched and asked for again", () => {
  const chat = fakeChat(open(said("1", "why"), answered("2", "Beca", { state: "cut" })));
  drawPanel(chat);
  fireEvent.click(screen.getByRole("button", { name: "Fetch the rest" }));
  fireEvent.click(screen.getByRole("button", { name: "Answer again" }));
  expect(chat.asked).toEqual([["join", "2"], ["regenerate"]]);
});

test("only the last answer can be asked for again, and not while one is written", () => {
  const chat = fakeChat(open(answered("1", "first"), answered("2", "second")));
  drawPanel(chat);
  expect(screen.getAllByRole("button", { name: "Answer again" })).toHaveLength(1);
  act(() => chat.setOpen({ answering: true }));
  expect(screen.queryByRole("button", { name: "Answer again" })).toBeNull();
  fireEvent.click(screen.getByRole("button", { name: "Stop" }));
  expect(chat.asked).toEqual([["stop"]]);
});

test("an opinion is given by one press, and shown", () => {
  const chat = fakeChat(open(answered("1", "so", { opinion: "negative" })));
  drawPanel(chat);
  expect(screen.getByRole("button", { name: "Bad answer" }).getAttribute("aria-pressed")).toBe("true");
  fireEvent.click(screen.getByRole("button", { name: "Good answer" }));
  expect(chat.asked).toEqual([["rate", "1", "positive"]]);
});

test("a message is deleted only after a yes, and that it is gone is said", async () => {
  const chat = fakeChat(open(said("1", "oops")));
  drawPanel(chat);
  fireEvent.click(screen.getByRole("button", { name: "Delete message" }));
  const dialog = screen.getByRole("dialog", { name: "Delete message?" });
  expect(document.activeElement).toBe(within(dialog).getByRole("button", { name: "Cancel" }));
  expect(chat.asked).toEqual([]);
  fireEvent.click(within(dialog).getByRole("button", { name: "Delete" }));
  await screen.findByText("Message deleted");
  expect(chat.asked).toEqual([["deleteEntry", "1"]]);
});

test("an item without a picture of its own is readable, with its image", () => {
  const image = "data:image/png;base64,iVBORw0KGgo=";
  const other = { kind: "other", key: "1", itemId: "1", createdAt: 0, writing: false, image } as const;
  drawPanel(fakeChat(open({ ...other, label: "Image", lines: ["A cat"] })));
  const item = screen.getByRole("article", { name: "Image" });
  expect(within(item).getByRole("img", { name: "A cat" }).getAttribute("src")).toBe(image);
});

test("an answer is spoken once, when it is whole", () => {
  const chat = fakeChat({ open: { ...NEW_THREAD, answering: true } });
  const page = drawPanel(chat).container;
  const spoken = () => page.querySelector("[aria-live=polite]")?.textContent;
  act(() => chat.setOpen({ entries: [answered("1", "It", { state: "writing" })] }));
  expect(spoken()).not.toContain("It");
  act(() => chat.setOpen({ entries: [answered("1", "It is **so**.")], answering: false }));
  expect(spoken()).toBe("Assistant: It is so.");
});

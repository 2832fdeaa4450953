// @vitest-environment jsdom
import { act, cleanup, fireEvent, screen, waitFor, within } from "@testing-library/react";
import axe from "axe-core";
import { afterEach, expect, test, vi } from "vitest";
import type { ChatState } from "../../src/chat/contract";
import { drawPanel } from "./drawPanel";
import { answered, fakeChat, NEW_THREAD, said } from "./fakeChat";

afterEach(() => {
  cleanup();
  sessionStorage.clear();
});

const message = () => screen.getByRole<HTMLTextAreaElement>("textbox", { name: "Message" });
const button = (name: string) => screen.getByRole("button", { name });
const VISITOR = {
  kind: "visitor",
  kept: false,
  mayChat: true,
  ways: { password: true, demoUsers: ["Ada"] },
} as const;
const ROW = { key: "t1", title: "Neon", preview: "How?", lastMessageAt: 0, waiting: false };
const LIST = { rows: [ROW], hasMore: true, loading: false, problem: null };

test("the focus is where one types, Escape closes the list, then the chat", () => {
  const closed = vi.fn();
  drawPanel(fakeChat({ threads: LIST }), closed);
  expect(document.activeElement).toBe(message());
  fireEvent.click(button("Conversations"));
  fireEvent.keyDown(button("Rename"), { key: "Escape" });
  expect(document.activeElement).toBe(message());
  expect(closed).not.toHaveBeenCalled();
  fireEvent.keyDown(message(), { key: "Escape" });
  expect(closed).toHaveBeenCalledOnce();
});

test("another conversation keeps the focus where one types, unless the person is elsewhere on the page", () => {
  const chat = fakeChat();
  drawPanel(chat);
  act(() => chat.set({ open: { ...NEW_THREAD, key: "b" } }));
  expect(document.activeElement).toBe(message());
  const field = document.body.appendChild(document.createElement("input"));
  field.focus();
  act(() => chat.set({ open: { ...NEW_THREAD, key: "c" } }));
  expect(document.activeElement).toBe(field);
  field.remove();
});

test("a conversation is opened, renamed, and deleted after a yes", async () => {
  const chat = fakeChat({ threads: LIST });
  drawPanel(chat);
  fireEvent.click(button("Conversations"));
  fireEvent.click(button("Rename"));
  fireEvent.change(screen.getByRole("textbox", { name: "Title" }), { target: { value: " Neon, again " } });
  fireEvent.click(button("Save"));
  await screen.findByText("Conversation renamed");
  await waitFor(() => expect(document.activeElement).toBe(button("Rename")));
  fireEvent.click(await screen.findByRole("button", { name: "Delete" }));
  const dialog = screen.getByRole("dialog", { name: "Delete conversation?" });
  fireEvent.click(within(dialog).getByRole("button", { name: "Delete" }));
  await screen.findByText("Conversation deleted");
  fireEvent.click(button("More conversations"));
  fireEvent.click(within(screen.getByRole("listitem")).getByText("Neon"));
  expect(chat.asked).toEqual([
    ["renameThread", "t1", "Neon, again"],
    ["deleteThread", "t1"],
    ["loadMoreThreads"],
    ["openThread", "t1"],
  ]);
  expect(screen.getByRole("log", { name: "Messages" })).toBeTruthy();
});

test("a deed that fails says why", async () => {
  const chat = fakeChat({ threads: LIST });
  chat.failNext("deleteThread", "The server does not answer.");
  drawPanel(chat);
  fireEvent.click(button("Conversations"));
  fireEvent.click(button("Delete"));
  fireEvent.click(
    within(screen.getByRole("dialog", { name: /Delete/ })).getByRole("button", { name: "Delete" }),
  );
  expect(await screen.findByText("The server does not answer.")).toBeTruthy();
});

test("the banner tells a lost network from a lost server, and how many messages wait", () => {
  const chat = fakeChat({ connection: { kind: "offline", nextTryAt: null }, waiting: 2 });
  drawPanel(chat);
  expect(screen.getByText(/You are offline/).parentElement?.textContent).toContain("2 messages wait.");
  act(() => chat.set({ connection: { kind: "unreachable", nextTryAt: null } }));
  expect(screen.getByText(/The server cannot be reached/)).toBeTruthy();
  act(() => chat.set({ connection: { kind: "server-down", nextTryAt: null } }));
  expect(screen.getByText(/The server does not answer/)).toBeTruthy();
  fireEvent.click(button("Try now"));
  expect(chat.asked).toEqual([["retry"]]);
  act(() => chat.set({ connection: { kind: "online" } }));
  expect(screen.queryByText(/does not answer/)).toBeNull();
});

test("a visitor is told that the history is not kept, and can sign in", async () => {
  const chat = fakeChat({ person: VISITOR });
  drawPanel(chat);
  expect(screen.getByText(/this history is not kept/)).toBeTruthy();
  fireEvent.click(button("Sign in"));
  fireEvent.change(screen.getByLabelText("E-mail"), { target: { value: "ada@example.com" } });
  fireEvent.change(screen.getByLabelText("Password"), { target: { value: "lovelace" } });
  fireEvent.click(button("Sign in"));
  await waitFor(() => expect(chat.asked).toEqual([["signIn", "ada@example.com", "lovelace"]]));
});

test("where visitors may not chat there is no field to type in", () => {
  drawPanel(fakeChat({ person: { ...VISITOR, mayChat: false } }));
  expect(screen.queryByRole("textbox", { name: "Message" })).toBeNull();
  expect(screen.getByText(/You have to sign in/)).toBeTruthy();
});

test("signing out is two presses away", async () => {
  const chat = fakeChat();
  drawPanel(chat);
  fireEvent.click(button("Conversations"));
  fireEvent.click(button("Sign out"));
  await waitFor(() => expect(chat.asked).toEqual([["signOut"]]));
});

test("storage that keeps nothing is said", () => {
  drawPanel(fakeChat({ storage: "unavailable" }));
  expect(screen.getByText(/stores nothing here/)).toBeTruthy();
});

test("a draft stays with its conversation and its person, over a reload", () => {
  const chat = fakeChat({ open: { ...NEW_THREAD, key: "a", id: "thr_a" } });
  const first = drawPanel(chat);
  fireEvent.change(message(), { target: { value: "half a thou" } });
  act(() => chat.set({ open: { ...NEW_THREAD, key: "b", id: "thr_b" } }));
  expect(message().value).toBe("");
  act(() => chat.set({ open: { ...NEW_THREAD, key: "a2", id: "thr_a" } }));
  expect(message().value).toBe("half a thou");
  first.unmount();
  const again = drawPanel(fakeChat({ open: { ...NEW_THREAD, id: "thr_a" } }));
  expect(message().value).toBe("half a thou");
  again.unmount();
  const other: ChatState["person"] = { kind: "account", id: "u2", name: "Eve", ways: VISITOR.ways };
  drawPanel(fakeChat({ person: other, open: { ...NEW_THREAD, id: "thr_a" } }));
  expect(message().value).toBe("");
});

test("what a visitor was typing goes along when they sign in, and is no later visitor's", () => {
  const ann: ChatState["person"] = { kind: "account", id: "u1", name: "Ann", ways: VISITOR.ways };
  const chat = fakeChat({ person: VISITOR, open: { ...NEW_THREAD, key: "a" } });
  drawPanel(chat);
  fireEvent.change(message(), { target: { value: "half a thou" } });
  act(() => chat.set({ person: ann, open: { ...NEW_THREAD, key: "b" } }));
  expect(message().value).toBe("half a thou");
  act(() => chat.set({ person: VISITOR, open: { ...NEW_THREAD, key: "c" } }));
  expect(message().value).toBe("");
  act(() => chat.set({ person: ann, open: { ...NEW_THREAD, key: "d" } }));
  expect(message().value).toBe("half a thou");
});

test("nothing of the one before is asked of, or shown to, who comes next", () => {
  const ann: ChatState["person"] = { kind: "account", id: "u1", name: "Ann", ways: VISITOR.ways };
  const chat = fakeChat({ person: ann, threads: LIST });
  drawPanel(chat);
  fireEvent.click(button("Conversations"));
  fireEvent.click(screen.getAllByRole("button", { name: "Delete" })[0] as HTMLElement);
  act(() => chat.set({ person: VISITOR, threads: { ...LIST, rows: [] } }));
  expect(screen.queryByRole("dialog", { name: /Delete/ })).toBeNull();
});

test("what is typed before it is known who types is kept when that is known", () => {
  const chat = fakeChat({ person: { kind: "unknown" } });
  drawPanel(chat);
  fireEvent.change(message(), { target: { value: "early" } });
  act(() => chat.set({ person: VISITOR }));
  expect(message().value).toBe("early");
});

test("a draft of an earlier page is not lost to what is typed before it is known who types", () => {
  const first = drawPanel(fakeChat({ person: VISITOR }));
  fireEvent.change(message(), { target: { value: "earlier" } });
  first.unmount();
  const chat = fakeChat({ person: { kind: "unknown" } });
  drawPanel(chat);
  fireEvent.change(message(), { target: { value: "later" } });
  act(() => chat.set({ person: VISITOR }));
  expect(message().value).toBe("earlier\n\nlater");
});

test("axe finds nothing in any view", async () => {
  const entries = [said("1", "Why?"), answered("2", "So:\n\n```sh\nmake\n```\n\n| a |\n|---|\n| b |")];
  const chat = fakeChat({ threads: LIST, person: VISITOR, open: { ...NEW_THREAD, entries, hasOlder: true } });
  const { container } = drawPanel(chat);
  // jsdom draws nothing, so that colours and places are for a real browser to check.
  const check = async () => (await axe.run(container, { rules: { region: { enabled: false } } })).violations;
  expect(await check()).toEqual([]);
  fireEvent.click(button("Conversations"));
  expect(await check()).toEqual([]);
  fireEvent.click(button("Sign in"));
  expect(await check()).toEqual([]);
});

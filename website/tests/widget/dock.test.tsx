// @vitest-environment jsdom
import { cleanup, fireEvent, render, screen, waitFor } from "@testing-library/react";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { ChatDock } from "../../src/widget/dock/ChatDock";
import { fillGaps } from "./jsdomGaps";
// Read here, so that fetching it later takes no time that a test would have to wait for.
import "../../src/widget/chatkit/ChatKitPanel";
import "../../src/widget/panel/ChatPanel";

const SCRIPT = "https://vendor.example/chatkit.js";
const OWN = { server: "", chatkit: null };
const VENDOR = { server: "", chatkit: { script: SCRIPT, domainKey: "domain_pk_1" } };

beforeEach(() => {
  fillGaps();
  // A page without a network: the chat opens all the same.
  vi.stubGlobal("fetch", () => Promise.reject(new TypeError("network")));
});
afterEach(() => {
  cleanup();
  sessionStorage.clear();
  vi.unstubAllGlobals();
});

const bubble = () => screen.getByRole("button", { name: "Open chat" });

test("the chat opens on a click, closes again, and gives the focus back to its bubble", async () => {
  render(<ChatDock settings={OWN} />);
  expect(screen.queryByRole("dialog")).toBeNull();
  fireEvent.click(bubble());
  expect(await screen.findByRole("dialog", { name: "Chat" })).toBeTruthy();
  expect(screen.queryByRole("button", { name: "Open chat" })).toBeNull();
  fireEvent.click(screen.getByRole("button", { name: "Close chat" }));
  expect(screen.queryByRole("dialog")).toBeNull();
  await waitFor(() => expect(document.activeElement).toBe(bubble()));
});

test("a chat that was left open is open on the next page, and leaves the focus to that page", async () => {
  render(<ChatDock settings={OWN} />);
  fireEvent.click(bubble());
  await screen.findByRole("dialog", { name: "Chat" });
  cleanup();
  render(<ChatDock settings={OWN} />);
  expect(await screen.findByRole("dialog", { name: "Chat" })).toBeTruthy();
  expect(document.activeElement).toBe(document.body);
});

test("the vendor's script is fetched from nowhere until the chat is opened", async () => {
  render(<ChatDock settings={VENDOR} />);
  const asked = () => document.querySelector<HTMLScriptElement>(`script[src="${SCRIPT}"]`);
  expect(asked()).toBeNull();
  fireEvent.click(bubble());
  await waitFor(() => expect(asked()).not.toBeNull());
});

test("a chat that breaks takes nothing of the page away, and says so", async () => {
  vi.spyOn(console, "error").mockImplementation(() => {});
  vi.stubGlobal("crypto", {});
  render(
    <>
      <h1>The page</h1>
      <ChatDock settings={OWN} />
    </>,
  );
  fireEvent.click(bubble());
  expect((await screen.findByRole("alert")).textContent).toContain("reload");
  expect(screen.getByRole("heading", { name: "The page" })).toBeTruthy();
  vi.restoreAllMocks();
});

// @vitest-environment jsdom
import type { ChatKitOptions } from "@openai/chatkit";
import { act, cleanup, render, screen } from "@testing-library/react";
import { afterEach, expect, test } from "vitest";
import type { OwnServer } from "../../src/widget/chatkit/ownServer";
import { VendorChat } from "../../src/widget/chatkit/VendorChat";
import { readSettings } from "../../src/widget/settings";

/** Stands in for the vendor's element, which only their CDN has: it remembers what it was given. */
class StandIn extends HTMLElement {
  options: ChatKitOptions | null = null;
  updates = 0;
  setOptions(options: ChatKitOptions): void {
    this.options = options;
  }
  async fetchUpdates(): Promise<void> {
    this.updates += 1;
  }
}
customElements.define("openai-chatkit", StandIn);
afterEach(cleanup);

function draw(latestThread: string | null) {
  let changed: (threadId: string | null) => void = () => {};
  let followed = 0;
  const server: OwnServer = {
    url: "https://chat.example/chatkit",
    fetch: async () => new Response("ours"),
    latestThread,
    follow: (callBack) => {
      changed = callBack;
      followed += 1;
      return () => {
        followed -= 1;
      };
    },
  };
  const page = render(<VendorChat server={server} domainKey="domain_pk_1" />);
  const element = page.container.querySelector("openai-chatkit") as StandIn;
  return {
    page,
    element,
    change: (threadId: string | null) => act(() => changed(threadId)),
    emit: (name: string, detail: unknown) =>
      act(() => void element.dispatchEvent(new CustomEvent(`chatkit.${name}`, { detail }))),
    followed: () => followed,
  };
}

test("the component gets our address, key, fetch, history and the most recent conversation", async () => {
  const { element } = draw("thr_1");
  const options = element.options;
  expect(options?.initialThread).toBe("thr_1");
  expect(options?.history).toEqual({ enabled: true, showDelete: true, showRename: true });
  if (!options || !("url" in options.api)) throw new Error("no api");
  expect(options.api).toMatchObject({ url: "https://chat.example/chatkit", domainKey: "domain_pk_1" });
  expect(await (await options.api.fetch?.("/chatkit"))?.text()).toBe("ours");
});

test("what changed elsewhere in the open conversation is fetched; in others it is not", () => {
  const { element, change, emit } = draw("thr_1");
  change("thr_2");
  expect(element.updates).toBe(0);
  change("thr_1");
  change(null);
  expect(element.updates).toBe(2);
  emit("thread.change", { threadId: "thr_2" });
  change("thr_2");
  expect(element.updates).toBe(3);
});

test("while an answer is written nothing is fetched; after it, once", () => {
  const { element, change, emit } = draw("thr_1");
  emit("response.start", undefined);
  change("thr_1");
  change("thr_1");
  expect(element.updates).toBe(0);
  emit("response.end", undefined);
  expect(element.updates).toBe(1);
});

test("it follows the page into the dark, and stops listening when it goes away", async () => {
  const { page, element, followed } = draw(null);
  expect(element.options?.theme).toEqual({ colorScheme: "light" });
  await act(async () => {
    document.documentElement.dataset.theme = "dark";
  });
  expect(element.options?.theme).toEqual({ colorScheme: "dark" });
  expect(followed()).toBe(1);
  page.unmount();
  expect(followed()).toBe(0);
  expect(screen.queryByText(/./)).toBeNull();
});

test("the vendor's component is there only where the site's owner configured it, whole", () => {
  const chatkit = { script: "https://vendor.example/chatkit.js", domainKey: "domain_pk_1" };
  expect(readSettings(undefined)).toEqual({ server: "", chatkit: null });
  expect(readSettings({ chatkit }).chatkit).toBeNull();
  expect(readSettings({ ui: "chatkit", chatkit }).chatkit).toEqual(chatkit);
  expect(() => readSettings({ ui: "chatkit" })).toThrow("script, domainKey");
});

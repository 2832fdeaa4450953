import { beforeEach, describe, expect, it } from "vitest";
import type { Chat, Entry } from "../../src/chat/contract";
import { Browser, type Tab } from "./support/browser";
import { FakeServer, type Fault } from "./support/server";
import { VirtualTime } from "./support/time";

let time: VirtualTime;
let server: FakeServer;
let browser: Browser;

beforeEach(() => {
  time = new VirtualTime();
  server = new FakeServer(time);
  browser = new Browser(time, server);
});

function shown(chat: Chat): string[] {
  return chat.getState().open.entries.map((entry: Entry) => {
    if (entry.kind === "user") return `${entry.delivery.state}: ${entry.text}`;
    if (entry.kind === "assistant") return `${entry.state}: ${entry.parts.map(({ text }) => text).join("")}`;
    return `${entry.kind}`;
  });
}

async function opened(own = {}, from = browser): Promise<Tab> {
  const tab = from.tab(own);
  const started = tab.chat.start();
  let done = false;
  void started.then(() => {
    done = true;
  });
  await time.until("the chat has started", () => done);
  return tab;
}

async function alice(own = {}, from = browser): Promise<Tab> {
  const tab = await opened(own, from);
  await tab.chat.signInAs("alice");
  return tab;
}

function settled({ chat }: Tab): () => boolean {
  return () => chat.getState().waiting === 0 && !chat.getState().open.answering;
}

describe("who talks", () => {
  it("is a visitor whose history is not kept, kept, or not allowed", async () => {
    for (const [anonymous, kept, mayChat] of [
      ["memory", false, true],
      ["persist", true, true],
      ["deny", false, false],
    ] as const) {
      server.anonymous = anonymous;
      const { chat } = await opened({}, new Browser(time, server));
      expect(chat.getState().person).toMatchObject({
        kind: "visitor",
        kept,
        mayChat,
        ways: { demoUsers: ["alice", "bob"] },
      });
      if (!mayChat)
        await expect(chat.send("Hello")).rejects.toMatchObject({ message: "Please sign in to chat." });
    }
  });

  it("is unknown until the server was asked, and can write all the same", async () => {
    server.reachable = false;
    const tab = await opened();
    expect(tab.chat.getState().person.kind).toBe("unknown");
    await tab.chat.send("Before anything");
    server.reachable = true;
    await time.until("it is sent", () => server.threads.length === 1 && settled(tab)());
    expect(shown(tab.chat)).toEqual(["sent: Before anything", "whole: Before anything"]);
  });

  it("is served also when the one before was still being waited for", async () => {
    let busy = true;
    server.fault = ({ path }) => (busy && path === "/chat/threads" ? { status: 429 } : null);
    const tab = browser.tab();
    void tab.chat.start();
    await time.until("a visitor is put off", () => server.asked.includes("/chat/threads"));
    await tab.chat.signInAs("alice");
    await tab.chat.send("Hello");
    busy = false;
    await time.until("it is sent", () => settled(tab)());
    expect(shown(tab.chat)).toEqual(["sent: Hello", "whole: Hello"]);
  });

  it("signs out while something is being sent, and nothing is thrown for it, nor lost", async () => {
    const { chat } = await alice();
    server.hold = new Promise(() => {});
    await chat.send("Being answered");
    await time.until("it is being answered", () => chat.getState().open.answering);
    const typed = chat.send("Typed just before");
    await Promise.all([typed, chat.signOut()]);
    await time.pass(1_000);
    server.hold = null;
    await chat.signInAs("alice");
    await time.pass(60_000);
    expect(server.threads.map((thread) => server.said(thread))).toEqual([
      ["Being answered", "Typed just before"],
    ]);
  });

  it("is looked up when somebody comes back to a page that slept or cannot be told", async () => {
    const tab = await alice();
    let comeBack = () => {};
    const asleep = await opened({
      openChannel: null,
      hints: (changed: () => void) => {
        const before = comeBack;
        comeBack = () => {
          before();
          changed();
        };
        return () => {};
      },
    });
    await tab.chat.send("Alice's own");
    await time.until("it is answered", settled(tab));
    await asleep.chat.openThread(server.threads[0]?.id ?? "");
    await tab.chat.signOut();
    await time.pass(100);
    expect(shown(asleep.chat)).not.toEqual([]);
    server.reachable = false;
    comeBack();
    expect(asleep.chat.getState()).toMatchObject({ open: { entries: [] }, threads: { rows: [] } });
    await time.idle();
    expect(asleep.chat.getState().person.kind).toBe("visitor");
  });

  it("sees nothing of the one before, and finds everything again after coming back", async () => {
    const { chat } = await alice();
    await chat.send("Alice was here");
    await time.until("it is answered", settled({ chat } as Tab));
    server.reachable = false;
    await chat.send("Not sent yet");
    server.reachable = true;
    server.fault = ({ path }) => (path === "/chatkit" ? "lost" : null);
    await chat.signInAs("bob");
    await time.idle();
    expect(chat.getState()).toMatchObject({ person: { name: "Bob" }, waiting: 0, threads: { rows: [] } });
    expect(shown(chat)).toEqual([]);
    server.fault = () => null;
    await chat.signInAs("alice");
    await time.until("it is sent", () => chat.getState().waiting === 0 && shown(chat).length === 4);
    expect(server.threads.map((thread) => [thread.owner, server.said(thread)])).toEqual([
      ["demo-alice", ["Alice was here", "Not sent yet"]],
    ]);
  });

  it("takes along what was said and typed as a visitor", async () => {
    const { chat } = await opened();
    await chat.send("As a visitor");
    await time.until("it is answered", settled({ chat } as Tab));
    server.fault = ({ path }) => (path === "/chatkit" ? "unanswered" : null);
    await chat.send("Arrived, and nobody said so");
    await time.pass(2_000);
    server.fault = () => null;
    await chat.signInAs("alice");
    await time.until("all is there", () => shown(chat).length === 4 && settled({ chat } as Tab)());
    expect(shown(chat)[2]).toBe("sent: Arrived, and nobody said so");
    expect(server.threads.map((thread) => thread.owner)).toEqual(["demo-alice"]);
    expect(server.threads.map((thread) => server.said(thread))).toEqual([
      ["As a visitor", "Arrived, and nobody said so"],
    ]);
  });

  it("takes along what can be, where the browser keeps nothing and tabs cannot talk", async () => {
    const forbid = (): never => {
      throw new DOMException("The operation is insecure.", "SecurityError");
    };
    const { chat } = await opened({
      indexedDB: { open: forbid } as unknown as IDBFactory,
      openChannel: forbid,
    });
    await chat.send("As a visitor");
    await time.until("it is answered", settled({ chat } as Tab));
    server.fault = ({ path }) => (path === "/chatkit" ? "lost" : null);
    await chat.send("Typed as a visitor");
    await time.pass(1_000);
    server.fault = () => null;
    await chat.signInAs("alice");
    await time.until("all is there", () => shown(chat).length === 4 && settled({ chat } as Tab)());
    expect(server.threads.map((thread) => [thread.owner, ...server.said(thread)])).toEqual([
      ["demo-alice", "As a visitor", "Typed as a visitor"],
    ]);
    const asked = server.asked.length;
    await time.pass(600_000);
    expect(server.asked.slice(asked).filter((path) => path === "/chat/claim").length).toBeLessThan(30);
    await chat.signOut();
    expect(chat.getState().open.entries).toEqual([]);
  });

  it("is nobody's business after the browser was closed, in memory mode", async () => {
    const first = await opened();
    server.reachable = false;
    await first.chat.send("Mine alone");
    first.crash();
    browser.closed();
    server.reachable = true;
    const { chat } = await opened();
    await time.pass(60_000);
    expect(shown(chat)).toEqual([]);
    expect(server.threads).toEqual([]);
  });

  it("is the same in all tabs", async () => {
    const [one, two] = [await opened(), await opened()];
    await one.chat.signInAs("alice");
    await time.until("the other tab knows", () => two.chat.getState().person.kind === "account");
    await two.chat.signOut();
    await time.until("the other tab knows", () => one.chat.getState().person.kind === "visitor");
  });

  it("is somebody new as a visitor after the one before became an account, in all tabs", async () => {
    const [one, two] = [await opened(), await opened()];
    await one.chat.send("As a visitor");
    await time.until("it is answered", settled(one));
    await one.chat.signInAs("alice");
    await time.until("the other tab knows", () => shown(two.chat).length === 2);
    await one.chat.signOut();
    await time.until("the other tab knows", () => two.chat.getState().person.kind === "visitor");
    expect(shown(two.chat)).toEqual([]);
    server.fault = ({ path }) => (path === "/chatkit" ? "lost" : null);
    await two.chat.send("As another visitor");
    two.crash();
    server.fault = () => null;
    await time.until(
      "the other tab has sent it",
      () => one.chat.getState().waiting === 0 && server.threads.length === 2,
    );
    expect(server.threads.map(({ owner }) => owner)).toEqual([
      "demo-alice",
      expect.stringMatching(/^session-/),
    ]);
  });

  it("begins as one visitor, however many tabs begin at once", async () => {
    const tabs = [browser.tab(), browser.tab(), browser.tab()];
    for (const { chat } of tabs) void chat.start();
    await time.until("all have begun", () =>
      tabs.every(({ chat }) => chat.getState().person.kind === "visitor"),
    );
    await time.pass(1_000);
    expect(new Set(server.arrived.map(({ owner }) => owner)).size).toBe(1);
  });

  it("takes along what was typed as a visitor when the tab dies in between", async () => {
    const first = await opened();
    server.fault = ({ path }) => (path === "/chatkit" || path === "/chat/claim" ? "lost" : null);
    await first.chat.send("Typed as a visitor");
    await time.pass(100);
    void first.chat.signInAs("alice");
    await time.pass(5_000);
    first.crash();
    server.fault = () => null;
    const { chat } = await opened();
    await time.until("it is sent", () => shown(chat).length === 2);
    expect(server.threads.map((thread) => [thread.owner, server.said(thread)])).toEqual([
      ["demo-alice", ["Typed as a visitor"]],
    ]);
  });

  it("leaves what a visitor said to the account that signed in first, while it cannot be claimed", async () => {
    const tab = await opened();
    await tab.chat.send("As a visitor");
    await time.until("it is answered", settled(tab));
    server.fault = ({ path }) => (path === "/chat/claim" ? { status: 503 } : null);
    for (const name of ["alice", "bob"]) {
      await tab.chat.signOut();
      await time.until("somebody is there", () => tab.chat.getState().person.kind === "visitor");
      void tab.chat.signInAs(name);
      await time.pass(5_000);
      expect(tab.chat.getState().person).toMatchObject({ kind: "account", id: `demo-${name}` });
    }
    server.fault = () => null;
    await time.pass(300_000);
    expect(shown(tab.chat)).toEqual([]);
    expect(server.threads.map(({ owner }) => owner)).toEqual([expect.stringMatching(/^session-/)]);
    await tab.chat.signOut();
    await tab.chat.signInAs("alice");
    await time.until("it is hers", () => shown(tab.chat).length === 2);
    expect(server.threads.map(({ owner }) => owner)).toEqual(["demo-alice"]);
  });

  it("gets a new token before the old one ends, one for all requests", async () => {
    const tab = await alice();
    const tokens = () => server.asked.filter((path) => path === "/demo/sign-in").length;
    const before = tokens();
    await time.pass(800_000);
    await tab.chat.send("Still here");
    await time.until("it is answered", settled(tab));
    expect(tokens()).toBe(before);
    await time.pass(60_000);
    await tab.chat.send("And now");
    await time.until("it is answered", settled(tab));
    expect(tokens()).toBe(before + 1);
  });
});

describe("a message", () => {
  it("is shown at once, then sent, then answered", async () => {
    const tab = await alice();
    await tab.chat.send("One two three");
    expect(shown(tab.chat)[0]).toMatch(/(waiting|sending): One two three/);
    await time.until("it is answered", () => settled(tab)() && shown(tab.chat).length === 2);
    expect(shown(tab.chat)).toEqual(["sent: One two three", "whole: One two three"]);
    expect(tab.chat.getState().threads.rows.map(({ title, waiting }) => [title, waiting])).toEqual([
      ["One two three", false],
    ]);
  });

  it("keeps its key in the picture from typing to history", async () => {
    const tab = await alice();
    const keys = new Set<string>();
    tab.chat.subscribe(() => {
      const users = tab.chat.getState().open.entries.filter(({ kind }) => kind === "user");
      expect(users.length).toBeLessThanOrEqual(1);
      for (const { key } of users) keys.add(key);
    });
    await tab.chat.send("Hello");
    await time.until("it is answered", settled(tab));
    expect(keys.size).toBe(1);
  });

  it("is there once when the answer got lost on the way", async () => {
    const tab = await alice();
    let lost = 3;
    server.fault = ({ path }) => (path === "/chatkit" && lost-- > 0 ? "unanswered" : null);
    await tab.chat.send("Only once");
    await time.until("it is sent", () => settled(tab)() && shown(tab.chat).length === 2);
    expect(server.threads.map((thread) => server.said(thread))).toEqual([["Only once"]]);
    expect(shown(tab.chat)).toEqual(["sent: Only once", "whole: Only once"]);
  });

  it("waits for as long as the server wants it to", async () => {
    const tab = await alice();
    const begun = time.now;
    let refusals = 1;
    server.fault = ({ path }) =>
      path === "/chatkit" && refusals-- > 0 ? { status: 429, retryAfter: 20 } : null;
    await tab.chat.send("Patience");
    const nextTry = () => {
      const [entry] = tab.chat.getState().open.entries;
      return entry?.kind === "user" && entry.delivery.state === "waiting" ? entry.delivery.nextTryAt : null;
    };
    await time.until("it says when it is sent", () => nextTry() !== null);
    expect(nextTry()).toBeGreaterThanOrEqual(begun + 20_000);
    await time.until("it is sent", settled(tab));
    expect(time.now).toBeGreaterThanOrEqual(begun + 20_000);
  });

  it("is sent now when the person wants it", async () => {
    const tab = await alice();
    let refusals = 1;
    server.fault = ({ path }) =>
      path === "/chatkit" && refusals-- > 0 ? { status: 503, retryAfter: 900 } : null;
    await tab.chat.send("Now");
    await time.until("it waits", () => shown(tab.chat)[0] === "waiting: Now");
    const begun = time.now;
    tab.chat.retry();
    await time.until("it is sent", settled(tab));
    expect(time.now - begun).toBeLessThan(10_000);
  });

  it("that is too long is refused in words, holds up nothing, and can be taken back", async () => {
    const tab = await alice();
    await tab.chat.send("x".repeat(2_000));
    await tab.chat.send("Short");
    await time.until("the short one is answered", () =>
      shown(tab.chat).some((line) => line === "whole: Short"),
    );
    const refused = tab.chat.getState().open.entries.at(-1);
    expect(refused).toMatchObject({
      delivery: { state: "refused", problem: { message: "The message is too long." } },
    });
    expect(await tab.chat.takeBack(refused?.key ?? "")).toHaveLength(2_000);
    expect(shown(tab.chat)).toEqual(["sent: Short", "whole: Short"]);
  });

  it("that may have arrived is not taken back", async () => {
    const tab = await alice();
    server.fault = ({ path }) => (path === "/chatkit" ? "unanswered" : null);
    await tab.chat.send("Perhaps");
    await time.pass(500);
    await tab.chat.send("Behind it");
    await time.pass(500);
    const entries = tab.chat.getState().open.entries;
    const told = entries.map((entry) =>
      entry.kind === "user" && entry.delivery.state === "waiting" ? entry.delivery.mayHaveArrived : null,
    );
    expect(told).toEqual([true, false]);
    await expect(tab.chat.takeBack(entries[0]?.key ?? "")).rejects.toMatchObject({ canRetry: false });
  });

  it("is sent by itself when the server knows the person again", async () => {
    const tab = await alice();
    const until = time.now + 90_000;
    server.fault = ({ path }) => (path === "/chatkit" && time.now < until ? { status: 401 } : null);
    await tab.chat.send("Still me");
    await time.pass(60_000);
    expect(shown(tab.chat)).toEqual(["waiting: Still me"]);
    expect(server.asked.length).toBeLessThan(60);
    await time.pass(120_000);
    expect(shown(tab.chat)).toEqual(["sent: Still me", "whole: Still me"]);
  });

  it("that was taken back while it waited is not sent after all, and the next one is", async () => {
    const tab = await alice();
    const other = await opened();
    server.reachable = false;
    tab.chat.retry();
    await time.until("it is offline", () => tab.chat.getState().connection.kind === "unreachable");
    await tab.chat.send("Taken back");
    await tab.chat.send("Taken back elsewhere");
    await tab.chat.send("Meant");
    const [first, second] = tab.chat.getState().open.entries;
    expect(await tab.chat.takeBack(first?.key ?? "")).toBe("Taken back");
    await time.until("the other tab shows what waits", () => other.chat.getState().waiting === 2);
    expect(await other.chat.takeBack(second?.key ?? "")).toBe("Taken back elsewhere");
    server.reachable = true;
    await time.until("the rest is sent", settled(tab));
    expect(server.threads.map((thread) => server.said(thread))).toEqual([["Meant"]]);
  });

  it("typed offline begins a conversation that survives a reload, with all that follows", async () => {
    await alice();
    server.reachable = false;
    const first = await opened();
    first.chat.newThread();
    await first.chat.send("First");
    await first.chat.send("Second");
    await time.until("it is known", () => first.chat.getState().connection.kind === "unreachable");
    first.crash();
    const second = await opened();
    expect(shown(second.chat)).toEqual(["waiting: First", "waiting: Second"]);
    expect(second.chat.getState()).toMatchObject({
      person: { name: "Alice" },
      waiting: 2,
      threads: { rows: [{ waiting: true }] },
    });
    await second.chat.send("Third");
    server.reachable = true;
    await time.until("all is sent", () => shown(second.chat).length === 6 && settled(second)());
    expect(server.threads.map((thread) => server.said(thread))).toEqual([["First", "Second", "Third"]]);
  });

  it("typed in one tab is sent by the one that leads, and by the other when that one dies", async () => {
    const one = await alice();
    const two = await opened();
    await two.chat.send("From the second tab");
    await time.until("the first tab lists it", () => one.chat.getState().threads.rows.length === 1);
    await one.chat.openThread(one.chat.getState().threads.rows[0]?.key ?? "");
    await time.until("both show it", () => shown(one.chat).length === 2 && shown(two.chat).length === 2);
    server.fault = ({ path }) => (path === "/chatkit" ? "unanswered" : null);
    await two.chat.send("On its way when the tab dies");
    await time.pass(100);
    one.crash();
    server.fault = () => null;
    await time.until("it is sent", () => settled(two)() && shown(two.chat).length === 4);
    expect(server.threads.map((thread) => server.said(thread))).toEqual([
      ["From the second tab", "On its way when the tab dies"],
    ]);
    expect(
      new Set(server.arrived.filter(({ body }) => body.includes("when the tab")).map(({ key }) => key)).size,
    ).toBe(1);
  });

  it.each(["absent", "full"] as const)(
    "is sent without a place to keep it: storage is %s",
    async (trouble) => {
      if (trouble === "absent") browser.indexedDB = null;
      const tab = await alice();
      if (trouble === "full") {
        const { IDBObjectStore } = globalThis;
        const { add } = IDBObjectStore.prototype;
        IDBObjectStore.prototype.add = () => {
          throw new DOMException("No room.", "QuotaExceededError");
        };
        await tab.chat.send("Hello").finally(() => {
          IDBObjectStore.prototype.add = add;
        });
      } else await tab.chat.send("Hello");
      expect(tab.chat.getState().storage).toBe(trouble === "full" ? "full" : "unavailable");
      await time.until("it is answered", () => settled(tab)() && shown(tab.chat).length === 2);
      expect(shown(tab.chat)).toEqual(["sent: Hello", "whole: Hello"]);
    },
  );
});

describe("an answer", () => {
  it("that was cut is asked for again with the same key, and is whole and there once", async () => {
    const tab = await alice();
    let cuts = 3;
    server.fault = ({ path }) => (path === "/chatkit" && cuts-- > 0 ? { cutAfter: 900 - cuts * 200 } : null);
    await tab.chat.send("One two three four");
    await time.until("it is whole", () => settled(tab)() && shown(tab.chat).length === 2);
    expect(shown(tab.chat)).toEqual(["sent: One two three four", "whole: One two three four"]);
  });

  it("whose writer died is there once, as the next one wrote it", async () => {
    const tab = await alice();
    server.diesWhileAnswering = true;
    const faults: Fault[] = [{ cutAfter: 800 }, "lost", "lost"];
    server.fault = ({ path }) => (path === "/chatkit" ? (faults.shift() ?? null) : null);
    const seen = new Set<string>();
    tab.chat.subscribe(() => seen.add(shown(tab.chat).join("; ")));
    await tab.chat.send("One two three four");
    await time.until("it is whole", () => settled(tab)() && faults.length === 0);
    expect([...seen]).toContain("sent: One two three four; writing: One ");
    expect(shown(tab.chat)).toEqual(["sent: One two three four", "whole: One two three four"]);
  });

  it("is asked for anew in the place of the old one", async () => {
    const tab = await alice();
    await tab.chat.send("Question");
    await time.until("it is answered", () => settled(tab)() && shown(tab.chat).length === 2);
    server.answer = () => ["Another ", "answer"];
    const done = tab.chat.regenerate();
    await expect(tab.chat.regenerate()).rejects.toMatchObject({
      message: "An answer is being written already.",
    });
    await time.until("it is answered", settled(tab));
    await done;
    expect(shown(tab.chat)).toEqual(["sent: Question", "whole: Another answer"]);
  });

  it("that is asked for anew and got lost comes all the same, once, also after a crash", async () => {
    const tab = await alice();
    await tab.chat.send("Question");
    await time.until("it is answered", () => settled(tab)() && shown(tab.chat).length === 2);
    server.answer = () => ["Another ", "answer"];
    server.reachable = false;
    await tab.chat.regenerate();
    expect(tab.chat.getState()).toMatchObject({ waiting: 0, open: { answering: true } });
    await time.pass(20_000);
    tab.crash();
    const next = await opened();
    await time.pass(5_000);
    expect(next.chat.getState().open.entries).toEqual([]);
    server.reachable = true;
    await time.until("it is there", () => settled(next)() && shown(next.chat)[1] === "whole: Another answer");
    expect(shown(next.chat)).toEqual(["sent: Question", "whole: Another answer"]);
    next.crash();
    const asked = server.arrived.length;
    const last = await opened();
    await time.until("it is there", () => shown(last.chat).length === 2);
    await time.pass(5_000);
    const later = server.arrived.slice(asked).filter(({ body }) => body.includes("retry_after_item"));
    expect(later).toEqual([]);
  });

  it("that is asked for anew is seen being written after a crash", async () => {
    const tab = await alice();
    await tab.chat.send("Question");
    await time.until("it is answered", () => settled(tab)() && shown(tab.chat).length === 2);
    server.answer = () => ["Another ", "answer"];
    let release = () => {};
    server.hold = new Promise((resolve) => {
      release = () => resolve();
    });
    await tab.chat.regenerate();
    await time.until("it is written", () => shown(tab.chat)[1] === "writing: Another ");
    tab.crash();
    const next = await opened();
    await time.until("it is written", () => shown(next.chat)[1] === "writing: Another ");
    release();
    await time.until("it is whole", settled(next));
    expect(shown(next.chat)).toEqual(["sent: Question", "whole: Another answer"]);
    const keys = server.arrived.filter(({ body }) => body.includes("retry_after_item")).map(({ key }) => key);
    expect(new Set(keys).size).toBe(1);
  });

  it("that is asked for anew is asked for again by whoever comes back before it is whole", async () => {
    const tab = await alice();
    await tab.chat.send("Question");
    await time.until("it is answered", () => settled(tab)() && shown(tab.chat).length === 2);
    server.answer = () => ["Another ", "answer"];
    let release = () => {};
    server.hold = new Promise((resolve) => {
      release = () => resolve();
    });
    await tab.chat.regenerate();
    await time.until("it is written", () => shown(tab.chat)[1] === "writing: Another ");
    await tab.chat.signOut();
    await tab.chat.signInAs("alice");
    release();
    await time.until("it is whole", () => settled(tab)() && shown(tab.chat)[1] === "whole: Another answer");
    expect(shown(tab.chat)).toEqual(["sent: Question", "whole: Another answer"]);
    const keys = server.arrived.filter(({ body }) => body.includes("retry_after_item")).map(({ key }) => key);
    expect([keys.length, new Set(keys).size]).toEqual([2, 1]);
  });

  it("is not asked for anew when something was said since", async () => {
    const tab = await alice();
    await tab.chat.send("Question");
    await time.until("it is answered", () => settled(tab)() && shown(tab.chat).length === 2);
    server.reachable = false;
    await tab.chat.regenerate();
    await time.pass(20_000);
    const [thread] = server.threads;
    server.say(thread?.id ?? "", "demo-alice", "From my phone");
    server.reachable = true;
    await time.until("it is told", () => settled(tab)() && shown(tab.chat).includes("notice"));
    expect(shown(tab.chat).filter((line) => line !== "notice")).toEqual([
      "sent: Question",
      "whole: Question",
      "sent: From my phone",
      "whole: From my phone",
    ]);
    expect(server.arrived.filter(({ body }) => body.includes("retry_after_item"))).toEqual([]);
  });

  it("is not asked for anew when something is said while it is on its way", async () => {
    let thread = "";
    const late: typeof server.fetch = async (url, init, cookies) => {
      if (String(init.body).includes("retry_after_item") && server.threads[0]?.items.length === 2)
        server.say(thread, "demo-alice", "From my phone");
      return server.fetch(url, init, cookies);
    };
    const tab = await alice({ fetch: (url: string, init: RequestInit) => late(url, init, browser.cookies) });
    await tab.chat.send("Question");
    await time.until("it is answered", () => settled(tab)() && shown(tab.chat).length === 2);
    thread = server.threads[0]?.id ?? "";
    await tab.chat.regenerate();
    await time.until("it is told", () => settled(tab)() && shown(tab.chat).includes("notice"));
    expect(shown(tab.chat).filter((line) => line !== "notice")).toEqual([
      "sent: Question",
      "whole: Question",
      "sent: From my phone",
      "whole: From my phone",
    ]);
  });

  it("that is not asked for yet need not be", async () => {
    const tab = await alice();
    await tab.chat.send("Question");
    await time.until("it is answered", () => settled(tab)() && shown(tab.chat).length === 2);
    server.reachable = false;
    await time.until("nobody answers", () => {
      tab.chat.retry();
      return tab.chat.getState().connection.kind === "unreachable";
    });
    await tab.chat.regenerate();
    await time.pass(2_000);
    expect(tab.chat.getState().open.progress).toContain("when the connection is back");
    await tab.chat.stop();
    expect(tab.chat.getState().open.answering).toBe(false);
    server.reachable = true;
    await time.pass(60_000);
    expect(shown(tab.chat)).toEqual(["sent: Question", "whole: Question"]);
    expect(server.arrived.filter(({ body }) => body.includes("retry_after_item"))).toEqual([]);
  });

  it("that is not asked for yet need not be, whatever is on its way just then", async () => {
    let arrive = () => {};
    const looked = new Promise<void>((resolve) => {
      arrive = resolve;
    });
    let looking = false;
    const late: typeof server.fetch = async (url, init, cookies) => {
      const response = await server.fetch(url, init, cookies);
      if (!String(init.body).includes('"items.list"') || !wished) return response;
      looking = true;
      await looked;
      return response;
    };
    let wished = false;
    const tab = await alice({ fetch: (url: string, init: RequestInit) => late(url, init, browser.cookies) });
    await tab.chat.send("Question");
    await time.until("it is answered", () => settled(tab)() && shown(tab.chat).length === 2);
    server.answer = () => ["Another ", "answer"];
    wished = true;
    await tab.chat.regenerate();
    await time.until("it looks for what was said since", () => looking);
    await tab.chat.stop();
    arrive();
    await time.pass(60_000);
    expect(shown(tab.chat)).toEqual(["sent: Question", "whole: Question"]);
    expect(server.arrived.filter(({ body }) => body.includes("retry_after_item"))).toEqual([]);
  });

  it("that could not be asked for yet is given up without the server", async () => {
    const tab = await alice();
    await tab.chat.send("Question");
    await time.until("it is answered", () => settled(tab)() && shown(tab.chat).length === 2);
    server.reachable = false;
    await tab.chat.regenerate();
    await time.until("nobody answers", () => tab.chat.getState().connection.kind === "unreachable");
    await tab.chat.stop();
    expect(tab.chat.getState().open.answering).toBe(false);
    expect(server.asked.filter((path) => path.endsWith("/stop"))).toEqual([]);
  });

  it("that is asked for anew in one tab is sent by another, and seen in both", async () => {
    const one = await alice();
    await one.chat.send("Question");
    await time.until("it is answered", () => settled(one)() && shown(one.chat).length === 2);
    const other = await opened();
    await time.until("it is there", () => shown(other.chat).length === 2);
    server.answer = () => ["Another ", "answer"];
    let release = () => {};
    server.hold = new Promise((resolve) => {
      release = () => resolve();
    });
    await other.chat.regenerate();
    await time.until(
      "both see it",
      () => shown(one.chat)[1] === "writing: Another " && shown(other.chat)[1] === "writing: Another ",
    );
    release();
    await time.until("it is whole", () => settled(one)() && settled(other)());
    for (const { chat } of [one, other])
      expect(shown(chat)).toEqual(["sent: Question", "whole: Another answer"]);
  });

  it("grows word by word, and nothing else is drawn anew", async () => {
    const tab = await alice();
    server.begin(
      "demo-alice",
      "Long",
      Array.from({ length: 15 }, (_, at) => `Message ${at}`),
    );
    await tab.chat.openThread(server.threads[0]?.id ?? "");
    let release = () => {};
    server.hold = new Promise((resolve) => {
      release = resolve;
    });
    await tab.chat.send("One two three");
    await time.until(
      "it is being written",
      () => tab.chat.getState().open.answering && shown(tab.chat).includes("writing: One "),
    );
    const before = tab.chat.getState();
    release();
    await time.until("it is whole", settled(tab));
    const after = tab.chat.getState();
    expect(after.open.entries.slice(0, -1)).toEqual(before.open.entries.slice(0, -1));
    for (const [at, entry] of before.open.entries.slice(0, -1).entries())
      expect(after.open.entries[at]).toBe(entry);
  });
});

describe("an answer that takes long", () => {
  let release: () => void;

  beforeEach(() => {
    server.hold = new Promise((resolve) => {
      release = resolve;
    });
  });

  async function begun(): Promise<Tab> {
    const tab = await alice();
    await tab.chat.send("One two three");
    await time.until("it is being written", () => shown(tab.chat).includes("writing: One "));
    return tab;
  }

  it("is followed in the other tab, and after a reload, from its start", async () => {
    const writer = await begun();
    const reader = await opened();
    await time.until("it is followed", () => shown(reader.chat)[1] === "writing: One ");
    expect(reader.chat.getState().open.answering).toBe(true);
    writer.crash();
    const again = await opened();
    await time.until("it is followed again", () => shown(again.chat)[1] === "writing: One ");
    release();
    for (const { chat } of [reader, again]) {
      await time.until(
        "it is whole",
        () => shown(chat)[1] === "whole: One two three" && !chat.getState().open.answering,
      );
      expect(shown(chat)).toHaveLength(2);
    }
    expect(server.threads[0]?.items).toHaveLength(2);
  });

  it("is stopped at the server, keeps what was said, and lets the next message go", async () => {
    const tab = await begun();
    await tab.chat.send("Next");
    expect(shown(tab.chat)).toEqual(["sent: One two three", "writing: One ", "waiting: Next"]);
    server.hold = null;
    let stopped = false;
    void tab.chat.stop().then(() => {
      stopped = true;
    });
    await time.until(
      "the next one is answered",
      () => stopped && shown(tab.chat).length === 4 && settled(tab)(),
    );
    expect(shown(tab.chat)).toEqual(["sent: One two three", "cut: One ", "sent: Next", "whole: Next"]);
  });

  it("goes on when one looks at something else, or the connection is lost", async () => {
    const tab = await begun();
    tab.chat.newThread();
    server.reachable = false;
    await time.pass(90_000);
    expect(server.asked.some((path) => path.endsWith("/stop"))).toBe(false);
    release();
    server.reachable = true;
    await tab.chat.openThread(server.threads[0]?.id ?? "");
    await time.until("it is whole", () => shown(tab.chat)[1] === "whole: One two three");
  });

  it("that nobody writes any more can be asked for anew", async () => {
    const thread = server.begin("demo-alice", "Broken", ["Old"]);
    thread.items.pop();
    const tab = await alice();
    expect(tab.chat.getState().open.entries.at(-1)).toMatchObject({
      kind: "notice",
      problem: { canRetry: true },
    });
    server.hold = null;
    await tab.chat.regenerate();
    await time.until("it is answered", () => shown(tab.chat)[1] === "whole: Old");
    expect(shown(tab.chat)).toHaveLength(2);
  });
});

describe("conversations", () => {
  it("open with the most recent, list the last active first, and load what is older on demand", async () => {
    server.begin("demo-alice", "Old", ["Old message"]);
    time.now += 1000;
    server.begin(
      "demo-alice",
      "New",
      Array.from({ length: 50 }, (_, at) => `Message ${at}`),
    );
    const { chat } = await alice();
    expect(chat.getState().threads.rows.map(({ title }) => title)).toEqual(["New", "Old"]);
    expect(chat.getState().open).toMatchObject({ title: "New", hasOlder: true });
    expect(shown(chat)).toHaveLength(40);
    await chat.loadOlder();
    await chat.loadOlder();
    expect(shown(chat)).toHaveLength(100);
    expect(shown(chat)[0]).toBe("sent: Message 0");
    expect(chat.getState().open.hasOlder).toBe(false);
  });

  it("follow what other devices say, rename and delete", async () => {
    const here = await alice();
    const there = await alice({}, new Browser(time, server, () => 0.5, "c"));
    await here.chat.send("From here");
    await time.until("it is listed there", () => there.chat.getState().threads.rows.length === 1);
    await there.chat.openThread(there.chat.getState().threads.rows[0]?.key ?? "");
    await time.until("it is there", () => shown(there.chat).length === 2);
    await there.chat.send("From there");
    await time.until("it is here", () => shown(here.chat).length === 4);
    await there.chat.renameThread(there.chat.getState().open.key, "Renamed");
    await time.until("it has a new name here", () => here.chat.getState().open.title === "Renamed");
    await there.chat.deleteEntry(there.chat.getState().open.entries[0]?.key ?? "");
    await time.until("it is gone here", () => shown(here.chat)[0] === "whole: From here");
    await there.chat.deleteThread(there.chat.getState().open.key);
    await time.until(
      "all is gone here",
      () => here.chat.getState().threads.rows.length === 0 && shown(here.chat).length === 0,
    );
  });

  it("are said to be still there when the server wants to be left alone for long", async () => {
    const tab = await alice();
    await tab.chat.send("Stays");
    await time.until("it is answered", settled(tab));
    server.fault = ({ path }) => (path === "/chatkit" ? { status: 429, retryAfter: 600 } : null);
    const begun = time.now;
    let failure: unknown = null;
    tab.chat.deleteThread(tab.chat.getState().open.key).catch((problem: unknown) => {
      failure = problem;
    });
    await time.until("it is said", () => failure !== null);
    expect(failure).toMatchObject({ message: "Please wait.", canRetry: true });
    expect(time.now - begun).toBeLessThan(60_000);
  });

  it.each(["", "<html>Welcome to this network</html>", ": memory\n\nevent: resync\ndata: {}\n\n"])(
    "are asked for calmly while the stream of changes ends as soon as it begins, with %j",
    async (text) => {
      const short = async (url: string, init: RequestInit) => {
        if (!url.startsWith("/chat/events")) return server.fetch(url, init, browser.cookies);
        server.asked.push("/chat/events");
        return new Response(text);
      };
      await alice({ fetch: short });
      await time.pass(5_000);
      const asked = server.asked.length;
      await time.pass(600_000);
      const since = server.asked.slice(asked);
      expect(since.filter((path) => path === "/chat/events").length).toBeLessThan(30);
      expect(since.filter((path) => path === "/chat/threads").length).toBeLessThan(200);
    },
  );

  it("are in step however late and in what order pages come, and are asked for once for many changes", async () => {
    const late: (() => void)[] = [];
    let isLate = false;
    let pages = 0;
    const slow = async (url: string, init: RequestInit) => {
      const response = await server.fetch(url, init, browser.cookies);
      const isPage = url.startsWith("/chat/threads?") || String(init.body).includes("items.list");
      if (isPage) pages++;
      if (isPage && isLate) await new Promise<void>((resolve) => late.push(resolve));
      return response;
    };
    const { chat } = await alice({ fetch: slow });
    await chat.send("Begun here");
    await time.until("it is answered", settled({ chat } as Tab));
    await time.pass(1_000);
    const id = server.threads[0]?.id ?? "";
    isLate = true;
    server.say(id, "demo-alice", "First");
    await time.pass(200);
    server.say(id, "demo-alice", "Second");
    server.begin("demo-alice", "Begun elsewhere", ["Hello"]);
    await time.pass(200);
    isLate = false;
    for (const arrive of late.reverse()) arrive();
    await time.pass(1_000);
    expect(shown(chat).slice(-2)).toEqual(["sent: Second", "whole: Second"]);
    expect(chat.getState().threads.rows.map((row) => row.title)).toEqual(["Begun elsewhere", "Begun here"]);
    pages = 0;
    for (let say = 0; say < 50; say++) server.say(id, "demo-alice", `Burst ${say}`);
    await time.pass(1_000);
    expect(shown(chat).at(-1)).toBe("whole: Burst 49");
    expect(pages).toBeLessThan(10);
  });

  it("are shown further down also when one asks for that while their list is asked for anew", async () => {
    const titles = Array.from({ length: 45 }, (_, at) => `Thread ${at}`);
    for (const title of titles) server.begin("demo-alice", title, ["Hello"]);
    let arrive: (() => void) | null = null;
    let isLate = false;
    const { chat } = await alice({
      fetch: async (url: string, init: RequestInit) => {
        const response = await server.fetch(url, init, browser.cookies);
        if (isLate && url.startsWith("/chat/threads?") && arrive === null)
          await new Promise<void>((resolve) => {
            arrive = resolve;
          });
        return response;
      },
    });
    await time.pass(1_000);
    isLate = true;
    server.say(server.threads.at(-1)?.id ?? "", "demo-alice", "Again");
    await time.until("it is asked for anew", () => arrive !== null);
    const more = Promise.all([chat.loadMoreThreads(), chat.loadMoreThreads()]);
    (arrive as (() => void) | null)?.();
    await more;
    expect(new Set(chat.getState().threads.rows.map(({ title }) => title))).toEqual(new Set(titles));
    expect(chat.getState().threads.rows).toHaveLength(45);
  });

  it("do not wait for ever for a page that stops in its middle", async () => {
    const begun = server.begin("demo-alice", "Long ago", ["Hello"]);
    let isStuck = false;
    const { chat } = await alice({
      fetch: async (url: string, init: RequestInit) =>
        isStuck && String(init.body).includes("items.list")
          ? new Response(new ReadableStream())
          : server.fetch(url, init, browser.cookies),
    });
    chat.newThread();
    isStuck = true;
    void chat.openThread(begun.id);
    await time.until("it is said", () => chat.getState().open.problem !== null);
    isStuck = false;
    await chat.openThread(begun.id);
    expect(shown(chat)).toEqual(["sent: Hello", "whole: Hello"]);
  });

  it("stay in sight when something else answers in the server's place", async () => {
    let answer: (() => Response) | null = null;
    const { chat } = await alice({
      fetch: async (url: string, init: RequestInit) =>
        answer !== null && !/healthz|readyz|events/.test(url)
          ? answer()
          : server.fetch(url, init, browser.cookies),
    });
    await chat.send("In sight");
    await time.until("it is answered", settled({ chat } as Tab));
    for (const text of ["{}", '{"error":{"code":"x"}}', "[]", "null", "<html>"]) {
      answer = () => new Response(text, { headers: { "Content-Type": "application/json" } });
      await chat.openThread(chat.getState().open.key);
      chat.retry();
      await time.pass(10_000);
      expect(shown(chat)).toEqual(["sent: In sight", "whole: In sight"]);
      expect(chat.getState().open.problem).not.toBeNull();
    }
  });

  it("lose what was deleted in them, also when one looks at another meanwhile", async () => {
    // Nothing is heard of the server's own word of it.
    server.fault = ({ path }) => (path === "/chat/events" ? { status: 404 } : null);
    const tab = await alice();
    const texts = Array.from({ length: 40 }, (_, at) => `Say ${at}`);
    const long = server.begin("demo-alice", "Long", texts);
    const other = server.begin("demo-alice", "Other", ["Hello"]);
    await tab.chat.openThread(long.id);
    await tab.chat.loadOlder();
    const [first] = tab.chat.getState().open.entries;
    const deleted = tab.chat.deleteEntry(first?.key ?? "");
    await tab.chat.openThread(other.id);
    await deleted;
    await tab.chat.openThread(long.id);
    expect(shown(tab.chat)[0]).not.toBe("sent: Say 0");
  });

  it("remember what was thought of an answer", async () => {
    const tab = await alice();
    await tab.chat.send("Rate me");
    await time.until("it is answered", () => settled(tab)() && shown(tab.chat).length === 2);
    await tab.chat.rate(tab.chat.getState().open.entries[1]?.key ?? "", "positive");
    const again = await opened();
    expect(again.chat.getState().open.entries[1]).toMatchObject({ opinion: "positive" });
  });

  it("have what happened elsewhere after the first look at them, before changes could be heard of", async () => {
    const open = server.begin("demo-alice", "Open", ["Hello"]);
    let hear = () => {};
    const late = new Promise<void>((resolve) => {
      hear = resolve;
    });
    const { chat } = await alice({
      fetch: async (url: string, init: RequestInit) => {
        if (url.startsWith("/chat/events")) await late;
        return server.fetch(url, init, browser.cookies);
      },
    });
    const behind = await opened();
    server.say(open.id, "demo-alice", "In between");
    await time.pass(1_000);
    const begun = server.begin("demo-alice", "Begun in between", ["Hello"]);
    await time.pass(1_000);
    expect(chat.getState().threads.rows.map(({ key }) => key)).toEqual([open.id]);
    hear();
    await time.pass(1_000);
    expect(chat.getState().threads.rows.map(({ key }) => key)).toEqual([begun.id, open.id]);
    expect(shown(chat).slice(-2)).toEqual(["sent: In between", "whole: In between"]);
    expect(shown(behind.chat)).toEqual(shown(chat));
  });

  it("are polled while changes cannot be heard of, and by one tab for all", async () => {
    server.fault = ({ path }) => (path === "/chat/events" ? { status: 503 } : null);
    const tabs = [await alice(), await opened()];
    const thread = server.begin("demo-alice", "Elsewhere", ["Hello"]);
    await time.pass(6_000);
    for (const { chat } of tabs)
      expect(chat.getState().threads.rows.map(({ key }) => key)).toEqual([thread.id]);
    server.asked.length = 0;
    await time.pass(20_000);
    expect(server.asked.filter((path) => path === "/chat/events").length).toBeLessThan(6);
  });
});

describe("the connection", () => {
  it("tells the network from the server, and is found again by itself", async () => {
    let hasNetwork = false;
    const { chat } = await alice({ hasNetwork: () => hasNetwork });
    // Whatever is asked of the server shows that it is there: nothing is on its way.
    await time.pass(1_000);
    // The browser may say what it likes while the server answers.
    expect(chat.getState().connection.kind).toBe("online");
    server.reachable = false;
    await chat.send("Hello");
    await time.until("it is offline", () => chat.getState().connection.kind === "offline");
    hasNetwork = true;
    await time.until("it is the server's", () => chat.getState().connection.kind === "unreachable");
    server.reachable = true;
    server.ready = false;
    await time.until("the server is down", () => chat.getState().connection.kind === "server-down");
    server.ready = true;
    await time.until("it is back", () => chat.getState().connection.kind === "online");
    await time.until("it is sent", settled({ chat } as Tab));
  });
});

import { describe, expect, it } from "vitest";
import type { Chat } from "../../src/chat/contract";
import type { Environment } from "../../src/chat/environment";
import { timeOf, UNKNOWN_POLICY } from "../../src/chat/identity/policy";
import { Bearer, type Token } from "../../src/chat/identity/token";
import { VisitorId } from "../../src/chat/identity/visitor";
import { Failure, failureOf } from "../../src/chat/protocol/failure";
import { Browser } from "./support/browser";
import { FakeServer, tokenOf } from "./support/server";
import { VirtualTime } from "./support/time";

function kept(): Storage {
  const values = new Map<string, string>();
  return {
    getItem: (name: string) => values.get(name) ?? null,
    setItem: (name: string, value: string) => void values.set(name, value),
    removeItem: (name: string) => void values.delete(name),
  } as Storage;
}

describe("a visitor's id", () => {
  const given = new Response(null, { headers: { "X-Visitor-Id": "signed" } });

  it("is kept and sent where the server is on another site, until the server does not know it", async () => {
    const id = new VisitorId({ storage: kept() } as never, "visitor", true);
    expect(await id.headers()).toEqual({});
    id.answered(given);
    expect(await id.headers()).toEqual({ "X-Visitor-Id": "signed" });
    expect(id.refused()).toBe(true);
    expect(await id.headers()).toEqual({});
    expect(id.refused()).toBe(false);
  });

  it("is the cookie's business on the same site", async () => {
    const id = new VisitorId({ storage: kept() } as never, "visitor", false);
    id.answered(given);
    expect(await id.headers()).toEqual({});
  });
});

describe("a bearer token", () => {
  const alice: Token = { text: tokenOf("alice"), subject: "alice", seconds: 900 };

  it("is never somebody else's: then the page is told", async () => {
    let strayed = 0;
    const bearer = new Bearer(
      "alice",
      async () => ({ ...alice, subject: "bob" }),
      () => 0,
      () => strayed++,
    );
    await expect(bearer.headers()).rejects.toMatchObject({ kind: "unauthorized", canRetry: false });
    expect(strayed).toBe(1);
  });

  it("is asked for again after it could not be had", async () => {
    let tries = 0;
    const fetchToken = async () => {
      if (tries++ === 0) throw new Failure("Nobody there.", "network");
      return alice;
    };
    const bearer = new Bearer(
      "alice",
      fetchToken,
      () => 0,
      () => {},
    );
    await expect(bearer.headers()).rejects.toMatchObject({ canRetry: true });
    expect(await bearer.headers()).toEqual({ Authorization: `Bearer ${alice.text}` });
    await Promise.all([bearer.headers(), bearer.headers()]);
    expect(tries).toBe(2);
  });
});

describe("times", () => {
  it.each([
    ["2026-11-21T09:00:00.123456", 60, "2026-11-21T08:00:00.123Z"],
    ["2026-11-21T09:00:00", -90, "2026-11-21T10:30:00.000Z"],
    ["2026-11-21T09:00:00Z", 60, "2026-11-21T09:00:00.000Z"],
    ["2026-11-21T09:00:00+02:00", 60, "2026-11-21T07:00:00.000Z"],
  ])("%s of a server %d minutes east of Greenwich", (text, zoneMinutes, expected) => {
    expect(new Date(timeOf(text, { ...UNKNOWN_POLICY, zoneMinutes }, 0)).toISOString()).toBe(expected);
  });

  it("that cannot be read are what is said instead", () => {
    for (const text of [null, 5, "", "yesterday"]) expect(timeOf(text, UNKNOWN_POLICY, 7)).toBe(7);
  });
});

describe("refusals", () => {
  it.each([
    [400, "invalid_request", undefined, "refused"],
    [404, "not_found", undefined, "gone"],
    [409, "conflict", undefined, "refused"],
    [409, "busy", "2", "busy"],
    [413, "too_large", undefined, "refused"],
    [422, "idempotency_key_reused", undefined, "refused"],
    [429, "too_many_requests", "7", "busy"],
    [500, "internal", undefined, "unavailable"],
    [503, "unavailable", "5", "unavailable"],
  ])("%d %s with Retry-After %s is %s", async (status, code, retryAfter, kind) => {
    const body = JSON.stringify({ error: { code, message: "What to do." } });
    const headers = retryAfter === undefined ? {} : { "Retry-After": retryAfter };
    const failure = await failureOf(new Response(body, { status, headers }), 0, () => null);
    expect(failure).toMatchObject({ message: "What to do.", kind, code });
    expect(failure.retryAfterMs).toBe(retryAfter === undefined ? null : Number(retryAfter) * 1000);
  });

  it.each(["99999999999", "Fri, 31 Dec 9999 23:59:59 GMT", "-5", "soon", "1.5", ""])(
    "that want to be left alone for %j are waited for, and not for ever",
    async (retryAfter) => {
      const headers = { "Retry-After": retryAfter };
      const failure = await failureOf(new Response("", { status: 429, headers }), 0, () => null);
      // Browsers run a timer at once that is set for longer than 24 days.
      expect(failure.retryAfterMs ?? 0).toBeGreaterThanOrEqual(0);
      expect(failure.retryAfterMs ?? 0).toBeLessThanOrEqual(15 * 60_000);
    },
  );

  it("of whatever stands before the server are in words, too", async () => {
    const failure = await failureOf(new Response("<html>Bad gateway</html>", { status: 502 }), 0, () => null);
    expect(failure).toMatchObject({ kind: "unavailable", canRetry: true });
    expect(failure.message).not.toContain("html");
  });
});

describe("an account with a password", () => {
  it("is signed in with by the sign-in server's words, and signed out", async () => {
    const time = new VirtualTime();
    const server = new FakeServer(time);
    server.accounts.set("ada@example.org", "correct horse");
    const { chat } = new Browser(time, server).tab();
    void chat.start();
    await time.until("it has started", () => chat.getState().person.kind === "visitor");
    expect(chat.getState().person).toMatchObject({ ways: { password: true } });
    await expect(chat.signIn("ada@example.org", "wrong")).rejects.toMatchObject({
      message: "The e-mail address or the password is not right.",
    });
    await chat.signIn("ada@example.org", "correct horse");
    expect(chat.getState().person).toMatchObject({ kind: "account", name: "ada@example.org" });
    await chat.signOut();
    expect(chat.getState().person.kind).toBe("visitor");
  });

  it("is who was said last, however late the server answers who it was before", async () => {
    const time = new VirtualTime();
    const server = new FakeServer(time);
    server.accounts.set("ann@example.com", "right-one");
    const browser = new Browser(time, server);
    const held: (() => void)[] = [];
    const slow: Partial<Environment> = {
      fetch: async (url, init) => {
        const response = await server.fetch(url, init, browser.cookies);
        if (url.endsWith("/get-session")) await new Promise<void>((resolve) => held.push(resolve));
        return response;
      },
    };
    const late = async (deed: (chat: Chat) => Promise<void>) => {
      const { chat } = browser.tab(slow);
      const started = chat.start();
      await time.until("it is asked who is here", () => held.length === 1);
      const done = deed(chat);
      await time.idle();
      for (let round = 0; round < 3; round++) {
        for (const release of held.splice(0)) release();
        await time.idle();
      }
      await Promise.all([started, done]);
      return chat.getState().person;
    };
    expect(await late((chat) => chat.signIn("ann@example.com", "right-one"))).toMatchObject({
      kind: "account",
    });
    expect(await late((chat) => chat.signOut())).toMatchObject({ kind: "visitor" });
    expect(browser.kept.get("chatkit-neon.person")).toBeUndefined();
  });

  it("that ended elsewhere is noticed, and nothing of it is shown any more", async () => {
    const time = new VirtualTime();
    const server = new FakeServer(time);
    server.accounts.set("ada@example.org", "correct horse");
    const browser = new Browser(time, server);
    const { chat } = browser.tab();
    void chat.start();
    await time.until("it has started", () => chat.getState().person.kind === "visitor");
    await chat.signIn("ada@example.org", "correct horse");
    await chat.send("Mine");
    await time.until("it is answered", () => chat.getState().open.entries.length === 2);
    browser.cookies.delete("signed-in");
    await time.pass(900_000);
    await chat.openThread(chat.getState().open.key);
    await time.until("it is noticed", () => chat.getState().person.kind === "visitor");
    expect(chat.getState().open.entries).toEqual([]);
    expect(chat.getState().threads.rows).toEqual([]);
  });
});

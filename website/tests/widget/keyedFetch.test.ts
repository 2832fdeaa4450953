import { expect, test } from "vitest";
import type { Environment } from "../../src/chat/environment";
import type { Credentials } from "../../src/chat/protocol/http";
import { keyedFetch } from "../../src/widget/chatkit/keyedFetch";

type Answer = Response | "lost";

/** A server that gives these answers in turn, and remembers what it was sent. */
function serverOf(...answers: Answer[]) {
  const sent: Headers[] = [];
  const pauses: number[] = [];
  let keys = 0;
  const env = {
    fetch: async (_: string, init: RequestInit) => {
      sent.push(new Headers(init.headers));
      const answer = answers.shift() ?? new Response("done");
      if (answer === "lost") throw new TypeError("network");
      return answer;
    },
    now: () => 0,
    random: () => 1,
    newId: () => `key-${++keys}`,
    after: (milliseconds: number, run: () => void) => {
      pauses.push(milliseconds);
      queueMicrotask(run);
      return () => {};
    },
  } as unknown as Environment;
  return { env, sent, pauses };
}

function bearer(...tokens: string[]): Credentials {
  return {
    headers: async () => ({ Authorization: `Bearer ${tokens[0]}` }),
    refused: () => tokens.shift() !== undefined && tokens.length > 0,
    answered: () => {},
  };
}

const message = { method: "POST", body: JSON.stringify({ type: "threads.create", params: {} }) };
const keysOf = (sent: Headers[]) => sent.map((headers) => headers.get("Idempotency-Key"));

test("each message has a key of its own, and the person's token", async () => {
  const { env, sent } = serverOf();
  const fetch = keyedFetch(env, bearer("t"));
  await fetch("/chatkit", message);
  await fetch("/chatkit", message);
  expect(keysOf(sent)).toEqual(["key-1", "key-2"]);
  expect(sent[0]?.get("Authorization")).toBe("Bearer t");
});

test("a message that nobody answered is sent again with its key, when the server says or after a pause", async () => {
  const busy = new Response("{}", { status: 429, headers: { "Retry-After": "7" } });
  const { env, sent, pauses } = serverOf("lost", new Response("", { status: 503 }), busy);
  const answer = await keyedFetch(env, bearer("t"))("/chatkit", message);
  expect(await answer.text()).toBe("done");
  expect(keysOf(sent)).toEqual(["key-1", "key-1", "key-1", "key-1"]);
  expect(pauses).toEqual([1000, 2000, 7000]);
});

test("a message that is refused is not sent again", async () => {
  const { env, sent } = serverOf(new Response("{}", { status: 413 }));
  const answer = await keyedFetch(env, bearer("t"))("/chatkit", message);
  expect(answer.status).toBe(413);
  expect(sent).toHaveLength(1);
});

test("a token that ran out is renewed once, under the same key", async () => {
  const { env, sent } = serverOf(new Response("{}", { status: 401 }));
  await keyedFetch(env, bearer("old", "new"))("/chatkit", message);
  expect(sent.map((headers) => headers.get("Authorization"))).toEqual(["Bearer old", "Bearer new"]);
  expect(keysOf(sent)).toEqual(["key-1", "key-1"]);
});

test("a message that is called off is not sent again", async () => {
  const { env, sent } = serverOf("lost");
  const calledOff = AbortSignal.abort();
  await expect(keyedFetch(env, bearer("t"))("/chatkit", { ...message, signal: calledOff })).rejects.toThrow(
    "network",
  );
  expect(sent).toHaveLength(1);
});

test("what is only read has no key, and its failure is shown at once", async () => {
  const { env, sent } = serverOf("lost");
  const body = JSON.stringify({ type: "threads.list", params: {} });
  await expect(keyedFetch(env, bearer("t"))("/chatkit", { method: "POST", body })).rejects.toThrow("network");
  expect(keysOf(sent)).toEqual([null]);
});

test("a server that stays away is given up on, with the failure it had last", async () => {
  const { env, sent } = serverOf(...Array.from({ length: 20 }, () => new Response("", { status: 502 })));
  const answer = await keyedFetch(env, bearer("t"))("/chatkit", message);
  expect(answer.status).toBe(502);
  expect(sent).toHaveLength(10);
});

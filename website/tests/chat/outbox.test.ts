import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Browser, type Tab } from "./support/browser";
import { FakeServer, type Fault } from "./support/server";
import { VirtualTime } from "./support/time";

const fault: fc.Arbitrary<Fault | null> = fc.oneof(
  fc.constant(null),
  fc.constant<Fault>("lost"),
  fc.constant<Fault>("unanswered"),
  fc.constantFrom<Fault>(
    { status: 503 },
    { status: 500 },
    { status: 429, retryAfter: 3 },
    { status: 409, retryAfter: 2 },
  ),
  fc.nat(900).map((cutAfter): Fault => ({ cutAfter })),
);

const step = fc.oneof(
  { weight: 5, arbitrary: fc.record({ do: fc.constant("say" as const), tab: fc.nat(1), thread: fc.nat(2) }) },
  {
    weight: 2,
    arbitrary: fc.record({ do: fc.constant("wait" as const), tab: fc.nat(1), milliseconds: fc.nat(8_000) }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("crash" as const), tab: fc.nat(1) }) },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constant("offline" as const), tab: fc.nat(1), away: fc.boolean() }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("retry" as const), tab: fc.nat(1) }) },
);

/** Two tabs of one person, one of which may be gone at any moment. */
class World {
  readonly time = new VirtualTime();
  readonly server = new FakeServer(this.time);
  readonly browser: Browser;
  readonly tabs: [Tab | null, Tab | null] = [null, null];
  /** What was written down, in the order of each conversation. */
  readonly said = new Map<string, string[]>();
  /** By the first message of a conversation, what it is called in each tab. */
  #count = 0;

  constructor(faults: readonly (Fault | null)[], seed: number) {
    let number = 0;
    const random = () => ((Math.sin(seed + ++number) * 10_000) % 1) ** 2;
    this.browser = new Browser(this.time, this.server, random);
    let at = 0;
    this.server.fault = () => faults[at++ % faults.length] ?? null;
  }

  async tab(which: number): Promise<Tab> {
    const old = this.tabs[which];
    if (old) return old;
    const tab = this.browser.tab();
    this.tabs[which] = tab;
    void tab.chat.start();
    await this.time.idle();
    return tab;
  }

  async say(which: number, thread: number): Promise<void> {
    const { chat } = await this.tab(which);
    // Only the tab that began a conversation knows it before the server does.
    const begun = [...this.said.keys()][thread];
    const rows = chat.getState().threads.rows;
    const row = rows.find(
      ({ key, title, preview }) =>
        begun !== undefined && (title === begun || preview === begun || this.#keys.get(begun) === key),
    );
    const text = `message ${++this.#count}`;
    if (row === undefined || begun === undefined) {
      chat.newThread();
      await this.#written(chat.send(text));
      this.said.set(text, [text]);
      this.#keys.set(text, chat.getState().open.key);
    } else {
      void chat.openThread(row.key);
      await this.#written(chat.send(text));
      this.said.get(begun)?.push(text);
    }
  }

  crash(which: number): void {
    this.tabs[which]?.crash();
    this.tabs[which] = null;
  }

  async settle(): Promise<void> {
    this.server.fault = () => null;
    this.server.reachable = true;
    const last = await this.tab(0);
    // What is shown is up to a frame old.
    await this.time.pass(100);
    await this.time.until(
      "nothing waits any more",
      () => last.chat.getState().waiting === 0 && last.chat.getState().person.kind === "account",
    );
  }

  readonly #keys = new Map<string, string>();

  async #written(sending: Promise<void>): Promise<void> {
    let done = false;
    void sending.then(() => {
      done = true;
    });
    while (!done) await this.time.idle();
  }
}

describe("the outbox", () => {
  it("sends each message once, in the order of its conversation, whatever fails and whoever dies", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(step, { minLength: 1, maxLength: 14 }),
        fc.array(fault, { minLength: 1, maxLength: 12 }),
        fc.nat(1_000),
        async (steps, faults, seed) => {
          const world = new World([...faults, null], seed);
          world.browser.kept.set(
            "chatkit-neon.person",
            JSON.stringify({ id: "demo-alice", name: "Alice", demoUser: "alice" }),
          );
          for (const one of steps) {
            if (one.do === "say") await world.say(one.tab, one.thread);
            else if (one.do === "wait") await world.time.pass(one.milliseconds);
            else if (one.do === "crash") world.crash(one.tab);
            else if (one.do === "offline") world.server.reachable = !one.away;
            else (await world.tab(one.tab)).chat.retry();
          }
          await world.settle();
          const { server } = world;
          const stored = server.threads.map((thread) => server.said(thread));
          const byFirst = (a: readonly string[], b: readonly string[]) =>
            (a[0] ?? "").localeCompare(b[0] ?? "");
          expect(stored.sort(byFirst)).toEqual([...world.said.values()].sort(byFirst));
          expectOneKeyEach(server);
          world.crash(0);
          world.crash(1);
        },
      ),
      { numRuns: 150 },
    );
  }, 120_000);
});

function expectOneKeyEach(server: FakeServer): void {
  const bodies = new Map<string, string>();
  const keys = new Map<string, string>();
  for (const { body, key } of server.arrived) {
    if (!body.includes("input_text")) continue;
    const text = /message \d+/.exec(body)?.[0] ?? "";
    expect(key).not.toBeNull();
    expect(keys.get(text) ?? key, "a message has one key").toBe(key);
    expect(bodies.get(key ?? "") ?? body, "a key has one body").toBe(body);
    keys.set(text, key ?? "");
    bodies.set(key ?? "", body);
  }
}

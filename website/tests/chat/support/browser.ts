/** A browser with tabs: what it keeps, and what tabs share. */

import "fake-indexeddb/auto"; // idb knows requests and databases by their global classes
import { IDBFactory } from "fake-indexeddb";
import { createChat } from "../../../src/chat";
import type { Chat } from "../../../src/chat/contract";
import type { Channel, Environment } from "../../../src/chat/environment";
import type { FakeServer } from "./server";
import type { VirtualTime } from "./time";

type Request = { name: string; begin: () => void };

/** Exclusive locks, first come, first served. */
class Locks {
  #held = new Set<string>();
  #waiting: Request[] = [];

  forTab(tab: Tab): Environment["locks"] {
    const request = (name: string, ...rest: unknown[]) => {
      const callback = rest.at(-1) as (lock: unknown) => unknown;
      const { signal } = (rest.length > 1 ? rest[0] : {}) as { signal?: AbortSignal };
      return new Promise((resolve, reject) => {
        const entry: Request = {
          name,
          begin: () => {
            this.#held.add(name);
            const free = () => {
              if (this.#held.delete(name)) this.#pass();
            };
            tab.whenGone.push(free);
            Promise.resolve(callback({ name })).then(resolve, reject).finally(free);
          },
        };
        const withdraw = () => {
          this.#waiting = this.#waiting.filter((other) => other !== entry);
          reject(new DOMException("left", "AbortError"));
        };
        signal?.addEventListener("abort", withdraw);
        tab.whenGone.push(() => {
          this.#waiting = this.#waiting.filter((other) => other !== entry);
        });
        this.#waiting.push(entry);
        this.#pass();
      });
    };
    return { request } as Environment["locks"];
  }

  #pass(): void {
    const next = this.#waiting.find(({ name }) => !this.#held.has(name));
    if (next === undefined) return;
    this.#waiting = this.#waiting.filter((other) => other !== next);
    next.begin();
    this.#pass();
  }
}

class Channels {
  readonly #open = new Set<Channel & { name: string }>();

  open(name: string, tab: Tab): Channel {
    const channel: Channel & { name: string } = {
      name,
      onmessage: null,
      postMessage: (message) => {
        if (tab.gone) return;
        if (!this.#open.has(channel)) throw new DOMException("It is closed.", "InvalidStateError");
        const copy = structuredClone(message);
        for (const other of this.#open) {
          if (other === channel || other.name !== name) continue;
          setImmediate(() => this.#open.has(other) && other.onmessage?.({ data: copy } as MessageEvent));
        }
      },
      close: () => this.#open.delete(channel),
    };
    this.#open.add(channel);
    tab.whenGone.push(() => this.#open.delete(channel));
    return channel;
  }
}

export class Browser {
  readonly locks = new Locks();
  readonly channels = new Channels();
  readonly kept = new Map<string, string>();
  readonly cookies = new Map<string, string>();
  indexedDB: IDBFactory | null = new IDBFactory();
  #ids = 0;

  constructor(
    readonly time: VirtualTime,
    readonly server: FakeServer,
    readonly random: () => number = () => 0.5,
    readonly name = "b",
  ) {}

  newId(): string {
    return `${this.name}${++this.#ids}`.padStart(8, "0");
  }

  tab(own: Partial<Environment> = {}): Tab {
    return new Tab(this, own);
  }

  /** What is left after all windows were closed. */
  closed(): void {
    this.cookies.clear();
  }
}

export class Tab {
  readonly chat: Chat;
  readonly whenGone: (() => void)[] = [];
  gone = false;

  constructor(browser: Browser, own: Partial<Environment>) {
    const { time, server, kept, cookies } = browser;
    this.chat = createChat({
      fetch: (url, init) => (this.gone ? new Promise(() => {}) : server.fetch(url, init, cookies)),
      now: () => time.now,
      random: browser.random,
      after: (milliseconds, run) => time.after(milliseconds, () => this.gone || run()),
      newId: () => browser.newId(),
      locks: browser.locks.forTab(this),
      indexedDB: browser.indexedDB as unknown as globalThis.IDBFactory | null,
      openChannel: (name) => browser.channels.open(name, this),
      storage: {
        getItem: (name) => kept.get(name) ?? null,
        setItem: (name, value) => void kept.set(name, value),
        removeItem: (name) => void kept.delete(name),
      },
      cookies: {
        read: (name) => cookies.get(name) ?? null,
        write: (name, value) => void cookies.set(name, value),
      },
      hasNetwork: () => true,
      hints: () => () => {},
      ...own,
    });
  }

  /** Gone from one moment to the next, without a last word. */
  crash(): void {
    this.gone = true;
    for (const end of this.whenGone) end();
  }
}

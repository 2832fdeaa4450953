import type { Chat, ChatState, Entry, OpenThread } from "../../src/chat/contract";

/** A chat that does nothing but remember what it was asked; a test says how it goes on. */
export interface FakeChat extends Chat {
  /** What was asked, in order: the name of the deed, then what it was given. */
  readonly asked: readonly (readonly unknown[])[];
  /** Changes the state as the modules would. */
  set(change: Partial<ChatState>): void;
  /** Changes the open conversation. */
  setOpen(change: Partial<OpenThread>): void;
  /** Has the next deed of this name reject, as a deed does that could not be done. */
  failNext(deed: keyof Chat, message: string): void;
}

export function fakeChat(start: Partial<ChatState> = {}): FakeChat {
  let state: ChatState = { ...EMPTY, ...start };
  const asked: unknown[][] = [];
  const failures = new Map<string, string>();
  const watchers = new Set<() => void>();
  const set = (change: Partial<ChatState>) => {
    state = { ...state, ...change };
    for (const watcher of watchers) watcher();
  };
  const deed =
    <Result>(name: keyof Chat, result: Result) =>
    async (...given: unknown[]): Promise<Result> => {
      asked.push([name, ...given]);
      const failure = failures.get(name);
      failures.delete(name);
      if (failure !== undefined) throw { message: failure, canRetry: false };
      return result;
    };
  return {
    asked,
    set,
    setOpen: (change) => set({ open: { ...state.open, ...change } }),
    failNext: (name, message) => void failures.set(name, message),
    getState: () => state,
    subscribe: (changed) => {
      watchers.add(changed);
      return () => watchers.delete(changed);
    },
    start: deed("start", undefined),
    close: () => void asked.push(["close"]),
    newThread: () => void asked.push(["newThread"]),
    openThread: deed("openThread", undefined),
    loadMoreThreads: deed("loadMoreThreads", undefined),
    loadOlder: deed("loadOlder", undefined),
    renameThread: deed("renameThread", undefined),
    deleteThread: deed("deleteThread", undefined),
    send: deed("send", undefined),
    retry: () => void asked.push(["retry"]),
    takeBack: deed("takeBack", "what was typed"),
    stop: deed("stop", undefined),
    join: deed("join", undefined),
    regenerate: deed("regenerate", undefined),
    deleteEntry: deed("deleteEntry", undefined),
    rate: deed("rate", undefined),
    signIn: deed("signIn", undefined),
    signUp: deed("signUp", undefined),
    signInAs: deed("signInAs", undefined),
    signOut: deed("signOut", undefined),
  };
}

export const NEW_THREAD: OpenThread = {
  key: "new-1",
  id: null,
  title: null,
  closed: null,
  entries: [],
  loading: false,
  hasOlder: false,
  loadingOlder: false,
  problem: null,
  answering: false,
  progress: null,
};

const EMPTY: ChatState = {
  person: { kind: "account", id: "u1", name: "Ada", ways: { password: true, demoUsers: [] } },
  connection: { kind: "online" },
  storage: "kept",
  threads: { rows: [], hasMore: false, loading: false, problem: null },
  open: NEW_THREAD,
  waiting: 0,
};

const AT = new Date(2026, 1, 3, 14, 5).getTime();

export function said(
  key: string,
  text: string,
  change: Partial<Extract<Entry, { kind: "user" }>> = {},
): Entry {
  const base = { itemId: key, attachments: [], createdAt: AT, delivery: { state: "sent" } } as const;
  return { kind: "user", key, text, ...base, ...change };
}

export function answered(
  key: string,
  text: string,
  change: Partial<Extract<Entry, { kind: "assistant" }>> = {},
): Entry {
  const base = { itemId: key, createdAt: AT, state: "whole", opinion: null } as const;
  return { kind: "assistant", key, parts: [{ text, sources: [] }], ...base, ...change };
}

/**
 * What the chat shows and what can be done in it: the one line between the modules that keep conversations
 * (protocol, outbox, state) and whatever draws them. It names no UI library and no transport.
 */

/** The chat as it is at one moment. A new object whenever anything changed; parts that did not change are the same objects. */
export interface ChatState {
  readonly person: Person;
  /** A banner is shown unless this is `online`. */
  readonly connection: Connection;
  readonly storage: StorageState;
  readonly threads: ThreadList;
  /** The conversation that is open; a new one, still empty, when there is none. */
  readonly open: OpenThread;
  /** How many messages of this person wait to be sent, in all conversations. */
  readonly waiting: number;
}

/** Who talks. `unknown` only until the first answer of the server. */
export type Person =
  | { readonly kind: "unknown" }
  /** Without an account. `kept`: history outlives the browser session. `mayChat` is false where the server refuses visitors. */
  | { readonly kind: "visitor"; readonly kept: boolean; readonly mayChat: boolean; readonly ways: SignInWays }
  | { readonly kind: "account"; readonly id: string; readonly name: string; readonly ways: SignInWays };

/** How one can sign in here. */
export interface SignInWays {
  /** E-mail and password, by the site's auth server. */
  readonly password: boolean;
  /** Names of users who need no password; in the demo only. */
  readonly demoUsers: readonly string[];
}

export type Connection =
  | { readonly kind: "online" }
  /** The server was asked, and nothing was heard: this device has no network. Times are of `Date.now()`. */
  | { readonly kind: "offline"; readonly nextTryAt: number | null }
  /** Likewise, though this device says that it has one. What is broken on the way cannot be told from here. */
  | { readonly kind: "unreachable"; readonly nextTryAt: number | null }
  /** Something answers, but the server or its database is not ready. */
  | { readonly kind: "server-down"; readonly nextTryAt: number | null };

/** Whether what is typed survives a reload: `full` and `unavailable` are said to the person. */
export type StorageState = "kept" | "full" | "unavailable";

export interface ThreadList {
  readonly rows: readonly ThreadRow[];
  readonly hasMore: boolean;
  readonly loading: boolean;
  readonly problem: Problem | null;
}

/** A conversation in the list, the last active first. */
export interface ThreadRow {
  /** Stays the same while the conversation lives in this page, also when it gets its id from the server. */
  readonly key: string;
  readonly title: string | null;
  readonly preview: string | null;
  /** Milliseconds since 1970. */
  readonly lastMessageAt: number;
  /** Some message of it is not sent yet. */
  readonly waiting: boolean;
}

export interface OpenThread {
  readonly key: string;
  /** The server's id; null until it knows the conversation. */
  readonly id: string | null;
  readonly title: string | null;
  /** Why no message can be sent here; null where one can. */
  readonly closed: string | null;
  /** Oldest first; messages that wait come last, in the order they were typed. */
  readonly entries: readonly Entry[];
  readonly loading: boolean;
  readonly hasOlder: boolean;
  readonly loadingOlder: boolean;
  readonly problem: Problem | null;
  /** An answer is being written, here or on another device; `stop` ends it. */
  readonly answering: boolean;
  /** What the server says it is doing, while it does ("Searching the documents"). */
  readonly progress: string | null;
}

export type Entry = UserEntry | AssistantEntry | OtherEntry | NoticeEntry;

export interface UserEntry {
  readonly kind: "user";
  readonly key: string;
  readonly itemId: string | null;
  readonly text: string;
  readonly attachments: readonly AttachmentView[];
  readonly createdAt: number;
  readonly delivery: Delivery;
}

export type Delivery =
  | { readonly state: "sent" }
  | { readonly state: "sending" }
  | WaitingDelivery
  /** The server does not take it as it is; it can be edited or discarded. */
  | { readonly state: "refused"; readonly problem: Problem };

/** It is sent by itself, at `nextTryAt` or when the message before it is through; `retry` sends it now. */
export interface WaitingDelivery {
  readonly state: "waiting";
  readonly nextTryAt: number | null;
  readonly problem: Problem | null;
  /** It was sent already and nothing was heard: it cannot be taken back. */
  readonly mayHaveArrived: boolean;
}

export interface AssistantEntry {
  readonly kind: "assistant";
  readonly key: string;
  readonly itemId: string;
  readonly parts: readonly AssistantPart[];
  readonly createdAt: number;
  /** `cut`: it was broken off or stopped; `join` or `regenerate` go on. */
  readonly state: "writing" | "whole" | "cut";
  readonly opinion: "positive" | "negative" | null;
}

export interface AssistantPart {
  /** Markdown. */
  readonly text: string;
  readonly sources: readonly Source[];
}

/** What a statement rests on. */
export interface Source {
  readonly title: string;
  /** Only http(s) addresses and paths of this site; null for a source that is named but cannot be opened. */
  readonly url: string | null;
  /** Behind which character of the text it stands; null: at its end. */
  readonly index: number | null;
}

/** An item without a picture of its own: a readable form of it. */
export interface OtherEntry {
  readonly kind: "other";
  readonly key: string;
  readonly itemId: string;
  readonly createdAt: number;
  /** "Widget", "Workflow", "Image", "Question", … */
  readonly label: string;
  /** Lines to show, plain text. */
  readonly lines: readonly string[];
  /** A picture to show: a data or http(s) URL; null when there is none. */
  readonly image: string | null;
  /** It still changes. */
  readonly writing: boolean;
}

/** Something to say to the person that is no item: an error event, "stopped by you". */
export interface NoticeEntry {
  readonly kind: "notice";
  readonly key: string;
  readonly createdAt: number;
  readonly problem: Problem;
}

export interface AttachmentView {
  readonly id: string;
  readonly name: string;
  readonly mimeType: string;
  readonly previewUrl: string | null;
}

/** A failure in words for the person who sees it. */
export interface Problem {
  readonly message: string;
  /** The same may succeed later, unchanged. */
  readonly canRetry: boolean;
}

/** What a person can do. Promises are done when the deed is; they reject with a `Problem` to be shown. */
export interface Chat {
  readonly getState: () => ChatState;
  /** Calls back after each change. Returns what ends that. */
  readonly subscribe: (changed: () => void) => () => void;
  /** Finds out who talks, takes up what waits, and opens the most recent conversation. Once. */
  start(): Promise<void>;
  /** Lets go of streams, locks and timers. What waits stays in storage. */
  close(): void;

  newThread(): void;
  openThread(key: string): Promise<void>;
  loadMoreThreads(): Promise<void>;
  loadOlder(): Promise<void>;
  renameThread(key: string, title: string): Promise<void>;
  deleteThread(key: string): Promise<void>;

  /** Writes the message down (in storage, before anything is sent), shows it, and sends it when its turn comes. */
  send(text: string): Promise<void>;
  /** Sends what waits now. */
  retry(): void;
  /** Takes a refused or waiting message back, and returns its text for the composer. */
  takeBack(entryKey: string): Promise<string>;
  /** Ends the answer that is being written, at the server; what was said is kept. */
  stop(): Promise<void>;
  /** Follows an answer that was cut off, from the server; when nobody writes it any more, fetches what is stored. */
  join(entryKey: string): Promise<void>;
  /** Has the last message answered anew. */
  regenerate(): Promise<void>;
  deleteEntry(entryKey: string): Promise<void>;
  rate(entryKey: string, opinion: "positive" | "negative"): Promise<void>;

  signIn(email: string, password: string): Promise<void>;
  signUp(email: string, password: string): Promise<void>;
  signInAs(demoUser: string): Promise<void>;
  signOut(): Promise<void>;
}

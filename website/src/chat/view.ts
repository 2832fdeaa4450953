/** From a session to the snapshot that is drawn. What did not change stays the same object. */

import type {
  ChatState,
  Connection,
  Delivery,
  Entry,
  NoticeEntry,
  OpenThread,
  Person,
  ThreadList,
  ThreadRow,
  UserEntry,
} from "./contract";
import { type Policy, timeOf } from "./identity/policy";
import { isLocal, mayHaveArrived, type Unsent } from "./outbox/message";
import type { WireSummary } from "./protocol/wire";
import type { Session } from "./session";
import { arrivedIn } from "./state/arrived";
import type { Conversation } from "./state/conversation";
import { entryOf } from "./state/entries";
import { keep, keepList } from "./state/keep";
import type { Node } from "./state/nodes";
import { previewOf } from "./state/threads";

export interface Showing {
  readonly session: Session;
  readonly person: Person;
  readonly connection: Connection;
  readonly policy: Policy;
}

const unsentEntries = new WeakMap<Unsent, { readonly online: boolean; readonly entry: UserEntry }>();

export function show(old: ChatState | null, showing: Showing): ChatState {
  const { session, person, connection } = showing;
  return keep(old, {
    person: keep(old?.person, person),
    connection,
    storage: session.outbox.storage,
    threads: threadList(old?.threads, showing),
    open: openThread(old?.open, session.desk.open, showing),
    waiting: session.outbox.messages.filter(({ state }) => state !== "refused").length,
  });
}

function threadList(old: ThreadList | undefined, { session, policy }: Showing): ThreadList {
  const { listing, outbox, conversations } = session;
  const { threads } = listing;
  const rows = new Map<string, ThreadRow>();
  for (const row of listing.rows) {
    const key = conversations.find(row.id)?.key ?? row.id;
    rows.set(key, rowOf(row, key, policy));
  }
  for (const message of outbox.messages) {
    const conversation = conversations.find(message.thread);
    const key = conversation?.key ?? message.thread;
    const row = rows.get(key);
    // One that is not listed is further down, or not on the server yet.
    if (row === undefined && !isLocal(message.thread) && conversation?.id !== null && !threads.loaded)
      continue;
    rows.set(key, {
      key,
      title: row?.title ?? conversation?.title ?? null,
      preview: previewOf(message.text),
      lastMessageAt: Math.max(row?.lastMessageAt ?? 0, message.created),
      waiting: true,
    });
  }
  const sorted = [...rows.values()].sort((a, b) => b.lastMessageAt - a.lastMessageAt);
  const before = new Map(old?.rows.map((row) => [row.key, row]));
  return keep(old, {
    rows: keepList(
      old?.rows,
      sorted.map((row) => keep(before.get(row.key), row)),
    ),
    hasMore: threads.hasMore,
    loading: threads.loading,
    problem: threads.problem,
  });
}

function rowOf(row: WireSummary, key: string, policy: Policy): ThreadRow {
  const lastMessageAt = timeOf(row.last_message_at ?? row.created_at, policy, 0);
  return { key, title: row.title, preview: row.preview, lastMessageAt, waiting: false };
}

function openThread(old: OpenThread | undefined, conversation: Conversation, showing: Showing): OpenThread {
  const { transcript } = conversation;
  return keep(old, {
    key: conversation.key,
    id: conversation.id,
    title: conversation.title,
    closed: conversation.closed,
    entries: keepList(old?.entries, entriesOf(conversation, showing)),
    loading: conversation.loading,
    hasOlder: transcript.older !== null,
    loadingOlder: conversation.loadingOlder,
    problem: conversation.problem,
    answering: conversation.answers.size > 0 || isAskedAnew(conversation, showing),
    progress: conversation.progress ?? waitsFor(conversation, showing),
  });
}

function entriesOf(conversation: Conversation, { session, policy, connection }: Showing): Entry[] {
  const viewing = {
    timeOf: (text: unknown) => timeOf(text, policy, 0),
    opinionOf: (itemId: string) => conversation.opinions[itemId] ?? null,
  };
  const entries: Entry[] = [];
  const keys = new Set<string>();
  for (const node of conversation.transcript.nodes) {
    const entry = entryOf(node, viewing);
    keys.add(node.key);
    if (entry !== null) entries.push(entry);
  }
  const waiting = session.desk.waitingIn(conversation).filter(({ key }) => !keys.has(key));
  const arrived = arrivedIn(conversation, waiting, policy);
  for (const message of waiting)
    if (!arrived.has(message)) entries.push(unsentEntry(message, connection.kind === "online"));
  if (isUnanswered(conversation, waiting) && !isAskedAnew(conversation, { session }))
    entries.push(unanswered(entries.at(-1) as UserEntry));
  return entries;
}

/** What keeps the last message from being answered anew. */
function waitsFor(conversation: Conversation, showing: Showing): string | null {
  const waits = showing.connection.kind !== "online" && isAskedAnew(conversation, showing);
  return waits ? "Answered again when the connection is back" : null;
}

/** The last message is to be answered anew, now or when the server can be asked. */
function isAskedAnew(conversation: Conversation, { session }: Pick<Showing, "session">): boolean {
  return session.outbox.wishesIn(conversation).length > 0;
}

/** The last message is stored, and nobody is answering it: who was to do so died, or was stopped before a word. */
function isUnanswered({ loaded, requests, transcript }: Conversation, waiting: readonly Unsent[]): boolean {
  if (!loaded || requests.size > 0 || waiting.length > 0) return false;
  let last: Node | null = null;
  for (const node of transcript.nodes) last = node;
  return last?.kind === "item" && last.item.type === "user_message";
}

const notices = new WeakMap<UserEntry, NoticeEntry>();

function unanswered(message: UserEntry): NoticeEntry {
  const old = notices.get(message);
  if (old !== undefined) return old;
  const problem = { message: "This message has no answer yet.", canRetry: true };
  const notice: NoticeEntry = {
    kind: "notice",
    key: `unanswered-${message.key}`,
    createdAt: message.createdAt,
    problem,
  };
  notices.set(message, notice);
  return notice;
}

function unsentEntry(message: Unsent, online: boolean): UserEntry {
  const old = unsentEntries.get(message);
  if (old?.online === online) return old.entry;
  const entry: UserEntry = {
    kind: "user",
    key: message.key,
    itemId: null,
    text: message.text,
    attachments: [],
    createdAt: message.created,
    delivery: deliveryOf(message, online),
  };
  unsentEntries.set(message, { online, entry });
  return entry;
}

function deliveryOf(message: Unsent, online: boolean): Delivery {
  const { state, nextTryAt, problem } = message;
  if (state === "refused") {
    return {
      state,
      problem: problem ?? { message: "The server does not take this message.", canRetry: false },
    };
  }
  // When it is tried again while nothing can be reached is the connection's to say.
  const waiting = { state: "waiting", problem, mayHaveArrived: mayHaveArrived(message) } as const;
  if (!online) return { ...waiting, nextTryAt: null };
  return state === "sending" ? { state } : { ...waiting, nextTryAt };
}

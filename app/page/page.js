// @ts-check
/** The state of the page, and what changes it. */

import * as accounts from "./accounts.js";
import { Api, demoToken, Failure } from "./api.js";
import { textOf, View } from "./view.js";

/**
 * @typedef {import("./api.js").User} User
 * @typedef {import("./accounts.js").Account} Account
 * @typedef {import("./api.js").Item} Item
 * @typedef {import("./api.js").StreamEvent} StreamEvent
 * @typedef {import("./view.js").Conversation} Conversation
 */

const REMEMBERED = "chatkit-neon.user";

/** What one user has before them. Another user gets another one, so late answers find nobody to disturb. */
class Session {
  /** @type {import("./api.js").Thread[]} newest activity first */ threads = [];
  hasMore = false;
  /** @type {Map<string, Conversation>} */ conversations = new Map();
  open = blank();
  /** Settled when the first list is here, and with it the cookie of a visitor. @type {Promise<unknown>} */
  ready = Promise.resolve();

  /** @param {User} user @param {Account | null} account whose session it is, when it is an account's */
  constructor(user, account) {
    this.user = user;
    this.email = account?.email ?? "";
    this.api = new Api(user, account ? () => tokenOf(account) : () => demoToken(user));
  }

  /** @param {string} threadId */
  conversation(threadId) {
    let conversation = this.conversations.get(threadId);
    if (conversation === undefined) {
      conversation = blank();
      conversation.thread = this.threads.find((thread) => thread.id === threadId) ?? null;
      this.conversations.set(threadId, conversation);
    }
    return conversation;
  }

  /** @param {import("./api.js").Thread} thread */
  replace(thread) {
    this.threads = this.threads.map((other) => (other.id === thread.id ? thread : other));
  }

  /** @param {import("./api.js").Thread} thread */
  moveToTop(thread) {
    this.threads = [thread, ...this.threads.filter((other) => other.id !== thread.id)];
  }

  end() {
    for (const conversation of [this.open, ...this.conversations.values()]) conversation.turn?.abort();
  }
}

/** Another tab may have signed in as somebody else: nothing of this one's is said in that name. @param {Account} account */
async function tokenOf(account) {
  const token = await accounts.token();
  if (token.userId === account.id) return token;
  throw new Failure("Somebody else signed in in another tab. Reload this page, please.", false);
}

/** @returns {Conversation} */
function blank() {
  return {
    thread: null,
    items: new Map(),
    older: null,
    opinions: {},
    draft: "",
    turn: null,
    sending: false,
    note: "",
    problem: null,
    turns: 0,
  };
}

/** @type {Session | null} */ let session = null;
/** @returns {Session} */
const current = () => /** @type {Session} */ (session);

const view = new View(
  {
    enter: (user) => enter(user),
    signIn: (email, password) => signIn(accounts.signIn, email, password),
    signUp: (email, password) => signIn(accounts.signUp, email, password),
    leave,
    begin,
    open: (threadId) => open(current(), threadId),
    moreThreads: () => listThreads(current()),
    moreItems,
    rename,
    remove,
    draft: (text) => {
      current().open.draft = text;
      view.update();
    },
    send: () => send(current().open),
    stop: () => current().open.turn?.abort(),
    rate,
    retry: () => current().open.problem?.retry?.(),
    dismiss: () => {
      current().open.problem = null;
      view.render();
    },
  },
  () => session,
);

/** @param {User} user @param {Account | null} account */
async function enter(user, account = null) {
  session?.end();
  const mine = new Session(user, account);
  session = mine;
  localStorage.setItem(REMEMBERED, user);
  view.closePanel();
  view.render();
  view.focus();
  mine.ready = listThreads(mine);
  await mine.ready;
  const newest = mine.threads[0];
  const isUntouched = mine.open.thread === null && mine.open.draft === "" && mine.open.turn === null;
  if (newest && isUntouched) await open(mine, newest.id);
}

/** @param {typeof accounts.signIn} way @param {string} email @param {string} password */
async function signIn(way, email, password) {
  view.showSignIn({ isBusy: true, problem: "" });
  try {
    const account = await way(email, password);
    view.showSignIn({ isBusy: false, problem: "" });
    enter("account", account);
  } catch (error) {
    view.showSignIn({ isBusy: false, problem: problemOf(error, () => {}).message });
  }
}

async function leave() {
  const { user, open: conversation } = current();
  if (user !== "account") welcome();
  else {
    await attempt(conversation, leave, async () => {
      await accounts.signOut();
      welcome();
    });
  }
}

function welcome() {
  session?.end();
  session = null;
  localStorage.removeItem(REMEMBERED);
  view.closePanel();
  view.render();
  /** @type {HTMLElement} */ (document.querySelector("#welcome button")).focus();
}

function begin() {
  current().open = blank();
  view.render();
  view.focus();
}

/** Load the next page of threads. @param {Session} mine */
async function listThreads(mine) {
  await attempt(mine.open, () => listThreads(mine), async () => {
    const page = await mine.api.threads(mine.threads.at(-1)?.id ?? null);
    const known = new Set(mine.threads.map((thread) => thread.id));
    mine.threads = [...mine.threads, ...page.data.filter((thread) => !known.has(thread.id))];
    mine.hasMore = page.has_more;
  });
}

/** @param {Session} mine @param {string} threadId */
async function open(mine, threadId) {
  const conversation = mine.conversation(threadId);
  mine.open = conversation;
  view.render();
  view.focus();
  if (conversation.turn !== null) return;
  const turns = conversation.turns;
  await attempt(conversation, () => open(mine, threadId), async () => {
    const [page, opinions] = await Promise.all([mine.api.items(threadId, null), mine.api.feedback(threadId)]);
    const loaded = entriesOf(page);
    const isIdle = conversation.turns === turns;
    conversation.items = new Map(isIdle ? loaded : [...loaded, ...conversation.items]);
    conversation.older = page.has_more ? (page.after ?? null) : null;
    conversation.opinions = opinions;
    const last = page.data[0];
    if (isIdle && last?.type === "user_message") {
      const retry = () => answerAgain(mine, conversation, last.id);
      conversation.problem = { message: "Your last message has no answer yet.", retry };
    }
  });
}

async function moreItems() {
  const { open: conversation, api } = current();
  await attempt(conversation, moreItems, async () => {
    const page = await api.items(/** @type {any} */ (conversation.thread).id, conversation.older);
    conversation.items = new Map([...entriesOf(page), ...conversation.items]);
    conversation.older = page.has_more ? (page.after ?? null) : null;
  });
}

/** @param {import("./api.js").Page<Item>} page @returns {[string, Item][]} oldest first */
function entriesOf(page) {
  return page.data.map((item) => /** @type {[string, Item]} */ ([item.id, item])).reverse();
}

/** @param {string} title */
async function rename(title) {
  const mine = current();
  const conversation = mine.open;
  const thread = conversation.thread;
  if (thread === null || title === "" || title === thread.title) return;
  await attempt(conversation, () => rename(title), async () => {
    conversation.thread = await mine.api.rename(thread.id, title);
    mine.replace(conversation.thread);
  });
}

async function remove() {
  const mine = current();
  const conversation = mine.open;
  const thread = conversation.thread;
  if (thread === null) return;
  await attempt(conversation, remove, async () => {
    await mine.api.remove(thread.id);
    mine.threads = mine.threads.filter((other) => other.id !== thread.id);
    mine.conversations.delete(thread.id);
    view.announce("The conversation is deleted.");
    if (mine.open !== conversation) return;
    if (mine.threads[0]) open(mine, mine.threads[0].id);
    else begin();
  });
}

/** @param {string} itemId @param {import("./api.js").Opinion} opinion */
async function rate(itemId, opinion) {
  const { open: conversation, api } = current();
  const thread = conversation.thread;
  if (thread === null || conversation.opinions[itemId] === opinion) return;
  await attempt(conversation, () => rate(itemId, opinion), async () => {
    await api.rate(thread.id, itemId, opinion);
    conversation.opinions[itemId] = opinion;
    view.announce("Thank you for your feedback.");
  });
}

/** @param {Conversation} conversation */
async function send(conversation) {
  const mine = current();
  const text = conversation.draft;
  if (text.trim() === "" || conversation.turn !== null) return;
  conversation.sending = true;
  await answer(mine, conversation, async function* (signal) {
    await mine.ready;
    yield* mine.api.say(conversation.thread?.id ?? null, text, signal);
  });
}

/** @param {Session} mine @param {Conversation} conversation @param {string} messageId */
async function answerAgain(mine, conversation, messageId) {
  const threadId = /** @type {any} */ (conversation.thread).id;
  await answer(mine, conversation, (signal) => mine.api.again(threadId, messageId, signal), messageId);
}

/**
 * Follow an answer to its end. The draft is cleared when the server has the message, not before.
 * @param {Session} mine @param {Conversation} conversation
 * @param {(signal: AbortSignal) => AsyncIterable<StreamEvent>} stream
 * @param {string | null} messageId the message that is answered, when it is on the server already
 */
async function answer(mine, conversation, stream, messageId = null) {
  const turn = new AbortController();
  Object.assign(conversation, { turn, problem: null, note: "", turns: conversation.turns + 1 });
  view.update();
  const retry = () => (messageId ? answerAgain(mine, conversation, messageId) : send(conversation));
  let isFirst = true;
  /** @type {Item | undefined} */ let last;
  try {
    for await (const event of stream(turn.signal)) {
      if (turn.signal.aborted) break;
      if (isFirst && messageId !== null) forgetAfter(conversation, messageId);
      isFirst = false;
      if (event.type === "thread.item.done" && event.item.type === "user_message") {
        messageId = event.item.id;
        Object.assign(conversation, { draft: "", sending: false });
        mine.moveToTop(/** @type {any} */ (conversation.thread));
      } else if (event.type === "thread.item.done") {
        last = event.item;
      } else if (event.type === "error") {
        throw new Failure(event.message ?? "Something went wrong while answering.", event.allow_retry);
      }
      apply(mine, conversation, event);
      view.update();
    }
  } catch (error) {
    if (!turn.signal.aborted) conversation.problem = problemOf(error, retry);
  }
  const isStopped = turn.signal.aborted;
  Object.assign(conversation, { turn: null, sending: false, note: isStopped ? "You stopped this answer." : "" });
  if (mine.open === conversation) view.announce(isStopped ? conversation.note : last ? textOf(last) : "");
  view.update();
}

/** Forget what is behind an item: it is answered anew. @param {Conversation} conversation @param {string} itemId */
function forgetAfter(conversation, itemId) {
  const entries = [...conversation.items];
  conversation.items = new Map(entries.slice(0, entries.findIndex(([id]) => id === itemId) + 1));
}

/** @param {Session} mine @param {Conversation} conversation @param {StreamEvent} event */
function apply(mine, conversation, event) {
  switch (event.type) {
    case "thread.created":
      conversation.thread = event.thread;
      mine.conversations.set(event.thread.id, conversation);
      mine.moveToTop(event.thread);
      break;
    case "thread.updated":
      conversation.thread = event.thread;
      mine.replace(event.thread);
      break;
    case "thread.item.added":
    case "thread.item.done":
    case "thread.item.replaced":
      conversation.items.set(event.item.id, event.item);
      conversation.note = "";
      break;
    case "thread.item.removed":
      conversation.items.delete(event.item_id);
      break;
    case "thread.item.updated": {
      const item = conversation.items.get(event.item_id);
      if (item?.type === "assistant_message") applyUpdate(item, event.update);
      break;
    }
    case "progress_update":
      conversation.note = event.text;
      break;
    case "notice":
      conversation.problem = { message: event.message, retry: null };
      break;
  }
}

/** @param {Item} item @param {any} update */
function applyUpdate(item, update) {
  const index = update.content_index;
  if (update.type === "assistant_message.content_part.text_delta") {
    item.content[index] ??= { text: "" };
    item.content[index].text += update.delta;
  } else if (update.content) {
    item.content[index] = update.content;
  }
}

/**
 * Do something on the server; when it fails, say why in the conversation.
 * @param {Conversation} conversation @param {() => unknown} retry @param {() => Promise<void>} work
 */
async function attempt(conversation, retry, work) {
  conversation.problem = null;
  try {
    await work();
  } catch (error) {
    conversation.problem = problemOf(error, retry);
  }
  view.update();
}

/** @param {unknown} error @param {() => unknown} retry */
function problemOf(error, retry) {
  if (error instanceof Failure) return { message: error.message, retry: error.canRetry ? retry : null };
  console.error(error);
  return { message: "Something went wrong in this page. Reload it, please.", retry: null };
}

/** Go on as whoever was here last. */
async function start() {
  const remembered = localStorage.getItem(REMEMBERED);
  if (remembered === "alice" || remembered === "bob" || remembered === "visitor") enter(remembered);
  else if (remembered !== "account") view.render();
  const account = await accounts.whoIsSignedIn().catch(() => null);
  if (account !== undefined) view.offerAccounts();
  if (session !== null) return;
  if (account && remembered === "account") enter("account", account);
  else view.render();
}

start();

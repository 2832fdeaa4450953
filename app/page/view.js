// @ts-check
/** What is on the screen. `render` draws the whole state; only what changed is touched. */

/**
 * @typedef {import("./api.js").User} User
 * @typedef {import("./api.js").Opinion} Opinion
 * @typedef {import("./api.js").Thread} Thread
 * @typedef {import("./api.js").Item} Item
 */
/**
 * @typedef {object} Conversation
 * @property {Thread | null} thread null until the first message is on the server
 * @property {Map<string, Item>} items oldest first
 * @property {string | null} older the cursor to earlier items; null when all are here
 * @property {Record<string, Opinion>} opinions by item id
 * @property {string} draft what stands in the input
 * @property {AbortController | null} turn the answer in progress
 * @property {boolean} sending the draft is on its way and must not change
 * @property {string} note one quiet line below the messages
 * @property {{message: string, retry: (() => unknown) | null} | null} problem
 * @property {number} turns how many answers began
 */
/**
 * @typedef {object} Session
 * @property {User} user
 * @property {string} email of an account; empty for the others
 * @property {Thread[]} threads
 * @property {boolean} hasMore
 * @property {Conversation} open
 */

const NAMES = { alice: "Alice", bob: "Bob", visitor: "Visitor", account: "" };
const ADVICE = {
  user: "Write a message below. It is saved before anything answers it.",
  visitor: "Write a message below. Sign in to have it kept.",
};
const HIDDEN = new Set(["end_of_turn", "hidden_context_item", "sdk_hidden_context"]);
const CLOSE_TO_END = 60; // Pixels; a reader this close to the end is taken along.

/** @param {string} id @returns {any} the element; what is missing fails at once where it is used */
const $ = (id) => document.getElementById(id);

/** @param {Thread | null} thread */
export const titleOf = (thread) => (thread === null ? "New chat" : thread.title || "Untitled conversation");

/** What a person reads of an item. @param {Item} item @returns {string} */
export function textOf(item) {
  try {
    switch (item.type) {
      case "user_message": {
        const files = item.attachments.map((/** @type {any} */ file) => `\n[${file.type}: ${file.name}]`);
        return item.content.map((/** @type {any} */ part) => part.text).join("") + files.join("");
      }
      case "assistant_message":
        return item.content.map((/** @type {any} */ part) => part.text).join("\n\n");
      case "client_tool_call":
        return `[tool: ${item.name}]`;
      case "widget":
        return item.copy_text || "[widget]";
      case "structured_input":
        return item.inputs.map((/** @type {any} */ input) => `[question: ${input.question}]`).join("\n");
    }
  } catch {
    // Not in the shape that is known here: its type says enough.
  }
  return `[${item.type.replaceAll("_", " ")}]`;
}

/**
 * Make the children of `parent` show `entries`, in their order, keeping the elements of those that stay.
 * @template T
 * @param {HTMLElement} parent @param {Iterable<[string, T]>} entries
 * @param {(key: string) => HTMLElement} create @param {(element: HTMLElement, entry: T) => void} update
 */
function reconcile(parent, entries, create, update) {
  const old = new Map([...parent.children].map((child) => [/** @type {HTMLElement} */ (child).dataset.key, child]));
  /** @type {Element | null} */ let next = parent.firstElementChild;
  for (const [key, entry] of entries) {
    const element = /** @type {HTMLElement} */ (old.get(key) ?? create(key));
    old.delete(key);
    element.dataset.key = key;
    update(element, entry);
    if (element === next) next = next.nextElementSibling;
    else parent.insertBefore(element, next);
  }
  for (const child of old.values()) child.remove();
}

/** @param {string} tag @param {string} [className] @param {string} [text] */
function make(tag, className = "", text = "") {
  const element = document.createElement(tag);
  element.className = className;
  element.textContent = text;
  return element;
}

/** @param {Element} element @param {string} text */
function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

export class View {
  /** @type {Session | null} */ #session = null;
  /** @type {Conversation | null} */ #shown = null;
  #isAtEnd = true; // Of the messages; whoever reads further up is left there.
  #frame = 0;
  #narrow = matchMedia("(max-width: 45rem)");

  /**
   * @typedef {object} Actions what people can do
   * @property {(user: User) => unknown} enter
   * @property {(email: string, password: string) => unknown} signIn
   * @property {(email: string, password: string) => unknown} signUp
   * @property {() => unknown} leave
   * @property {() => unknown} begin
   * @property {(threadId: string) => unknown} open
   * @property {() => unknown} moreThreads
   * @property {() => unknown} moreItems
   * @property {(title: string) => unknown} rename
   * @property {() => unknown} remove
   * @property {(text: string) => void} draft
   * @property {() => unknown} send
   * @property {() => unknown} stop
   * @property {(itemId: string, opinion: Opinion) => unknown} rate
   * @property {() => unknown} retry
   * @property {() => unknown} dismiss
   */
  /** @param {Actions} actions @param {() => Session | null} state */
  constructor(actions, state) {
    this.actions = actions;
    this.state = state;
    /** @param {string} id @param {() => unknown} action */
    const click = (id, action) => $(id).addEventListener("click", action);
    for (const button of document.querySelectorAll("#welcome button[data-user]")) {
      button.addEventListener("click", () => actions.enter(/** @type {any} */ (button).dataset.user));
    }
    $("accounts").addEventListener("submit", (/** @type {SubmitEvent} */ event) => {
      event.preventDefault();
      const act = event.submitter?.id === "sign-up" ? actions.signUp : actions.signIn;
      act($("email").value, $("password").value);
    });
    click("switch", () => actions.enter($("switch").dataset.user));
    click("sign-out", actions.leave);
    click("new", () => (this.closePanel(), actions.begin()));
    click("more-threads", actions.moreThreads);
    click("older", actions.moreItems);
    click("stop", actions.stop);
    click("retry", actions.retry);
    click("dismiss", () => (actions.dismiss(), this.focus()));
    click("menu", () => this.#setPanel(true));
    click("backdrop", () => this.closePanel());
    click("rename", () => this.#askTitle());
    click("delete", () => this.#askToDelete());
    document.addEventListener("keydown", (event) => {
      if (event.key === "Escape") this.closePanel();
    });
    $("scroller").addEventListener("scroll", () => {
      const { scrollHeight, scrollTop, clientHeight } = $("scroller");
      this.#isAtEnd = scrollHeight - scrollTop - clientHeight < CLOSE_TO_END;
    });
    this.#narrow.addEventListener("change", () => this.#setPanel(false));
    $("composer").addEventListener("submit", (/** @type {Event} */ event) => (event.preventDefault(), actions.send()));
    $("input").addEventListener("input", () => actions.draft($("input").value));
    $("input").addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => {
      if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
      event.preventDefault();
      actions.send();
    });
  }

  /** Show the form for those who have an account, or want one. */
  offerAccounts() {
    $("accounts").hidden = false;
  }

  /** How signing in goes on. @param {{isBusy: boolean, problem: string}} progress */
  showSignIn({ isBusy, problem }) {
    $("sign-in-fields").disabled = isBusy;
    setText($("sign-in-problem"), problem);
    $("sign-in-problem").hidden = problem === "";
    if (problem !== "") $("password").select();
  }

  /** Draw the state with the next frame. */
  update() {
    this.#frame ||= requestAnimationFrame(() => this.render());
  }

  /** Draw the state. */
  render() {
    cancelAnimationFrame(this.#frame);
    this.#frame = 0;
    const session = this.state();
    $("welcome").hidden = session !== null;
    $("chat").hidden = session === null;
    if (session !== this.#session) this.#forget();
    this.#session = session;
    if (session === null) return;
    const scroller = $("scroller");
    const first = $("messages").firstElementChild;
    const height = scroller.scrollHeight;
    const isNew = session.open !== this.#shown;
    this.#shown = session.open;
    this.#renderPanel(session);
    this.#renderMessages(session.open);
    this.#renderControls(session);
    const hasEarlier = first?.isConnected && first !== $("messages").firstElementChild;
    if (isNew || this.#isAtEnd) scroller.scrollTop = scroller.scrollHeight;
    else if (hasEarlier) scroller.scrollTop += scroller.scrollHeight - height;
  }

  /** Leave nothing of one user's for the next, not even where it does not show. */
  #forget() {
    const shown = ["threads", "messages", "progress", "title", "banner-text", "delete-text", "announcer"];
    for (const id of [...shown, "user-name", "greeting"]) $(id).textContent = "";
    $("user-name").title = "";
    for (const id of ["input", "new-title", "email", "password"]) $(id).value = "";
    document.title = "chatkit-neon demo";
    this.#shown = null;
  }

  /** Put the keyboard where one goes on; on touch screens not into the input, which would open theirs. */
  focus() {
    (matchMedia("(pointer: fine)").matches ? $("input") : $("title")).focus();
  }

  /** Say something to those who listen to the page. @param {string} text */
  announce(text) {
    $("announcer").textContent = text;
  }

  closePanel() {
    if ($("menu").getAttribute("aria-expanded") === "true") this.#setPanel(false);
  }

  /** @param {boolean} isOpen */
  #setPanel(isOpen) {
    $("menu").setAttribute("aria-expanded", String(isOpen));
    $("chat").classList.toggle("panel-open", isOpen);
    $("conversation").inert = isOpen;
    (isOpen ? $("new") : $("menu")).focus();
  }

  /** @param {Session} session */
  #renderPanel({ user, email, threads, hasMore, open }) {
    const name = NAMES[user] || email;
    reconcile(
      $("threads"),
      threads.map((thread) => [thread.id, thread]),
      (id) => {
        const [row, button] = [make("li"), make("button")];
        button.addEventListener("click", () => (this.closePanel(), this.actions.open(id)));
        row.append(button);
        return row;
      },
      (row, thread) => {
        const button = /** @type {Element} */ (row.firstElementChild);
        setText(button, titleOf(thread));
        if (thread.id === open.thread?.id) button.setAttribute("aria-current", "true");
        else button.removeAttribute("aria-current");
      },
    );
    $("no-threads").hidden = threads.length > 0;
    $("more-threads").hidden = !hasMore;
    for (const id of ["account", "avatar"]) $(id).dataset.user = user;
    setText($("avatar"), name.slice(0, 1).toUpperCase());
    setText($("user-name"), name);
    $("user-name").title = email;
    setText($("user-note"), user === "visitor" ? "Not signed in" : "Signed in");
    const other = user === "alice" ? "bob" : "alice";
    $("switch").dataset.user = other;
    $("switch").hidden = user === "visitor" || user === "account";
    setText($("switch"), `Switch to ${NAMES[other]}`);
    setText($("sign-out"), user === "visitor" ? "Sign in" : "Sign out");
    setText($("greeting"), user === "visitor" ? "Hello" : `Hello, ${name}`);
    setText($("advice"), ADVICE[user === "visitor" ? "visitor" : "user"]);
    $("not-kept").hidden = user !== "visitor";
  }

  /** @param {Conversation} conversation */
  #renderMessages(conversation) {
    const items = [...conversation.items].filter(([, item]) => !HIDDEN.has(item.type));
    const last = items.at(-1)?.[0];
    const isBusy = conversation.turn !== null && !conversation.sending;
    reconcile(
      $("messages"),
      items,
      () => make("article"),
      (article, item) => {
        if (!article.hasChildNodes()) this.#furnish(article, item);
        setText(/** @type {Element} */ (article.querySelector(".text")), textOf(item));
        const isAnswering = isBusy && item.id === last && item.type !== "user_message";
        article.classList.toggle("answering", isAnswering);
        for (const button of article.querySelectorAll("button")) {
          /** @type {Element} */ (button.parentElement).classList.toggle("off", isAnswering);
          button.setAttribute("aria-pressed", String(conversation.opinions[item.id] === button.dataset.opinion));
        }
      },
    );
    $("older").hidden = conversation.older === null;
    $("empty").hidden = conversation.thread !== null || items.length > 0 || conversation.sending;
    const isWaiting = isBusy && conversation.items.get(last ?? "")?.type !== "assistant_message";
    const waiting = conversation.sending ? "Sending…" : isWaiting ? "Answering…" : "";
    setText($("progress"), conversation.note || waiting);
    $("progress").hidden = $("progress").textContent === "";
  }

  /** @param {HTMLElement} article @param {Item} item */
  #furnish(article, item) {
    const isMine = item.type === "user_message";
    article.classList.add(isMine ? "mine" : item.type === "assistant_message" ? "answer" : "other");
    article.append(make("h2", "hidden", isMine ? "You" : "Answer"), make("div", "text"));
    if (item.type !== "assistant_message") return;
    const opinions = make("div", "opinions");
    for (const opinion of /** @type {Opinion[]} */ (["positive", "negative"])) {
      const button = make("button", "icon");
      button.dataset.opinion = opinion;
      button.title = opinion === "positive" ? "Good answer" : "Poor answer";
      button.setAttribute("aria-label", button.title);
      const picture = document.createElementNS("http://www.w3.org/2000/svg", "svg");
      const use = document.createElementNS("http://www.w3.org/2000/svg", "use");
      use.setAttribute("href", `#icon-${opinion}`);
      picture.append(use);
      button.append(picture);
      button.addEventListener("click", () => this.actions.rate(item.id, opinion));
      opinions.append(button);
    }
    article.append(opinions);
  }

  /** @param {Session} session */
  #renderControls({ open }) {
    const { thread, turn, problem } = open;
    const title = titleOf(thread);
    setText($("title"), title);
    document.title = `${title} · chatkit-neon demo`;
    const isClosed = thread !== null && thread.status.type !== "active";
    for (const id of ["rename", "delete"]) {
      $(id).hidden = thread === null;
      $(id).disabled = turn !== null;
    }
    if ($("input").value !== open.draft) $("input").value = open.draft;
    $("input").readOnly = open.sending;
    $("input").disabled = isClosed;
    $("input").placeholder = isClosed ? `This conversation is ${thread.status.type}` : "Write a message";
    // Focus goes along when the one button takes the place of the other.
    const hadFocus = [$("send"), $("stop")].includes(document.activeElement);
    const changes = $("stop").hidden !== (turn === null);
    $("stop").hidden = turn === null;
    $("send").hidden = turn !== null;
    $("send").disabled = isClosed || open.draft.trim() === "";
    if (hadFocus && changes) this.focus();
    $("banner").hidden = problem === null;
    setText($("banner-text"), problem?.message ?? "");
    $("retry").hidden = !problem?.retry;
  }

  #askTitle() {
    const field = $("new-title");
    field.value = this.state()?.open.thread?.title ?? "";
    this.#ask("rename-dialog", () => this.actions.rename(field.value.trim()));
    field.select();
  }

  #askToDelete() {
    const title = titleOf(this.state()?.open.thread ?? null);
    $("delete-text").textContent = `“${title}” and all its messages will be gone for good.`;
    this.#ask("delete-dialog", this.actions.remove);
  }

  /** @param {string} id @param {() => unknown} act */
  #ask(id, act) {
    const dialog = $(id);
    dialog.returnValue = "";
    dialog.addEventListener("close", () => dialog.returnValue === "yes" && act(), { once: true });
    dialog.showModal();
  }
}

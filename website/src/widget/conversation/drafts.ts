import type { ChatState } from "../../chat/contract";

const PREFIX = "chatkit-neon:draft:";

/** A place for text that is being typed; assistant-ui's composer is one. */
export interface TextPlace {
  getState(): { readonly text: string };
  setText(text: string): void;
}

/** Where a draft of this conversation is kept: for this tab and this person only. Null until it is known who that is. */
export function draftKey({ person, open }: Pick<ChatState, "person" | "open">): string | null {
  if (person.kind === "unknown") return null;
  const owner = person.kind === "account" ? `account:${person.id}` : "visitor";
  return `${PREFIX}${owner}:${open.id ?? "new"}`;
}

/** Whose draft it is, as far as its key says. */
export function ownerOf(key: string): string {
  return key.slice(0, key.lastIndexOf(":"));
}

/** Makes what was typed as a visitor in this tab an account's, as what was sent is: the next visitor is somebody else. */
export function takeDraftsOver(key: string): void {
  const [from, to] = [`${PREFIX}visitor`, ownerOf(key)];
  if (from === to) return;
  for (const old of storedKeys()) {
    if (ownerOf(old) !== from) continue;
    const own = to + old.slice(from.length);
    saveDraft(own, [loadDraft(own), loadDraft(old)].filter(Boolean).join("\n\n"));
    saveDraft(old, "");
  }
}

function storedKeys(): string[] {
  try {
    return Object.keys(sessionStorage);
  } catch {
    return [];
  }
}

export function loadDraft(key: string): string {
  try {
    return sessionStorage.getItem(key) ?? "";
  } catch {
    return "";
  }
}

export function saveDraft(key: string, text: string): void {
  try {
    if (text === "") sessionStorage.removeItem(key);
    else sessionStorage.setItem(key, text);
  } catch {
    // Full or switched off: the draft lives as long as the page.
  }
}

/** Puts a text in front of what is being typed. */
export function addToDraft(place: TextPlace, text: string): void {
  const typed = place.getState().text;
  place.setText(typed === "" ? text : `${text}\n\n${typed}`);
}

/** From what stands in a conversation to what is shown of it. */

import type { AssistantPart, AttachmentView, Entry, Source, UserEntry } from "../contract";
import type { Opinion } from "../protocol/api";
import { fieldsOf, listOf, textOf, type WireItem, wordsOf } from "../protocol/wire";
import type { ItemNode, Node } from "./nodes";
import { readable } from "./readable";
import { linkUrl, pictureUrl } from "./urls";

export interface Viewing {
  timeOf(text: unknown): number;
  opinionOf(itemId: string): Opinion | null;
}

interface Known {
  readonly entry: Entry | null;
  readonly opinion: Opinion | null;
}

/** The same node is always the same object to look at: what did not change is not drawn again. */
const known = new WeakMap<Node, Known>();

/** Null for what is not shown. */
export function entryOf(node: Node, viewing: Viewing): Entry | null {
  const opinion = node.kind === "item" ? viewing.opinionOf(node.item.id) : null;
  const old = known.get(node);
  if (old !== undefined && old.opinion === opinion) return old.entry;
  const entry = made(node, opinion, viewing);
  known.set(node, { entry, opinion });
  return entry;
}

function made(node: Node, opinion: Opinion | null, viewing: Viewing): Entry | null {
  if (node.kind === "notice") return node;
  const { key, item, state } = node;
  const itemId = item.id;
  const createdAt = viewing.timeOf(item.created_at);
  switch (item.type) {
    case "user_message":
      return userEntry(node, createdAt);
    case "assistant_message": {
      const parts = listOf(item.content).map(partOf);
      return { kind: "assistant", key, itemId, parts, createdAt, state, opinion };
    }
    default: {
      const form = readable(item);
      return form && { kind: "other", key, itemId, createdAt, ...form, writing: state === "writing" };
    }
  }
}

function userEntry({ key, item }: ItemNode, createdAt: number): UserEntry {
  return {
    kind: "user",
    key,
    itemId: item.id,
    text: userText(item),
    attachments: listOf(item.attachments).map(attachmentOf),
    createdAt,
    delivery: { state: "sent" },
  };
}

/** What the person typed. */
export function userText(item: WireItem): string {
  return listOf(item.content)
    .map((part) => textOf(fieldsOf(part).text))
    .join("");
}

function attachmentOf(value: unknown): AttachmentView {
  const file = fieldsOf(value);
  const name = textOf(file.name);
  return {
    id: textOf(file.id),
    name,
    mimeType: textOf(file.mime_type),
    previewUrl: pictureUrl(file.preview_url),
  };
}

function partOf(value: unknown): AssistantPart {
  const part = fieldsOf(value);
  return {
    text: textOf(part.text),
    sources: listOf(part.annotations)
      .map(sourceOf)
      .filter((source) => source !== null),
  };
}

function sourceOf(value: unknown): Source | null {
  const annotation = fieldsOf(value);
  const source = fieldsOf(annotation.source);
  const title =
    wordsOf(source.title) ?? wordsOf(source.filename) ?? wordsOf(source.label) ?? wordsOf(source.url);
  if (title === null) return null;
  return {
    title,
    url: linkUrl(source.url),
    index: typeof annotation.index === "number" ? annotation.index : null,
  };
}

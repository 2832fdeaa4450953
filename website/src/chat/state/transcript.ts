import type { Problem } from "../contract";
import { fieldsOf, itemOf, textOf, type WireEvent, type WireItem, type WirePage } from "../protocol/wire";
import type { ItemNode, Node } from "./nodes";
import { updated } from "./updates";

/**
 * The items of one conversation as far as they are here, in their order. It takes events of streams, which
 * may come again from the start or be cut anywhere, and pages of what is stored, and never shows an item twice.
 */
export class Transcript {
  /** Where older items begin; null when there are none, or nothing was loaded yet. */
  older: string | null = null;
  /** By the id of the item, or the key of a notice; in their order. */
  #nodes = new Map<string, Node>();
  /** Under which keys messages were shown before they became items. */
  readonly #keys = new Map<string, string>();
  readonly #stopped = new Set<string>();
  #clock = 0;
  #notices = 0;

  get nodes(): Iterable<Node> {
    return this.#nodes.values();
  }

  get last(): ItemNode | null {
    let last: ItemNode | null = null;
    for (const node of this.#nodes.values()) if (node.kind === "item") last = node;
    return last;
  }

  lastOfType(type: string): ItemNode | null {
    let last: ItemNode | null = null;
    for (const node of this.#nodes.values()) if (node.kind === "item" && node.item.type === type) last = node;
    return last;
  }

  /** The clock by which `merge` tells what came later than a page was asked for. */
  get now(): number {
    return this.#clock;
  }

  has(itemId: string): boolean {
    return this.#nodes.has(itemId);
  }

  item(itemId: string): ItemNode | null {
    const node = this.#nodes.get(itemId);
    return node?.kind === "item" ? node : null;
  }

  /** Finds an item by the key it is shown under. */
  byKey(key: string): ItemNode | null {
    for (const node of this.#nodes.values()) if (node.kind === "item" && node.key === key) return node;
    return null;
  }

  /** Has an item be shown under the key of the message that it was. */
  rename(itemId: string, key: string): void {
    this.#keys.set(itemId, key);
    const node = this.item(itemId);
    if (node !== null && node.key !== key) this.#nodes.set(itemId, { ...node, key });
  }

  /** Takes an event of a stream in; what is not about items, or unknown, changes nothing. */
  apply(event: WireEvent): void {
    switch (event.type) {
      case "thread.item.added":
        this.#put(itemOf(event.item), "writing");
        break;
      case "thread.item.done":
      case "thread.item.replaced":
        this.#put(itemOf(event.item), "whole");
        break;
      case "thread.item.updated":
        this.#update(textOf(event.item_id), fieldsOf(event.update));
        break;
      case "thread.item.removed":
        this.remove(textOf(event.item_id));
        break;
    }
  }

  clear(): void {
    this.#nodes.clear();
    this.older = null;
  }

  remove(itemId: string): void {
    this.#nodes.delete(itemId);
  }

  /** Removes all behind an item: it is answered anew. */
  removeBehind(itemId: string): void {
    let behind = false;
    for (const id of [...this.#nodes.keys()]) {
      if (behind) this.#nodes.delete(id);
      behind ||= id === itemId;
    }
  }

  /** Nobody goes on with these any more. */
  cut(): void {
    for (const [id, node] of this.#nodes) {
      if (node.kind === "item" && node.state === "writing") this.#nodes.set(id, { ...node, state: "cut" });
    }
  }

  /** Was stopped by the person: whatever is stored of it stays marked. */
  stopped(key: string): void {
    const node = this.byKey(key);
    if (node === null) return;
    this.#stopped.add(node.item.id);
    this.#nodes.set(node.item.id, { ...node, state: "cut" });
  }

  say(problem: Problem, createdAt: number): void {
    const key = `notice-${++this.#notices}`;
    this.#nodes.set(key, { kind: "notice", key, createdAt, problem });
  }

  unsay(): void {
    for (const [id, node] of this.#nodes) if (node.kind === "notice") this.#nodes.delete(id);
  }

  /** Puts older items before all others. */
  prepend(page: WirePage<WireItem>): void {
    const older = [...page.data].reverse().filter((item) => !this.#nodes.has(item.id));
    this.#nodes = new Map([...older.map((item) => this.#pair(item)), ...this.#nodes]);
    this.older = page.has_more ? page.after : null;
  }

  /**
   * Takes in the newest items as they are stored, newest first; `asked` is what `now` was when they were asked
   * for. What is not among them is gone, unless it came later, or is still written. `complete`: what was cut
   * off and is not stored is gone as well.
   */
  merge(page: WirePage<WireItem>, asked: number, complete: boolean): void {
    const stored = [...page.data].reverse();
    const ids = new Set(stored.map((item) => item.id));
    const first = stored[0];
    const joins = first !== undefined && this.#nodes.has(first.id);
    const before: [string, Node][] = [];
    const behind: [string, Node][] = [];
    let reached = !joins;
    for (const pair of this.#nodes) {
      reached ||= pair[0] === first?.id;
      if (!reached) before.push(pair);
      else if (!ids.has(pair[0]) && survives(pair[1], asked, complete)) behind.push(pair);
    }
    // Without a common item what lies between is not here: older pages are loaded anew from this one on.
    const kept = joins && page.has_more ? before : [];
    if (!joins || !page.has_more) this.older = page.has_more ? page.after : null;
    this.#nodes = new Map([...kept, ...stored.map((item) => this.#pair(item, asked)), ...behind]);
  }

  #put(item: WireItem | null, state: "writing" | "whole"): void {
    if (item === null) return;
    this.#nodes.set(item.id, this.#node(item, state, ++this.#clock));
  }

  #update(itemId: string, update: Readonly<Record<string, unknown>>): void {
    const node = this.item(itemId);
    if (node === null) return;
    const item = updated(node.item, update);
    if (item !== node.item) this.#nodes.set(itemId, { ...node, item, touched: ++this.#clock });
  }

  #pair(item: WireItem, asked = this.#clock): [string, Node] {
    const old = this.item(item.id);
    // What a stream said since the page was asked for is newer than the page.
    if (old !== null && old.touched > asked) return [item.id, old];
    const node = this.#node(item, "whole", old?.touched ?? 0);
    return [item.id, old !== null && old.state === node.state && same(old.item, item) ? old : node];
  }

  #node(item: WireItem, state: "writing" | "whole", touched: number): ItemNode {
    const key = this.#keys.get(item.id) ?? item.id;
    return { kind: "item", key, item, state: this.#stopped.has(item.id) ? "cut" : state, touched };
  }
}

function survives(node: Node, asked: number, complete: boolean): boolean {
  if (node.kind === "notice") return true;
  if (node.touched > asked) return true;
  return node.state === "writing" || (node.state === "cut" && !complete);
}

function same(a: WireItem, b: WireItem): boolean {
  return a === b || JSON.stringify(a) === JSON.stringify(b);
}

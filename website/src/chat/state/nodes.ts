import type { Problem } from "../contract";
import type { WireItem } from "../protocol/wire";

/** What stands in a conversation: an item of the server's, or something that is only said here. */
export type Node = ItemNode | NoticeNode;

export interface ItemNode {
  readonly kind: "item";
  /** The item's id, or the key of the message that it was when it was sent from here. */
  readonly key: string;
  readonly item: WireItem;
  readonly state: "writing" | "whole" | "cut";
  /** When a stream last said something of it, on the transcript's own clock. */
  readonly touched: number;
}

export interface NoticeNode {
  readonly kind: "notice";
  readonly key: string;
  readonly createdAt: number;
  readonly problem: Problem;
}

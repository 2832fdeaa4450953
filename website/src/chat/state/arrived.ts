/**
 * What has arrived though nobody said so yet: after a lost answer or a reload, until the same request is answered.
 * It decides only what is shown twice or once. The message is sent again all the same, with its key.
 */

import { type Policy, timeOf } from "../identity/policy";
import { isLocal, mayHaveArrived, type Unsent } from "../outbox/message";
import type { WireSummary } from "../protocol/wire";
import type { Conversation } from "./conversation";
import { userText } from "./entries";

/** Clocks of browsers and servers differ, also after they were compared. */
const CLOCK_MS = 5_000;

/** Of what waits in a conversation, what is among its items. */
export function arrivedIn(
  conversation: Conversation,
  waiting: readonly Unsent[],
  policy: Policy,
): Set<Unsent> {
  const arrived = new Set<Unsent>();
  const sent = waiting.filter(mayHaveArrived);
  if (sent.length === 0) return arrived;
  for (const node of conversation.transcript.nodes) {
    if (node.kind !== "item" || node.item.type !== "user_message" || node.key !== node.item.id) continue;
    const text = userText(node.item);
    const at = timeOf(node.item.created_at, policy, 0);
    const message = sent.find((one) => !arrived.has(one) && one.text === text && isSince(at, one, policy));
    if (message !== undefined) arrived.add(message);
  }
  return arrived;
}

/** Of the rows of the list, those of conversations that are shown as local ones still. */
export function arrivedRows(
  rows: readonly WireSummary[],
  waiting: readonly Unsent[],
  isKnown: (row: WireSummary) => boolean,
  policy: Policy,
): Set<WireSummary> {
  const arrived = new Set<WireSummary>();
  for (const message of waiting) {
    if (!isLocal(message.thread) || !mayHaveArrived(message)) continue;
    const words = message.text.split(/\s+/).filter(Boolean).join(" ");
    const row = rows.find(
      (one) =>
        !arrived.has(one) &&
        !isKnown(one) &&
        one.title !== null &&
        words.startsWith(one.title.replace(/…$/, "")) &&
        isSince(timeOf(one.created_at, policy, 0), message, policy),
    );
    if (row !== undefined) arrived.add(row);
  }
  return arrived;
}

function isSince(at: number, message: Unsent, policy: Policy): boolean {
  return at - policy.aheadMs >= message.created - CLOCK_MS;
}

import {
  type AppendMessage,
  AssistantRuntimeProvider,
  type ThreadMessageLike,
  useExternalStoreRuntime,
} from "@assistant-ui/react";
import { type ReactNode, useMemo } from "react";
import type { Entry } from "../../chat/contract";
import { useAnnouncements } from "../parts/Announcer";
import { useChat, useChatState } from "../parts/ChatContext";
import { addToDraft } from "./drafts";

/**
 * Gives assistant-ui the open conversation. Use it with the conversation's key: one runtime, one conversation.
 *
 * It is told of the last entry only. It keeps a store for each message it knows, which a thousand of make every key that
 * is pressed slow; and nothing here needs it, because rows are drawn from the entries themselves.
 */
export function ConversationRuntime({ children }: { readonly children: ReactNode }): ReactNode {
  const chat = useChat();
  const last = useChatState((state) => state.open.entries.at(-1));
  const loading = useChatState((state) => state.open.loading);
  const closed = useChatState((state) => state.open.closed);
  const { attempt } = useAnnouncements();
  const messages = useMemo(() => (last === undefined ? [] : [last]), [last]);
  const runtime = useExternalStoreRuntime<Entry>({
    messages,
    convertMessage: toMessage,
    isLoading: loading,
    // Never "running": that would forbid to send while an answer is written, and the outbox keeps the order.
    isRunning: false,
    isSendDisabled: closed !== null,
    onNew: async (message) => {
      const text = textOf(message);
      // What could not be written down goes back to where it was typed.
      if (!(await attempt(() => chat.send(text)))) addToDraft(runtime.thread.composer, text);
    },
  });
  return <AssistantRuntimeProvider runtime={runtime}>{children}</AssistantRuntimeProvider>;
}

/** What assistant-ui has to know of an entry; the rest is drawn from the entry itself. */
function toMessage(entry: Entry): ThreadMessageLike {
  return {
    id: entry.key,
    role: entry.kind === "user" ? "user" : "assistant",
    createdAt: new Date(entry.createdAt),
    content: entry.kind === "user" ? entry.text : "",
  };
}

function textOf(message: AppendMessage): string {
  return message.content.map((part) => (part.type === "text" ? part.text : "")).join("");
}

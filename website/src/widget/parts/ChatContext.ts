import { createContext, useContext, useSyncExternalStore } from "react";
import type { Chat, ChatState } from "../../chat/contract";

const ChatContext = createContext<Chat | null>(null);

export const ChatProvider = ChatContext.Provider;

export function useChat(): Chat {
  const chat = useContext(ChatContext);
  if (chat === null) throw new Error("useChat needs a ChatProvider around it");
  return chat;
}

/** A part of the chat's state. `select` has to pick a part that is there, not make a new object. */
export function useChatState<Part>(select: (state: ChatState) => Part): Part {
  const chat = useChat();
  return useSyncExternalStore(chat.subscribe, () => select(chat.getState()));
}

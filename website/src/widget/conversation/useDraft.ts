import { useAui, useAuiState } from "@assistant-ui/react";
import { useEffect, useRef } from "react";
import { useChatState } from "../parts/ChatContext";
import {
  addToDraft,
  draftKey,
  loadDraft,
  ownerOf,
  saveDraft,
  type TextPlace,
  takeDraftsOver,
} from "./drafts";

/** Keeps what is being typed, over reloads and changes of the conversation. */
export function useDraft(): void {
  const { composer } = useAui();
  const text = useAuiState((state) => state.composer.text);
  const person = useChatState((state) => state.person);
  const open = useChatState((state) => state.open);
  const key = draftKey({ person, open });
  const kept = useRef<{ key: string | null; conversation: string }>({ key: null, conversation: open.key });

  useEffect(() => {
    const before = kept.current;
    if (key === before.key) {
      if (key !== null) saveDraft(key, text);
      return;
    }
    kept.current = { key, conversation: open.key };
    if (key !== null) takeDraftsOver(key);
    if (before.key === null || isSameDraft(before, key, open.key)) {
      // Typed before it was known who types, or where: it moves along.
      if (before.key !== null) saveDraft(before.key, "");
      if (key !== null) bringTogether(composer, key, text);
    } else {
      composer.setText(key === null ? "" : loadDraft(key));
    }
  }, [composer, key, open.key, text]);
}

/** What was typed on an earlier page stands before what was typed on this one, until it was known whose that is. */
function bringTogether(composer: TextPlace, key: string, text: string): void {
  const earlier = loadDraft(key);
  if (earlier === "") saveDraft(key, text);
  else addToDraft(composer, earlier);
}

/** A conversation that got its id is the same, whoever else is not. */
function isSameDraft(
  before: { key: string | null; conversation: string },
  key: string | null,
  conversation: string,
) {
  return before.conversation === conversation && owner(before.key) === owner(key);
}

function owner(key: string | null): string | null {
  return key === null ? null : ownerOf(key);
}

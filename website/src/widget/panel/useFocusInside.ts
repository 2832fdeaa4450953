import { type RefObject, useEffect } from "react";
import { useChatState } from "../parts/ChatContext";
import type { View } from "./views";

interface FocusOptions {
  readonly open: boolean;
  /** False for a panel that was left open: a page that was just loaded keeps its focus. */
  readonly wanted: boolean;
  readonly view: View;
  readonly phone: boolean;
}

/** Moves the focus to where one goes on: when the panel opens, shows another view, or another conversation. */
export function useFocusInside(
  panel: RefObject<HTMLElement | null>,
  { open, wanted, view, phone }: FocusOptions,
): void {
  const conversation = useChatState((state) => state.open.key);
  // biome-ignore lint/correctness/useExhaustiveDependencies: another conversation is another field to type in
  useEffect(() => {
    // The sign-in takes the focus by itself.
    if (!open || !wanted || view === "sign-in" || isElsewhere(panel.current)) return;
    placeIn(panel.current, view, phone)?.focus();
  }, [panel, open, wanted, view, phone, conversation]);
}

function placeIn(panel: HTMLElement | null, view: View, phone: boolean): HTMLElement | null | undefined {
  // On a phone a field with focus brings the keyboard, over what one came to read.
  const place = view === "threads" ? "nav" : phone ? "[role=log]" : "textarea";
  return panel?.querySelector<HTMLElement>(place) ?? panel?.querySelector<HTMLElement>("button");
}

/** Whether the person is busy with something on the page. */
function isElsewhere(panel: HTMLElement | null): boolean {
  const focused = document.activeElement;
  return focused !== null && focused !== document.body && !panel?.parentElement?.contains(focused);
}

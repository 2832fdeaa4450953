import { useCallback } from "react";
import { useAnnouncements } from "./Announcer";

/** Copies a text, and says so. Pages that are not served by https or from this machine have no clipboard. */
export function useCopy(): (text: string) => void {
  const { attempt } = useAnnouncements();
  return useCallback((text) => void attempt(() => copy(text), "Copied"), [attempt]);
}

async function copy(text: string): Promise<void> {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    throw { message: "The browser does not let this page copy. Select the text instead.", canRetry: false };
  }
}

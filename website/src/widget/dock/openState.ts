const KEY = "chatkit-neon:open";

/** Whether the chat was left open on the page before this one, in this tab. */
export function wasOpen(): boolean {
  try {
    return sessionStorage.getItem(KEY) === "yes";
  } catch {
    return false;
  }
}

/** Remembers it for the next page; where nothing can be kept, the next page begins with the chat closed. */
export function rememberOpen(open: boolean): void {
  try {
    if (open) sessionStorage.setItem(KEY, "yes");
    else sessionStorage.removeItem(KEY);
  } catch {
    // Storage is off: nothing to do about it here.
  }
}

import { useEffect, useSyncExternalStore } from "react";

const query = () => matchMedia("(max-width: 499px)");

/** Whether the panel takes the whole screen. */
export function usePhone(): boolean {
  return useSyncExternalStore(
    (changed) => {
      const list = query();
      list.addEventListener("change", changed);
      return () => list.removeEventListener("change", changed);
    },
    () => query().matches,
  );
}

/** While the panel covers the page, neither keys nor fingers reach what is under it. */
export function useCoveredPage(covered: boolean): void {
  useEffect(() => {
    const page = document.getElementById("__docusaurus");
    if (!covered || page === null) return;
    page.inert = true;
    document.documentElement.style.overflow = "hidden";
    return () => {
      page.inert = false;
      document.documentElement.style.overflow = "";
    };
  }, [covered]);
}

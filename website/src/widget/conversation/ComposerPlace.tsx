import { createContext, type ReactNode, type RefObject, useContext, useRef } from "react";

const PlaceContext = createContext<RefObject<HTMLTextAreaElement | null> | null>(null);

/** Where the person types: what is around it can move the focus there. */
export function ComposerPlace({ children }: { readonly children: ReactNode }): ReactNode {
  return <PlaceContext.Provider value={useRef<HTMLTextAreaElement>(null)}>{children}</PlaceContext.Provider>;
}

export function useComposerPlace(): RefObject<HTMLTextAreaElement | null> {
  const place = useContext(PlaceContext);
  if (place === null) throw new Error("useComposerPlace needs a ComposerPlace around it");
  return place;
}

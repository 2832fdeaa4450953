import type { ReactNode } from "react";
import type { PanelProps } from "../dock/usePanelCode";

export function ChatKitPanel(_: PanelProps): ReactNode {
  return null;
}

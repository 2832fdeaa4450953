import { type ComponentType, useEffect, useState } from "react";
import type { ChatSettings } from "../settings";
import type { PanelProps } from "./panelProps";

export interface PanelCode {
  readonly Panel: ComponentType<PanelProps> | null;
  readonly failed: boolean;
}

/** The panel's code, fetched when it is first wanted. A fetch that failed is done again the next time. */
export function usePanelCode(wanted: boolean, settings: ChatSettings): PanelCode {
  const [code, setCode] = useState<PanelCode>({ Panel: null, failed: false });
  const missing = wanted && code.Panel === null;
  useEffect(() => {
    if (!missing) return;
    setCode({ Panel: null, failed: false });
    fetchPanel(settings).then(
      (Panel) => setCode({ Panel, failed: false }),
      () => setCode({ Panel: null, failed: true }),
    );
  }, [missing, settings]);
  return code;
}

async function fetchPanel({ chatkit }: ChatSettings): Promise<ComponentType<PanelProps>> {
  if (chatkit) return (await import("../chatkit/ChatKitPanel")).ChatKitPanel;
  return (await import("../panel/ChatPanel")).ChatPanel;
}

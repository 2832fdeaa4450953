import { createContext, type ReactNode, useCallback, useContext, useEffect, useMemo, useState } from "react";
import styles from "./announcer.module.css";
import { problemText } from "./problem";

interface Announcements {
  /** Shows a short message for some seconds, and has screen readers say it. */
  readonly say: (text: string) => void;
  /** Does something; shows why when it fails, and `done` when it does not. Resolves to whether it was done. */
  readonly attempt: (deed: () => Promise<unknown>, done?: string) => Promise<boolean>;
}

interface Toast {
  readonly text: string;
  readonly failed: boolean;
}

const SHOWN_MILLISECONDS = 6000;
const AnnouncementsContext = createContext<Announcements | null>(null);

export function useAnnouncements(): Announcements {
  const announcements = useContext(AnnouncementsContext);
  if (announcements === null) throw new Error("useAnnouncements needs an Announcer around it");
  return announcements;
}

export function Announcer({ children }: { readonly children: ReactNode }): ReactNode {
  const [toast, setToast] = useState<Toast | null>(null);
  useEffect(() => {
    if (toast === null) return;
    const timer = setTimeout(() => setToast(null), SHOWN_MILLISECONDS);
    return () => clearTimeout(timer);
  }, [toast]);

  const say = useCallback((text: string) => setToast({ text, failed: false }), []);
  const attempt = useCallback(async (deed: () => Promise<unknown>, done?: string) => {
    try {
      await deed();
      if (done !== undefined) setToast({ text: done, failed: false });
      return true;
    } catch (failure) {
      setToast({ text: problemText(failure), failed: true });
      return false;
    }
  }, []);
  const announcements = useMemo(() => ({ say, attempt }), [say, attempt]);

  return (
    <AnnouncementsContext.Provider value={announcements}>
      {children}
      {/* Both are always there: screen readers speak what changes in a region they know. */}
      <div className={styles.place}>
        <div role="status">{toast && !toast.failed && <p className={styles.toast}>{toast.text}</p>}</div>
        <div role="alert">{toast?.failed && <p className={styles.failed}>{toast.text}</p>}</div>
      </div>
    </AnnouncementsContext.Provider>
  );
}

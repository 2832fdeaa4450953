import type { ReactNode } from "react";
import type { Problem } from "../../chat/contract";
import { Icon } from "../parts/Icon";
import styles from "./messages.module.css";

/** Something that happened in the conversation and is no message. */
export function Notice({ problem }: { readonly problem: Problem }): ReactNode {
  return (
    <p className={styles.notice}>
      <Icon name="alert" size={16} /> {problem.message}
    </p>
  );
}

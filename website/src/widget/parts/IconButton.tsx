import type { ButtonHTMLAttributes, ReactNode, Ref } from "react";
import styles from "./buttons.module.css";
import { Icon, type IconName } from "./Icon";

interface IconButtonProps extends ButtonHTMLAttributes<HTMLButtonElement> {
  readonly icon: IconName;
  /** What it does: the accessible name, and the tooltip. */
  readonly label: string;
  readonly size?: "normal" | "small";
  readonly ref?: Ref<HTMLButtonElement>;
}

export function IconButton({ icon, label, size = "normal", ...rest }: IconButtonProps): ReactNode {
  return (
    <button
      type="button"
      {...rest}
      className={size === "small" ? styles.small : styles.icon}
      aria-label={label}
      title={label}
    >
      <Icon name={icon} size={size === "small" ? 16 : 20} />
    </button>
  );
}

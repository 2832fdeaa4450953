import type { ButtonHTMLAttributes, ReactNode, Ref } from "react";
import styles from "./buttons.module.css";

interface ButtonProps extends ButtonHTMLAttributes<HTMLButtonElement> {
  readonly look?: "plain" | "primary" | "danger" | "link";
  readonly ref?: Ref<HTMLButtonElement>;
}

export function Button({ look = "plain", ...rest }: ButtonProps): ReactNode {
  return <button type="button" {...rest} className={styles[look]} />;
}

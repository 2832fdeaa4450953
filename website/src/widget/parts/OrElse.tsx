import { Component, type ReactNode } from "react";

interface OrElseProps {
  /** What is shown in the place of children that cannot be drawn. */
  readonly instead: ReactNode;
  /** What they are made of: they are tried again when it changes. */
  readonly of?: unknown;
  readonly children: ReactNode;
}

/** Keeps a fault in one part from taking the whole page away. A class, because only classes catch. */
export class OrElse extends Component<OrElseProps, { readonly failed: boolean }> {
  override state = { failed: false };

  static getDerivedStateFromError(): { failed: boolean } {
    return { failed: true };
  }

  override componentDidUpdate(before: OrElseProps): void {
    if (this.state.failed && before.of !== this.props.of) this.setState({ failed: false });
  }

  override render(): ReactNode {
    return this.state.failed ? this.props.instead : this.props.children;
  }
}

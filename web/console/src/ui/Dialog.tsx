/** A window before the page: for a form, or for a question that must be answered first. */
import { AlertDialog } from "@base-ui/react/alert-dialog";
import { Dialog as Base } from "@base-ui/react/dialog";
import type { ReactNode } from "react";
import { Button, IconButton } from "./Button";
import { cx } from "./cx";
import styles from "./dialog.module.css";
import { CloseIcon } from "./icons";
import { PopupHost } from "./PopupHost";

export interface DialogProps {
	open: boolean;
	onClose(): void;
	title: string;
	description?: ReactNode;
	children?: ReactNode;
	/** Buttons, the one that does it last. */
	footer?: ReactNode;
	wide?: boolean | undefined;
}

export function Dialog({ open, onClose, title, description, children, footer, wide }: DialogProps) {
	return (
		<Base.Root open={open} onOpenChange={(open) => !open && onClose()}>
			<Base.Portal>
				<Base.Backdrop className={styles.backdrop} />
				<Base.Viewport className={styles.viewport}>
					<Base.Popup className={cx(styles.popup, wide && styles.wide)}>
						<div className={styles.head}>
							<div className={styles.words}>
								<Base.Title className={styles.title}>{title}</Base.Title>
								{description && (
									<Base.Description className={styles.description}>{description}</Base.Description>
								)}
							</div>
							{/* It has the focus first: of a tooltip, Escape would close that and not the window. */}
							<Base.Close render={<IconButton plain label="Close" icon={<CloseIcon />} />} />
						</div>
						{children && (
							<div className={styles.body}>
								<PopupHost element={null}>{children}</PopupHost>
							</div>
						)}
						{footer && <div className={styles.foot}>{footer}</div>}
					</Base.Popup>
				</Base.Viewport>
			</Base.Portal>
		</Base.Root>
	);
}

export interface ConfirmDialogProps {
	open: boolean;
	onClose(): void;
	title: string;
	description: ReactNode;
	/** The verb of the button that does it. */
	confirm: string;
	/** The button that leaves things as they are. */
	keep?: string | undefined;
	onConfirm(): void;
	busy?: boolean | undefined;
	danger?: boolean | undefined;
	/** What went wrong when it was tried. */
	children?: ReactNode;
}

/** Asks before something that cannot be taken back. */
export function ConfirmDialog(props: ConfirmDialogProps) {
	const {
		open,
		onClose,
		title,
		description,
		confirm,
		keep = "Back",
		onConfirm,
		busy,
		danger,
	} = props;
	return (
		<AlertDialog.Root open={open} onOpenChange={(open) => !open && onClose()}>
			<AlertDialog.Portal>
				<AlertDialog.Backdrop className={styles.backdrop} />
				<AlertDialog.Viewport className={styles.viewport}>
					<AlertDialog.Popup className={styles.popup}>
						<div className={styles.head}>
							<div className={styles.words}>
								<AlertDialog.Title className={styles.title}>{title}</AlertDialog.Title>
								<AlertDialog.Description className={styles.description}>
									{description}
								</AlertDialog.Description>
							</div>
						</div>
						{props.children && <div className={styles.body}>{props.children}</div>}
						<div className={styles.foot}>
							<AlertDialog.Close render={<Button>{keep}</Button>} />
							<Button variant={danger ? "danger" : "primary"} busy={busy} onClick={onConfirm}>
								{confirm}
							</Button>
						</div>
					</AlertDialog.Popup>
				</AlertDialog.Viewport>
			</AlertDialog.Portal>
		</AlertDialog.Root>
	);
}

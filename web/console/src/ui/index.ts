/** The design system: what pages are made of. */
export { AnsiText } from "./AnsiText";
export { hasAnsi, parseAnsi } from "./ansi";
export { Badge, type BadgeProps, StatusBadge, type StatusBadgeProps, type Tone } from "./Badge";
export { Button, type ButtonProps, buttonClass, IconButton, type IconButtonProps } from "./Button";
export { CopyButton, type CopyButtonProps } from "./CopyButton";
export { writeClipboard } from "./clipboard";
export { tokenColour } from "./colour";
export { cx } from "./cx";
export { ConfirmDialog, type ConfirmDialogProps, Dialog, type DialogProps } from "./Dialog";
export { download } from "./download";
export { Fold, type FoldProps } from "./Fold";
export * from "./format";
export * from "./icons";
export { Kbd } from "./Kbd";
export { Menu, type MenuItem, type MenuProps } from "./Menu";
export {
	EmptyState,
	type EmptyStateProps,
	ErrorNote,
	type ErrorNoteProps,
	NotRefreshed,
	type NotRefreshedProps,
} from "./notes";
export { PageHeader, type PageHeaderProps, useTitle } from "./PageHeader";
export { PopupHost } from "./PopupHost";
export { Select, type SelectItem, type SelectProps } from "./Select";
export { Skeleton, SkeletonRows, Spinner } from "./Spinner";
export { type TabItem, TabPanel, Tabs, type TabsProps } from "./Tabs";
export { TextField, type TextFieldProps } from "./TextField";
export { Segmented, type SegmentedProps, Toggle, type ToggleProps } from "./Toggle";
export { Tooltip, type TooltipProps } from "./Tooltip";
export { UiProvider } from "./UiProvider";
export { type Size, useSize } from "./useSize";

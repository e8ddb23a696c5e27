/** The console's icons, drawn on a grid of 16 in the colour of the text around them. They are decoration: names stand in words. */
import type { ReactNode } from "react";

export interface IconProps {
	size?: number;
	className?: string | undefined;
}

export function Icon({ size = 16, className, children }: IconProps & { children: ReactNode }) {
	return (
		<svg
			className={className}
			width={size}
			height={size}
			viewBox="0 0 16 16"
			fill="none"
			stroke="currentColor"
			strokeWidth={1.5}
			strokeLinecap="round"
			strokeLinejoin="round"
			aria-hidden="true"
			focusable="false"
		>
			{children}
		</svg>
	);
}

export const CheckIcon = (props: IconProps) => (
	<Icon {...props}>
		<path d="M3 8.5 6.5 12 13 4.5" strokeWidth={2} />
	</Icon>
);
export const CrossIcon = (props: IconProps) => (
	<Icon {...props}>
		<path d="m4 4 8 8m0-8-8 8" strokeWidth={2} />
	</Icon>
);
export const CloseIcon = (props: IconProps) => (
	<Icon {...props}>
		<path d="m4 4 8 8m0-8-8 8" />
	</Icon>
);
export const ChevronDownIcon = (props: IconProps) => (
	<Icon {...props}>
		<path d="m4 6 4 4 4-4" />
	</Icon>
);
export const ChevronUpIcon = (props: IconProps) => (
	<Icon {...props}>
		<path d="m4 10 4-4 4 4" />
	</Icon>
);
export const ChevronRightIcon = (props: IconProps) => (
	<Icon {...props}>
		<path d="m6 4 4 4-4 4" />
	</Icon>
);
export const SearchIcon = (props: IconProps) => (
	<Icon {...props}>
		<circle cx="7" cy="7" r="4.25" />
		<path d="m10.5 10.5 3 3" />
	</Icon>
);
export const CopyIcon = (props: IconProps) => (
	<Icon {...props}>
		<rect x="5.5" y="5.5" width="8" height="8" rx="1.5" />
		<path d="M10.5 3A1 1 0 0 0 9.5 2.5H4A1.5 1.5 0 0 0 2.5 4v5.5a1 1 0 0 0 .5 1" />
	</Icon>
);
export const PlayIcon = (props: IconProps) => (
	<Icon {...props}>
		<path d="M5 3.2v9.6L12.5 8Z" />
	</Icon>
);
export const StopIcon = (props: IconProps) => (
	<Icon {...props}>
		<rect x="4" y="4" width="8" height="8" rx="1" />
	</Icon>
);
export const PlusIcon = (props: IconProps) => (
	<Icon {...props}>
		<path d="M8 3v10M3 8h10" />
	</Icon>
);
export const MinusIcon = (props: IconProps) => (
	<Icon {...props}>
		<path d="M3 8h10" />
	</Icon>
);
export const MoreIcon = (props: IconProps) => (
	<Icon {...props}>
		<path d="M3.5 8h.01M8 8h.01m4.49 0h.01" strokeWidth={2.4} />
	</Icon>
);
export const RefreshIcon = (props: IconProps) => (
	<Icon {...props}>
		<path d="M13 8a5 5 0 1 1-1.5-3.5L13 6m0-3v3h-3" />
	</Icon>
);
export const DownloadIcon = (props: IconProps) => (
	<Icon {...props}>
		<path d="M8 2.5V10m-3-3 3 3 3-3M3 13h10" />
	</Icon>
);
export const UploadIcon = (props: IconProps) => (
	<Icon {...props}>
		<path d="M8 10V2.5m-3 3 3-3 3 3M3 13h10" />
	</Icon>
);
export const ExternalIcon = (props: IconProps) => (
	<Icon {...props}>
		<path d="M9.5 3H13v3.5M13 3 7.5 8.5M12 9.5V12a1 1 0 0 1-1 1H4a1 1 0 0 1-1-1V5a1 1 0 0 1 1-1h2.5" />
	</Icon>
);
export const LinkIcon = (props: IconProps) => (
	<Icon {...props}>
		<path d="M6.5 9.5a2.5 2.5 0 0 0 3.6 0l2.3-2.3a2.5 2.5 0 0 0-3.6-3.6L8 4.4m1.5 2.1a2.5 2.5 0 0 0-3.6 0L3.6 8.8a2.5 2.5 0 0 0 3.6 3.6L8 11.6" />
	</Icon>
);
export const EditIcon = (props: IconProps) => (
	<Icon {...props}>
		<path d="m3 13 .8-3L10.5 3.2a1.2 1.2 0 0 1 1.7 0l.6.6a1.2 1.2 0 0 1 0 1.7L6 12.2Z" />
	</Icon>
);
export const TrashIcon = (props: IconProps) => (
	<Icon {...props}>
		<path d="M3 4.5h10M6.5 4V2.5h3V4m-5 .5.6 8.5h5.8l.6-8.5M6.8 7v3.5M9.2 7v3.5" />
	</Icon>
);
export const AlertIcon = (props: IconProps) => (
	<Icon {...props}>
		<path d="M8 2.5 14 13H2Zm0 4v3m0 1.8v.01" />
	</Icon>
);
export const InfoIcon = (props: IconProps) => (
	<Icon {...props}>
		<circle cx="8" cy="8" r="5.75" />
		<path d="M8 7.5v3.25M8 5.2v.01" />
	</Icon>
);
export const ClockIcon = (props: IconProps) => (
	<Icon {...props}>
		<circle cx="8" cy="8" r="5.75" />
		<path d="M8 4.75V8l2.25 1.5" />
	</Icon>
);
export const SunIcon = (props: IconProps) => (
	<Icon {...props}>
		<circle cx="8" cy="8" r="2.75" />
		<path d="M8 1.5v1.25m0 10.5v1.25M1.5 8h1.25m10.5 0h1.25M3.4 3.4l.9.9m7.4 7.4.9.9m0-9.2-.9.9m-7.4 7.4-.9.9" />
	</Icon>
);
export const MoonIcon = (props: IconProps) => (
	<Icon {...props}>
		<path d="M13.3 9.8A5.8 5.8 0 0 1 6.2 2.7a5.75 5.75 0 1 0 7.1 7.1Z" />
	</Icon>
);
export const SystemIcon = (props: IconProps) => (
	<Icon {...props}>
		<path d="M3 3h10v7.5H3Zm3 10.5h4m-2-3v3" />
	</Icon>
);
export const BuildsIcon = (props: IconProps) => (
	<Icon {...props}>
		<path d="M2.5 4h2m3 0h6m-11 4h2m3 0h4m-9 4h2m3 0h6" />
	</Icon>
);
export const ExploreIcon = (props: IconProps) => (
	<Icon {...props}>
		<path d="M2.5 13.5h11M4.5 13.5V9m3.5 4.5V3m3.5 10.5V6.5" />
	</Icon>
);
export const DashboardsIcon = (props: IconProps) => (
	<Icon {...props}>
		<path d="M2.5 2.5h4.5v6H2.5Zm6.5 0h4.5V6H9Zm0 6h4.5v5H9Zm-6.5 2.5H7v2.5H2.5Z" />
	</Icon>
);
export const RunnersIcon = (props: IconProps) => (
	<Icon {...props}>
		<path d="M2.5 3h11v4h-11Zm0 6h11v4h-11ZM5 5h.01M5 11h.01" />
	</Icon>
);
export const TraceIcon = (props: IconProps) => (
	<Icon {...props}>
		<path d="M2.5 3.5h7m-5 3h7m-4.5 3h6.5m-4 3h4" />
	</Icon>
);
export const SignOutIcon = (props: IconProps) => (
	<Icon {...props}>
		<path d="M6.5 3H4a1 1 0 0 0-1 1v8a1 1 0 0 0 1 1h2.5m3-8 3 3-3 3m3-3H6.5" />
	</Icon>
);

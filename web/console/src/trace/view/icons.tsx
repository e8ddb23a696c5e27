/** The icons that only a waterfall has, drawn like the others. */
import { Icon } from "../../ui/icons";

export const PathIcon = () => (
	<Icon>
		<path d="M2.5 4h4.25v4h3.5v4h3.25M2.5 4v0m11 8v0" />
	</Icon>
);
export const OpenAllIcon = () => (
	<Icon>
		<path d="m5 5.5 3-3 3 3m-6 5 3 3 3-3M2.5 8h11" />
	</Icon>
);
export const CloseAllIcon = () => (
	<Icon>
		<path d="m5 2.5 3 3 3-3m-6 11 3-3 3 3M2.5 8h11" />
	</Icon>
);
export const FitIcon = () => (
	<Icon>
		<path d="M2.5 3v10m11-10v10M4.5 8h7m-5-2-2 2 2 2m3-4 2 2-2 2" />
	</Icon>
);
export const KeysIcon = () => (
	<Icon>
		<path d="M2.5 4h11a1 1 0 0 1 1 1v6a1 1 0 0 1-1 1h-11a1 1 0 0 1-1-1V5a1 1 0 0 1 1-1Zm1.75 2.5h.01m2.24 0h.01m2.24 0h.01m2.24 0h.01M5.5 9.5h5" />
	</Icon>
);

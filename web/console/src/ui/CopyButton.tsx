/** Puts a text on the clipboard and says that it has. */
import { useEffect, useRef, useState } from "react";
import { Button, type ButtonLook, IconButton } from "./Button";
import { writeClipboard } from "./clipboard";
import { CheckIcon, CopyIcon } from "./icons";

/** For how long it says so. */
const SAYS_MS = 1600;

export interface CopyButtonProps extends ButtonLook {
	/** The text, or what makes it when it is wanted. */
	text: string | (() => string | Promise<string>);
	/** What is copied: "Copy the command". */
	label: string;
	/** Shows the label beside the icon. */
	showLabel?: boolean | undefined;
	className?: string | undefined;
}

export function CopyButton({ text, label, showLabel, className, ...look }: CopyButtonProps) {
	const [said, setSaid] = useState<"" | "Copied" | "Could not copy">("");
	const timer = useRef<ReturnType<typeof setTimeout>>(undefined);
	useEffect(() => () => clearTimeout(timer.current), []);

	async function copy() {
		const copied = await copyOf(text).then(writeClipboard, () => false);
		setSaid(copied ? "Copied" : "Could not copy");
		clearTimeout(timer.current);
		timer.current = setTimeout(() => setSaid(""), SAYS_MS);
	}

	const icon = said === "Copied" ? <CheckIcon /> : <CopyIcon />;
	return (
		<>
			{showLabel ? (
				<Button {...look} className={className} icon={icon} onClick={copy}>
					{said || label}
				</Button>
			) : (
				<IconButton
					{...look}
					className={className}
					label={said || label}
					icon={icon}
					onClick={copy}
				/>
			)}
			<span className="visually-hidden" role="status">
				{said}
			</span>
		</>
	);
}

async function copyOf(text: CopyButtonProps["text"]): Promise<string> {
	return typeof text === "string" ? text : text();
}

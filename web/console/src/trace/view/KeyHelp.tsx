/** What each key does, from the table that the keys are read by. */
import { Dialog, Kbd } from "../../ui";
import { KEYMAP } from "../keys";
import styles from "./keyHelp.module.css";

const SIGNS: Record<string, string> = {
	ArrowUp: "↑",
	ArrowDown: "↓",
	ArrowLeft: "←",
	ArrowRight: "→",
	PageUp: "Page ↑",
	PageDown: "Page ↓",
	Escape: "Esc",
	" ": "Space",
	Shift: "Shift",
};

export function KeyHelp({ open, onClose }: { open: boolean; onClose(): void }) {
	return (
		<Dialog open={open} onClose={onClose} title="Keys" wide>
			<div className={styles.groups}>
				{KEYMAP.map(({ title, lines }) => (
					<section key={title}>
						<h3 className={styles.title}>{title}</h3>
						<dl className={styles.lines}>
							{lines.map(({ command, keys, says }) => (
								<div key={command} className={styles.line}>
									<dt>{says}</dt>
									<dd>
										{keys.map((key) => (
											<Keys key={key} combination={key} />
										))}
									</dd>
								</div>
							))}
						</dl>
					</section>
				))}
			</div>
			<p className={styles.note}>
				With the pointer: Ctrl and the wheel zoom, Shift and the wheel pan; drag along the time axis
				or the map above it to choose a stretch.
			</p>
		</Dialog>
	);
}

function Keys({ combination }: { combination: string }) {
	const keys = combination === "+" ? ["+"] : combination.split("+");
	return (
		<span className={styles.keys}>
			{keys.map((key) => (
				<Kbd key={key}>{SIGNS[key] ?? key}</Kbd>
			))}
		</span>
	);
}

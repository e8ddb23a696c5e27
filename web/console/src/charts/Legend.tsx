/** Which line is which. Each is a switch: by mouse or by keyboard a line is lit while it is pointed at, and hidden. */

import { Button } from "../ui";
import { hueOfLine, isDashed } from "./colours";
import styles from "./lines.module.css";
import type { Series } from "./series";
import { formatNumber } from "./values";

export type LegendProps = {
	series: Series;
	/** Names of lines that are not drawn. */
	hidden: ReadonlySet<string>;
	onHide(hidden: ReadonlySet<string>): void;
	onLight(name: string | undefined): void;
};

export function Legend({ series, hidden, onHide, onLight }: LegendProps) {
	const toggle = (name: string) => {
		const next = new Set(hidden);
		if (!next.delete(name)) next.add(name);
		onHide(next);
	};
	return (
		<div className={styles.legend}>
			<ul aria-label="Lines" className={styles.entries}>
				{series.lines.map(({ name, unit, hue, values }) => {
					const last = values.findLast((value) => value !== null);
					return (
						<li key={name}>
							<button
								type="button"
								className={styles.entry}
								aria-pressed={!hidden.has(name)}
								title={name}
								onClick={() => toggle(name)}
								onPointerEnter={() => onLight(name)}
								onPointerLeave={() => onLight(undefined)}
								onFocus={() => onLight(name)}
								onBlur={() => onLight(undefined)}
							>
								<i
									className={styles.swatch}
									data-dashed={isDashed(hue) ? "" : undefined}
									style={{ color: `var(${hueOfLine(hue)})` }}
								/>
								<bdi className={styles.name}>{name}</bdi>
								<span className={styles.last}>
									{typeof last === "number" ? formatNumber(last, unit) : "–"}
								</span>
							</button>
						</li>
					);
				})}
			</ul>
			{hidden.size > 0 && (
				<Button size="small" variant="ghost" onClick={() => onHide(new Set())}>
					Show all
				</Button>
			)}
			{series.left > 0 && (
				<p className={styles.left}>
					{series.left} smaller groups have no line; a table shows them all.
				</p>
			)}
		</div>
	);
}

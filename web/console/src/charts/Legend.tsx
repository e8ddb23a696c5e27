/** Which line is which. Each is a switch: by mouse or by keyboard a line is lit while it is pointed at, and hidden. */

import { Button } from "../ui";
import { hueOfLine, isDashed } from "./colours";
import styles from "./lines.module.css";
import type { Series } from "./series";
import { formatNumber } from "./values";

export type LegendProps = {
	series: Series;
	hidden: ReadonlySet<number>;
	onHide(hidden: ReadonlySet<number>): void;
	onLight(place: number | undefined): void;
};

export function Legend({ series, hidden, onHide, onLight }: LegendProps) {
	const toggle = (place: number) => {
		const next = new Set(hidden);
		if (!next.delete(place)) next.add(place);
		onHide(next);
	};
	return (
		<div className={styles.legend}>
			<ul aria-label="Lines" className={styles.entries}>
				{series.lines.map(({ name, unit, values }, place) => {
					const last = values.findLast((value) => value !== null);
					return (
						<li key={name}>
							<button
								type="button"
								className={styles.entry}
								aria-pressed={!hidden.has(place)}
								title={name}
								onClick={() => toggle(place)}
								onPointerEnter={() => onLight(place)}
								onPointerLeave={() => onLight(undefined)}
								onFocus={() => onLight(place)}
								onBlur={() => onLight(undefined)}
							>
								<i
									className={styles.swatch}
									data-dashed={isDashed(place) ? "" : undefined}
									style={{ color: `var(${hueOfLine(place)})` }}
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

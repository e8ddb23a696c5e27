/** The list of builds. Only the rows in sight are in the page, so that thousands cost no more than a screenful. */
import { useWindowVirtualizer } from "@tanstack/react-virtual";
import { useLayoutEffect, useRef, useState } from "react";
import type { BuildRow as Build } from "../api/types";
import { BuildRow } from "./BuildRow";
import styles from "./builds.module.css";
import type { Rates } from "./rates";

/** A row's height before it was measured. */
const ROW_HEIGHT = 41;

export interface BuildTableProps {
	builds: readonly Build[];
	rates: Rates;
	onCancel(build: Build): void;
}

export function BuildTable({ builds, rates, onCancel }: BuildTableProps) {
	const body = useRef<HTMLTableSectionElement>(null);
	const offset = useOffset(body);
	const rows = useWindowVirtualizer({
		count: builds.length,
		estimateSize: () => ROW_HEIGHT,
		overscan: 12,
		scrollMargin: offset,
		getItemKey: (index) => builds[index]?.sessionId ?? index,
	});
	const shown = rows.getVirtualItems();
	const above = (shown[0]?.start ?? offset) - offset;
	const below = rows.getTotalSize() - ((shown.at(-1)?.end ?? offset) - offset);

	return (
		<table className={styles.table} aria-label="Builds" aria-rowcount={builds.length + 1}>
			<thead>
				<tr className={styles.row} aria-rowindex={1}>
					<th scope="col">Status</th>
					<th scope="col">Project</th>
					<th scope="col">Progress</th>
					<th scope="col" className={styles.number}>
						Duration
					</th>
					<th scope="col" className={styles.number}>
						Events
					</th>
					<th scope="col" className={styles.number}>
						Events/s
					</th>
					<th scope="col">Runner</th>
					<th scope="col">Started</th>
					<th scope="col">
						<span className="visually-hidden">Cancel</span>
					</th>
				</tr>
			</thead>
			<tbody ref={body} style={{ paddingBlock: `${above}px ${below}px` }}>
				{shown.map(({ index, key }) => {
					const build = builds[index];
					return (
						build && (
							<BuildRow
								key={key}
								ref={rows.measureElement}
								index={index}
								build={build}
								rate={rates.get(build.sessionId)?.rate}
								onCancel={onCancel}
							/>
						)
					);
				})}
			</tbody>
		</table>
	);
}

/** How far down the page the rows begin. */
function useOffset(body: { readonly current: HTMLElement | null }): number {
	const [offset, setOffset] = useState(0);
	useLayoutEffect(() => {
		const measure = () => {
			const top = body.current?.getBoundingClientRect().top ?? 0;
			setOffset(Math.round(top + window.scrollY));
		};
		measure();
		const observer = new ResizeObserver(measure);
		observer.observe(document.body);
		return () => observer.disconnect();
	}, [body]);
	return offset;
}

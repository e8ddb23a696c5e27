/** Bars, the longest first. It is a list, and reads as one. */

import { EmptyState } from "../ui";
import { type Answer, type Roles, rolesOf } from "./answer";
import { TargetLink } from "./TargetLink";
import { type Bar, type TopList, topOf } from "./top";
import styles from "./top.module.css";
import { formatNumber } from "./values";

/** More bars than anyone compares. */
const MOST = 100;

export function TopListView({
	answer,
	roles = rolesOf(answer),
}: {
	answer: Answer;
	roles?: Roles;
}) {
	const top = topOf(answer, roles);
	if (!top) {
		return (
			<EmptyState title="Nothing to measure by">
				A top list needs a figure: ask for one, such as count(spans) by op.
			</EmptyState>
		);
	}
	const left = top.bars.length - MOST;
	return (
		<div className={styles.top}>
			<ol className={styles.bars} aria-label={`By ${top.name}, the largest first`}>
				{top.bars.slice(0, MOST).map((bar, at) => (
					// biome-ignore lint/suspicious/noArrayIndexKey: spans of one name are told apart by their place alone
					<BarItem key={`${at} ${bar.label}`} bar={bar} top={top} />
				))}
			</ol>
			{left > 0 && <p className={styles.left}>{left} smaller ones are in the table.</p>}
		</div>
	);
}

function BarItem({ bar, top }: { bar: Bar; top: TopList }) {
	const share = top.most > 0 ? Math.max(0, bar.value) / top.most : 0;
	const others = bar.others.map(({ name, value, unit }) =>
		value === null ? "" : `${name} ${formatNumber(value, unit)}`,
	);
	return (
		<li className={styles.bar}>
			<bdi className={styles.label} title={bar.label}>
				{bar.target ? <TargetLink target={bar.target}>{bar.label}</TargetLink> : bar.label}
			</bdi>
			<span className={styles.track}>
				<i className={styles.fill} style={{ width: `${share * 100}%` }} />
			</span>
			<span className={styles.value} title={others.join(", ") || undefined}>
				{formatNumber(bar.value, top.unit)}
			</span>
		</li>
	);
}

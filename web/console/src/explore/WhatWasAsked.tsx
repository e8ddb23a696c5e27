/** The question that a view was drawn from, where it is not the one that was written. */

import type { Plan } from "../query/asking/plan";
import { Button, CopyButton } from "../ui";
import styles from "./explore.module.css";

export function WhatWasAsked({ plan, onAsk }: { plan: Plan; onAsk(text: string): void }) {
	return (
		<details className={styles.plan}>
			<summary>What was asked for this view</summary>
			<div>
				<code>{plan.text}</code>
				<CopyButton size="small" label="Copy what was asked" text={plan.text} />
				<Button size="small" onClick={() => onAsk(plan.text)}>
					Go on from it
				</Button>
			</div>
		</details>
	);
}

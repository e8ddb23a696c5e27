/** What is known to be missing of a trace, where anything is. */
import { Badge, formatCount } from "../../ui";
import type { TraceModel } from "../model/model";

export function Missing({ model }: { model: TraceModel }) {
	const { dropped = 0, leftOut = 0 } = model.missing;
	return (
		<>
			{dropped > 0 && (
				<Badge tone="warn" title="Those who made them say that they had to drop them.">
					{formatCount(dropped)} {dropped === 1 ? "span" : "spans"} dropped
				</Badge>
			)}
			{leftOut > 0 && (
				<Badge tone="warn" title="The trace is larger than what is shown of one.">
					{formatCount(leftOut)} more not shown
				</Badge>
			)}
		</>
	);
}

/** Chooses which time is asked about: so long before now, all there is, or between two times. */

import { type FormEvent, useId, useState } from "react";
import { serverNow } from "../../api/clock";
import { Button, ChevronDownIcon, ClockIcon, Dialog, Menu, TextField } from "../../ui";
import { millisOf, nanosOf } from "../language/amounts";
import type { TimeRange } from "../language/clauses";
import { between, fromLocal, RANGES, rangeName, sameRange, toLocal } from "./ranges";
import styles from "./time.module.css";

export type TimeRangePickerProps = {
	range: TimeRange;
	onChange(range: TimeRange): void;
	/** Why none can be chosen just now. */
	disabled?: boolean | undefined;
};

export function TimeRangePicker({ range, onChange, disabled }: TimeRangePickerProps) {
	const [isOpen, setIsOpen] = useState(false);
	const name = rangeName(range, serverNow());
	const items = RANGES.map(({ range: other, name }) => ({
		label: name,
		checked: sameRange(range, other),
		onSelect: () => onChange(other),
	}));
	const custom = {
		label: "Between two times…",
		checked: range.kind === "between",
		onSelect: () => setIsOpen(true),
	};
	return (
		<>
			<Menu
				align="start"
				trigger={
					<Button icon={<ClockIcon size={14} />} disabled={disabled} aria-label={`Time: ${name}`}>
						<span className={styles.name}>{name}</span>
						<ChevronDownIcon size={14} />
					</Button>
				}
				items={[...items, "separator", custom]}
			/>
			{isOpen && (
				<BetweenDialog
					range={range}
					onClose={() => setIsOpen(false)}
					onChange={(range) => {
						setIsOpen(false);
						onChange(range);
					}}
				/>
			)}
		</>
	);
}

function BetweenDialog({
	range,
	onClose,
	onChange,
}: {
	range: TimeRange;
	onClose(): void;
	onChange(range: TimeRange): void;
}) {
	const id = useId();
	const [begin] = useState(() => endsOf(range));
	const [from, setFrom] = useState(begin.from);
	const [to, setTo] = useState(begin.to);
	const [start, end] = [fromLocal(from), fromLocal(to)];
	const problem =
		start !== undefined && end !== undefined && end <= start ? "Ends before it begins" : undefined;
	const submit = (event: FormEvent) => {
		event.preventDefault();
		if (start !== undefined && end !== undefined && !problem) onChange(between(start, end));
	};
	return (
		<Dialog
			open
			onClose={onClose}
			title="Between two times"
			description="In this browser's time zone."
			footer={
				<>
					<Button onClick={onClose}>Back</Button>
					<Button
						type="submit"
						form={id}
						variant="primary"
						disabled={start === undefined || end === undefined || problem !== undefined}
					>
						Show this time
					</Button>
				</>
			}
		>
			<form id={id} className={styles.form} onSubmit={submit}>
				<TextField label="From" type="datetime-local" step={1} value={from} onChange={setFrom} />
				<TextField
					label="To"
					type="datetime-local"
					step={1}
					value={to}
					onChange={setTo}
					error={problem}
				/>
			</form>
		</Dialog>
	);
}

/** What the fields begin with: the range as it is, or the hour before now. */
function endsOf(range: TimeRange): { from: string; to: string } {
	const now = serverNow();
	const written = range.kind === "between" ? range : undefined;
	const to = (written?.to === undefined ? undefined : millisOf(written.to)) ?? now;
	const length = range.kind === "since" ? (nanosOf(range.length) ?? 3_600e9) / 1e6 : 3_600_000;
	const from = (written && millisOf(written.from)) ?? to - length;
	return { from: toLocal(from), to: toLocal(to) };
}

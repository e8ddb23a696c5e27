/** What a tool was given and what it answered. What the state holds only the beginning of can be had in full. */
import type { ToolCall } from "@hopline/react";
import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { ApiErrorNote } from "../../api/ApiErrorNote";
import { Button, formatBytes } from "../../ui";
import { wholeCallQuery } from "../queries";
import { type CallStanding, fieldsOf } from "./call";
import styles from "./tool.module.css";
import { Value } from "./Value";

export interface ToolBodyProps {
	sessionId: string;
	call: ToolCall;
	standing: CallStanding;
}

export function ToolBody({ sessionId, call, standing }: ToolBodyProps) {
	const name = call.name || "the tool";
	const answer = standing === "failed" ? "Error" : "Output";
	return (
		<>
			{call.input !== undefined && !isEmpty(call.input) && (
				<Part sessionId={sessionId} call={call} field="input" title="Input" of={name} />
			)}
			{call.output !== undefined && (
				<Part sessionId={sessionId} call={call} field="output" title={answer} of={name} />
			)}
			{call.output === undefined && <p className={styles.none}>{WITHOUT_OUTPUT[standing]}</p>}
		</>
	);
}

const WITHOUT_OUTPUT: Record<CallStanding, string> = {
	running: "No output yet.",
	done: "It answered without an output.",
	failed: "It failed without a word.",
	unanswered: "The build ended before it answered.",
};

interface PartProps {
	sessionId: string;
	call: ToolCall;
	field: "input" | "output";
	title: string;
	of: string;
}

function Part({ sessionId, call, field, title, of }: PartProps) {
	const cut = call.truncated?.[field];
	const [isWanted, setWanted] = useState(false);
	const whole = useQuery({ ...wholeCallQuery(sessionId, call.id), enabled: isWanted });
	const value = whole.data ? whole.data[field] : call[field];
	return (
		<div className={styles.part}>
			<p className={styles.partTitle}>{title}</p>
			<Value value={value} label={`${title} of ${of}`} />
			{cut && !whole.data && (
				<p className={styles.cut}>
					Only the beginning is shown, of {formatBytes(cut.bytes)}.
					<Button size="small" busy={whole.isFetching} onClick={() => setWanted(true)}>
						Load all of it
					</Button>
				</p>
			)}
			{whole.error && (
				<ApiErrorNote
					error={whole.error}
					title="The rest could not be read"
					onRetry={() => void whole.refetch()}
				/>
			)}
		</div>
	);
}

function isEmpty(input: unknown): boolean {
	return typeof input === "object" && Object.keys(fieldsOf(input)).length === 0;
}

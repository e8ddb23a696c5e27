/** One event with all that it says, below the log. */
import { useQuery } from "@tanstack/react-query";
import { ApiErrorNote } from "../../api/ApiErrorNote";
import {
	Button,
	CloseIcon,
	CopyButton,
	Fold,
	formatTimeExact,
	IconButton,
	Spinner,
	TraceIcon,
} from "../../ui";
import styles from "./events.module.css";
import { eventQuery, partOf, type RawEvent } from "./log";

export interface EventDetailProps {
	sessionId: string;
	seq: number;
	onShow: (() => void) | undefined;
	onClose(): void;
}

export function EventDetail({ sessionId, seq, onShow, onClose }: EventDetailProps) {
	const { data: event, error, refetch } = useQuery(eventQuery(sessionId, seq));
	return (
		<section className={styles.detail} aria-label={`Event ${seq}`}>
			<header className={styles.head}>
				<h3>Event {seq}</h3>
				{event && <span className={styles.received}>{formatTimeExact(event.receivedAt)}</span>}
				{onShow && (
					<Button size="small" variant="ghost" icon={<TraceIcon />} onClick={onShow}>
						Show in the trace
					</Button>
				)}
				{event?.body !== undefined && (
					<CopyButton size="small" label="Copy the event" text={() => pretty(event.body)} />
				)}
				<IconButton size="small" label="Close" icon={<CloseIcon />} onClick={onClose} />
			</header>
			<div className={styles.said}>
				{error && (
					<ApiErrorNote
						error={error}
						title="The event could not be read"
						onRetry={() => void refetch()}
					/>
				)}
				{event === undefined && !error && <Spinner label="Reading the event" />}
				{event === null && <p>This event is not in the log.</p>}
				{event && <Said event={event} />}
			</div>
		</section>
	);
}

function Said({ event }: { event: RawEvent }) {
	const part = partOf(event);
	return (
		<>
			{event.reason !== null && <p className={styles.reason}>{event.reason}</p>}
			{part && <Fold text={pretty(part)} label="Part of the stream" lines={16} />}
			{event.body === undefined || event.body === null ? (
				<p>Its contents are not kept.</p>
			) : (
				<Fold
					text={pretty(event.body)}
					label="The event as it was received"
					lines={part ? 4 : 16}
				/>
			)}
		</>
	);
}

function pretty(value: unknown): string {
	return typeof value === "string" ? value : (JSON.stringify(value, null, 2) ?? "");
}

/**
 * The log of a build's events. Every number has its row, and only the pages in sight are read, so that the end of a log of
 * 30,000 is as near as its beginning.
 */
import { useQueries } from "@tanstack/react-query";
import { useVirtualizer } from "@tanstack/react-virtual";
import { useEffect, useState } from "react";
import { ApiErrorNote } from "../../api/ApiErrorNote";
import { Button, ChevronDownIcon, EmptyState } from "../../ui";
import { useFollow } from "../activity/useFollow";
import { useEverySecond } from "../useEverySecond";
import { EventDetail } from "./EventDetail";
import { EventRow } from "./EventRow";
import styles from "./events.module.css";
import { lastOf, logPageQuery, PAGE } from "./log";

const ROW_HEIGHT = 28;

export interface EventsPanelProps {
	sessionId: string;
	/** The number of the last event. */
	seq: number;
	isActive: boolean;
	/** The number of the event that is looked at. */
	selected: number | undefined;
	onSelect(seq: number | undefined): void;
	/** An event is pointed at, or none any more. */
	onPoint(seq: number | undefined): void;
	/** Shows an event's spans; none if the trace does not have them. */
	onShow(seq: number): (() => void) | undefined;
}

export function EventsPanel(props: EventsPanelProps) {
	const { sessionId, isActive, selected, onSelect, onPoint } = props;
	const count = useEverySecond(props.seq);
	const [scroller, setScroller] = useState<HTMLElement | null>(null);
	const rows = useVirtualizer({
		count,
		getScrollElement: () => scroller,
		estimateSize: () => ROW_HEIGHT,
		overscan: 20,
	});
	const { isFollowing, toEnd, stay } = useFollow(
		scroller,
		rows.getTotalSize(),
		isActive && selected === undefined,
	);
	// As soon as it is there; then not again while the log grows.
	const [reached, setReached] = useState<number>();
	useEffect(() => {
		if (!scroller || selected === undefined || selected === reached || selected > count) return;
		stay();
		rows.scrollToIndex(selected - 1, { align: "auto" });
		setReached(selected);
	}, [scroller, selected, reached, count, rows, stay]);

	const shown = rows.getVirtualItems();
	const pages = pagesOf(shown.at(0)?.index ?? 0, shown.at(-1)?.index ?? 0);
	const read = useQueries({
		queries: pages.map((page) => logPageQuery(sessionId, page, count)),
	});
	useEffect(() => {
		read.forEach((page, at) => {
			const isBehind = page.data && page.data.upTo < lastOf(pages[at] ?? 0, count);
			if (isBehind && !page.isFetching && !page.error) void page.refetch();
		});
	});
	const failed = read.find((page) => page.error);
	const lineAt = (index: number) => {
		const page = read[pages.indexOf(Math.floor(index / PAGE))]?.data;
		return { line: page?.lines[index % PAGE], isRead: page !== undefined && index < page.upTo };
	};
	if (count === 0)
		return <EmptyState title="No event yet">They appear as they are sent.</EmptyState>;
	return (
		<div className={styles.panel}>
			<h2 className="visually-hidden">Events</h2>
			{failed && (
				<ApiErrorNote
					error={failed.error}
					title="Events could not be read"
					onRetry={() => void failed.refetch()}
				/>
			)}
			<div className={styles.frame}>
				<section
					ref={setScroller}
					className={styles.scroller}
					aria-label="Events"
					// biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reachable without a pointer.
					tabIndex={0}
				>
					<ol className={styles.sheet} style={{ height: rows.getTotalSize() }}>
						{shown.map(({ index, start }) => (
							<li
								key={index}
								className={styles.place}
								style={{ transform: `translateY(${start}px)` }}
							>
								<EventRow
									seq={index + 1}
									{...lineAt(index)}
									isSelected={selected === index + 1}
									onSelect={onSelect}
									onPoint={onPoint}
								/>
							</li>
						))}
					</ol>
				</section>
				{isActive && !isFollowing && (
					<Button className={styles.latest} icon={<ChevronDownIcon />} onClick={toEnd}>
						Follow the end
					</Button>
				)}
			</div>
			{selected !== undefined && (
				<EventDetail
					key={selected}
					sessionId={sessionId}
					seq={selected}
					onShow={props.onShow(selected)}
					onClose={() => onSelect(undefined)}
				/>
			)}
		</div>
	);
}

/** The pages that have the rows from one to another. */
function pagesOf(first: number, last: number): number[] {
	const from = Math.floor(first / PAGE);
	return Array.from({ length: Math.floor(last / PAGE) - from + 1 }, (_, at) => from + at);
}

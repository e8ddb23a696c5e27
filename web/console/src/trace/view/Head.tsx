/** Above the rows, in their columns: whose colours are whose, the whole trace at a glance, the time axis. */
import { formatCount } from "../../ui";
import { Swatch } from "../hues";
import type { Kept } from "../model/filter";
import type { TraceModel } from "../model/model";
import { oneLine } from "../model/text";
import { Axis } from "./Axis";
import styles from "./head.module.css";
import { Minimap } from "./Minimap";
import { Splitter } from "./Splitter";
import type { Scale } from "./scale";
import type { TimeWindow } from "./useTimeWindow";

export interface HeadProps {
	model: TraceModel;
	kept: Kept | null;
	hues: Uint8Array;
	time: TimeWindow;
	scale: Scale;
	now: number | null;
	/** The names' share of the width; null where they have no column of their own. */
	share: number | null;
	onShare(share: number): void;
	within: HTMLElement | null;
}

export function Head(props: HeadProps) {
	const { model, kept, hues, time, scale, now, share, onShare, within } = props;
	return (
		<div className={styles.head}>
			{share !== null && (
				<div className={styles.corner}>
					<Legend model={model} hues={hues} />
					<span>
						{kept && `${formatCount(kept.count)} of `}
						{formatCount(model.count)} {model.count === 1 ? "span" : "spans"}
					</span>
				</div>
			)}
			<div className={styles.timeline}>
				<Minimap model={model} kept={kept} hues={hues} time={time} />
				<Axis scale={scale} now={now} onShow={time.show} onShowAll={time.showAll} />
			</div>
			{share !== null && <Splitter share={share} onShare={onShare} within={within} />}
		</div>
	);
}

/** More services than these are told by the filter. */
const MOST = 6;

function Legend({ model, hues }: { model: TraceModel; hues: Uint8Array }) {
	return (
		<ul className={styles.legend} aria-label="Services">
			{model.services.slice(0, MOST).map((service, at) => (
				<li key={service}>
					<Swatch hue={hues[at]} />
					<span>{oneLine(service, 60) || "no service"}</span>
				</li>
			))}
			{model.services.length > MOST && <li>and {model.services.length - MOST} more</li>}
		</ul>
	);
}

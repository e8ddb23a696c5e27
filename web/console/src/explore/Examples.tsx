/** What can be asked, for whoever has not asked yet. */

import type { View } from "../charts/views";
import styles from "./explore.module.css";

const EXAMPLES: { about: string; question: string; view?: View }[] = [
	{
		about: "How busy each kind of work was",
		question: "count(spans) by op since 1h",
		view: "series",
	},
	{
		about: "The slowest database writes",
		question: 'spans where op:"db.persist.event" order by duration desc limit 10',
	},
	{
		about: "How long each hop took",
		question: "p50(span.duration), p95(span.duration), count(spans) by op since 1h",
	},
	{
		about: "Durations of statements, from the fastest to the slowest",
		question: "spans where op:db.query since 1h",
		view: "heat",
	},
	{
		about: "What failed, and of whom",
		question: "count(spans) where status:error by service, name since 24h",
		view: "top",
	},
	{
		about: "Which tools agents spent their time in",
		question: "sum(span.duration) where has:gen_ai.tool.name by gen_ai.tool.name since 24h",
		view: "top",
	},
];

export function Examples({ onAsk }: { onAsk(question: string, view: View | undefined): void }) {
	return (
		<section className={styles.examples} aria-labelledby="examples">
			<h2 id="examples">Ask the stored spans</h2>
			<p className={styles.hint}>
				Say what you want to know, of which spans, and how it is to be told. Begin with one of
				these:
			</p>
			<ul>
				{EXAMPLES.map(({ about, question, view }) => (
					<li key={question}>
						<button type="button" className={styles.example} onClick={() => onAsk(question, view)}>
							<span>{about}</span>
							<code>{question}</code>
						</button>
					</li>
				))}
			</ul>
		</section>
	);
}

/** What the list shows before there is any build: the one command that makes the first one appear. */
import { Button, CopyButton } from "../ui";
import styles from "./first.module.css";

const COMMAND = "hopline run -- make";

const HOPS = ["runner", "broker", "server", "database", "browser"];

export function FirstVisit({ onStart }: { onStart(): void }) {
	return (
		<section className={styles.first} aria-labelledby="first-visit">
			<Journey />
			<h2 id="first-visit" className={styles.title}>
				Run your first build
			</h2>
			<p className={styles.words}>
				In a project's folder, put <code>hopline run --</code> before the command you would type
				anyway. It appears here while it runs, with the whole way of each of its events.
			</p>
			<div className={styles.command}>
				<code>
					<span className={styles.prompt} aria-hidden="true">
						$
					</span>
					{COMMAND}
				</code>
				<CopyButton text={COMMAND} label="Copy the command" />
			</div>
			<p className={styles.or}>
				or{" "}
				<Button size="small" onClick={onStart}>
					start one from here
				</Button>
			</p>
		</section>
	);
}

/** The way that every event takes. */
function Journey() {
	return (
		<ol className={styles.journey} aria-label="The way of an event">
			{HOPS.map((hop) => (
				<li key={hop} className={styles.hop}>
					{hop}
				</li>
			))}
		</ol>
	);
}

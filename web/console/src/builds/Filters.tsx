/** What narrows the list down. All of it stands in the address, so that a list can be kept and passed on. */
import { useQuery } from "@tanstack/react-query";
import { useNavigate, useSearch } from "@tanstack/react-router";
import { projectsQuery } from "../api/queries";
import { CloseIcon, IconButton, SearchIcon, Segmented, Select, TextField } from "../ui";
import styles from "./filters.module.css";
import type { BuildsSearch, STATUSES } from "./search";
import { useDraft } from "./useDraft";

type Status = (typeof STATUSES)[number] | "all";

const STATUS_ITEMS: { value: Status; label: string }[] = [
	{ value: "all", label: "All" },
	{ value: "active", label: "Running" },
	{ value: "completed", label: "Completed" },
	{ value: "failed", label: "Failed" },
];

/** Stands for every project; no slug is empty. */
const EVERY = "";

type Changed = Partial<Record<keyof BuildsSearch, string | undefined>>;

export function Filters() {
	const { status, project, q } = useSearch({ from: "/" });
	const navigate = useNavigate({ from: "/" });
	function change(changed: Changed, replace = false) {
		navigate({ search: (search) => ({ ...search, ...changed }) as BuildsSearch, replace });
	}
	// Every letter would else be a step of its own on the way back.
	const [words, setWords] = useDraft(q ?? "", (q) => change({ q }, true));

	return (
		<search className={styles.filters}>
			<TextField
				className={styles.words}
				label="Search builds"
				hideLabel
				type="search"
				placeholder="Search by project, runner, error or id"
				icon={<SearchIcon size={14} />}
				value={words}
				onChange={setWords}
				end={
					words && (
						<IconButton
							size="small"
							label="Clear"
							icon={<CloseIcon size={12} />}
							onClick={() => setWords("")}
						/>
					)
				}
			/>
			<Segmented
				className={styles.status}
				label="Status"
				value={status ?? "all"}
				items={STATUS_ITEMS}
				onChange={(status) => change({ status: status === "all" ? undefined : status })}
			/>
			<ProjectFilter project={project} onChange={(project) => change({ project })} />
		</search>
	);
}

interface ProjectFilterProps {
	project: string | undefined;
	onChange(project: string | undefined): void;
}

function ProjectFilter({ project, onChange }: ProjectFilterProps) {
	const { data: projects = [] } = useQuery(projectsQuery());
	const items = projects.map(({ slug, name }) => ({ value: slug, label: name }));
	const isListed = project === undefined || projects.some(({ slug }) => slug === project);
	return (
		<Select
			className={styles.project}
			label="Project"
			hideLabel
			value={project ?? EVERY}
			onChange={(chosen) => onChange(chosen === EVERY ? undefined : chosen)}
			items={[
				{ value: EVERY, label: "All projects" },
				...items,
				...(isListed ? [] : [{ value: project, label: project }]),
			]}
		/>
	);
}

/** The choice between light, dark, and what the system has. */
import { IconButton, Menu, MoonIcon, SunIcon, SystemIcon } from "../../ui";
import { setTheme, type Theme, useTheme } from "../theme";

const THEMES: { theme: Theme; label: string; Icon: typeof SunIcon }[] = [
	{ theme: "system", label: "System", Icon: SystemIcon },
	{ theme: "light", label: "Light", Icon: SunIcon },
	{ theme: "dark", label: "Dark", Icon: MoonIcon },
];

export function ThemeMenu() {
	const chosen = useTheme();
	const Current = THEMES.find(({ theme }) => theme === chosen)?.Icon ?? SystemIcon;
	return (
		<Menu
			trigger={<IconButton label="Theme" icon={<Current />} />}
			items={THEMES.map(({ theme, label, Icon }) => ({
				label,
				icon: <Icon />,
				checked: theme === chosen,
				onSelect: () => setTheme(theme),
			}))}
		/>
	);
}

/** What components expect around them: no inline style elements (the page's policy forbids them), and tooltips that know of each other. */
import { CSPProvider } from "@base-ui/react/csp-provider";
import { Tooltip } from "@base-ui/react/tooltip";
import type { ReactNode } from "react";

export function UiProvider({ children }: { children: ReactNode }) {
	return (
		<CSPProvider disableStyleElements>
			<Tooltip.Provider delay={400}>{children}</Tooltip.Provider>
		</CSPProvider>
	);
}

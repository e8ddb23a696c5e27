/** Where the console begins. */
import "./ui/tokens.css";
import "./ui/base.css";
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { App } from "./app/App";
import { applyTheme } from "./app/theme";

applyTheme();

const root = document.getElementById("root");
if (!root) throw new Error("the page has no element for the console");
createRoot(root).render(
	<StrictMode>
		<App />
	</StrictMode>,
);

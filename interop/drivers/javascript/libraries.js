// Where the libraries under test are found: `interop/install` puts them beside the other clients, outside
// of what git keeps, so that a plain import would not see them.

import { createRequire } from "node:module";

const installed = new URL("../../.interop/javascript/package.json", import.meta.url);

/** Loads an installed package by its name. */
export const library = createRequire(installed);

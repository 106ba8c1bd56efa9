// Lets a process of Node's run the sources: node --import THIS src/cli/main.ts. Its threads inherit it.
import { register } from 'node:module';

register('./typescript-hooks.mjs', import.meta.url);

import { load } from 'ghostkit/web';
import { answered, image, stay } from './start.mjs';

const { model: url, worker } = Object.fromEntries(new URLSearchParams(location.search));
const model = await load(`/${url}`, { threads: 1, worker: worker === 'true' });
const { logits } = await model.run(image());
answered(logits.data);
await stay(() => model.run(image()));

import { load } from 'ghostkit/web';
import { answered, image, stay } from './start.mjs';

const { model: url, worker, store } = Object.fromEntries(new URLSearchParams(location.search));
const model = await load(`/${url}`, { threads: 1, worker: worker === 'true', cache: store === 'cache-storage' });
const { logits } = await model.run(image());
answered(logits.data);
await stay(() => model.run(image()), store === 'cache-storage' && `/${url}`);

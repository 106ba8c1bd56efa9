import fc from 'fast-check';

// The same cases in every run, so that a failure means a change; FC_SEED=$RANDOM looks for new ones.
fc.configureGlobal({ seed: Number(process.env.FC_SEED ?? 20200327) });

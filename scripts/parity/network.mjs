/**
 * The network that a golden file is about, from its `model`, `variant` and `config`: the family and the factory's options;
 * `undefined` when it is none of ours. What `config` says goes before what the variant's name says.
 *
 * @param {{ model?: unknown, variant?: unknown, config?: unknown }} golden
 * @returns {{ family: 'ghostnet' | 'repghostnet', options: Record<string, unknown> } | undefined}
 */
export function networkOf({ model, variant, config }) {
  const family = familyOf(model) ?? familyOf(variant);
  if (!family) return undefined;
  const { reparam, reparamBn, reparamIdentity, deploy, ...options } = {
    ...fromName(model),
    ...fromName(variant),
    ...fromConfig(config ?? {}),
  };
  if (family === 'repghostnet') options.reparam = deploy ? 'merged' : branches(reparam, reparamBn, reparamIdentity);
  return { family, options };
}

function familyOf(name) {
  const match = /^(rep)?ghostnet(?![a-z])/i.exec(name ?? '');
  if (!match) return undefined;
  return match[1] ? 'repghostnet' : 'ghostnet';
}

/** The original's ablations by the word that marks them in a variant's name. */
const TAGS = {
  repid: { reparamBn: false, reparamIdentity: true },
  norep: { reparam: false },
  wo: { shortcut: false },
  nose: { squeezeExcite: false },
};

/** `repghostnet_norep_0_58x` or `ghostnet-0.5`: ablations by their tags, the width by the number at the end. */
function fromName(name) {
  const options = {};
  const tags = String(name ?? '').split(/[_\-\s]/);
  for (const tag of tags) Object.assign(options, TAGS[tag.toLowerCase()]);
  const width = /[_\-\s](\d+)[_.](\d+)x?$/i.exec(name ?? '');
  if (width) options.width = Number(`${width[1]}.${width[2]}`);
  return options;
}

/** The names under which a setting may come: ghostkit's, the original's and its camel case. */
const SETTINGS = {
  width: ['width'],
  classes: ['numClasses', 'num_classes', 'classes'],
  inChannels: ['inChannels', 'in_channels', 'in_chans'],
  stemStride: ['stemStride', 'stem_stride'],
  shortcut: ['shortcut'],
  squeezeExcite: ['squeezeExcite', 'enable_se', 'enableSe'],
  reparam: ['reparam'],
  reparamBn: ['reparam_bn', 'reparamBn'],
  reparamIdentity: ['reparam_identity', 'reparamIdentity'],
  deploy: ['deploy'],
};

function fromConfig(config) {
  const options = {};
  for (const [option, names] of Object.entries(SETTINGS)) {
    const name = names.find((candidate) => config[candidate] !== undefined && config[candidate] !== null);
    if (name) options[option] = config[name];
  }
  return options;
}

/** The branches beside a cheap operation from the original's three switches, or from one that is ghostkit's own word. */
function branches(reparam = true, bn = true, identity = false) {
  if (typeof reparam === 'string') return reparam;
  const names = [bn && 'bn', identity && 'identity'].filter(Boolean);
  return (reparam && names.join('+')) || 'none';
}

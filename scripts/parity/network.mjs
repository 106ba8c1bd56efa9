/**
 * The network that a golden file is about, from its `model`, `variant` and `config`: the family and the factory's options;
 * `undefined` when it is none of ours. What `config` says goes before what the variant's name says.
 */
export function networkOf({ model, variant, config }) {
  const family = familyOf(model) ?? familyOf(variant);
  if (!family) return undefined;
  const said = { ...fromName(model), ...fromName(variant), ...fromConfig(config ?? {}) };
  const options = family === 'repghostnet' ? said : { ...said, reparam: 'none' };
  return { family, options };
}

function familyOf(name) {
  const [, rep, rest] = /^(rep)?ghostnet(?![a-z])(.*)$/i.exec(name ?? '') ?? [];
  if (rest === undefined) return undefined;
  return rep ? 'repghostnet' : 'ghostnet';
}

const TAGS = {
  repid: { reparam: 'identity' },
  norep: { reparam: 'none' },
  wo: { shortcut: false },
  nose: { squeezeExcite: false },
};

/** `repghostnet_norep_0_58x` or `ghostnet-0.5`: an ablation by its tag, the width by the number at the end. */
function fromName(name = '') {
  const options = {};
  for (const tag of String(name)
    .toLowerCase()
    .split(/[_\-\s]/))
    Object.assign(options, TAGS[tag]);
  const width = /[_\-\s](\d+)[_.](\d+)x?$/i.exec(name);
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
  squeezeExcite: ['squeezeExcite', 'enable_se', 'enableSe', 'se'],
};

const REPARAM_BN = ['reparam_bn', 'reparamBn', 'reparamBN'];
const REPARAM_IDENTITY = ['reparam_identity', 'reparamIdentity'];

function fromConfig(config) {
  const setting = (names) => config[names.find((name) => config[name] !== undefined)];
  const options = {};
  for (const [option, names] of Object.entries(SETTINGS)) {
    const value = setting(names);
    if (value !== undefined) options[option] = value;
  }
  const reparam = reparamOf(config.reparam, setting(REPARAM_BN), setting(REPARAM_IDENTITY));
  if (config.deploy === true && reparam !== 'none') options.reparam = 'merged';
  else if (reparam !== undefined) options.reparam = reparam;
  return options;
}

/** The branches beside a cheap operation from the original's three switches, or from one that is ghostkit's own word. */
function reparamOf(reparam, bn, identity) {
  if (typeof reparam === 'string') return reparam;
  if (reparam === false) return 'none';
  if (reparam === undefined && bn === undefined && identity === undefined) return undefined;
  const branches = [bn !== false && 'bn', identity === true && 'identity'].filter(Boolean);
  return branches.join('+') || 'none';
}
